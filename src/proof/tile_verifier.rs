//! Which of the hashes on disk can be trusted, because a signed root covers them.
//!
//! From the top down: the root is computed from the partial tiles on the tree's right
//! edge, and the hash over each full tile is an entry of the tile above it. So a tile
//! that matches its parent is as good as signed, and one that does not is reported.
//! If lines and tiles are changed together, the root or a tile above does not match.

use super::checkpoint::Checkpoint;
use super::log_folder::LogFolder;
use super::merkle::{Hash, complete_hash};
use super::report::{Finding, FindingKind};
use super::tile::{LEVELS, Tile, WIDTH, hashes_at};
use super::tree_edge::TreeEdge;
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct TileVerifier {
    folder: LogFolder,
    edge: TreeEdge,
    /// By level, the tile that was loaded last: its hashes, if they can be trusted.
    cached: [Option<(u64, Option<Vec<Hash>>)>; LEVELS as usize],
    /// Tiles that were found damaged; the caller takes them out.
    pub damaged: Vec<Finding>,
}

impl TileVerifier {
    /// `None` if the tiles do not lead to the checkpoint's root.
    pub fn open(folder: &LogFolder, checkpoint: &Checkpoint) -> Result<Option<Self>> {
        let edge = TreeEdge::read(folder, checkpoint.size)?;
        Ok(edge
            .filter(|edge| edge.root() == checkpoint.root)
            .map(|edge| Self {
                folder: folder.clone(),
                edge,
                cached: Default::default(),
                damaged: Vec::new(),
            }))
    }

    /// How many leaves the signed root covers.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The signed hash over a full tile, which is in the tile above it.
    pub fn complete_hash(&mut self, tile: Tile) -> Result<Option<Hash>> {
        if tile.index >= hashes_at(tile.level, self.edge.size()) / WIDTH {
            return Ok(None);
        }
        let (parent, index) = tile.parent();
        let hashes = self.hashes(parent)?;
        Ok(hashes.and_then(|hashes| hashes.get(index)).copied())
    }

    /// Whether these hashes are the signed ones and the tile's file holds them;
    /// `complete` is the hash over them.
    pub fn matches(&mut self, tile: Tile, leaves: &[Hash], complete: Hash) -> Result<bool> {
        if self.complete_hash(tile)? != Some(complete) {
            return Ok(false);
        }
        let found = self.folder.tile(tile, self.edge.size())?;
        Ok(found.is_some_and(|found| found == leaves))
    }

    /// The signed hashes of a tile, if it is undamaged.
    pub fn hashes(&mut self, tile: Tile) -> Result<Option<&[Hash]>> {
        let level = usize::from(tile.level);
        if tile.level >= LEVELS {
            return Ok(None);
        }
        if tile.index >= hashes_at(tile.level, self.edge.size()) / WIDTH {
            let partial = tile.width(self.edge.size()) > 0;
            return Ok(partial.then(|| self.edge.level(tile.level)));
        }
        if !matches!(&self.cached[level], Some((index, _)) if *index == tile.index) {
            let found = self.load(tile)?;
            self.cached[level] = Some((tile.index, found));
        }
        Ok(self.cached[level]
            .as_ref()
            .and_then(|(_, hashes)| hashes.as_deref()))
    }

    /// Reads a full tile and compares it with its parent.
    fn load(&mut self, tile: Tile) -> Result<Option<Vec<Hash>>> {
        let expected = self.complete_hash(tile)?;
        let found = self.folder.tile(tile, self.edge.size())?;
        let what = match (&found, expected) {
            // What it must be is not known: the tile above is damaged.
            (_, None) => return Ok(None),
            (Some(hashes), Some(expected)) if complete_hash(hashes) == expected => {
                return Ok(found);
            }
            (Some(_), _) => "a tile of the tree's hashes was changed",
            (None, _) => "a tile of the tree's hashes is missing or has a wrong length",
        };
        let events = tile.leaves();
        let path = self.folder.path().join(tile.path(WIDTH));
        self.damaged.push(
            Finding::new(FindingKind::Tile, what)
                .of(events.start + 1, events.end.min(self.edge.size()))
                .at(&path, None),
        );
        Ok(None)
    }
}
