//! The log over a trail: leaves are appended, checkpoints are signed.
//!
//! A checkpoint is only signed over leaves that were appended, and never inconsistent
//! with the one before it. For that, the tree that leaves are appended to is always one
//! that had the signed root when it had the signed size. When a log is opened, either
//! the tiles on the right edge of the signed tree give its root, and the log continues
//! from there; or they do not, and the tree is rebuilt from leaf 0 in a folder of its
//! own. When the rebuilt tree reaches the signed size, its root is compared: if it is
//! the signed one, the new tiles replace the old ones, which are kept under another
//! name; if not, the trail is not what was signed, and nothing is signed any more.
//!
//! The caller asks [`Log::size`] how many leaves there are, and appends those of the
//! events that follow. A crash loses nothing that cannot be computed again: tiles past
//! the checkpoint are ignored. After a loss of power, [`Log::damaged_tiles`] returns
//! which full tiles of level 0 are lost (see `tile`), and [`Log::repair_tile`] takes
//! their leaves. The caller also sees to it that, when it has a checkpoint signed, all
//! events whose leaves were appended are on disk.

mod repair;
#[cfg(test)]
mod tests;

use super::checkpoint::SignedCheckpoint;
use super::checkpoint_file::{CHECKPOINT, TLOG, read_checkpoint};
use super::key_limits;
use super::log_folder::{Durable, LogFolder};
use super::merkle::Hash;
use super::note::{Signer, VerifierKey};
use super::tile::{Tile, WIDTH, to_bytes};
use super::tree_edge::TreeEdge;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::Storage;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    folder: LogFolder,
    /// Where new tiles are written: the same, or the folder of a tree that is rebuilt.
    tiles: LogFolder,
    /// The keys that may have signed the checkpoint; the first gives the origin.
    keys: Vec<VerifierKey>,
    signed: Option<SignedCheckpoint>,
    edge: TreeEdge,
    /// Tiles that have files of their partial form.
    partial: BTreeSet<Tile>,
    /// Tiles that are full now and have files of a partial form, which are removed
    /// once the full one is durable.
    filled: Vec<Tile>,
    /// Folders with changed names that are not synced yet.
    changed: BTreeSet<PathBuf>,
    failed: bool,
    /// It failed because of the disk, so that it can go on once it is opened again.
    may_reopen: bool,
}

