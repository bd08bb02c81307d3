//! The file that holds a log's newest checkpoint, and the cosignatures added to it.

use super::checkpoint::SignedCheckpoint;
use super::key_limits::with_recorded_limits;
use super::log_folder::{Durable, LogFolder};
use super::note::{MAX_NOTE, VerifierKey};
use super::tile_nodes::goes_on_from;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::lock_file::{LockFile, Waiting};
use crate::store::storage::{Disk, Storage};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long to wait for a writer that signs: longer than any that is not stopped takes.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// The log's folder, under the trail's hidden one.
pub(crate) const TLOG: &str = "tlog";

/// The lock file, held while the log's files are changed, so that shared writers and
/// those who add cosignatures take turns.
pub(crate) const LOG_LOCK: &str = "tlog-lock";

/// The newest checkpoint's file in the log's folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The newest checkpoint that witnesses have cosigned, kept when a newer one has none.
pub(crate) const COSIGNED: &str = "cosigned";

/// The newest checkpoint of the log in `folder`, if there is one.
pub(crate) fn read_checkpoint(
    folder: &LogFolder,
    keys: &[VerifierKey],
) -> Result<Option<SignedCheckpoint>> {
    read_named(folder, CHECKPOINT, keys)
}

/// The checkpoint in the file `name`, if there is one.
fn read_named(
    folder: &LogFolder,
    name: &str,
    keys: &[VerifierKey],
) -> Result<Option<SignedCheckpoint>> {
    let Some(text) = read_text(folder, name)? else {
        return Ok(None);
    };
    let path = folder.path().join(name);
    let keys = with_recorded_limits(folder, keys)?;
    SignedCheckpoint::open(&text, &keys).map(Some).map_err(|e| {
        let kind = e.kind();
        e.wrap(kind, &path.display().to_string())
    })
}

/// The text of a checkpoint's file, if it exists.
pub(crate) fn read_text(folder: &LogFolder, name: &str) -> Result<Option<String>> {
    let Some(bytes) = folder.read(Path::new(name), MAX_NOTE)? else {
        return Ok(None);
    };
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let path = folder.path().join(name);
        Error::new(Kind::Corrupt, format!("{} is no UTF-8", path.display()))
            .at(e.utf8_error().valid_up_to() as u64)
    })
}

/// The text of the newest checkpoint of the trail at `root`, unchecked.
pub fn checkpoint_text(root: &Path) -> Result<String> {
    let folder = LogFolder::new(Arc::new(Disk), Layout::new(root).hidden_file(TLOG));
    newest(&folder)
}

/// The text of the newest checkpoint; an error if there is none.
pub(crate) fn newest(folder: &LogFolder) -> Result<String> {
    read_text(folder, CHECKPOINT)?.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("there is no checkpoint in {}", folder.path().display()),
        )
    })
}

/// The newest checkpoint of the trail at `root`, signed by one of `keys`;
/// `None` where it has none.
pub fn checkpoint(root: &Path, keys: &[VerifierKey]) -> Result<Option<SignedCheckpoint>> {
    let folder = LogFolder::new(Arc::new(Disk), Layout::new(root).hidden_file(TLOG));
    read_checkpoint(&folder, keys)
}

/// Adds witnesses' signature lines to the newest checkpoint of the trail at `root`; a
/// writer may have the trail open. Only lines that are valid cosignatures by witnesses
/// in `keys` are kept, and of each witness the newest; an error if there is none. The
/// log's key must be in `keys` too.
pub fn add_cosignatures(
    root: &Path,
    lines: &str,
    keys: &[VerifierKey],
) -> Result<SignedCheckpoint> {
    cosign(root, None, lines, keys)
}

/// The same for the checkpoint that the witnesses were shown, which a writer may have
/// replaced by a newer one since. It is kept beside the newest one, as long as no later
/// one is cosigned.
pub fn add_cosignatures_to(
    root: &Path,
    checkpoint: &str,
    lines: &str,
    keys: &[VerifierKey],
) -> Result<SignedCheckpoint> {
    cosign(root, Some(checkpoint), lines, keys)
}

