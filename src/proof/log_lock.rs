//! The lock `.auditrail/tlog-lock`, held while the log's files are changed, so that
//! shared writers and those who add cosignatures take turns.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::storage::{File, Open, Storage};
use std::sync::Arc;

const LOCK: &str = "tlog-lock";

pub(crate) fn open_lock(storage: &dyn Storage, layout: &Layout) -> Result<Arc<dyn File>> {
    let path = layout.hidden_file(LOCK);
    storage
        .open(&path, Open::Create)
        .map_err(|e| Error::io("open", &path, &e))
}

/// The lock, held: the log's files may be changed while this exists.
pub(crate) struct LogLock<'a>(&'a dyn File);

impl<'a> LogLock<'a> {
    pub fn wait(file: &'a dyn File, layout: &Layout) -> Result<Self> {
        file.lock()
            .map_err(|e| Error::io("lock", &layout.hidden_file(LOCK), &e))?;
        Ok(Self(file))
    }
}

impl Drop for LogLock<'_> {
    fn drop(&mut self) {
        // If this fails, closing the file releases the lock.
        let _ = self.0.unlock();
    }
}