impl Log {
    /// Opens the log of a trail whose last event is `last_id`, or begins one. The
    /// checkpoint, if there is one, must be signed by one of `keys`: the first is the
    /// current key, the others are earlier ones of the same name.
    pub fn open(
        storage: Arc<dyn Storage>,
        layout: &Layout,
        keys: &[VerifierKey],
        last_id: u64,
    ) -> Result<Self> {
        let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
        let signed = read_checkpoint(&folder, keys)?;
        let mut log = Self {
            storage,
            tiles: folder.clone(),
            folder,
            keys: keys.to_vec(),
            signed: None,
            edge: TreeEdge::default(),
            partial: BTreeSet::new(),
            filled: Vec::new(),
            changed: BTreeSet::new(),
            failed: false,
            may_reopen: false,
        };
        let Some(signed) = signed else { return Ok(log) };
        if Some(&signed.checkpoint().origin[..]) != keys.first().map(VerifierKey::name) {
            return Err(Error::argument(format!(
                "the trail's checkpoint is of {}, which is not the key's name",
                signed.checkpoint().origin
            )));
        }
        if signed.size() > last_id {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the checkpoint was signed over {} events, but the trail ends with event \
                     {last_id}: its end was cut off, or an older state of it was put back",
                    signed.size()
                ),
            ));
        }
        match TreeEdge::read(&log.folder, signed.size())? {
            Some(edge) if edge.root() == signed.root() => {
                log.partial = edge.partials().map(|(tile, _)| tile).collect();
                log.edge = edge;
            }
            _ => log.start_rebuild(),
        }
        log.signed = Some(signed);
        Ok(log)
    }

    /// How many leaves there are: the next one is that of the event `size + 1`.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.signed.as_ref()
    }

    /// Whether there are fewer leaves than were signed: the tree is being rebuilt.
    pub fn is_behind(&self) -> bool {
        self.signed
            .as_ref()
            .is_some_and(|signed| self.edge.size() < signed.size())
    }

    /// Appends the leaves of the events that follow; `complete` is the hash over them,
    /// if they are a full tile and it is known. After an error the log must be opened
    /// again.
    pub fn append(&mut self, leaves: &[Hash], complete: Option<Hash>) -> Result<()> {
        self.check_usable()?;
        let appended = self.push(leaves, complete);
        self.note_failure(&appended);
        appended
    }

    /// After a failed write or sync it is unknown what is on disk.
    fn note_failure<T>(&mut self, result: &Result<T>) {
        if let Err(error) = result {
            self.failed = true;
            self.may_reopen = matches!(error.kind(), Kind::Io | Kind::NoSpace);
        }
    }

    /// Opens the log again after a failure of the disk. Leaves that are not signed are to
    /// be appended again, so their tiles are written again too; names that were not
    /// synced are kept in mind.
    pub fn reopen(&mut self, layout: &Layout, last_id: u64) -> Result<()> {
        if !self.failed || !self.may_reopen {
            return self.check_usable();
        }
        let before = self.signed.as_ref().map_or(0, SignedCheckpoint::size);
        let last_id = last_id.max(before);
        let mut log = Self::open(self.storage.clone(), layout, &self.keys, last_id)?;
        let now = log.signed.as_ref();
        let went_back = now.map_or(0, SignedCheckpoint::size) < before;
        let is_other = now.is_some_and(|now| {
            let before = self.signed.as_ref().map(SignedCheckpoint::checkpoint);
            before.is_some_and(|before| before.size == now.size() && before.root != now.root())
        });
        if went_back || is_other {
            return Err(self.was_replaced());
        }
        log.changed.append(&mut self.changed);
        log.changed.insert(self.folder.path().to_owned());
        *self = log;
        Ok(())
    }

    fn was_replaced(&self) -> Error {
        Error::new(
            Kind::Failed,
            format!(
                "{} was replaced by someone else",
                self.folder.path().join(CHECKPOINT).display()
            ),
        )
    }

    fn push(&mut self, leaves: &[Hash], complete: Option<Hash>) -> Result<()> {
        let signed_size = self.signed.as_ref().map_or(0, SignedCheckpoint::size);
        let size = self.edge.size();
        let Self {
            edge,
            tiles,
            partial,
            filled,
            changed,
            ..
        } = self;
        let mut full = |tile: Tile, hashes: &[Hash]| {
            let was_partial = partial.remove(&tile);
            let durable = if tile.level == 0 && !was_partial {
                Durable::No
            } else {
                Durable::Yes
            };
            if was_partial {
                filled.push(tile);
            }
            tiles.write(&tile.path(WIDTH), &to_bytes(hashes), durable, changed)
        };
        let reaches_signed = size < signed_size && signed_size <= size + leaves.len() as u64;
        if let Some(complete) = complete
            && size.is_multiple_of(WIDTH)
            && !reaches_signed
        {
            return edge.push_tile(leaves, complete, &mut full);
        }
        let until = if reaches_signed {
            (signed_size - size) as usize
        } else {
            0
        };
        let (before, after) = leaves.split_at(until);
        for leaf in before {
            edge.push(*leaf, &mut full)?;
        }
        if !reaches_signed {
            return after
                .iter()
                .try_for_each(|leaf| edge.push(*leaf, &mut full));
        }
        self.finish_rebuild()?;
        // The tiles are in another folder now.
        self.push(after, None)
    }

    fn write_partials(&mut self) -> Result<()> {
        for (tile, hashes) in self.edge.partials() {
            let path = tile.path(hashes.len() as u64);
            self.tiles
                .write(&path, &to_bytes(hashes), Durable::Yes, &mut self.changed)?;
            self.partial.insert(tile);
        }
        Ok(())
    }

    /// Signs the tree as it is, and puts the checkpoint on disk. All events whose leaves
    /// were appended must be on disk. Does nothing if this size is signed already.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<&SignedCheckpoint> {
        self.check_usable()?;
        if self.is_behind() {
            return Err(Error::argument(format!(
                "the log has {} of the events that are signed already",
                self.edge.size()
            )));
        }
        let key = signer.verifier();
        if Some(key.name()) != self.keys.first().map(VerifierKey::name) {
            return Err(Error::argument(format!(
                "the signer's name {} is not the log's",
                key.name()
            )));
        }
        let is_signed = self
            .signed
            .as_ref()
            .is_some_and(|signed| signed.size() == self.edge.size() && signed.is_by(key));
        if is_signed {
            self.folder.sync(&mut self.changed)?;
        } else {
            self.signed = Some(self.sign_new(signer)?);
            for tile in self.filled.drain(..) {
                self.folder.remove_partials(tile);
            }
        }
        self.signed
            .as_ref()
            .ok_or_else(|| Error::argument("nothing was signed"))
    }

    /// A failure of the signer leaves the log usable: tiles may be written again. After
    /// a failed write or sync it is unknown what is on disk.
    fn sign_new(&mut self, signer: &dyn Signer) -> Result<SignedCheckpoint> {
        // Nothing but cosignatures may have been added to the file.
        let on_disk = read_checkpoint(&self.folder, &self.keys)?;
        let ours = self.signed.as_ref().map(SignedCheckpoint::checkpoint);
        if on_disk.as_ref().map(SignedCheckpoint::checkpoint) != ours {
            self.failed = true;
            return Err(self.was_replaced());
        }
        let fresh = SignedCheckpoint::sign(self.edge.size(), self.edge.root(), signer)?;
        let replaced = match &on_disk {
            Some(last) => key_limits::record(last, signer)?,
            None => Vec::new(),
        };
        let written = self.write_partials().and_then(|()| {
            for (name, text) in &replaced {
                self.folder
                    .write(name, text.as_bytes(), Durable::Yes, &mut self.changed)?;
            }
            self.folder.sync(&mut self.changed)?;
            let (name, text) = (Path::new(CHECKPOINT), fresh.text().as_bytes());
            self.folder
                .write(name, text, Durable::Yes, &mut self.changed)?;
            self.folder.sync(&mut self.changed)
        });
        self.note_failure(&written);
        written.map(|()| fresh)
    }

    /// Whether nothing failed so that the log must be opened again.
    pub fn is_usable(&self) -> bool {
        !self.failed
    }

    fn check_usable(&self) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                Kind::Failed,
                "the log failed earlier and must be opened again",
            ));
        }
        Ok(())
    }
}
