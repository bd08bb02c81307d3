//! Proofs as texts: made from a trail's tiles, checked with nothing but a key.
//!
//! That an event is in the trail: the C2SP form `c2sp.org/tlog-proof@v1`, which
//! holds the event's index, the hashes from its leaf to the root, and the
//! checkpoint. Who has the event's line, the proof and the log's public key needs
//! no more. That a later checkpoint goes on from an earlier one: the lines that
//! witnesses take (c2sp.org/tlog-witness, `add-checkpoint`): `old <size>`, the
//! hashes, an empty line, the later checkpoint.
//!
//! What a proof says is checked when it is made, too: tiles that do not lead to
//! the checkpoint's root give an error, not a proof that will not hold.

use super::checkpoint::{Checkpoint, SignedCheckpoint, decimal};
use super::log::{TLOG, read_text};
use super::merkle::{self, Hash, Nodes, leaf_hash};
use super::note::{MAX_NOTE, Note, VerifierKey};
use super::tile::{LogFolder, TileNodes};
use crate::error::{Error, Kind, Result};
use crate::event::header::leading_id;
use crate::store::layout::Layout;
use crate::store::storage::{Disk, Storage};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes that a proof in a tree of 2^64 leaves can have.
const MAX_HASHES: usize = 65;

/// That an event is in a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: String,
    extra: Option<Vec<u8>>,
}

/// That a later state of a trail goes on from an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    old_size: u64,
    hashes: Vec<Hash>,
    checkpoint: String,
}

/// Proves that the event is in the trail at `root`, under its newest checkpoint
/// or under an earlier one, whose text is given.
pub fn prove(root: &Path, event_id: u64, checkpoint: Option<&str>) -> Result<InclusionProof> {
    prove_in(&open(Arc::new(Disk), root), event_id, checkpoint)
}

/// Proves that the trail at `root`, under its newest checkpoint or the one given,
/// goes on from what it was when it had `old_size` events.
pub fn prove_consistency(
    root: &Path,
    old_size: u64,
    checkpoint: Option<&str>,
) -> Result<ConsistencyProof> {
    prove_consistency_in(&open(Arc::new(Disk), root), old_size, checkpoint)
}

pub(crate) fn open(storage: Arc<dyn Storage>, root: &Path) -> LogFolder {
    LogFolder::new(storage, Layout::new(root).hidden_file(TLOG))
}

/// The checkpoint given or else the newest, without a look at its signatures.
fn unchecked(folder: &LogFolder, given: Option<&str>) -> Result<(String, Checkpoint)> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => read_text(folder)?.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("there is no checkpoint in {}", folder.path().display()),
            )
        })?,
    };
    let checkpoint = Checkpoint::parse(Note::parse(&text)?.text())?;
    Ok((text, checkpoint))
}

fn prove_in(folder: &LogFolder, event_id: u64, given: Option<&str>) -> Result<InclusionProof> {
    let (text, checkpoint) = unchecked(folder, given)?;
    if event_id == 0 || event_id > checkpoint.size {
        return Err(Error::argument(format!(
            "the event {event_id} is not covered by the checkpoint over {} events",
            checkpoint.size
        )));
    }
    let index = event_id - 1;
    let mut nodes = TileNodes::new(folder.clone(), checkpoint.size);
    let leaf = nodes.node(0, index)?;
    let hashes = merkle::prove_inclusion(&mut nodes, index, checkpoint.size)?;
    if !merkle::check_inclusion(leaf, index, checkpoint.size, checkpoint.root, &hashes) {
        return Err(damaged(folder, &checkpoint));
    }
    Ok(InclusionProof {
        index,
        hashes,
        checkpoint: text,
        extra: None,
    })
}

