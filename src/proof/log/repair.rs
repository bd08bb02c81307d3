//! What is done about tiles that a loss of power took: one tile is written again, or
//! the whole tree is rebuilt.

use super::Log;
use crate::error::{Error, Kind, Result};
use crate::proof::log_folder::Durable;
use crate::proof::merkle::{Hash, complete_hash};
use crate::proof::tile::{LEVELS, Tile, WIDTH, hashes_at, to_bytes};
use crate::proof::tree_edge::TreeEdge;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a tree that is rebuilt, until it is known to be the signed one.
pub(super) const REBUILT: &str = "rebuilt";

impl Log {
    /// Begins again without leaves, in a folder of its own.
    pub(super) fn start_rebuild(&mut self) {
        self.tiles = self.folder.below(REBUILT);
        self.edge = TreeEdge::default();
        self.partial.clear();
        self.filled.clear();
    }

    /// Called when the rebuilt tree has the signed size: if it is the signed one, its
    /// tiles replace the old ones, which are kept under another name.
    pub(super) fn finish_rebuild(&mut self) -> Result<()> {
        let Some(signed) = self.signed.clone() else {
            return Ok(());
        };
        if self.edge.root() != signed.root() {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the first {} events of the trail are not those that were signed: their \
                     root is {}, signed is {}",
                    signed.size(),
                    self.edge.root(),
                    signed.root()
                ),
            ));
        }
        self.write_partials()?;
        self.tiles.sync(&mut self.changed)?;
        let old = self.folder.path().join("tile");
        let new = self.tiles.path().join("tile");
        let renamed = |from: &Path, to: &Path| {
            self.storage
                .rename(from, to)
                .map_err(|e| Error::io("rename", from, &e))
        };
        match self.storage.stat(&old) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            _ => renamed(&old, &self.unused_name()?)?,
        }
        renamed(&new, &old)?;
        self.tiles = self.folder.clone();
        self.changed.insert(self.folder.path().to_owned());
        self.folder.sync(&mut self.changed)
    }

    /// A name for the folder of tiles that are replaced.
    fn unused_name(&self) -> Result<PathBuf> {
        (1..u32::MAX)
            .map(|number| self.folder.path().join(format!("replaced-{number}")))
            .find(|path| self.storage.stat(path).is_err())
            .ok_or_else(|| Error::argument("too many replaced trees"))
    }

    /// Reads all full tiles and compares each with the hash over it, up to the signed
    /// root. Returns which of level 0 are lost or damaged; their leaves, those of the
    /// events from `256 * index + 1` on, are to be given to [`Log::repair_tile`]. If a
    /// tile above level 0 is damaged, the whole tree is to be rebuilt.
    pub fn damaged_tiles(&mut self) -> Result<Vec<u64>> {
        self.check_usable()?;
        let size = self.edge.size();
        let mut damaged = Vec::new();
        for level in (0..LEVELS).rev() {
            let mut above: Option<(u64, Vec<Hash>)> = None;
            for index in 0..hashes_at(level, size) / WIDTH {
                let tile = Tile { level, index };
                let (parent, index_in_parent) = tile.parent();
                if above
                    .as_ref()
                    .is_none_or(|(index, _)| *index != parent.index)
                {
                    above = self
                        .parent_hashes(parent)?
                        .map(|hashes| (parent.index, hashes));
                }
                let expected = above
                    .as_ref()
                    .and_then(|(_, hashes)| hashes.get(index_in_parent));
                let found = self.folder.tile(tile, size)?;
                if found.is_some_and(|found| Some(&complete_hash(&found)) == expected) {
                    continue;
                }
                if level > 0 {
                    self.start_rebuild();
                    return Ok(Vec::new());
                }
                damaged.push(index);
            }
        }
        Ok(damaged)
    }

    /// The hashes of a tile above others, which are known to be undamaged: partial ones
    /// are on the edge, and full ones were checked before.
    fn parent_hashes(&self, tile: Tile) -> Result<Option<Vec<Hash>>> {
        match self.edge.partials().find(|(partial, _)| *partial == tile) {
            Some((_, hashes)) => Ok(Some(hashes.to_vec())),
            None => self.folder.tile(tile, self.edge.size()),
        }
    }

    /// Writes a full tile of level 0 again from its 256 leaves. An error if these are
    /// not the signed ones.
    pub fn repair_tile(&mut self, index: u64, leaves: &[Hash]) -> Result<()> {
        self.check_usable()?;
        let tile = Tile { level: 0, index };
        let (parent, index_in_parent) = tile.parent();
        let above = self.parent_hashes(parent)?;
        let expected = above
            .as_ref()
            .and_then(|hashes| hashes.get(index_in_parent));
        if leaves.len() as u64 != WIDTH || expected != Some(&complete_hash(leaves)) {
            let events = tile.leaves();
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the events {} to {} are not those that were signed",
                    events.start + 1,
                    events.end
                ),
            ));
        }
        let (path, bytes) = (tile.path(WIDTH), to_bytes(leaves));
        self.folder
            .write(&path, &bytes, Durable::Yes, &mut self.changed)?;
        self.folder.sync(&mut self.changed)
    }
}
