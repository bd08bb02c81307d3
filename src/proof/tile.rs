//! The tree's hashes on disk, as tiles in the C2SP form (c2sp.org/tlog-tiles).
//!
//! Under `ROOT/.auditrail/tlog/`, the file `tile/<L>/<N>` holds the 256 hashes
//! of the complete subtrees of `256^L` leaves from number `256 * N` on, one after
//! the other; a tile that is not full yet is `tile/<L>/<N>.p/<W>` with its `W`
//! hashes. `N` is written in groups of three digits, all but the last with an
//! `x` before: `x001/x234/067`.
//!
//! Tiles are derived data: the segments are the truth, the checkpoint says what
//! they must come to. A tile past the checkpoint counts for nothing, so a crash
//! costs no more than hashing those lines again. Files appear whole (written
//! under another name, then renamed). Before a checkpoint is signed, its partial
//! tiles, and all tiles above level 0, are on disk. Full tiles of level 0, one
//! for each 256 events, are left to the kernel, because a sync for each would
//! cost more than appending its events: each can be checked against its parent,
//! which is on disk, and made again from the segments (see `log`).

use super::merkle::{Hash, Nodes, complete_hash};
use crate::error::{Error, Kind, Result};
use crate::store::storage::{Open, Storage, read_range};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hashes in a full tile.
pub(crate) const WIDTH: u64 = 256;

/// Levels that a tree of 2^64 leaves needs.
pub(crate) const LEVELS: u8 = 8;

/// One tile of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub level: u8,
    pub index: u64,
}

impl Tile {
    /// How many hashes it has in a tree of `size` leaves; 0: none, it is not there.
    pub fn width(self, size: u64) -> u64 {
        hashes(self.level, size)
            .saturating_sub(self.index.saturating_mul(WIDTH))
            .min(WIDTH)
    }

    /// Its path under the log's folder, when it has `width` hashes.
    pub fn path(self, width: u64) -> PathBuf {
        let mut path = PathBuf::from("tile");
        path.push(self.level.to_string());
        push_index(path, self.index, width)
    }

    /// The leaves that it spans, as far as there are any.
    pub fn leaves(self) -> std::ops::Range<u64> {
        let span = WIDTH.saturating_pow(u32::from(self.level) + 1);
        self.index.saturating_mul(span)..(self.index + 1).saturating_mul(span)
    }

    /// The tile and the place in it of the hash over this one.
    pub fn parent(self) -> (Tile, usize) {
        let parent = Tile {
            level: self.level + 1,
            index: self.index / WIDTH,
        };
        (parent, (self.index % WIDTH) as usize)
    }
}

