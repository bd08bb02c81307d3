//! Brings a log up to date with its trail: reads lines from the segments and appends
//! their leaves.
//!
//! Used to turn on proof for a trail that exists, also for one that the predecessor
//! wrote; after a crash, and after other processes have written; and to rebuild tiles
//! that a loss of power took. An id without an event (a gap that recovery has
//! reported, or one that the predecessor left) is the empty entry. Of lines with the
//! same id, the first one read counts.

use super::hash_pool::hash_all;
use super::leaf_chunks::{LeafChunk, LeafChunks, UnmatchedSink};
use super::log::Log;
use super::tile::WIDTH;
use super::trail_walk::{LinePosition, TrailLine, TrailWalk, WalkPositions};
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, failed_to_open, sync_failed};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Lines that are no leaves are left to `check` and `verify` to report, except for
/// one that begins as an event does and is longer than any event may be: that its id
/// had no event must not be signed.
#[derive(Default)]
struct OversizedSink {
    first: Option<LinePosition>,
}

impl UnmatchedSink for OversizedSink {
    fn unmatched(&mut self, line: &TrailLine<'_>) {
        if line.text.is_none() && line.info.id.is_some() {
            self.first.get_or_insert(line.position);
        }
    }

    fn after_end(&mut self, _: u64) {}
}

/// Appends the leaves of all events up to `last_id` that the log lacks. The events
/// must be on disk before they are signed. `positions` is where the last call stopped
/// in the trail, so that this one can resume there. `progress` is told, from time to
/// time, how many events the log has.
pub(crate) fn catch_up(
    log: &mut Log,
    storage: &Arc<dyn Storage>,
    layout: &Layout,
    last_id: u64,
    positions: &mut Option<WalkPositions>,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let range = log.size()..last_id;
    if range.is_empty() {
        return Ok(());
    }
    let walk = match positions.take() {
        Some(positions) => TrailWalk::resume(storage.clone(), layout, &positions)?,
        None => TrailWalk::start(storage.clone(), layout, range.start + 1)?,
    };
    let after = each_chunk(walk, range, |chunk| {
        log.append(&chunk.leaves, chunk.complete)?;
        progress(log.size());
        Ok(())
    })?;
    *positions = Some(after);
    Ok(())
}

/// Checks all full tiles, after a loss of power may have taken some, and rebuilds
/// those that are lost or damaged from the segments. Returns how many these were.
pub(crate) fn repair_tiles(
    log: &mut Log,
    storage: &Arc<dyn Storage>,
    layout: &Layout,
) -> Result<u64> {
    let damaged = log.damaged_tiles()?;
    for &index in &damaged {
        let mut tile = Vec::new();
        let range = index * WIDTH..(index + 1) * WIDTH;
        let walk = TrailWalk::start(storage.clone(), layout, range.start + 1)?;
        each_chunk(walk, range, |chunk| {
            tile.extend_from_slice(&chunk.leaves);
            Ok(())
        })?;
        log.repair_tile(index, &tile)?;
    }
    Ok(damaged.len() as u64)
}

/// Gives the hashed leaves in `range` to `take`; returns where the walk has stopped.
fn each_chunk(
    walk: TrailWalk,
    range: Range<u64>,
    take: impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<WalkPositions> {
    let irregular = walk.irregular().first().cloned();
    let mut chunks = LeafChunks::new(walk, range);
    let mut oversized = OversizedSink::default();
    hash_all(
        |chunk| {
            let filled = chunks.fill(chunk, &mut oversized)?;
            let corrupt = |position: LinePosition, which: &str, fault: &str| {
                let path = chunks.walk().path(position);
                let message = format!("{which} of {} {fault}", path.display());
                Error::new(Kind::Corrupt, message).at(position.offset)
            };
            if let Some(path) = &irregular
                && chunk.lines.iter().any(Option::is_none)
            {
                let message = format!(
                    "{} is no regular file, and events are missing that may have been in its place",
                    path.display()
                );
                return Err(Error::new(Kind::Corrupt, message));
            }
            let torn = (chunk.lines.iter().flatten()).find(|(info, _)| !info.terminated);
            if let Some(&(_, position)) = torn {
                return Err(corrupt(position, "the last line", "has no newline"));
            }
            if let Some(position) = oversized.first {
                return Err(corrupt(
                    position,
                    "a line",
                    "is longer than any event, or a hole",
                ));
            }
            Ok(filled)
        },
        take,
    )?;
    Ok(chunks.positions())
}

/// Syncs all segments that can hold events from `from_id` on, whichever process has
/// written them. An error of kind `Failed` comes from a failed sync, of which the kernel
/// may tell nobody else: the caller holds the commit lock, and tells the others.
pub(crate) fn sync_from(storage: &Arc<dyn Storage>, layout: &Layout, from_id: u64) -> Result<()> {
    let walk = TrailWalk::start(storage.clone(), layout, from_id)?;
    let mut folders = BTreeSet::new();
    for path in walk.segments_from_start() {
        let file = storage
            .open(&path, Open::Read)
            .map_err(|e| Error::io("open", &path, &e))?;
        file.sync().map_err(|e| sync_failed(&path, &e))?;
        // The stream's folder, the domain's, and the root.
        let parents = path.ancestors().skip(1).take(3);
        folders.extend(parents.map(std::path::Path::to_owned));
    }
    for folder in folders {
        storage.sync_dir(&folder).map_err(|e| {
            if failed_to_open(&e) {
                Error::io("open", &folder, &e)
            } else {
                sync_failed(&folder, &e)
            }
        })?;
    }
    Ok(())
}
