//! Drain: what a killed MAPPED writer had accepted is written to its segments.

use super::{RecoveryReport, tail};
use crate::error::Result;
use crate::event::write_line;
use crate::store::buffer_file::BufferedEvent;
use crate::store::layout::Layout;
use crate::store::segment::Stream;
use crate::store::storage::{Storage, sync_folder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Lines are written in chunks of about this many bytes.
const CHUNK: usize = 256 * 1024;

/// Appends the events to their streams' newest segments, durably; returns how many. Those
/// with ids that a stream has passed were written before, and taken away with their
/// segments since. The trail's state must say that a batch is being written.
pub(crate) fn drain(
    storage: &dyn Storage,
    layout: &Layout,
    events: &[BufferedEvent],
    max_segment_bytes: u64,
    report: &mut RecoveryReport,
) -> Result<usize> {
    let mut drained = 0;
    let mut by_stream: BTreeMap<&str, Vec<&BufferedEvent>> = BTreeMap::new();
    for event in events {
        by_stream.entry(&event.stream).or_default().push(event);
    }
    let mut folders = BTreeSet::new();
    for (name, events) in by_stream {
        let (mut stream, last) = tail::stream(storage, layout, name, report)?;
        stream.assume_names_unsynced();
        let mut new_names = Vec::new();
        let mut lines = Vec::new();
        for event in events.into_iter().filter(|event| event.id > last) {
            drained += 1;
            if stream.len() + lines.len() as u64 >= max_segment_bytes {
                append(
                    storage,
                    layout,
                    &mut stream,
                    &mut lines,
                    &mut new_names,
                    report,
                )?;
                stream.rotate();
                stream.release_filled();
            }
            write_line(event.id, &event.body, &mut lines);
            if lines.len() >= CHUNK {
                append(
                    storage,
                    layout,
                    &mut stream,
                    &mut lines,
                    &mut new_names,
                    report,
                )?;
            }
        }
        append(
            storage,
            layout,
            &mut stream,
            &mut lines,
            &mut new_names,
            report,
        )?;
        folders.extend(new_names);
        if let Some(unsynced) = stream.take_unsynced() {
            unsynced.sync(storage, layout, &mut Vec::new())?;
        }
    }
    for folder in folders {
        sync_folder(storage, &folder)?;
    }
    Ok(drained)
}

fn append(
    storage: &dyn Storage,
    layout: &Layout,
    stream: &mut Stream,
    lines: &mut Vec<u8>,
    new_names: &mut Vec<PathBuf>,
    report: &mut RecoveryReport,
) -> Result<()> {
    if !lines.is_empty() {
        stream.pass_over_irregular(storage, layout, |path| report.warn_of_irregular(path))?;
        stream.open_file(storage, layout, new_names)?;
        stream.append(layout, lines)?;
        lines.clear();
    }
    Ok(())
}