/// How many hashes there are at a level of tiles.
pub(crate) fn hashes(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// `path` with the index as path elements, and the width where it is partial.
pub(crate) fn push_index(mut path: PathBuf, index: u64, width: u64) -> PathBuf {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let partial = width < WIDTH;
    if partial {
        groups[0].push_str(".p");
    }
    path.extend(groups.iter().rev());
    if partial {
        path.push(width.to_string());
    }
    path
}

/// The files of one log.
#[derive(Clone, Debug)]
pub(crate) struct LogFolder {
    storage: Arc<dyn Storage>,
    path: PathBuf,
}

/// Whether a file must be on disk before it is given its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

impl LogFolder {
    pub fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self { storage, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file at `name`, up to `limit` bytes; `None` where there is none.
    pub fn read(&self, name: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let file = match self.storage.open(&path, Open::Read) {
            Ok(file) => file,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, &e)),
        };
        let bytes = read_range(&*file, 0, limit + 1).map_err(|e| Error::io("read", &path, &e))?;
        if bytes.len() > limit {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{} is longer than {limit} bytes", path.display()),
            ));
        }
        Ok(Some(bytes))
    }

    /// The length of the file at `name`, if there is one.
    pub fn length(&self, name: &Path) -> Result<Option<u64>> {
        let path = self.path.join(name);
        match self.storage.stat(&path) {
            Ok(stat) => Ok(Some(stat.len)),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(Error::io("look at", &path, &e)),
        }
    }

    /// Puts a whole file under `name`, replacing what is there. The folders
    /// whose names changed are added to `changed`.
    pub fn write(
        &self,
        name: &Path,
        bytes: &[u8],
        durable: Durable,
        changed: &mut BTreeSet<PathBuf>,
    ) -> Result<()> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        // One name for all: only one writer is at work.
        let temporary = self.path.join("new");
        let file = match self.storage.open(&temporary, Open::Create) {
            Err(e) if absent(&e) => {
                self.make_folder(&self.path, changed)?;
                self.storage.open(&temporary, Open::Create)
            }
            opened => opened,
        }
        .map_err(|e| Error::io("create", &temporary, &e))?;
        file.set_len(0)
            .and_then(|()| file.write_at(bytes, 0))
            .and_then(|()| match durable {
                Durable::Yes => file.sync(),
                Durable::No => Ok(()),
            })
            .map_err(|e| Error::io("write", &temporary, &e))?;
        match self.storage.rename(&temporary, &path) {
            Err(e) if absent(&e) => {
                self.make_folder(folder, changed)?;
                self.storage.rename(&temporary, &path)
            }
            renamed => renamed,
        }
        .map_err(|e| Error::io("name", &path, &e))?;
        if durable == Durable::Yes {
            changed.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Makes the names in `changed` durable.
    pub fn sync(&self, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        while let Some(folder) = changed.first() {
            self.storage
                .sync_dir(folder)
                .map_err(|e| Error::io("sync", folder, &e))?;
            changed.pop_first();
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        match self.storage.create_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(e) if absent(&e) => {
                let above = folder
                    .parent()
                    .ok_or_else(|| Error::io("create the folder", folder, &e))?;
                self.make_folder(above, changed)?;
                self.storage.create_dir(folder)
            }
            made => made,
        }
        .map_err(|e| Error::io("create the folder", folder, &e))?;
        changed.extend(folder.parent().map(Path::to_owned));
        Ok(())
    }

    /// Removes the partial forms of a tile that is full. They are of no more
    /// use, and what cannot be removed does no harm.
    pub fn remove_partials(&self, tile: Tile) {
        let Some(folder) = tile.path(1).parent().map(|p| self.path.join(p)) else {
            return;
        };
        for entry in self.storage.list(&folder).unwrap_or_default() {
            let _ = self.storage.remove(&folder.join(entry.name));
        }
        let _ = self.storage.remove(&folder);
    }

    /// The hashes of a tile as it was in a tree of `size` leaves, from the file
    /// of that width or from the full tile; `None` where neither is there with
    /// the right length.
    pub fn tile(&self, tile: Tile, size: u64) -> Result<Option<Vec<Hash>>> {
        let width = tile.width(size);
        if width == 0 {
            return Ok(None);
        }
        for on_disk in [width, WIDTH] {
            let bytes = self.read(&tile.path(on_disk), WIDTH as usize * 32);
            let bytes = match bytes {
                Err(e) if e.kind() == Kind::Corrupt => None,
                bytes => bytes?,
            };
            if let Some(bytes) = bytes
                && bytes.len() as u64 == on_disk * 32
            {
                let hashes = bytes[..width as usize * 32].chunks_exact(32);
                return Ok(Some(
                    hashes
                        .filter_map(|hash| hash.try_into().ok().map(Hash))
                        .collect(),
                ));
            }
        }
        Ok(None)
    }
}

fn absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

pub(crate) fn to_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The nodes of a tree of `size` leaves, from its tiles. The tile read last at
/// each level is kept.
#[derive(Debug)]
pub(crate) struct TileNodes {
    folder: LogFolder,
    size: u64,
    kept: [Option<(u64, Vec<Hash>)>; LEVELS as usize],
}

impl TileNodes {
    pub fn new(folder: LogFolder, size: u64) -> Self {
        Self {
            folder,
            size,
            kept: Default::default(),
        }
    }

    fn hashes(&mut self, tile: Tile) -> Result<&[Hash]> {
        let kept = &mut self.kept[usize::from(tile.level)];
        if !matches!(kept, Some((index, _)) if *index == tile.index) {
            *kept = self
                .folder
                .tile(tile, self.size)?
                .map(|hashes| (tile.index, hashes));
        }
        match kept {
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

/// The right edge of a growing tree: for each level of tiles, the hashes of the
/// one that is not full yet. From these, tiles are written and the root is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of the tree of `size` leaves from its tiles, if all are there.
    pub fn read(folder: &LogFolder, size: u64) -> Result<Option<Self>> {
        let mut levels = Vec::new();
        for level in 0..LEVELS {
            let count = hashes(level, size);
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

    /// Adds a leaf; each tile that it fills is handed to `full`.
    pub fn push(
        &mut self,
        leaf: Hash,
        full: &mut impl FnMut(Tile, &[Hash]) -> Result<()>,
    ) -> Result<()> {
        self.size += 1;
        self.carry(0, leaf, full)
    }

    /// Adds the leaves of a full tile, whose hash is known, where a tile begins.
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
            let place = usize::from(level);
            if self.levels.len() == place {
                self.levels.push(Vec::with_capacity(WIDTH as usize));
            }
            let hashes = &mut self.levels[place];
            hashes.push(hash);
            if hashes.len() < WIDTH as usize {
                break;
            }
            let index = self::hashes(level + 1, self.size).saturating_sub(1);
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
                let index = self::hashes(level, self.size) / WIDTH;
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
        super::merkle::fold(&peaks)
    }
}