fn prove_consistency_in(
    folder: &LogFolder,
    old_size: u64,
    given: Option<&str>,
) -> Result<ConsistencyProof> {
    let (text, checkpoint) = unchecked(folder, given)?;
    let mut nodes = TileNodes::new(folder.clone(), checkpoint.size);
    let hashes = merkle::prove_consistency(&mut nodes, old_size, checkpoint.size)?;
    let old_root = merkle::root(&mut nodes, old_size)?;
    let (size, root) = (checkpoint.size, checkpoint.root);
    if !merkle::check_consistency(old_size, old_root, size, root, &hashes) {
        return Err(damaged(folder, &checkpoint));
    }
    Ok(ConsistencyProof {
        old_size,
        hashes,
        checkpoint: text,
    })
}

fn damaged(folder: &LogFolder, checkpoint: &Checkpoint) -> Error {
    Error::new(
        Kind::Tampered,
        format!(
            "the tiles in {} do not lead to the root of the checkpoint over {} events",
            folder.path().display(),
            checkpoint.size
        ),
    )
}

impl InclusionProof {
    /// The id of the event that it is about.
    pub fn event_id(&self) -> u64 {
        self.index.saturating_add(1)
    }

    /// The checkpoint that it is under, unchecked.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Checks that `line` is the event's, under a checkpoint that is signed by
    /// one of `keys` (see [`SignedCheckpoint::open`]), which is returned. A
    /// newline at the line's end does not matter.
    pub fn check(&self, line: &[u8], keys: &[VerifierKey]) -> Result<SignedCheckpoint> {
        let signed = SignedCheckpoint::open(&self.checkpoint, keys)?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (leaf, root) = (leaf_hash(line), signed.root());
        if !merkle::check_inclusion(leaf, self.index, signed.size(), root, &self.hashes) {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the line is not that of event {} under the checkpoint over {} events",
                    self.event_id(),
                    signed.size()
                ),
            ));
        }
        if leading_id(line) != Some(self.event_id()) {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the line is signed as event {}, but says another id",
                    self.event_id()
                ),
            ));
        }
        Ok(signed)
    }

    /// Parses the text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = ProofLines::new(text)?;
        if lines.next()? != HEADER {
            return Err(wrong(&format!("must begin with {HEADER}")));
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            let bytes = BASE64_STANDARD.decode(encoded);
            extra = Some(bytes.map_err(|_| wrong("has extra data that is no base64"))?);
            line = lines.next()?;
        }
        let index = line
            .strip_prefix("index ")
            .and_then(decimal)
            .ok_or_else(|| wrong("must say the index"))?;
        Ok(Self {
            index,
            hashes: lines.hashes()?,
            checkpoint: lines.rest.to_owned(),
            extra,
        })
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        write_hashes(f, &self.hashes)?;
        f.write_str(&self.checkpoint)
    }
}

impl ConsistencyProof {
    /// How many events the earlier state had.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Checks that the checkpoint in the proof goes on from `old`, which must be
    /// signed by one of `keys` as well; returns the later one.
    pub fn check(&self, old: &str, keys: &[VerifierKey]) -> Result<SignedCheckpoint> {
        let signed = SignedCheckpoint::open(&self.checkpoint, keys)?;
        let old = SignedCheckpoint::open(old, keys)?;
        let fault = if old.checkpoint().origin != signed.checkpoint().origin {
            Some("the checkpoints are of two logs".to_owned())
        } else if old.size() != self.old_size {
            Some(format!(
                "the proof is from {} events on, the earlier checkpoint has {}",
                self.old_size,
                old.size()
            ))
        } else if !merkle::check_consistency(
            old.size(),
            old.root(),
            signed.size(),
            signed.root(),
            &self.hashes,
        ) {
            Some(format!(
                "the checkpoint over {} events does not go on from the one over {}",
                signed.size(),
                old.size()
            ))
        } else {
            None
        };
        match fault {
            Some(fault) => Err(Error::new(Kind::Tampered, fault)),
            None => Ok(signed),
        }
    }

    /// Parses the text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = ProofLines::new(text)?;
        let old_size = lines
            .next()?
            .strip_prefix("old ")
            .and_then(decimal)
            .ok_or_else(|| wrong("must begin with the old size"))?;
        Ok(Self {
            old_size,
            hashes: lines.hashes()?,
            checkpoint: lines.rest.to_owned(),
        })
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        write_hashes(f, &self.hashes)?;
        f.write_str(&self.checkpoint)
    }
}

fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[Hash]) -> fmt::Result {
    for hash in hashes {
        writeln!(f, "{hash}")?;
    }
    f.write_char('\n')
}

/// A proof's lines, up to the checkpoint.
struct ProofLines<'a> {
    rest: &'a str,
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("a proof {what}"))
}

impl<'a> ProofLines<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let lines = Self { rest: text };
        if text.len() > 2 * MAX_NOTE {
            return Err(wrong("is too long"));
        }
        Ok(lines)
    }

    fn next(&mut self) -> Result<&'a str> {
        let (line, rest) = self
            .rest
            .split_once('\n')
            .ok_or_else(|| wrong("must hold a checkpoint"))?;
        self.rest = rest;
        Ok(line)
    }

    fn hashes(&mut self) -> Result<Vec<Hash>> {
        let mut hashes = Vec::new();
        loop {
            match self.next()? {
                "" => return Ok(hashes),
                _ if hashes.len() == MAX_HASHES => return Err(wrong("has too many hashes")),
                line => hashes.push(
                    Hash::from_base64(line).ok_or_else(|| wrong("has a line that is no hash"))?,
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Log;
    use super::super::note::{Signer, SigningKey};
    use super::*;
    use std::fs;

    fn line(id: u64) -> Vec<u8> {
        format!("{{\"event_id\":{id},\"timestamp\":1}}").into_bytes()
    }

    struct TestLog {
        root: tempfile::TempDir,
        key: SigningKey,
        checkpoints: Vec<String>,
    }

    impl TestLog {
        fn new(sizes: &[u64]) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(".auditrail")).unwrap();
            let key = SigningKey::generate("log").unwrap();
            let keys = [key.verifier().clone()];
            let layout = Layout::new(root.path());
            let mut log = Log::open(Arc::new(Disk), &layout, &keys, 0).unwrap();
            let mut checkpoints = Vec::new();
            for &size in sizes {
                let from = log.size();
                log.append(
                    &(from..size)
                        .map(|index| leaf_hash(&line(index + 1)))
                        .collect::<Vec<_>>(),
                    None,
                )
                .unwrap();
                checkpoints.push(log.sign(&key).unwrap().text().to_owned());
            }
            Self {
                root,
                key,
                checkpoints,
            }
        }

        fn keys(&self) -> [VerifierKey; 1] {
            [self.key.verifier().clone()]
        }
    }

    #[test]
    fn an_events_proof_needs_only_the_line_and_the_key() {
        for size in [1, 2, 3, 255, 256, 257, 600] {
            let place = TestLog::new(&[size]);
            for id in [1, 2, 128, 255, 256, 257, 512, 513, size] {
                if id > size {
                    assert!(prove(place.root.path(), id, None).is_err());
                    continue;
                }
                let text = prove(place.root.path(), id, None).unwrap().to_string();
                let proof = InclusionProof::parse(&text).unwrap();
                assert_eq!((proof.event_id(), proof.to_string()), (id, text));
                let signed = proof.check(&line(id), &place.keys()).unwrap();
                assert_eq!(signed.size(), size);
                let mut with_newline = line(id);
                with_newline.push(b'\n');
                proof.check(&with_newline, &place.keys()).unwrap();
                assert_eq!(
                    proof
                        .check(&line(id + 1), &place.keys())
                        .unwrap_err()
                        .kind(),
                    Kind::Tampered
                );
                let stranger = SigningKey::generate("log").unwrap();
                assert!(
                    proof
                        .check(&line(id), &[stranger.verifier().clone()])
                        .is_err()
                );
            }
        }
    }

    #[test]
    fn any_changed_character_of_a_proof_is_noticed() {
        let place = TestLog::new(&[5]);
        let text = prove(place.root.path(), 3, None).unwrap().to_string();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let held = InclusionProof::parse(&changed)
                .and_then(|proof| proof.check(&line(3), &place.keys()));
            assert!(held.is_err(), "byte {at}: {changed}");
        }
    }

    #[test]
    fn extra_data_passes_and_is_kept() {
        let place = TestLog::new(&[5]);
        let text = prove(place.root.path(), 3, None).unwrap().to_string();
        let text = text.replace("\nindex", "\nextra AAEC\nindex");
        let proof = InclusionProof::parse(&text).unwrap();
        assert_eq!(proof.extra.as_deref(), Some(&[0, 1, 2][..]));
        assert_eq!(proof.to_string(), text);
        proof.check(&line(3), &place.keys()).unwrap();
    }

    #[test]
    fn each_checkpoint_goes_on_from_those_before_it() {
        let place = TestLog::new(&[0, 1, 2, 255, 256, 257, 700]);
        let (path, keys) = (place.root.path(), place.keys());
        for (i, old) in place.checkpoints.iter().enumerate() {
            for new in &place.checkpoints[i..] {
                let size = SignedCheckpoint::open(old, &keys).unwrap().size();
                let text = prove_consistency(path, size, Some(new))
                    .unwrap()
                    .to_string();
                let proof = ConsistencyProof::parse(&text).unwrap();
                assert_eq!((proof.old_size(), proof.to_string()), (size, text));
                assert_eq!(proof.check(old, &keys).unwrap().text(), new);
                // An earlier event is provable under each of them.
                if new != &place.checkpoints[0] {
                    let proof = prove(path, 1, Some(new)).unwrap();
                    assert_eq!(proof.check(&line(1), &keys).unwrap().text(), new);
                }
            }
        }
        assert!(prove_consistency(path, 701, None).is_err());
    }

    #[test]
    fn a_fork_of_the_log_does_not_go_on_from_it() {
        let place = TestLog::new(&[2, 7]);
        let keys = place.keys();
        let root = leaf_hash(b"another history");
        let fork = SignedCheckpoint::sign(2, root, &place.key).unwrap();
        let proof = prove_consistency(place.root.path(), 2, None).unwrap();
        proof.check(&place.checkpoints[0], &keys).unwrap();
        let error = proof.check(fork.text(), &keys).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
        let error = proof.check(&place.checkpoints[1], &keys).unwrap_err();
        assert!(error.message().contains("has 7"), "{error}");
        let error = prove_consistency(place.root.path(), 1, Some(fork.text())).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
    }

    #[test]
    fn tiles_that_were_changed_give_no_proof() {
        let place = TestLog::new(&[300]);
        let tile = place.root.path().join(".auditrail/tlog/tile/0/000");
        let mut bytes = fs::read(&tile).unwrap();
        bytes[32 * 40] ^= 1;
        fs::write(&tile, &bytes).unwrap();
        let prove = |id| prove(place.root.path(), id, None);
        assert_eq!(prove(41).unwrap_err().kind(), Kind::Tampered);
        assert_eq!(prove(42).unwrap_err().kind(), Kind::Tampered);
        prove(257).unwrap();
        fs::write(&tile, &bytes[..100]).unwrap();
        assert_eq!(prove(41).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn a_trail_without_a_checkpoint_says_so() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            prove(root.path(), 1, None).unwrap_err().kind(),
            Kind::NotFound
        );
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let place = TestLog::new(&[3]);
        let good = prove(place.root.path(), 1, None).unwrap().to_string();
        for (from, to) in [
            ("c2sp.org", "c3sp.org"),
            ("index 0", "index 00"),
            ("index 0", "index -1"),
            ("index 0\n", ""),
            ("index", "extra !\nindex"),
            ("\n\n", "\nAAAA\n\n"),
        ] {
            assert!(
                InclusionProof::parse(&good.replacen(from, to, 1)).is_err(),
                "{from}"
            );
        }
        assert!(InclusionProof::parse("").is_err());
        assert!(InclusionProof::parse(HEADER).is_err());
        let hash = leaf_hash(b"").to_base64();
        let many = format!(
            "old 1\n{}\n{}",
            format!("{hash}\n").repeat(66),
            place.checkpoints[0]
        );
        assert!(ConsistencyProof::parse(&many).is_err());
    }
}
