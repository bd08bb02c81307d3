//! The file that holds a log's newest checkpoint, and the cosignatures added to it.

use super::checkpoint::SignedCheckpoint;
use super::key_limits::with_recorded_limits;
use super::log_folder::{Durable, LogFolder};
use super::log_lock::{LogLock, open_lock};
use super::note::{MAX_NOTE, VerifierKey};
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Disk, Storage};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The log's folder, under the trail's hidden one.
pub(crate) const TLOG: &str = "tlog";

/// The newest checkpoint's file in the log's folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The newest checkpoint of the log in `folder`, if there is one.
pub(crate) fn read_checkpoint(
    folder: &LogFolder,
    keys: &[VerifierKey],
) -> Result<Option<SignedCheckpoint>> {
    let Some(text) = read_text(folder)? else {
        return Ok(None);
    };
    let path = folder.path().join(CHECKPOINT);
    let keys = with_recorded_limits(folder, keys)?;
    SignedCheckpoint::open(&text, &keys).map(Some).map_err(|e| {
        let kind = e.kind();
        e.wrap(kind, &path.display().to_string())
    })
}

/// The text of the checkpoint's file, if it exists.
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

/// The text of the newest checkpoint of the trail at `root`, unchecked.
pub fn checkpoint_text(root: &Path) -> Result<String> {
    let folder = LogFolder::new(Arc::new(Disk), Layout::new(root).hidden_file(TLOG));
    newest(&folder)
}

/// The text of the newest checkpoint; an error if there is none.
pub(crate) fn newest(folder: &LogFolder) -> Result<String> {
    read_text(folder)?.ok_or_else(|| {
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

/// Adds a witness's signature lines to the newest checkpoint of the trail at
/// `root`; a writer may have the trail open. At least one line must be by a witness in
/// `keys`, and hold; the log's key must be in `keys` too.
pub fn add_cosignatures(
    root: &Path,
    lines: &str,
    keys: &[VerifierKey],
) -> Result<SignedCheckpoint> {
    let layout = Layout::new(root);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
    let lock = open_lock(&*storage, &layout)?;
    let _held = LogLock::wait(&*lock, &layout)?;
    let text = newest(&folder)?;
    if lines.trim().is_empty() {
        return Err(Error::argument("there are no signature lines"));
    }
    let keys = &with_recorded_limits(&folder, keys)?;
    let before = SignedCheckpoint::open(&text, keys)?;
    let text = format!("{text}{}\n", lines.trim_end_matches('\n'));
    let signed = SignedCheckpoint::open(&text, keys)?;
    if signed.witnesses().count() <= before.witnesses().count() {
        return Err(Error::argument(
            "none of the lines is the cosignature of a witness that is known and new",
        ));
    }
    let mut changed = BTreeSet::new();
    let name = Path::new(CHECKPOINT);
    folder.write(name, text.as_bytes(), Durable::Yes, &mut changed)?;
    folder.sync(&mut changed)?;
    Ok(signed)
}
