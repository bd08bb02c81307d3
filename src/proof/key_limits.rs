//! Up to which size an earlier key of a log is good.
//!
//! A key that was replaced may have been stolen: its signature must not be accepted
//! over more events than the trail had when it was replaced. A verifier is told the size
//! with the key (see [`VerifierKey::until`]). For keys without one, the writer that
//! replaces a key keeps the last checkpoint by the old one, with a signature by the new
//! one added, as `earlier-<id of the old key>`: this is the limit as long as the file is
//! there. It counts only if a key that is named before the old one has signed it, so that
//! an old key cannot limit a newer one.

use super::checkpoint::SignedCheckpoint;
use super::log_folder::LogFolder;
use super::note::{KeyKind, MAX_NOTE, Signer, VerifierKey};
use crate::error::{Error, Kind, Result};
use std::path::PathBuf;

fn file_of(key: &VerifierKey) -> PathBuf {
    PathBuf::from(format!("earlier-{:08x}", key.id()))
}

/// The keys with the limits that the log's files give to those that have none. Keys that
/// are newer come first.
pub(crate) fn with_recorded_limits(
    folder: &LogFolder,
    keys: &[VerifierKey],
) -> Result<Vec<VerifierKey>> {
    let mut limited = keys.to_vec();
    for index in 1..keys.len() {
        let (before, key) = (&keys[..index], &keys[index]);
        if key.kind() == KeyKind::Log
            && key.limit().is_none()
            && let Some(size) = recorded_limit(folder, key, before)?
        {
            limited[index] = key.clone().until(size);
        }
    }
    Ok(limited)
}

fn recorded_limit(
    folder: &LogFolder,
    key: &VerifierKey,
    newer: &[VerifierKey],
) -> Result<Option<u64>> {
    let name = file_of(key);
    let Some(bytes) = folder.read(&name, MAX_NOTE)? else {
        return Ok(None);
    };
    let path = folder.path().join(&name);
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(Kind::Corrupt, format!("{} is no UTF-8", path.display())))?;
    let keys: Vec<_> = newer.iter().chain([key]).cloned().collect();
    let signed = SignedCheckpoint::open(&text, &keys).map_err(|e| {
        let kind = e.kind();
        e.wrap(kind, &path.display().to_string())
    })?;
    let by_both = signed.is_by(key) && newer.iter().any(|key| signed.is_by_log(key));
    Ok(by_both.then(|| signed.size()))
}

/// What to keep when a log's key is replaced by the signer's: the file and its text, for
/// each other key that has signed `last`.
pub(crate) fn record(
    last: &SignedCheckpoint,
    signer: &dyn Signer,
) -> Result<Vec<(PathBuf, String)>> {
    let earlier: Vec<_> = last
        .log_keys()
        .filter(|key| *key != signer.verifier())
        .cloned()
        .collect();
    if earlier.is_empty() || last.is_by(signer.verifier()) {
        return Ok(Vec::new());
    }
    let text = last.also_signed(signer)?;
    Ok(earlier
        .iter()
        .map(|key| (file_of(key), text.clone()))
        .collect())
}
