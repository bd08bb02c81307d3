//! What a killed MAPPED writer had accepted, and is not in the segments.

use super::RecoveryReport;
use super::quarantine::QuarantineFile;
use super::scan::segments_after;
use crate::error::{Error, Kind, Result};
use crate::event::header::{StreamRef, checked_id, parse};
use crate::event::name::name_fault;
use crate::event::write_line;
use crate::store::buffer_file::{self, BufferedEvent, Origin};
use crate::store::layout::Layout;
use crate::store::lines::Lines;
use crate::store::storage::{Open, Storage, open_segment};
use crate::warning::WarningKind;
use std::collections::BTreeMap;
use std::path::Path;

/// How much of a segment is read at a time.
const BLOCK: usize = 256 * 1024;

/// The events that a writer of this boot has accepted after `written`, ascending. An error
/// if there are some and it is not known whether the machine was restarted.
pub(super) fn accepted_after(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    written: u64,
    report: &mut RecoveryReport,
) -> Result<Vec<BufferedEvent>> {
    let mut accepted = Vec::new();
    for name in buffer_file::NAMES {
        let path = layout.hidden_file(name);
        let content = buffer_file::read(storage, layout, name, boot)?;
        let (events, bad): (Vec<_>, Vec<_>) = content.events.into_iter().partition(is_event);
        match content.origin {
            Origin::ThisBoot => accepted.extend(events),
            Origin::Nobody => {}
            Origin::Unknown => report.warn(
                WarningKind::TornTail,
                format!(
                    "{} is no buffer of a writer, and is removed",
                    path.display()
                ),
            ),
            // A part of it may never have reached the disk.
            Origin::AnotherBoot => {
                let events = events.iter().filter(|event| event.id > written);
                let mut lines = Vec::new();
                for event in events {
                    write_line(event.id, &event.body, &mut lines);
                }
                if !lines.is_empty() {
                    let what = "accepted before the machine was restarted";
                    keep_aside(storage, layout, &path, (0, &lines), what, report)?;
                }
                continue;
            }
        }
        let no_events = bad.into_iter().map(|event| (event.offset, event.body));
        for (offset, bytes) in no_events.chain(content.unreadable) {
            let place = (offset, &bytes[..]);
            keep_aside(
                storage,
                layout,
                &path,
                place,
                "accepted, and damaged",
                report,
            )?;
        }
    }
    accepted.retain(|event| event.id > written);
    accepted.sort_by_key(|event| event.id);
    accepted.dedup_by_key(|event| event.id);
    Ok(accepted)
}

/// Saves bytes of the file at `path` under `torn/`.
fn keep_aside(
    storage: &dyn Storage,
    layout: &Layout,
    path: &Path,
    (offset, bytes): (u64, &[u8]),
    what: &str,
    report: &mut RecoveryReport,
) -> Result<()> {
    let mut kept = QuarantineFile::new(storage, layout, path, offset)?;
    kept.write(bytes)?;
    let kept = kept.finish(storage, layout)?;
    report.torn_bytes += bytes.len() as u64;
    report.warn(
        WarningKind::TornTail,
        format!(
            "{} bytes of events of {} were {what}; they are kept in {}",
            bytes.len(),
            path.display(),
            kept.display()
        ),
    );
    Ok(())
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

/// Leaves out the events whose lines are in the segments after `intact_id` already. If
/// others have given one of the remaining ids, which are in `found`, all of them get ids
/// after `last_id`, for those of a stream must ascend.
pub(super) fn without_written(
    storage: &dyn Storage,
    layout: &Layout,
    mut events: Vec<BufferedEvent>,
    intact_id: u64,
    (found, last_id): (&[(u64, u64)], u64),
    report: &mut RecoveryReport,
) -> Result<Vec<BufferedEvent>> {
    leave_out_written(storage, layout, &mut events, intact_id)?;
    let is_found = |id| {
        let after = found.partition_point(|&(first, _)| first <= id);
        after > 0 && found[after - 1].1 >= id
    };
    if events.iter().any(|event| is_found(event.id)) {
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

fn leave_out_written(
    storage: &dyn Storage,
    layout: &Layout,
    events: &mut Vec<BufferedEvent>,
    intact_id: u64,
) -> Result<()> {
    let mut by_stream: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let stream = by_stream.entry(event.stream.clone()).or_default();
        stream.insert(event.id, index);
    }
    let mut is_written = vec![false; events.len()];
    let mut expected = Vec::new();
    for (name, ids) in by_stream {
        for number in segments_after(storage, layout, &name, intact_id)? {
            let path = layout.segment(&name, number);
            let file = open_segment(storage, &path, Open::Read)?;
            let mut lines = Lines::forward(0, BLOCK);
            let failed = |e| Error::io("read", &path, &e);
            while let Some(line) = lines.advance(&*file, true).map_err(failed)? {
                let text = lines.text(line);
                let Some(&index) = checked_id(text).and_then(|id| ids.get(&id)) else {
                    continue;
                };
                expected.clear();
                write_line(events[index].id, &events[index].body, &mut expected);
                is_written[index] |= expected.strip_suffix(b"\n") == Some(text);
            }
        }
    }
    let mut is_written = is_written.into_iter();
    events.retain(|_| !is_written.next().unwrap_or(false));
    Ok(())
}
