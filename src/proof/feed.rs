//! Brings a log up to its trail: reads lines back from the segments and hands
//! their leaves in.
//!
//! This is how proof is turned on for a trail that exists, also for one that the
//! predecessor wrote; how a log catches up after a crash, or after other
//! processes have written; and how tiles that a loss of power took are made
//! again. An id without an event (a hole that recovery has reported, or one that
//! the predecessor left) is the empty entry. Of lines with one id, the one that
//! is met first counts.

use super::log::Log;
use super::merkle::Hash;
use super::pieces::{Pieces, Strays, hash_all};
use super::tile::WIDTH;
use super::walk::{Look, Place, Walk};
use crate::error::Result;
use crate::layout::Layout;
use crate::storage::Storage;
use std::ops::Range;
use std::sync::Arc;

/// Lines that are no leaves do not matter here; `check` and `verify` name them.
struct Ignored;

impl Strays for Ignored {
    fn odd(&mut self, _: Look, _: Place, _: &[u8]) {}
    fn beyond(&mut self, _: u64) {}
}

/// Hands in the leaves of all events up to `last_id` that the log lacks. They
/// must be on disk before they are signed. `progress` is told, now and then, how
/// many events the log has.
pub(crate) fn catch_up(
    log: &mut Log,
    storage: &Arc<dyn Storage>,
    layout: &Layout,
    last_id: u64,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let range = log.size()..last_id;
    each_piece(storage, layout, range, |leaves| {
        log.append(leaves.iter().copied())?;
        progress(log.size());
        Ok(())
    })
}

/// Looks through all tiles, after the machine may have lost some, and makes
/// those again that are not right. Says how many these were.
pub(crate) fn heal(log: &mut Log, storage: &Arc<dyn Storage>, layout: &Layout) -> Result<u64> {
    let damaged = log.damaged()?;
    for &index in &damaged {
        let mut tile = Vec::new();
        let range = index * WIDTH..(index + 1) * WIDTH;
        each_piece(storage, layout, range, |leaves| {
            tile.extend_from_slice(leaves);
            Ok(())
        })?;
        log.repair(index, &tile)?;
    }
    Ok(damaged.len() as u64)
}

fn each_piece(
    storage: &Arc<dyn Storage>,
    layout: &Layout,
    range: Range<u64>,
    mut take: impl FnMut(&[Hash]) -> Result<()>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let walk = Walk::start(storage.clone(), layout, range.start + 1)?;
    let mut pieces = Pieces::new(walk, range);
    hash_all(
        |piece| pieces.fill(piece, &mut Ignored),
        |piece| take(&piece.leaves),
    )
}
