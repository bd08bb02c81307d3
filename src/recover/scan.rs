//! Scans the events after the last id known to be intact: finds missing ids, and cuts
//! what a power loss has torn.

use super::RecoveryReport;
use super::quarantine::quarantine_tail;
use super::tail::append_newline;
use crate::error::{Error, Result};
use crate::event::header::checked_id;
use crate::store::layout::Layout;
use crate::store::lines::Lines;
use crate::store::listing;
use crate::store::storage::{Open, Storage, open_segment, read_blocks};
use crate::warning::WarningKind;
use std::io;

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

/// Reads all events after `intact_id`; returns their ids, as ascending ranges, and
/// the largest id seen behind a torn line. With `may_be_torn`, cuts each segment at
/// the first line after `intact_id` that contains zeros or has no newline.
pub(super) fn scan_after(
    storage: &dyn Storage,
    layout: &Layout,
    intact_id: u64,
    may_be_torn: bool,
    report: &mut RecoveryReport,
) -> Result<(Vec<(u64, u64)>, u64)> {
    let mut runs = Vec::new();
    let mut max_id = 0;
    for stream in listing::streams(storage, layout)? {
        let name = stream.name();
        for number in segments_after(storage, layout, &name, intact_id)? {
            let path = layout.segment(&name, number);
            let failed = |e: io::Error| Error::io("read", &path, &e);
            let file = open_segment(storage, &path, Open::Read)?;
            let mut lines = Lines::forward(0, BLOCK);
            let mut torn_at = None;
            let mut lacks_newline = false;
            while let Some(line) = lines.advance(&*file, true).map_err(failed)? {
                match checked_id(lines.text(line)) {
                    // Damage before an intact event was not caused by the power loss.
                    Some(id) if id <= intact_id => torn_at = None,
                    Some(id) if torn_at.is_none() => {
                        add_run(&mut runs, id);
                        lacks_newline = !line.whole;
                    }
                    None if !line.whole || lines.has_nul(line) => {
                        torn_at = torn_at.or(Some(line.offset));
                    }
                    // Behind a torn line: to be cut, but its id was assigned.
                    Some(id) => max_id = max_id.max(id),
                    // Damage with another cause: it is not cut.
                    None => {}
                }
            }
            match torn_at.filter(|_| may_be_torn) {
                Some(offset) => {
                    let len = file.stat().map_err(failed)?.len;
                    quarantine_tail(storage, layout, &path, offset, len, report)?;
                }
                None if lacks_newline => append_newline(storage, &path)?,
                None => {}
            }
        }
    }
    runs.sort_unstable();
    Ok((runs, max_id))
}

/// The segments of a stream, ascending, that can hold events after `intact_id`.
pub(super) fn segments_after(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    intact_id: u64,
) -> Result<Vec<u64>> {
    let mut numbers = listing::segments(storage, &layout.stream(name))?;
    let mut from = numbers.len();
    while from > 0 {
        from -= 1;
        let path = layout.segment(name, numbers[from]);
        let file = open_segment(storage, &path, Open::Read)?;
        let mut lines = Lines::forward(0, BLOCK);
        let first = lines
            .advance(&*file, true)
            .map_err(|e| Error::io("read", &path, &e))?;
        let id = first.and_then(|line| checked_id(lines.text(line)));
        if id.is_some_and(|id| id <= intact_id) {
            break;
        }
    }
    numbers.drain(..from);
    Ok(numbers)
}

/// Rewrites, unchanged, the segments that can hold events after `intact_id`: after a
/// failed sync, the kernel considers the lost pages clean and would not write them. ext4
/// also considers their place on disk to be valid, and does not make it so when a page is
/// written again: so the pages are dropped first.
pub(super) fn rewrite(storage: &dyn Storage, layout: &Layout, intact_id: u64) -> Result<()> {
    for stream in listing::streams(storage, layout)? {
        let name = stream.name();
        for number in segments_after(storage, layout, &name, intact_id)? {
            let path = layout.segment(&name, number);
            let failed = |e: io::Error| Error::io("rewrite", &path, &e);
            let file = open_segment(storage, &path, Open::Update)?;
            // So that no page is still to be written: such a one would not be forgotten.
            // What it loses is written again below, and then synced.
            let _ = file.sync();
            for block in read_blocks(&*file, 0..u64::MAX) {
                let (offset, bytes) = block.map_err(failed)?;
                file.forget(offset..offset + bytes.len() as u64);
                file.write_at(&bytes, offset).map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn add_run(runs: &mut Vec<(u64, u64)>, id: u64) {
    match runs.last_mut() {
        Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
        _ => runs.push((id, id)),
    }
}

/// Reports the ids after `intact_id` up to `known` that are in no range; returns the
/// largest id.
pub(super) fn report_missing(
    intact_id: u64,
    known: u64,
    runs: Vec<(u64, u64)>,
    report: &mut RecoveryReport,
) -> u64 {
    // All ids up to this one are accounted for. A run may end at the largest id, so
    // there may be no next one.
    let mut seen = intact_id;
    let mut holes = Vec::new();
    for (first, last) in runs {
        if first > seen && first - seen > 1 {
            holes.push((seen + 1, first - 1));
        }
        seen = seen.max(last);
    }
    if seen < known {
        holes.push((seen + 1, known));
        seen = known;
    }
    for (first, last) in holes {
        report.missing_ids += last - first + 1;
        report.warn(
            WarningKind::MissingIds,
            format!("the events {first} to {last} were lost in a crash"),
        );
    }
    seen
}
