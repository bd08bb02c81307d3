//! Write locks: one exclusive writer, or many shared ones that commit in turn.
//!
//! `.auditrail/lock` is held for a writer's whole life, in exclusive or shared mode.
//! `.auditrail/commit-lock` is held by a shared writer while it commits one batch,
//! and while it opens the trail, so that others wait until its recovery is done.

use crate::error::{Error, Kind, Result};
use crate::os;
use crate::store::layout::Layout;
use crate::store::lock_file::{Attempt, HeldLock, LONGEST_PAUSE, LockFile, LockWait, Waiting};
use crate::store::storage::{Lock, Storage, read_range};
use std::time::{Duration, Instant};

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
        if lock.try_acquire(Lock::Exclusive)? {
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
        _commit_lock: &HeldLock,
        initialize: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let lock = Self::open(storage, layout)?;
        if lock.try_acquire(Lock::Exclusive)? {
            initialize()?;
        }
        // flock does not downgrade atomically: an exclusive writer may get the lock
        // in between. It finds a recovered trail, and this one fails as busy.
        if lock.try_acquire(Lock::Shared)? {
            lock.write_pid(layout)?;
            return Ok(lock);
        }
        Err(lock.busy_error(layout))
    }

    fn open(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        Ok(Self {
            lock_file: LockFile::open(storage, layout.hidden_file("lock"))?,
            fork_generation: os::fork_generation(),
        })
    }

    fn try_acquire(&self, mode: Lock) -> Result<bool> {
        let LockFile { file, path, .. } = &self.lock_file;
        file.try_lock(mode).map_err(|e| Error::io("lock", path, &e))
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
pub(crate) struct CommitLock {
    lock_file: LockFile,
    /// Locked in shared mode by those that wait.
    waiting_file: LockFile,
    /// How long to wait; `None`: as long as it takes.
    timeout: Option<Duration>,
}

/// A writer's wait for the commit lock, and how long it has gone without one.
#[derive(Debug)]
pub(crate) struct CommitTurns {
    wait: Option<(LockWait, Option<HeldLock>)>,
    /// When it last left the lock to those that waited for it.
    slice_began: Instant,
}

impl Default for CommitTurns {
    fn default() -> Self {
        Self {
            wait: None,
            slice_began: Instant::now(),
        }
    }
}

/// How long a writer may commit in a row while others wait. Their polling would seldom
/// find the lock free, for a busy writer acquires it again at once.
const SLICE: Duration = Duration::from_millis(1);

impl CommitLock {
    pub fn open(storage: &dyn Storage, layout: &Layout, timeout: Option<Duration>) -> Result<Self> {
        Ok(Self {
            lock_file: LockFile::open(storage, layout.hidden_file("commit-lock"))?,
            waiting_file: LockFile::open(storage, layout.hidden_file("commit-waiting"))?,
            timeout,
        })
    }

    /// Acquires the lock, or continues to wait for it until that has become slow.
    pub fn attempt(&self, turns: &mut CommitTurns) -> Result<Attempt> {
        if turns.wait.is_none() {
            self.leave_to_others(turns)?;
            if let Some(held) = self.lock_file.try_exclusive()? {
                return Ok(Attempt::Acquired(held));
            }
        }
        let (wait, _) = match &mut turns.wait {
            Some(wait) => wait,
            none => none.insert((self.wait(), self.waiting_file.try_shared()?)),
        };
        let attempt = wait.attempt();
        if !matches!(attempt, Ok(Attempt::Slow(_))) {
            *turns = CommitTurns::default();
        }
        attempt
    }

    /// Gives those that wait the time to find the lock free, once in a while.
    fn leave_to_others(&self, turns: &mut CommitTurns) -> Result<()> {
        if turns.slice_began.elapsed() < SLICE {
            return Ok(());
        }
        let nobody_waits = self.waiting_file.try_exclusive()?;
        if nobody_waits.is_none() {
            std::thread::sleep(2 * LONGEST_PAUSE);
        }
        turns.slice_began = Instant::now();
        Ok(())
    }

    /// Waits for the lock, but no longer than this.
    pub fn wait_at_most(&self, limit: Duration) -> Result<HeldLock> {
        self.lock_file.acquire(Waiting::at_most(limit))
    }

    /// Begins to wait for the lock.
    pub fn wait(&self) -> LockWait {
        self.lock_file.wait(self.timeout)
    }
}
