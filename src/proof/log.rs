//! The log that a writer keeps over its trail: leaves in, checkpoints out.
//!
//! What is promised: a checkpoint is only signed over leaves that were handed
//! in, and never inconsistent with the one before it. For that, the tree that is
//! gone on with is always one that had the signed root when it had the signed
//! size. Two ways lead there at opening: the tiles on the right edge of the
//! signed tree come to its root, and the log goes on from there; or they do not,
//! and the log starts again at 0 in a folder of its own. As the leaves pass the
//! signed size, their root is compared: if it is the signed one, the new tiles
//! take the place of the old ones, which are kept aside; if not, the trail is
//! not what was signed, and nothing is signed any more.
//!
//! So whoever feeds the log asks [`Log::size`] how many events it has, and hands
//! in the leaves of those that follow. Nothing is lost by a crash: tiles past
//! the checkpoint count for nothing. After one, [`Log::damaged_tiles`] says which full
//! tiles of level 0 the machine has lost (see `tile`), and [`Log::repair_tile`] takes
//! their leaves. Left to others: that only leaves of synced events are handed in
//! before a checkpoint is asked for, and when that is.

use super::checkpoint::SignedCheckpoint;
use super::merkle::{Hash, complete_hash};
use super::note::{MAX_NOTE, Signer, VerifierKey};
use super::tile::{Durable, Edge, LEVELS, LogFolder, Tile, WIDTH, hashes, to_bytes};
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::Storage;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The log's folder, under the trail's hidden one.
pub(crate) const TLOG: &str = "tlog";

/// The newest checkpoint's file in the log's folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Where a tree is made again, before it is known to be the signed one.
const REBUILT: &str = "rebuilt";

#[derive(Debug)]
pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    folder: LogFolder,
    /// Where new tiles go: the same, or the one for a tree that is made again.
    tiles: LogFolder,
    /// The keys that may have signed the checkpoint; the first gives the origin.
    keys: Vec<VerifierKey>,
    signed: Option<SignedCheckpoint>,
    edge: Edge,
    /// Tiles that have files of their partial form.
    partial: BTreeSet<Tile>,
    /// Of these, those that are full now; their partial form can go once that
    /// is durable.
    outgrown: Vec<Tile>,
    /// Folders with names that are not known to be on disk.
    changed: BTreeSet<PathBuf>,
    failed: bool,
}

/// The newest checkpoint of the log in `folder`, if there is one.
pub(crate) fn read_checkpoint(
    folder: &LogFolder,
    keys: &[VerifierKey],
) -> Result<Option<SignedCheckpoint>> {
    let Some(text) = read_text(folder)? else {
        return Ok(None);
    };
    let path = folder.path().join(CHECKPOINT);
    SignedCheckpoint::open(&text, keys).map(Some).map_err(|e| {
        let kind = e.kind();
        e.wrap(kind, &path.display().to_string())
    })
}

pub(crate) fn read_text(folder: &LogFolder) -> Result<Option<String>> {
    let Some(bytes) = folder.read(Path::new(CHECKPOINT), MAX_NOTE)? else {
        return Ok(None);
    };
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let path = folder.path().join(CHECKPOINT);
        Error::new(Kind::Corrupt, format!("{} is no UTF-8", path.display()))
            .at(e.utf8_error().valid_up_to() as u64)
    })
}

