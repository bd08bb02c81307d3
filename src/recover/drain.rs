//! Drain: what a killed MAPPED writer had accepted is written to its segments.

use super::quarantine::QuarantineFile;
use super::{RecoveryReport, tail};
use crate::error::{Error, Kind, Result};
use crate::event::header::{StreamRef, checked_id, parse};
use crate::event::name::name_fault;
use crate::event::write_line;
use crate::store::buffer_file::{self, BufferedEvent};
use crate::store::layout::Layout;
use crate::store::segment::Stream;
use crate::store::storage::{Storage, sync_folder};
use crate::warning::WarningKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Lines are written in chunks of about this many bytes.
const CHUNK: usize = 256 * 1024;

/// The events that a writer of this boot has accepted after `written`, ascending.
pub(super) fn accepted_after(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    written: u64,
    report: &mut RecoveryReport,
) -> Result<Vec<BufferedEvent>> {
    let mut events = Vec::new();
    for name in buffer_file::NAMES {
        let content = buffer_file::read(storage, layout, name, boot)?;
        let (good, bad): (Vec<_>, Vec<_>) = content.events.into_iter().partition(is_event);
        events.extend(good);
        let no_events = bad.into_iter().map(|event| (event.offset, event.body));
        for (offset, bytes) in no_events.chain(content.unreadable) {
            let path = layout.hidden_file(name);
            let mut kept = QuarantineFile::new(storage, layout, &path, offset)?;
            kept.write(&bytes)?;
            let kept = kept.finish(storage, layout)?;
            report.torn_bytes += bytes.len() as u64;
            report.warn(
                WarningKind::TornTail,
                format!(
                    "{} bytes of accepted events from byte {offset} of {} are damaged; they are \
                     kept in {}",
                    bytes.len(),
                    path.display(),
                    kept.display()
                ),
            );
        }
    }
    events.retain(|event| event.id > written);
    events.sort_by_key(|event| event.id);
    events.dedup_by_key(|event| event.id);
    Ok(events)
}

/// Whether the event is one that can be written to its stream: a record that nobody has
/// forged is.
fn is_event(event: &BufferedEvent) -> bool {
    let Some((domain, category)) = event.stream.split_once('/') else {
        return false;
    };
    if name_fault(domain.as_bytes()).is_some() || name_fault(category.as_bytes()).is_some() {
        return false;
    }
    let mut line = Vec::with_capacity(event.body.len() + 32);
    write_line(event.id, &event.body, &mut line);
    line.strip_suffix(b"\n").is_some_and(|text| {
        let is_of_stream = |(_, stream): (_, StreamRef)| stream.matches(domain, category, text);
        !text.contains(&b'\n')
            && checked_id(text) == Some(event.id)
            && parse(text).is_ok_and(is_of_stream)
    })
}

/// Leaves out the events that are in the segments already, whose ids are in `found`.
/// Unless the dead writer was in the midst of a batch, others have given these ids:
/// then all events get ids after `last_id`, for one stream's must ascend.
pub(super) fn without_written(
    mut events: Vec<BufferedEvent>,
    found: &[(u64, u64)],
    in_batch: bool,
    last_id: u64,
    report: &mut RecoveryReport,
) -> Result<Vec<BufferedEvent>> {
    let is_found = |id| {
        let after = found.partition_point(|&(first, _)| first <= id);
        after > 0 && found[after - 1].1 >= id
    };
    if in_batch {
        events.retain(|event| !is_found(event.id));
    } else if events.iter().any(|event| is_found(event.id)) {
        let mut id = last_id;
        for event in &mut events {
            id = id
                .checked_add(1)
                .ok_or_else(|| Error::new(Kind::TooLarge, "the trail has no more event ids"))?;
            event.id = id;
        }
        report.warn(
            WarningKind::Redone,
            format!(
                "the ids of {} accepted events were given to others since; theirs are {} to {id}",
                events.len(),
                last_id + 1
            ),
        );
    }
    Ok(events)
}

/// Appends the events to their streams' newest segments, durably. The trail's state must
/// say that a batch is being written.
pub(crate) fn drain(
    storage: &dyn Storage,
    layout: &Layout,
    events: &[BufferedEvent],
    max_segment_bytes: u64,
    report: &mut RecoveryReport,
) -> Result<()> {
    let mut by_stream: BTreeMap<&str, Vec<&BufferedEvent>> = BTreeMap::new();
    for event in events {
        by_stream.entry(&event.stream).or_default().push(event);
    }
    let mut folders = BTreeSet::new();
    for (name, events) in by_stream {
        let (mut stream, _) = tail::stream(storage, layout, name, report)?;
        stream.assume_names_unsynced();
        let mut new_names = Vec::new();
        let mut lines = Vec::new();
        for event in events {
            if stream.len() + lines.len() as u64 >= max_segment_bytes {
                append(storage, layout, &mut stream, &mut lines, &mut new_names)?;
                stream.rotate();
                stream.release_filled();
            }
            write_line(event.id, &event.body, &mut lines);
            if lines.len() >= CHUNK {
                append(storage, layout, &mut stream, &mut lines, &mut new_names)?;
            }
        }
        append(storage, layout, &mut stream, &mut lines, &mut new_names)?;
        folders.extend(new_names);
        if let Some(unsynced) = stream.take_unsynced() {
            unsynced.sync(storage, layout, &mut Vec::new())?;
        }
    }
    for folder in folders {
        sync_folder(storage, &folder)?;
    }
    Ok(())
}

fn append(
    storage: &dyn Storage,
    layout: &Layout,
    stream: &mut Stream,
    lines: &mut Vec<u8>,
    new_names: &mut Vec<PathBuf>,
) -> Result<()> {
    if !lines.is_empty() {
        stream.open_file(storage, layout, new_names)?;
        stream.append(layout, lines)?;
        lines.clear();
    }
    Ok(())
}
