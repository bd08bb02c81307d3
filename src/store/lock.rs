//! Who may write: one exclusive writer, or many shared ones taking turns.
//!
//! `.auditrail/lock` is held for a writer's whole life: exclusively by an
//! exclusive writer, shared by shared ones. `.auditrail/commit-lock` is held by
//! a shared writer for the length of one batch, and of its opening, so that one
//! that is just recovering the trail is waited for. Both are flocks, which belong
//! to one opening of the file: they conflict within a process too, are not
//! dropped when some other part of the host closes the file, and go with the
//! process when it is killed. A forked child lets go of its share (see `os`).

use crate::error::{Error, Kind, Result};
use crate::os::{self, ReleasedInChild};
use crate::store::layout::Layout;
use crate::store::storage::{File, Lock, Open, Storage, read_range};
use std::sync::Arc;

/// The right to write to a trail, for as long as it lives.
#[derive(Debug)]
pub(crate) struct WriteLock {
    // Before the file, for it must be dropped before the file is closed.
    _released_in_child: ReleasedInChild,
    file: Arc<dyn File>,
    /// `os::fork_generation` of the process that took it.
    fork_generation: u64,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread is just
        // starting shares it until it executes its program. A forked child must
        // not give back what is its parent's.
        if os::fork_generation() == self.fork_generation {
            // A lock that cannot be given back goes with the last to hold the file.
            let _ = self.file.unlock();
        }
    }
}

impl WriteLock {
    /// Takes the trail for this writer alone, or says who has it.
    pub fn exclusive(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let lock = Self::open(storage, layout)?;
        if lock.try_acquire(layout, Lock::Exclusive)? {
            lock.write_pid(layout)?;
            return Ok(lock);
        }
        Err(lock.busy_error(layout))
    }

    /// Joins the shared writers of the trail, in a turn. `initialize` is run while no
    /// other writer can be there; it is not run when others are.
    pub fn shared(
        storage: &dyn Storage,
        layout: &Layout,
        _commit_guard: &CommitGuard<'_>,
        initialize: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let lock = Self::open(storage, layout)?;
        if lock.try_acquire(layout, Lock::Exclusive)? {
            initialize()?;
        }
        // Between giving up the exclusive lock and taking the shared one, an
        // exclusive writer may come first: that one finds a trail at rest.
        if lock.try_acquire(layout, Lock::Shared)? {
            lock.write_pid(layout)?;
            return Ok(lock);
        }
        Err(lock.busy_error(layout))
    }

    fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let path = layout.hidden_file("lock");
        let file = storage
            .open(&path, Open::Create)
            .map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self {
            _released_in_child: ReleasedInChild::register(file.descriptor()),
            file,
            fork_generation: os::fork_generation(),
        })
    }

    fn try_acquire(&self, layout: &Layout, mode: Lock) -> Result<bool> {
        self.file
            .try_lock(mode)
            .map_err(|e| Error::io("lock", &layout.hidden_file("lock"), &e))
    }

    /// Leaves our process id for those who find the trail taken. Of shared
    /// writers, it is that of the last one that came.
    fn write_pid(&self, layout: &Layout) -> Result<()> {
        // As wide as any, so that it covers the last one with one write.
        let text = format!("{:<20}\n", std::process::id());
        self.file
            .write_at(text.as_bytes(), 0)
            .map_err(|e| Error::io("write", &layout.hidden_file("lock"), &e))
    }

    fn busy_error(&self, layout: &Layout) -> Error {
        let holder = read_range(&*self.file, 0, 32)
            .ok()
            .and_then(|text| String::from_utf8(text).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        let holder = match holder {
            Some(pid) if pid == std::process::id().to_string() => {
                format!("this process ({pid}) itself")
            }
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        };
        Error::new(
            Kind::Busy,
            format!(
                "the trail {} is being written by {holder}",
                layout.root().display()
            ),
        )
    }
}

/// Whose turn it is among shared writers.
#[derive(Debug)]
pub(crate) struct CommitLock {
    // Before the file, for it must be dropped before the file is closed.
    _released_in_child: ReleasedInChild,
    file: Arc<dyn File>,
}

/// Held for one batch.
pub(crate) struct CommitGuard<'a>(&'a dyn File);

impl CommitLock {
    pub fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let path = layout.hidden_file("commit-lock");
        let file = storage
            .open(&path, Open::Create)
            .map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self {
            _released_in_child: ReleasedInChild::register(file.descriptor()),
            file,
        })
    }

    /// Waits for the turn.
    pub fn acquire(&self, layout: &Layout) -> Result<CommitGuard<'_>> {
        self.file
            .lock()
            .map_err(|e| Error::io("lock", &layout.hidden_file("commit-lock"), &e))?;
        Ok(CommitGuard(&*self.file))
    }
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        // An flock that cannot be given back goes with the file at close.
        let _ = self.0.unlock();
    }
}
