//! The lock `.auditrail/tlog-lock`, held while the log's files are changed, so that
//! shared writers and those who add cosignatures take turns.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::lock_wait::{HeldLock, LockWait, Waiting};
use crate::store::storage::{File, Open, Storage};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct LogLock {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl LogLock {
    pub fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let path = layout.hidden_file("tlog-lock");
        let file = storage
            .open(&path, Open::Create)
            .map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self { file, path })
    }

    /// Waits for the lock; while it is held, the log's files may be changed.
    pub fn acquire(&self, waiting: Waiting<'_>) -> Result<HeldLock> {
        LockWait::new(&self.file, &self.path, waiting.limit).acquire(waiting.on_slow)
    }
}
