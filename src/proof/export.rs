//! Exports a trail as a complete static log (c2sp.org/tlog-tiles), for a web server or
//! an object store.
//!
//! The log is written as of its newest checkpoint: the checkpoint, the tiles, and the
//! entries in bundles, `tile/entries/<N>[.p/<W>]`: each entry after its length, in two
//! bytes, big-endian. The checkpoint is written last, so that it never covers a file
//! that is missing; files that hold the same already are not written again. Each entry
//! is compared with its leaf, and each tile with the one above it, up to the signed root.
//!
//! Two bytes cannot hold a length over 65,535. The entries of a tile with a longer line
//! are written, as the specification asks of other formats, under another name,
//! `tile/lines/<N>[.p/<W>]`: one a line, as in the segments. The tree is the same. To
//! have standard bundles only, limit the size of events with the option for that.

use super::checkpoint_file::{CHECKPOINT, TLOG, read_checkpoint};
use super::hash_pool::hash_all;
use super::leaf_chunks::LeafChunks;
use super::log_folder::{Durable, LogFolder};
use super::merkle::Hash;
use super::note::VerifierKey;
use super::tile::{LEVELS, Tile, WIDTH, hashes_at, push_index, to_bytes};
use super::tile_verifier::TileVerifier;
use super::trail_walk::TrailWalk;
use super::unmatched::Unmatched;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Disk, Storage};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// How many events the checkpoint covers.
    pub events: u64,
    /// How many tiles' worth of entries had to be written as lines, because one
    /// of them is longer than 65,535 bytes.
    pub as_lines: u64,
}

/// Writes the log of the trail at `root`, as its newest checkpoint has it, into
/// the folder `out`, which is created if it is missing. The checkpoint must be signed by
/// one of `keys`. `progress` is called with how many events are exported, and how many
/// there are.
pub fn export(
    root: &Path,
    out: &Path,
    keys: &[VerifierKey],
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported> {
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let layout = Layout::new(root);
    let from = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
    let signed = read_checkpoint(&from, keys)?.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("there is no checkpoint in {}", from.path().display()),
        )
    })?;
    let size = signed.size();
    let tiles = TileVerifier::open(&from, signed.checkpoint())?.ok_or_else(|| {
        Error::new(
            Kind::Tampered,
            format!(
                "the tiles on the right edge of the tree, such as {}, do not lead to the signed \
                 root",
                from.path()
                    .join(edge_tile(size).path(edge_tile(size).width(size)))
                    .display()
            ),
        )
    })?;
    let mut target = ExportTarget {
        from,
        tiles,
        to: LogFolder::new(storage.clone(), out.to_owned()),
        size,
        exported: Exported {
            events: size,
            as_lines: 0,
        },
        bundle: Bundle::default(),
    };
    let mut chunks = LeafChunks::new(TrailWalk::new(storage, &layout)?, 0..size);
    let mut unmatched = Unmatched::default();
    hash_all(
        |chunk| chunks.fill(chunk, &mut unmatched),
        |chunk| {
            for (entry, leaf) in chunk.entries().zip(&chunk.leaves) {
                target.bundle.push(entry, *leaf);
            }
            let done = chunk.first + chunk.leaves.len() as u64;
            if done.is_multiple_of(WIDTH) || done == size {
                target.finish_bundle((done - 1) / WIDTH)?;
                progress(done, size);
            }
            Ok(())
        },
    )?;
    target.copy_tiles()?;
    target.write(Path::new(CHECKPOINT), signed.text().as_bytes())?;
    Ok(target.exported)
}

/// The last tile of level 0.
fn edge_tile(size: u64) -> Tile {
    Tile {
        level: 0,
        index: size.saturating_sub(1) / WIDTH,
    }
}

struct ExportTarget {
    from: LogFolder,
    /// Only tiles that the signed root covers are exported.
    tiles: TileVerifier,
    to: LogFolder,
    size: u64,
    exported: Exported,
    bundle: Bundle,
}

/// The entries of a tile, in both forms.
#[derive(Default)]
struct Bundle {
    leaves: Vec<Hash>,
    entries: Vec<u8>,
    lines: Vec<u8>,
    /// An entry is too long for a bundle.
    has_long_entry: bool,
}