fn cosign(
    root: &Path,
    shown: Option<&str>,
    lines: &str,
    keys: &[VerifierKey],
) -> Result<SignedCheckpoint> {
    let layout = Layout::new(root);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
    let lock = LockFile::open(&*storage, layout.hidden_file(LOG_LOCK))?;
    let _held = lock.acquire(Waiting::at_most(LOCK_TIMEOUT))?;
    let keys = &with_recorded_limits(&folder, keys)?;
    let newest = SignedCheckpoint::open(&newest(&folder)?, keys)?;
    let cosigned = read_named(&folder, COSIGNED, keys)?;
    let mut target = match shown {
        Some(text) => SignedCheckpoint::open(text, keys)?,
        None => newest.clone(),
    };
    check_is_of(&folder, &target, &newest)?;
    // What is known about the same checkpoint already is kept.
    for known in [Some(&newest), cosigned.as_ref()].into_iter().flatten() {
        if known.checkpoint() == target.checkpoint() && known.text() != target.text() {
            target = target.merged(known, keys)?;
        }
    }
    let signed = target.cosigned(lines, keys, latest_time())?;
    let mut changed = BTreeSet::new();
    let mut write = |name| {
        let text = signed.text().as_bytes();
        folder.write(Path::new(name), text, Durable::Yes, &mut changed)
    };
    if cosigned.is_none_or(|before| before.size() <= signed.size()) {
        write(COSIGNED)?;
    }
    if signed.checkpoint() == newest.checkpoint() {
        write(CHECKPOINT)?;
    }
    folder.sync(&mut changed)?;
    Ok(signed)
}

/// An error unless the trail, under its newest checkpoint, goes on from `earlier`.
fn check_is_of(
    folder: &LogFolder,
    earlier: &SignedCheckpoint,
    newest: &SignedCheckpoint,
) -> Result<()> {
    let is_same_log = earlier.checkpoint().origin == newest.checkpoint().origin;
    if is_same_log && goes_on_from(folder, newest, earlier)? {
        return Ok(());
    }
    Err(Error::new(
        Kind::Tampered,
        format!(
            "the checkpoint over {} events is not one of this trail",
            earlier.size()
        ),
    ))
}

