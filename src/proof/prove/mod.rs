//! Proofs as texts: made from a trail's tiles, checked with no more than a key.
//!
//! `inclusion` is the proof that an event is in the trail, `consistency` the one that
//! a later checkpoint contains an earlier one, `text` what both formats share.
//!
//! A proof is checked when it is made: tiles that do not match the checkpoint's root
//! give an error, not a proof that is invalid.

mod consistency;
mod inclusion;
#[cfg(test)]
mod tests;
mod text;

pub use consistency::ConsistencyProof;
pub use inclusion::InclusionProof;

use super::checkpoint::Checkpoint;
use super::checkpoint_file::{TLOG, newest};
use super::log_folder::LogFolder;
use super::merkle::{self, Nodes};
use super::note::Note;
use super::tile_nodes::TileNodes;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Disk, Storage};
use std::path::Path;
use std::sync::Arc;

/// Proves that the event is in the trail at `root`, under its newest checkpoint
/// or under an earlier one, whose text is given.
pub fn prove(root: &Path, event_id: u64, checkpoint: Option<&str>) -> Result<InclusionProof> {
    prove_in(&open(Arc::new(Disk), root), event_id, checkpoint)
}

/// Proves that the trail at `root`, under its newest checkpoint or the one given,
/// contains what it was when it had `old_size` events.
pub fn prove_consistency(
    root: &Path,
    old_size: u64,
    checkpoint: Option<&str>,
) -> Result<ConsistencyProof> {
    prove_consistency_in(&open(Arc::new(Disk), root), old_size, checkpoint)
}

fn open(storage: Arc<dyn Storage>, root: &Path) -> LogFolder {
    LogFolder::new(storage, Layout::new(root).hidden_file(TLOG))
}

/// The checkpoint given, or else the newest one; its signatures are not checked.
fn read_unverified(folder: &LogFolder, given: Option<&str>) -> Result<(String, Checkpoint)> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => newest(folder)?,
    };
    let checkpoint = Checkpoint::parse(Note::parse(&text)?.text())?;
    Ok((text, checkpoint))
}

fn prove_in(folder: &LogFolder, event_id: u64, given: Option<&str>) -> Result<InclusionProof> {
    let (text, checkpoint) = read_unverified(folder, given)?;
    if event_id == 0 || event_id > checkpoint.size {
        return Err(Error::argument(format!(
            "the event {event_id} is not covered by the checkpoint over {} events",
            checkpoint.size
        )));
    }
    let index = event_id - 1;
    let mut nodes = TileNodes::new(folder.clone(), checkpoint.size);
    let leaf = nodes.node(0, index)?;
    let hashes = merkle::prove_inclusion(&mut nodes, index, checkpoint.size)?;
    if !merkle::check_inclusion(leaf, index, checkpoint.size, checkpoint.root, &hashes) {
        return Err(wrong_tiles(folder, &checkpoint));
    }
    Ok(InclusionProof {
        index,
        hashes,
        checkpoint: text,
        extra: None,
    })
}

fn prove_consistency_in(
    folder: &LogFolder,
    old_size: u64,
    given: Option<&str>,
) -> Result<ConsistencyProof> {
    let (text, checkpoint) = read_unverified(folder, given)?;
    let mut nodes = TileNodes::new(folder.clone(), checkpoint.size);
    let hashes = merkle::prove_consistency(&mut nodes, old_size, checkpoint.size)?;
    let old_root = merkle::root(&mut nodes, old_size)?;
    let (size, root) = (checkpoint.size, checkpoint.root);
    if !merkle::check_consistency(old_size, old_root, size, root, &hashes) {
        return Err(wrong_tiles(folder, &checkpoint));
    }
    Ok(ConsistencyProof {
        old_size,
        hashes,
        checkpoint: text,
    })
}

fn wrong_tiles(folder: &LogFolder, checkpoint: &Checkpoint) -> Error {
    Error::new(
        Kind::Tampered,
        format!(
            "the tiles in {} do not lead to the root of the checkpoint over {} events",
            folder.path().display(),
            checkpoint.size
        ),
    )
}
