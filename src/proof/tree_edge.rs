//! The right edge of a tree: what is needed to append leaves and to compute the root.

use super::log_folder::LogFolder;
use super::merkle::{Hash, complete_hash, root_of_peaks};
use super::tile::{LEVELS, Tile, WIDTH, hashes_at};
use crate::error::Result;

/// For each level of tiles, the hashes of the tile that is not full yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct TreeEdge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl TreeEdge {
    /// Reads the edge of the tree of `size` leaves from its tiles; `None` if one of them
    /// is missing.
    pub fn read(folder: &LogFolder, size: u64) -> Result<Option<Self>> {
        let mut levels = Vec::new();
        for level in 0..LEVELS {
            let count = hashes_at(level, size);
            if count == 0 {
                break;
            }
            let tile = Tile {
                level,
                index: count / WIDTH,
            };
            levels.push(match tile.width(size) {
                0 => Vec::new(),
                _ => match folder.tile(tile, size)? {
                    Some(hashes) => hashes,
                    None => return Ok(None),
                },
            });
        }
        Ok(Some(Self { size, levels }))
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; `full` is called with each tile that it fills.
    pub fn push(
        &mut self,
        leaf: Hash,
        full: &mut impl FnMut(Tile, &[Hash]) -> Result<()>,
    ) -> Result<()> {
        self.size += 1;
        self.carry(0, leaf, full)
    }

    /// Appends the leaves of a full tile, the hash over which is known. The size must be
    /// a multiple of a tile's.
    pub fn push_tile(
        &mut self,
        leaves: &[Hash],
        complete: Hash,
        full: &mut impl FnMut(Tile, &[Hash]) -> Result<()>,
    ) -> Result<()> {
        debug_assert!(self.size.is_multiple_of(WIDTH) && leaves.len() as u64 == WIDTH);
        let index = self.size / WIDTH;
        self.size += WIDTH;
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        full(Tile { level: 0, index }, leaves)?;
        self.carry(1, complete, full)
    }

    fn carry(
        &mut self,
        from: u8,
        hash: Hash,
        full: &mut impl FnMut(Tile, &[Hash]) -> Result<()>,
    ) -> Result<()> {
        let mut hash = hash;
        for level in from..LEVELS {
            let row = usize::from(level);
            if self.levels.len() == row {
                self.levels.push(Vec::with_capacity(WIDTH as usize));
            }
            let hashes = &mut self.levels[row];
            hashes.push(hash);
            if hashes.len() < WIDTH as usize {
                break;
            }
            let index = hashes_at(level + 1, self.size).saturating_sub(1);
            full(Tile { level, index }, hashes)?;
            hash = complete_hash(hashes);
            hashes.clear();
        }
        Ok(())
    }

    /// The hashes at a level that are not in a full tile.
    pub fn level(&self, level: u8) -> &[Hash] {
        self.levels
            .get(usize::from(level))
            .map_or(&[], |hashes| hashes)
    }

    /// The tiles that are not full.
    pub fn partials(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        self.levels
            .iter()
            .enumerate()
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|(level, hashes)| {
                let level = level as u8;
                let index = hashes_at(level, self.size) / WIDTH;
                (Tile { level, index }, &hashes[..])
            })
    }

    pub fn root(&self) -> Hash {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = &hashes[..];
            while !rest.is_empty() {
                let (peak, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(complete_hash(peak));
                rest = after;
            }
        }
        root_of_peaks(&peaks)
    }
}
