//! The nodes of a Merkle tree, read from its tiles.

use super::checkpoint::SignedCheckpoint;
use super::log_folder::LogFolder;
use super::merkle::{Hash, Nodes, check_consistency, complete_hash, prove_consistency};
use super::tile::{LEVELS, Tile, WIDTH};
use crate::error::{Error, Kind, Result};

/// The nodes of a tree of `size` leaves. The tile that was read last at each level is
/// cached.
#[derive(Debug)]
pub(crate) struct TileNodes {
    folder: LogFolder,
    size: u64,
    cached: [Option<(u64, Vec<Hash>)>; LEVELS as usize],
}

impl TileNodes {
    pub fn new(folder: LogFolder, size: u64) -> Self {
        Self {
            folder,
            size,
            cached: Default::default(),
        }
    }

    fn hashes(&mut self, tile: Tile) -> Result<&[Hash]> {
        let cached = &mut self.cached[usize::from(tile.level)];
        if !matches!(cached, Some((index, _)) if *index == tile.index) {
            *cached = self
                .folder
                .tile(tile, self.size)?
                .map(|hashes| (tile.index, hashes));
        }
        match cached {
            Some((_, hashes)) => Ok(hashes),
            None => Err(Error::new(
                Kind::Corrupt,
                format!(
                    "the tile {} is missing or has a wrong length",
                    self.folder
                        .path()
                        .join(tile.path(tile.width(self.size)))
                        .display()
                ),
            )),
        }
    }
}

/// Whether the log in `folder`, as of `newest`, goes on from `earlier`.
pub(crate) fn goes_on_from(
    folder: &LogFolder,
    newest: &SignedCheckpoint,
    earlier: &SignedCheckpoint,
) -> Result<bool> {
    let (old, new) = (earlier.size(), newest.size());
    if old > new {
        return Ok(false);
    }
    let mut nodes = TileNodes::new(folder.clone(), new);
    let hashes = prove_consistency(&mut nodes, old, new)?;
    let (old_root, new_root) = (earlier.root(), newest.root());
    Ok(check_consistency(old, old_root, new, new_root, &hashes))
}

impl Nodes for TileNodes {
    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        let tile_level = u8::try_from(level / 8).unwrap_or(LEVELS);
        let (up, count) = (level % 8, 1_usize << (level % 8));
        let first = index << up;
        let tile = Tile {
            level: tile_level,
            index: first / WIDTH,
        };
        let from = (first % WIDTH) as usize;
        match self.hashes(tile)?.get(from..from + count) {
            Some(hashes) => Ok(complete_hash(hashes)),
            None => Err(Error::argument(format!(
                "the tree has no complete node {index} at level {level}"
            ))),
        }
    }
}