impl Log {
    /// Opens the log of a trail whose last event is `last_id`, or begins one.
    /// The checkpoint, if there is one, must be signed by one of `keys`, of which
    /// the first is today's: others may have signed before it, under its name.
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
            edge: Edge::default(),
            partial: BTreeSet::new(),
            outgrown: Vec::new(),
            changed: BTreeSet::new(),
            failed: false,
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
        match Edge::read(&log.folder, signed.size())? {
            Some(edge) if edge.root() == signed.root() => {
                log.partial = edge.partials().map(|(tile, _)| tile).collect();
                log.edge = edge;
            }
            _ => log.start_again(),
        }
        log.signed = Some(signed);
        Ok(log)
    }

    /// How many leaves it has: the next one is that of the event `size + 1`.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.signed.as_ref()
    }

    /// Whether the leaves handed in so far are fewer than were signed: the tiles
    /// were lost, and are being made again.
    pub fn is_behind(&self) -> bool {
        self.signed
            .as_ref()
            .is_some_and(|signed| self.edge.size() < signed.size())
    }

    fn start_again(&mut self) {
        self.tiles = LogFolder::new(self.storage.clone(), self.folder.path().join(REBUILT));
        self.edge = Edge::default();
        self.partial.clear();
        self.outgrown.clear();
    }

    /// Adds the leaves of the events that follow; `complete` is the hash over
    /// them, if they are a full tile and it is known. After an error the log is
    /// of no more use, and must be opened again.
    pub fn append(&mut self, leaves: &[Hash], complete: Option<Hash>) -> Result<()> {
        self.usable()?;
        let appended = self.add(leaves, complete);
        self.failed = appended.is_err();
        appended
    }

    fn add(&mut self, leaves: &[Hash], complete: Option<Hash>) -> Result<()> {
        let signed_size = self.signed.as_ref().map_or(0, SignedCheckpoint::size);
        let size = self.edge.size();
        let Self {
            edge,
            tiles,
            partial,
            outgrown,
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
                outgrown.push(tile);
            }
            tiles.write(&tile.path(WIDTH), &to_bytes(hashes), durable, changed)
        };
        let passes = size < signed_size && signed_size <= size + leaves.len() as u64;
        if let Some(complete) = complete
            && size.is_multiple_of(WIDTH)
            && !passes
        {
            return edge.push_tile(leaves, complete, &mut full);
        }
        let until = if passes {
            (signed_size - size) as usize
        } else {
            0
        };
        let (before, after) = leaves.split_at(until);
        for leaf in before {
            edge.push(*leaf, &mut full)?;
        }
        if !passes {
            return after
                .iter()
                .try_for_each(|leaf| edge.push(*leaf, &mut full));
        }
        self.arrive()?;
        // From here on the tiles have another folder.
        self.add(after, None)
    }

    /// The tree that is made again has the signed size: is it the signed one?
    fn arrive(&mut self) -> Result<()> {
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

    /// A name under which tiles that are replaced are kept.
    fn unused_name(&self) -> Result<PathBuf> {
        (1..u32::MAX)
            .map(|number| self.folder.path().join(format!("replaced-{number}")))
            .find(|path| self.storage.stat(path).is_err())
            .ok_or_else(|| Error::argument("too many replaced trees"))
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

    /// Signs the tree as it is, and puts the checkpoint on disk. All events
    /// whose leaves were handed in must be on disk. Nothing is signed that is
    /// signed already.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<&SignedCheckpoint> {
        self.usable()?;
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
        let have = self
            .signed
            .as_ref()
            .is_some_and(|signed| signed.size() == self.edge.size() && signed.is_by(key));
        if !have {
            let result = self.sign_anew(signer);
            // What was written of the tiles may be written again: the log is as
            // good as before, unless nobody knows what a failed sync has left.
            self.signed = Some(result?);
            for tile in self.outgrown.drain(..) {
                self.folder.remove_partials(tile);
            }
        }
        self.signed
            .as_ref()
            .ok_or_else(|| Error::argument("nothing was signed"))
    }

    fn sign_anew(&mut self, signer: &dyn Signer) -> Result<SignedCheckpoint> {
        // Cosignatures may have been added to it, nothing else.
        let on_disk = read_checkpoint(&self.folder, &self.keys)?;
        let ours = self.signed.as_ref().map(SignedCheckpoint::checkpoint);
        if on_disk.as_ref().map(SignedCheckpoint::checkpoint) != ours {
            self.failed = true;
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "{} was replaced by someone else",
                    self.folder.path().join(CHECKPOINT).display()
                ),
            ));
        }
        let fresh = SignedCheckpoint::sign(self.edge.size(), self.edge.root(), signer)?;
        let written = self.write_partials().and_then(|()| {
            self.folder.sync(&mut self.changed)?;
            let (name, text) = (Path::new(CHECKPOINT), fresh.text().as_bytes());
            self.folder
                .write(name, text, Durable::Yes, &mut self.changed)?;
            self.folder.sync(&mut self.changed)
        });
        self.failed = written.is_err();
        written.map(|()| fresh)
    }

    fn usable(&self) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                Kind::Failed,
                "the log failed earlier and must be opened again",
            ));
        }
        Ok(())
    }

    /// Reads all full tiles and compares each with the hash over it, up to the
    /// signed root. Says which of level 0 are lost or damaged; their leaves,
    /// those of the events from `256 * index + 1` on, are to be handed to
    /// [`Log::repair_tile`]. If a tile above is not right, the log starts again at 0.
    pub fn damaged_tiles(&mut self) -> Result<Vec<u64>> {
        self.usable()?;
        let size = self.edge.size();
        let mut damaged = Vec::new();
        for level in (0..LEVELS).rev() {
            let mut above: Option<(u64, Vec<Hash>)> = None;
            for index in 0..hashes(level, size) / WIDTH {
                let tile = Tile { level, index };
                let (parent, place) = tile.parent();
                if above
                    .as_ref()
                    .is_none_or(|(index, _)| *index != parent.index)
                {
                    above = self
                        .parent_hashes(parent)?
                        .map(|hashes| (parent.index, hashes));
                }
                let expected = above.as_ref().and_then(|(_, hashes)| hashes.get(place));
                let found = self.folder.tile(tile, size)?;
                if found.is_some_and(|found| Some(&complete_hash(&found)) == expected) {
                    continue;
                }
                if level > 0 {
                    self.start_again();
                    return Ok(Vec::new());
                }
                damaged.push(index);
            }
        }
        Ok(damaged)
    }

    /// The hashes of a tile above others, which are known to be right: partial
    /// ones are on the edge, and full ones have been checked before.
    fn parent_hashes(&self, tile: Tile) -> Result<Option<Vec<Hash>>> {
        match self.edge.partials().find(|(partial, _)| *partial == tile) {
            Some((_, hashes)) => Ok(Some(hashes.to_vec())),
            None => self.folder.tile(tile, self.edge.size()),
        }
    }

    /// Makes a full tile of level 0 again from its 256 leaves. An error where
    /// these are not the signed ones.
    pub fn repair_tile(&mut self, index: u64, leaves: &[Hash]) -> Result<()> {
        self.usable()?;
        let tile = Tile { level: 0, index };
        let (parent, place) = tile.parent();
        let above = self.parent_hashes(parent)?;
        let expected = above.as_ref().and_then(|hashes| hashes.get(place));
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

#[cfg(test)]
mod tests {
    use super::super::merkle::{Tree, leaf_hash};
    use super::super::note::SigningKey;
    use super::*;
    use crate::store::storage::Disk;
    use std::fs;

    struct TestLog {
        root: tempfile::TempDir,
        key: SigningKey,
    }

    impl TestLog {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(".auditrail")).unwrap();
            Self {
                root,
                key: SigningKey::generate("log").unwrap(),
            }
        }

        fn layout(&self) -> Layout {
            Layout::new(self.root.path())
        }

        fn open(&self, last_id: u64) -> Result<Log> {
            let keys = [self.key.verifier().clone()];
            Log::open(Arc::new(Disk), &self.layout(), &keys, last_id)
        }

        fn tlog(&self) -> PathBuf {
            self.layout().hidden_file(TLOG)
        }

        /// All files of the log and what they hold.
        fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
            let (mut folders, mut out) = (vec![self.tlog()], Vec::new());
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let name = path.strip_prefix(self.tlog()).unwrap().to_owned();
                        out.push((name, fs::read(&path).unwrap()));
                    }
                }
            }
            out.sort();
            out
        }
    }

    fn leaf(index: u64) -> Hash {
        leaf_hash(&index.to_le_bytes())
    }

    fn leaves(range: std::ops::Range<u64>) -> Vec<Hash> {
        range.map(leaf).collect()
    }

    fn root(size: u64) -> Hash {
        let mut tree = Tree::default();
        (0..size).for_each(|index| tree.push(leaf(index)));
        tree.root()
    }

    #[test]
    fn the_same_log_whatever_the_steps_and_reopenings() {
        let sizes = [0, 1, 2, 255, 256, 257, 511, 512, 513, 70_000];
        let steps = TestLog::new();
        for (step, size) in sizes.into_iter().enumerate() {
            let mut log = steps.open(size).unwrap();
            assert_eq!(log.size(), if step == 0 { 0 } else { sizes[step - 1] });
            let from = log.size();
            log.append(&leaves(from..size), None).unwrap();
            let signed = log.sign(&steps.key).unwrap();
            assert_eq!((signed.size(), signed.root()), (size, root(size)));
        }
        let mut once = TestLog::new();
        once.key = SigningKey::parse(&steps.key.to_secret_text()).unwrap();
        let mut log = once.open(70_000).unwrap();
        log.append(&leaves(0..70_000), None).unwrap();
        log.sign(&once.key).unwrap();
        assert_eq!(steps.files(), once.files());
        // What the specification gives as its example.
        let names: Vec<_> = once.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 273 + 1 + 1 + 1 + 1 + 1);
        for name in [
            "tile/0/272",
            "tile/0/273.p/112",
            "tile/1/000",
            "tile/1/001.p/17",
            "tile/2/000.p/1",
        ] {
            assert!(names.contains(&PathBuf::from(name)), "{name}");
        }
        assert_eq!(once.open(70_000).unwrap().damaged_tiles().unwrap(), [0; 0]);
    }

    #[test]
    fn what_was_not_signed_counts_for_nothing() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.append(&leaves(0..300), None).unwrap();
        log.sign(&place.key).unwrap();
        log.append(&leaves(300..1000), None).unwrap();
        drop(log);
        // Other events take the ids of those that were never signed.
        let mut log = place.open(300).unwrap();
        assert_eq!(log.size(), 300);
        log.append(&leaves(301..1001), None).unwrap();
        let signed = log.sign(&place.key).unwrap().clone();
        let mut log = place.open(1000).unwrap();
        assert_eq!((log.size(), log.edge.root()), (1000, signed.root()));
        assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
    }

    #[test]
    fn old_checkpoints_keep_their_partial_tiles_until_the_full_one_is_there() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        for size in [10, 20, 256 * 2 + 3] {
            let from = log.size();
            log.append(&leaves(from..size), None).unwrap();
            log.sign(&place.key).unwrap();
            let partial = |width: u64| place.tlog().join(format!("tile/0/000.p/{width}")).exists();
            assert_eq!((partial(10), partial(20)), (size < 256, size == 20));
        }
        let folder = LogFolder::new(Arc::new(Disk), place.tlog());
        for size in [10, 20, 256, 515] {
            let edge = Edge::read(&folder, size).unwrap();
            if size.is_multiple_of(256) || size < 256 {
                assert!(
                    folder
                        .tile(Tile { level: 0, index: 0 }, size)
                        .unwrap()
                        .is_some()
                );
            }
            if size == 515 {
                assert_eq!(edge.unwrap().root(), root(515));
            }
        }
    }

    #[test]
    fn an_unchanged_log_is_not_signed_again() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.append(&[leaf(0)], None).unwrap();
        log.sign(&place.key).unwrap();
        let path = place.tlog().join(CHECKPOINT);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        log.sign(&place.key).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_shorter_trail_is_not_opened() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.append(&leaves(0..5), None).unwrap();
        log.sign(&place.key).unwrap();
        let error = place.open(4).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
        assert!(error.message().contains("ends with event 4"), "{error}");
    }

    #[test]
    fn another_keys_checkpoint_is_not_gone_on_with() {
        let mut place = TestLog::new();
        place.open(0).unwrap().sign(&place.key).unwrap();
        let old = std::mem::replace(&mut place.key, SigningKey::generate("log").unwrap());
        assert_eq!(place.open(0).unwrap_err().kind(), Kind::Tampered);
        // Unless it is named as one of before.
        let keys = [place.key.verifier().clone(), old.verifier().clone()];
        let mut log = Log::open(Arc::new(Disk), &place.layout(), &keys, 0).unwrap();
        log.sign(&place.key).unwrap();
        assert_eq!(place.open(0).unwrap().size(), 0);
        assert!(log.sign(&SigningKey::generate("other").unwrap()).is_err());
    }

    #[test]
    fn a_checkpoint_that_someone_replaced_is_not_overwritten() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.sign(&place.key).unwrap();
        let mut other = place.open(1).unwrap();
        other.append(&[leaf(7)], None).unwrap();
        other.sign(&place.key).unwrap();
        log.append(&[leaf(8)], None).unwrap();
        assert_eq!(log.sign(&place.key).unwrap_err().kind(), Kind::Failed);
        assert_eq!(
            log.append(&[leaf(9)], None).unwrap_err().kind(),
            Kind::Failed
        );
        assert_eq!(place.open(1).unwrap().signed.unwrap().root(), leaf(7));
    }

    #[test]
    fn lost_edges_are_made_again_and_compared() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.append(&leaves(0..70_000), None).unwrap();
        log.sign(&place.key).unwrap();
        let before = place.files();
        for lost in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"] {
            let path = place.tlog().join(lost);
            let mut bytes = fs::read(&path).unwrap();
            if lost.contains("273") {
                fs::remove_file(&path).unwrap();
            } else {
                bytes[5] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            let mut log = place.open(70_001).unwrap();
            assert!(log.is_behind() && log.size() == 0, "{lost}");
            assert!(log.sign(&place.key).is_err());
            log.append(&leaves(0..69_999), None).unwrap();
            assert!(log.is_behind());
            log.append(&[leaf(69_999)], None).unwrap();
            assert!(!log.is_behind());
            let aside = place.tlog().join("replaced-1");
            fs::remove_dir_all(&aside).unwrap();
            fs::remove_dir_all(place.tlog().join(REBUILT)).unwrap();
            assert_eq!(place.files(), before, "{lost}");
            log.append(&[leaf(70_000)], None).unwrap();
            log.sign(&place.key).unwrap();
            // Back to where it was, for the next round.
            fs::remove_dir_all(place.tlog()).unwrap();
            let mut log = place.open(0).unwrap();
            log.append(&leaves(0..70_000), None).unwrap();
            log.sign(&place.key).unwrap();
        }
        fs::remove_dir_all(place.tlog().join("tile")).unwrap();
        let mut log = place.open(70_000).unwrap();
        let error = log
            .append(&[&[leaf(1)], &leaves(1..70_000)[..]].concat(), None)
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
        assert_eq!(log.sign(&place.key).unwrap_err().kind(), Kind::Failed);
        assert!(!place.tlog().join("tile").exists());
    }

    #[test]
    fn lost_full_tiles_are_found_and_repaired() {
        let place = TestLog::new();
        let mut log = place.open(0).unwrap();
        log.append(&leaves(0..70_000), None).unwrap();
        log.sign(&place.key).unwrap();
        let before = place.files();
        let tile = |index: u64| place.tlog().join(format!("tile/0/{index:03}"));
        fs::remove_file(tile(0)).unwrap();
        fs::write(tile(7), []).unwrap();
        fs::write(tile(255), vec![0; 8192]).unwrap();
        fs::write(tile(272), vec![1; 9000]).unwrap();
        let mut log = place.open(70_000).unwrap();
        let damaged = log.damaged_tiles().unwrap();
        assert_eq!(damaged, [0, 7, 255, 272]);
        let wrong: Vec<_> = (0..256).map(|index| leaf(index + 1)).collect();
        let error = log.repair_tile(0, &wrong).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
        assert!(error.message().contains("events 1 to 256"), "{error}");
        for index in damaged {
            let leaves: Vec<_> = (index * 256..(index + 1) * 256).map(leaf).collect();
            log.repair_tile(index, &leaves).unwrap();
        }
        assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
        assert_eq!(place.files(), before);
        // Above level 0 nothing is lost by a crash: everything is made again.
        fs::write(place.tlog().join("tile/1/000"), vec![0; 8192]).unwrap();
        let mut log = place.open(70_000).unwrap();
        assert_eq!(log.size(), 70_000);
        assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
        assert!(log.is_behind());
        log.append(&leaves(0..70_000), None).unwrap();
        assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
        assert!(!log.is_behind());
    }
}
