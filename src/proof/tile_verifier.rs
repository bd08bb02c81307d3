//! Which of the hashes on disk can be trusted, because a signed root says so.
//!
//! From the top down: the partial tiles on the right edge together make the
//! root; the hash of each full tile stands in the tile above it. So a tile that
//! fits is as good as signed, and a tile that does not is found. Who changes
//! lines and tiles together breaks the chain at the root, or at a tile above.

use super::checkpoint::Checkpoint;
use super::merkle::{Hash, complete_hash};
use super::report::{Finding, FindingKind};
use super::tile::{Edge, LEVELS, LogFolder, Tile, WIDTH, hashes};
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct TileVerifier {
    folder: LogFolder,
    edge: Edge,
    /// By level, the tile looked at last: its hashes, if they are right.
    kept: [Option<(u64, Option<Vec<Hash>>)>; LEVELS as usize],
    /// Tiles that are not right, since they were last asked for.
    pub damaged: Vec<Finding>,
}

impl TileVerifier {
    /// `None` where the tiles do not lead to the checkpoint's root.
    pub fn open(folder: &LogFolder, checkpoint: &Checkpoint) -> Result<Option<Self>> {
        let edge = Edge::read(folder, checkpoint.size)?;
        Ok(edge
            .filter(|edge| edge.root() == checkpoint.root)
            .map(|edge| Self {
                folder: folder.clone(),
                edge,
                kept: Default::default(),
                damaged: Vec::new(),
            }))
    }

    /// How many leaves are covered.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The hash of a full tile.
    pub fn full(&mut self, tile: Tile) -> Result<Option<Hash>> {
        if tile.index >= hashes(tile.level, self.edge.size()) / WIDTH {
            return Ok(None);
        }
        let (parent, place) = tile.parent();
        let above = self.hashes(parent)?;
        Ok(above.and_then(|hashes| hashes.get(place)).copied())
    }

    /// Whether the tile's file holds these hashes, and they are right; the hash
    /// over them is known.
    pub fn agrees(&mut self, tile: Tile, leaves: &[Hash], complete: Hash) -> Result<bool> {
        if self.full(tile)? != Some(complete) {
            return Ok(false);
        }
        let found = self.folder.tile(tile, self.edge.size())?;
        Ok(found.is_some_and(|found| found == leaves))
    }

    /// The hashes of a tile.
    pub fn hashes(&mut self, tile: Tile) -> Result<Option<&[Hash]>> {
        let level = usize::from(tile.level);
        if tile.level >= LEVELS {
            return Ok(None);
        }
        if tile.index >= hashes(tile.level, self.edge.size()) / WIDTH {
            let partial = tile.width(self.edge.size()) > 0;
            return Ok(partial.then(|| self.edge.level(tile.level)));
        }
        if !matches!(&self.kept[level], Some((index, _)) if *index == tile.index) {
            let found = self.read(tile)?;
            self.kept[level] = Some((tile.index, found));
        }
        Ok(self.kept[level]
            .as_ref()
            .and_then(|(_, hashes)| hashes.as_deref()))
    }

    fn read(&mut self, tile: Tile) -> Result<Option<Vec<Hash>>> {
        let expected = self.full(tile)?;
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
