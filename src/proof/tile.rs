//! The tree's hashes on disk, as tiles in the C2SP form (c2sp.org/tlog-tiles).
//!
//! Under `ROOT/.auditrail/tlog/`, the file `tile/<L>/<N>` holds the 256 hashes
//! of the complete subtrees of `256^L` leaves from number `256 * N` on, one after
//! the other; a tile that is not full yet is `tile/<L>/<N>.p/<W>` with its `W`
//! hashes. `N` is written in groups of three digits, all but the last with an
//! `x` before: `x001/x234/067`.
//!
//! Tiles are derived data: the segments are the source, and the checkpoint has the root
//! over them. A tile past the checkpoint is ignored, so a crash costs no more than
//! hashing those lines again. Files appear whole (written under another name, then
//! renamed). Before a checkpoint is signed, its partial
//! tiles, and all tiles above level 0, are on disk. Full tiles of level 0, one
//! for each 256 events, are not synced, because a sync for each would
//! cost more than appending its events: each can be checked against its parent,
//! which is on disk, and rebuilt from the segments (see `log`).

use super::merkle::Hash;
use std::path::PathBuf;

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
    /// How many hashes it has in a tree of `size` leaves; 0: it does not exist.
    pub fn width(self, size: u64) -> u64 {
        hashes_at(self.level, size)
            .saturating_sub(self.index.saturating_mul(WIDTH))
            .min(WIDTH)
    }

    /// Its path under the log's folder, when it has `width` hashes.
    pub fn path(self, width: u64) -> PathBuf {
        let mut path = PathBuf::from("tile");
        path.push(self.level.to_string());
        push_index(path, self.index, width)
    }

    /// The leaves that it covers, if the tree has as many.
    pub fn leaves(self) -> std::ops::Range<u64> {
        let span = WIDTH.saturating_pow(u32::from(self.level) + 1);
        self.index.saturating_mul(span)..(self.index + 1).saturating_mul(span)
    }

    /// The tile that holds the hash over this one, and the hash's index in it.
    pub fn parent(self) -> (Tile, usize) {
        let parent = Tile {
            level: self.level + 1,
            index: self.index / WIDTH,
        };
        (parent, (self.index % WIDTH) as usize)
    }
}

/// How many hashes there are at a level of tiles in a tree of `size` leaves.
pub(crate) fn hashes_at(level: u8, size: u64) -> u64 {
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

/// A tile's file.
pub(crate) fn to_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