impl Bundle {
    fn push(&mut self, entry: &[u8], leaf: Hash) {
        match u16::try_from(entry.len()) {
            Ok(length) => {
                self.entries.extend(length.to_be_bytes());
                self.entries.extend(entry);
            }
            Err(_) => self.has_long_entry = true,
        }
        self.lines.extend(entry);
        self.lines.push(b'\n');
        self.leaves.push(leaf);
    }

    fn clear(&mut self) {
        self.leaves.clear();
        self.entries.clear();
        self.lines.clear();
        self.has_long_entry = false;
    }
}

impl ExportTarget {
    fn finish_bundle(&mut self, index: u64) -> Result<()> {
        let tile = Tile { level: 0, index };
        if self.tile(tile)? != self.bundle.leaves {
            let events = tile.leaves();
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the events {} to {} are not those that were signed",
                    events.start + 1,
                    events.end.min(self.size)
                ),
            ));
        }
        let bundle = std::mem::take(&mut self.bundle);
        let (form, bytes) = if bundle.has_long_entry {
            self.exported.as_lines += 1;
            ("lines", &bundle.lines)
        } else {
            ("entries", &bundle.entries)
        };
        let path = PathBuf::from("tile").join(form);
        self.write(&push_index(path, index, tile.width(self.size)), bytes)?;
        self.bundle = bundle;
        self.bundle.clear();
        Ok(())
    }

    /// A tile that the signed root covers; the error names the one that it does not.
    fn tile(&mut self, tile: Tile) -> Result<Vec<Hash>> {
        if let Some(hashes) = self.tiles.hashes(tile)? {
            return Ok(hashes.to_vec());
        }
        // If nothing is named here, it was for another tile, above this one.
        let fault = self.tiles.damaged.first().map(ToString::to_string);
        Err(Error::new(
            Kind::Tampered,
            fault.unwrap_or_else(|| {
                let path = self.from.path().join(tile.path(tile.width(self.size)));
                format!("the signed root does not cover the tile {}", path.display())
            }),
        ))
    }

    fn copy_tiles(&mut self) -> Result<()> {
        for level in 0..LEVELS {
            for index in 0..hashes_at(level, self.size).div_ceil(WIDTH) {
                let tile = Tile { level, index };
                let path = tile.path(tile.width(self.size));
                let hashes = self.tile(tile)?;
                self.write(&path, &to_bytes(&hashes))?;
            }
        }
        Ok(())
    }

    /// Whether the file of an earlier export holds these bytes.
    fn holds(&self, name: &Path, bytes: &[u8]) -> Result<bool> {
        match self.to.read(name, bytes.len()) {
            // It is longer, or no file at all.
            Err(e) if e.kind() == Kind::Corrupt => Ok(false),
            found => Ok(found?.is_some_and(|found| found == bytes)),
        }
    }

    fn write(&self, name: &Path, bytes: &[u8]) -> Result<()> {
        if self.holds(name, bytes)? {
            return Ok(());
        }
        self.to
            .write(name, bytes, Durable::No, &mut BTreeSet::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_writer::{LogWriter, UnsyncedData};
    use super::super::merkle::leaf_hash;
    use super::super::note::{Signer, SigningKey};
    use super::super::proof_options::ProofOptions;
    use super::super::tree_edge::TreeEdge;
    use super::*;
    use crate::store::lock_file::Waiting;
    use crate::{Options, Writer};
    use std::fs;
    use std::time::Duration;

    fn trail(root: &Path, key: &Arc<SigningKey>, lengths: &[usize]) -> u64 {
        let writer = Writer::open(root, &Options::default()).unwrap();
        for length in lengths {
            let event = format!(
                "{{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"{}\",\
                 \"operation\":\"create\",\"logical_user_id\":\"u\"}}",
                "m".repeat(*length)
            );
            writer.append(event.as_bytes()).unwrap();
        }
        let last = writer.stats().unwrap().last_id;
        writer.close().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let mut options = ProofOptions::new(key.clone());
        options.adopt(true);
        let (layout, unsynced) = (Layout::new(root), UnsyncedData::Kept);
        let waiting = Waiting::at_most(Duration::ZERO);
        let mut log_writer =
            LogWriter::open(&storage, &layout, &options, last, unsynced, false, waiting).unwrap();
        log_writer
            .checkpoint(last, waiting, &|sync| sync())
            .unwrap();
        last
    }

    fn split(mut bundle: &[u8]) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| {
            let (length, after) = bundle.split_first_chunk::<2>()?;
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            bundle = after;
            Some(entry.to_vec())
        })
        .collect()
    }

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let text = text.strip_suffix(b"\n").unwrap();
        text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Checks the exported log as a stranger would, from its files alone.
    fn check(out: &Path, keys: &[VerifierKey], first_text: &[u8]) {
        let folder = LogFolder::new(Arc::new(Disk), out.to_owned());
        let signed = read_checkpoint(&folder, keys).unwrap().unwrap();
        let mut tile_verifier = TileVerifier::open(&folder, signed.checkpoint())
            .unwrap()
            .unwrap();
        let size = signed.size();
        for index in 0..size.div_ceil(WIDTH) {
            let tile = Tile { level: 0, index };
            let leaves = tile_verifier.hashes(tile).unwrap().unwrap().to_vec();
            let name = |form| push_index(Path::new("tile").join(form), index, tile.width(size));
            let entries = match fs::read(out.join(name("entries"))) {
                Ok(bytes) => split(&bytes),
                Err(_) => lines(&fs::read(out.join(name("lines"))).unwrap()),
            };
            let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            assert_eq!(hashes, leaves);
            if index == 0 {
                assert!(entries[0].starts_with(first_text));
            }
        }
    }

    #[test]
    fn an_exported_log_is_complete_in_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (root, out) = (folder.path().join("trail"), folder.path().join("a/b"));
        let key = Arc::new(SigningKey::generate("log").unwrap());
        let keys = [key.verifier().clone()];
        assert_eq!(
            export(&root, &out, &keys, |_, _| {}).unwrap_err().kind(),
            Kind::NotFound
        );
        let mut last = 0;
        for more in [1, 254, 1, 1, 300] {
            last = trail(&root, &key, &vec![10; more]);
            let mut told = Vec::new();
            let exported = export(&root, &out, &keys, |done, all| told.push((done, all))).unwrap();
            assert_eq!((exported.events, exported.as_lines), (last, 0));
            assert_eq!(*told.last().unwrap(), (last, last));
            check(&out, &keys, b"{\"event_id\":1,");
        }
        assert_eq!(last, 557);
        let edge = TreeEdge::read(&LogFolder::new(Arc::new(Disk), out.clone()), last).unwrap();
        assert_eq!(edge.unwrap().size(), last);
        assert!(!out.join("new").exists());
    }

    #[test]
    fn lines_that_no_bundle_can_hold_have_another_form() {
        let folder = tempfile::tempdir().unwrap();
        let (root, out) = (folder.path().join("trail"), folder.path().join("out"));
        let key = Arc::new(SigningKey::generate("log").unwrap());
        let keys = [key.verifier().clone()];
        let mut lengths = vec![10; 600];
        lengths[300] = 65_535;
        lengths[301] = 60_000;
        trail(&root, &key, &lengths);
        let exported = export(&root, &out, &keys, |_, _| {}).unwrap();
        assert_eq!((exported.events, exported.as_lines), (600, 1));
        check(&out, &keys, b"{\"event_id\":1,");
        assert!(out.join("tile/lines/001").exists() && !out.join("tile/entries/001").exists());
    }

    #[test]
    fn a_changed_trail_is_not_exported() {
        let folder = tempfile::tempdir().unwrap();
        let (root, out) = (folder.path().join("trail"), folder.path().join("out"));
        let key = Arc::new(SigningKey::generate("log").unwrap());
        let keys = [key.verifier().clone()];
        trail(&root, &key, &[10; 300]);
        let segment = root.join("v2/c/audit-000001.jsonl");
        let text = fs::read_to_string(&segment).unwrap();
        fs::write(&segment, text.replacen("\"u\"", "\"v\"", 1)).unwrap();
        let error = export(&root, &out, &keys, |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
        assert!(error.message().contains("events 1 to 256"), "{error}");
        assert!(!out.join("checkpoint").exists());
    }
}
