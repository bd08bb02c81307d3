//! Write locks: one exclusive writer, or many shared ones that commit in turn.
//!
//! `.auditrail/lock` is held for a writer's whole life, in exclusive or shared mode.
//! `.auditrail/commit-lock` is held by a shared writer while it commits one batch,
//! and while it opens the trail, so that others wait until its recovery is done.
//!
//! Both are flocks, which belong to one open file description: they conflict within
//! a process too, are not dropped when another part of the host closes the file, and
//! are released by the kernel when the process is killed. A forked child drops its
//! share of them (see `os`).

use crate::error::{Error, Kind, Result};
use crate::os::{self, ReleasedInChild};
use crate::store::layout::Layout;
use crate::store::storage::{File, Lock, Open, Storage, open_file, read_range};
use std::sync::Arc;

/// An open lock file, which a forked child lets go of.
#[derive(Debug)]
struct LockFile {
    // First, because it must be dropped before the file is closed.
    _released_in_child: ReleasedInChild,
    file: Arc<dyn File>,
}

impl LockFile {
    fn open(storage: &dyn Storage, layout: &Layout, name: &str) -> Result<Self> {
        let file = open_file(storage, &layout.hidden_file(name), Open::Create)?;
        Ok(Self {
            _released_in_child: ReleasedInChild::register(file.descriptor()),
            file,
        })
    }
}

/// The right to write to a trail, for as long as it lives.
#[derive(Debug)]
pub(crate) struct WriteLock {
    lock_file: LockFile,
    /// `os::fork_generation` of the process that acquired it.
    fork_generation: u64,
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Closing the file would not do: a child that another thread has just forked
        // shares the open file until it executes its program. A forked child must
        // not release its parent's lock.
        if os::fork_generation() == self.fork_generation {
            // If this fails, the lock is released when the last copy of the
            // descriptor is closed.
            let _ = self.lock_file.file.unlock();
        }
    }
}

impl WriteLock {
    /// Acquires the trail for this writer alone; the error names the holder.
    pub fn exclusive(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let lock = Self::open(storage, layout)?;
        if lock.try_acquire(layout, Lock::Exclusive)? {
            lock.write_pid(layout)?;
            return Ok(lock);
        }
        Err(lock.busy_error(layout))
    }

    /// Joins the shared writers of the trail; the caller holds the commit lock.
    /// `initialize` runs only if there is no other writer, and while none can start.
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
        // flock does not downgrade atomically: an exclusive writer may get the lock
        // in between. It finds a recovered trail, and this one fails as busy.
        if lock.try_acquire(layout, Lock::Shared)? {
            lock.write_pid(layout)?;
            return Ok(lock);
        }
        Err(lock.busy_error(layout))
    }

    fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        Ok(Self {
            lock_file: LockFile::open(storage, layout, "lock")?,
            fork_generation: os::fork_generation(),
        })
    }

    fn try_acquire(&self, layout: &Layout, mode: Lock) -> Result<bool> {
        self.lock_file
            .file
            .try_lock(mode)
            .map_err(|e| Error::io("lock", &layout.hidden_file("lock"), &e))
    }

    /// Writes our process id, for the error of a writer that finds the trail locked.
    /// With shared writers, the last one to open wins.
    fn write_pid(&self, layout: &Layout) -> Result<()> {
        // Padded to the widest id, so that one write replaces the last one.
        let text = format!("{:<20}\n", std::process::id());
        self.lock_file
            .file
            .write_at(text.as_bytes(), 0)
            .map_err(|e| Error::io("write", &layout.hidden_file("lock"), &e))
    }

    fn busy_error(&self, layout: &Layout) -> Error {
        let holder = read_range(&*self.lock_file.file, 0, 32)
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

/// The lock under which shared writers commit, one at a time.
#[derive(Debug)]
pub(crate) struct CommitLock(LockFile);

/// Holds the commit lock, for one batch.
pub(crate) struct CommitGuard<'a>(&'a dyn File);

impl CommitLock {
    pub fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        LockFile::open(storage, layout, "commit-lock").map(Self)
    }

    /// Blocks until the lock is free.
    pub fn acquire(&self, layout: &Layout) -> Result<CommitGuard<'_>> {
        let file = &*self.0.file;
        file.lock()
            .map_err(|e| Error::io("lock", &layout.hidden_file("commit-lock"), &e))?;
        Ok(CommitGuard(file))
    }
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        // If this fails, the lock is released when the file is closed.
        let _ = self.0.unlock();
    }
}
