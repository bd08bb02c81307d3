//! Brings a log up to its trail: reads lines back from the segments and hands
//! their leaves in.
//!
//! This is how proof is turned on for a trail that exists, also for one that the
//! predecessor wrote; how a log catches up after a crash, or after other
//! processes have written; and how tiles that a loss of power took are made
//! again. An id without an event (a hole that recovery has reported, or one that
//! the predecessor left) is the empty entry. Of lines with one id, the one that
//! is met first counts.

use super::leaf_chunks::{LeafChunk, LeafChunks, UnmatchedSink, hash_all};
use super::log::Log;
use super::tile::WIDTH;
use super::trail_walk::{LineLook, LinePosition, TrailWalk, WalkPositions};
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Lines that are no leaves do not matter here; `check` and `verify` name them.
struct Ignored;

impl UnmatchedSink for Ignored {
    fn odd(&mut self, _: LineLook, _: LinePosition, _: &[u8]) {}
    fn beyond(&mut self, _: u64) {}
}

/// Hands in the leaves of all events up to `last_id` that the log lacks. They
/// must be on disk before they are signed. `positions` is where the last call
/// has left the trail, and spares finding that again. `progress` is told, now
/// and then, how many events the log has.
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

/// Looks through all tiles, after the machine may have lost some, and makes
/// those again that are not right. Says how many these were.
pub(crate) fn heal(log: &mut Log, storage: &Arc<dyn Storage>, layout: &Layout) -> Result<u64> {
    let damaged = log.damaged()?;
    for &index in &damaged {
        let mut tile = Vec::new();
        let range = index * WIDTH..(index + 1) * WIDTH;
        let walk = TrailWalk::start(storage.clone(), layout, range.start + 1)?;
        each_chunk(walk, range, |chunk| {
            tile.extend_from_slice(&chunk.leaves);
            Ok(())
        })?;
        log.repair(index, &tile)?;
    }
    Ok(damaged.len() as u64)
}

fn each_chunk(
    walk: TrailWalk,
    range: Range<u64>,
    take: impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<WalkPositions> {
    let mut chunks = LeafChunks::new(walk, range);
    hash_all(
        |chunk| {
            let filled = chunks.fill(chunk, &mut Ignored)?;
            let torn = chunk.lines.iter().flatten().find(|(look, _)| !look.ended);
            if let Some(&(_, place)) = torn {
                let path = chunks.walk().path(place);
                return Err(Error::new(
                    Kind::Corrupt,
                    format!("the last line of {} has no newline", path.display()),
                )
                .at(place.offset));
            }
            Ok(filled)
        },
        take,
    )?;
    Ok(chunks.positions())
}

/// Brings all segments that can hold events from `from_id` on to disk, whoever
/// has written them.
pub(crate) fn sync_from(storage: &Arc<dyn Storage>, layout: &Layout, from_id: u64) -> Result<()> {
    let walk = TrailWalk::start(storage.clone(), layout, from_id)?;
    let mut folders = BTreeSet::new();
    for path in walk.segments_from_start() {
        let file = storage
            .open(&path, Open::Read)
            .map_err(|e| Error::io("open", &path, &e))?;
        file.sync().map_err(|e| Error::io("sync", &path, &e))?;
        // The stream's folder, the domain's, and the root.
        let above = path.ancestors().skip(1).take(3);
        folders.extend(above.map(std::path::Path::to_owned));
    }
    for folder in folders {
        storage
            .sync_dir(&folder)
            .map_err(|e| Error::io("sync", &folder, &e))?;
    }
    Ok(())
}
