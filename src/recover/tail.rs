//! Repairs the tail of a stream: what a crash left at the end of its newest segment.

use super::RecoveryReport;
use super::quarantine::quarantine_tail;
use crate::error::{Error, Result};
use crate::event::header::checked_id;
use crate::store::layout::Layout;
use crate::store::lines::Lines;
use crate::store::listing;
use crate::store::segment::Stream;
use crate::store::storage::{Open, Storage, open_segment};
use crate::warning::WarningKind;
use std::io;
use std::path::Path;

/// How much is read at a time: the last line is seldom longer.
const BLOCK: usize = 16 * 1024;

/// Repairs a stream's tail; returns the stream, ready to be appended to, and its last
/// id (0 if there is none).
pub(crate) fn stream(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    report: &mut RecoveryReport,
) -> Result<(Stream, u64)> {
    let (numbers, irregular) = listing::segments_and_irregular(storage, &layout.stream(name))?;
    for number in irregular {
        report.warn_of_irregular(&layout.segment(name, number));
    }
    let Some(&newest) = numbers.last() else {
        return Ok((Stream::new(name), 0));
    };
    let (len, mut last) = repair_tail(storage, layout, name, newest, report)?;
    // A segment that was created but not yet written to has no id.
    for &number in numbers.iter().rev().skip(1) {
        if last.is_some() {
            break;
        }
        last = repair_tail(storage, layout, name, number, report)?.1;
    }
    Ok((Stream::resume_at(name, newest, len), last.unwrap_or(0)))
}

/// Repairs the tails of all streams; returns the largest id.
pub(crate) fn tails(
    storage: &dyn Storage,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> Result<u64> {
    let mut last = 0;
    for id in listing::streams(storage, layout)? {
        last = last.max(stream(storage, layout, &id.name(), report)?.1);
    }
    Ok(last)
}

/// Repairs the tail of a segment; returns its length and the id of its last event.
fn repair_tail(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    number: u64,
    report: &mut RecoveryReport,
) -> Result<(u64, Option<u64>)> {
    let path = layout.segment(name, number);
    let failed = |e: io::Error| Error::io("read", &path, &e);
    let file = open_segment(storage, &path, Open::Read)?;
    let len = file.stat().map_err(failed)?.len;
    let mut keep = len;
    let mut lacks_newline = false;
    let mut last = None;
    // Backward from the end, line by line, to the last event.
    let mut lines = Lines::backward(len, BLOCK);
    let mut end = len;
    while last.is_none()
        && let Some(line) = lines.advance(&*file, true).map_err(failed)?
    {
        let text = lines.text(line);
        if let Some(id) = checked_id(text) {
            last = Some(id);
            lacks_newline = !line.whole;
        } else if keep == end && (!line.whole || lines.has_nul(line)) {
            keep = line.offset;
        } else if line.skipped || !text.iter().all(u8::is_ascii_whitespace) {
            report.warn(
                WarningKind::DamagedLine,
                format!("{} holds no event at byte {}", path.display(), line.offset),
            );
        }
        end = line.offset;
    }
    if keep < len {
        quarantine_tail(storage, layout, &path, keep, len, report)?;
    }
    if lacks_newline {
        append_newline(storage, &path)?;
        keep += 1;
    }
    Ok((keep, last))
}

/// Appends the newline that the last line of a segment lacks.
pub(super) fn append_newline(storage: &dyn Storage, path: &Path) -> Result<()> {
    storage
        .open(path, Open::Append)
        .and_then(|file| file.append(b"\n"))
        .map_err(|e| Error::io("append to", path, &e))
}