/// A witness's clock may be ahead by a day, not more.
fn latest_time() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
        .saturating_add(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::{cosign, witness};
    use super::super::note::{Signer, SigningKey};
    use super::super::proof_options::ProofOptions;
    use super::super::verify::Verification;
    use super::*;
    use crate::{Options, Writer};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    struct Cosigned {
        root: tempfile::TempDir,
        keys: Vec<VerifierKey>,
        log: Arc<SigningKey>,
        old: SigningKey,
        witness: SigningKey,
    }

    impl Cosigned {
        fn new() -> Self {
            let generate = |name| SigningKey::generate(name).unwrap();
            let (log, old, w) = (generate("log"), generate("log"), generate("w"));
            let trail = Self {
                root: tempfile::tempdir().unwrap(),
                keys: vec![
                    log.verifier().clone(),
                    old.verifier().clone().until(0),
                    witness(&w),
                ],
                log: Arc::new(log),
                old,
                witness: w,
            };
            trail.append(3);
            trail
        }

        fn append(&self, events: u64) {
            let mut proof = ProofOptions::new(self.log.clone());
            proof.earlier_key(self.old.verifier().clone());
            let mut options = Options::default();
            options.proof(proof);
            let writer = Writer::open(self.root.path(), &options).unwrap();
            for _ in 0..events {
                let event = b"{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\
                              \"operation\":\"create\",\"logical_user_id\":\"u\"}";
                writer.append(event).unwrap();
            }
            writer.close().unwrap();
        }

        fn text(&self) -> String {
            checkpoint_text(self.root.path()).unwrap()
        }

        /// The line of a witness over the newest checkpoint.
        fn line(&self, witness: &SigningKey, time: u64) -> String {
            let text = self.text();
            cosign(&text, witness, time)[text.len()..].to_owned()
        }

        fn add(&self, lines: &str) -> Result<Vec<u64>> {
            let signed = add_cosignatures(self.root.path(), lines, &self.keys)?;
            Ok(signed.witnesses().map(|(_, time)| time).collect())
        }

        fn verify(&self) -> bool {
            let how = Verification::new(&self.keys).witnesses(1);
            how.run(self.root.path(), |_, _| {}).unwrap().intact
        }
    }

    #[test]
    fn a_witness_cannot_add_what_was_not_verified() {
        let trail = Cosigned::new();
        let before = trail.text();
        let stranger = SigningKey::generate("w").unwrap();
        // In the name of an earlier key, and of the witness, with other bytes.
        let forged = |key: &VerifierKey| {
            let mut bytes = key.id().to_be_bytes().to_vec();
            bytes.extend([7; 72]);
            format!("— {} {}\n", key.name(), BASE64_STANDARD.encode(bytes))
        };
        let earlier = forged(trail.old.verifier());
        let of_witness = forged(&witness(&trail.witness));
        let good = trail.line(&trail.witness, 1_700_000_000);
        let others: String = (0..300).map(|n| trail.line(&stranger, n)).collect();
        for bogus in [&earlier, &of_witness, &others, "nonsense", "\n\n", ""] {
            assert!(trail.add(bogus).is_err());
            assert_eq!(trail.text(), before);
        }
        let lines = format!("{earlier}{of_witness}nonsense\n\n{others}{good}{earlier}");
        assert_eq!(trail.add(&lines).unwrap(), [1_700_000_000]);
        assert_eq!(trail.text(), format!("{before}{good}"));
        assert!(trail.verify());
        // The writer goes on.
        trail.append(1);
    }

    #[test]
    fn the_newest_cosignature_of_a_witness_is_kept() {
        let trail = Cosigned::new();
        let before = trail.text();
        let line = |time| trail.line(&trail.witness, time);
        let lines = [1_700_000_000, 1_700_000_005, 1_700_000_003].map(line);
        for (line, time) in [
            (&lines[0], 1_700_000_000),
            (&lines[0], 1_700_000_000),
            (&lines[1], 1_700_000_005),
            (&lines[2], 1_700_000_005),
        ] {
            assert_eq!(trail.add(line).unwrap(), [time]);
        }
        assert_eq!(trail.text(), format!("{before}{}", lines[1]));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let in_a_week = now.unwrap().as_secs() + 7 * 24 * 60 * 60;
        for time in [1 << 62, in_a_week] {
            assert!(trail.add(&line(time)).is_err());
        }
        assert_eq!(trail.text(), format!("{before}{}", lines[1]));
    }

    #[test]
    fn the_newest_cosigned_checkpoint_is_kept_beside_the_newest() {
        let trail = Cosigned::new();
        let (shown, line) = (trail.text(), trail.line(&trail.witness, 1_700_000_000));
        trail.append(300);
        // It is too late for the newest one.
        assert!(trail.add(&line).is_err() && !trail.verify());
        let root = trail.root.path();
        let signed = add_cosignatures_to(root, &shown, &line, &trail.keys).unwrap();
        assert_eq!((signed.size(), signed.witnesses().count()), (3, 1));
        assert!(trail.verify());
        trail.append(1);
        assert!(trail.verify());
        // A later one replaces it, an earlier one does not.
        trail
            .add(&trail.line(&trail.witness, 1_700_000_001))
            .unwrap();
        trail.append(1);
        add_cosignatures_to(root, &shown, &line, &trail.keys).unwrap();
        let how = Verification::new(&trail.keys).witnesses(1);
        let report = how.run(root, |_, _| {}).unwrap();
        assert!(report.intact, "{report:#?}");
        assert!(report.notes[0].message.contains("304"), "{report:#?}");
        // One of another trail is not taken.
        let other = Cosigned::new();
        let stolen = SignedCheckpoint::sign(3, crate::proof::leaf_hash(b"x"), &*trail.log);
        let stolen = stolen.unwrap();
        let line = cosign(stolen.text(), &trail.witness, 5)[stolen.text().len()..].to_owned();
        let refused = add_cosignatures_to(root, stolen.text(), &line, &trail.keys);
        assert_eq!(refused.unwrap_err().kind(), Kind::Tampered);
        assert!(add_cosignatures_to(root, &other.text(), &line, &trail.keys).is_err());
    }
}
