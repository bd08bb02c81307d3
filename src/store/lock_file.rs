//! Lock files: opening them, holding their locks, and waiting for them.
//!
//! A lock is a flock, which belongs to one open file description: two conflict within a
//! process too, it is not dropped when another part of the host closes the file, and it
//! is released by the kernel when the process is killed. A forked child drops its share
//! of it (see `os`).
//!
//! flock has no time limit, and a thread that is blocked in it cannot be woken without a
//! signal. So the lock is polled: at first as often as a thread takes to wake, then
//! less and less often.

use crate::error::{Error, Kind, Result};
use crate::os::{self, ReleasedInChild};
use crate::store::storage::{File, Lock, Open, Storage, open_file};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this time a wait is worth a warning: a commit takes a small part of it.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// The pauses between two attempts: the first, after which each is twice as long, the
/// longest, and the longest of a wait that is slow already.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_SLOW_PAUSE: Duration = Duration::from_millis(10);

/// An open lock file, which a forked child lets go of.
#[derive(Debug)]
pub(crate) struct LockFile {
    // First, because it must be dropped before the file is closed.
    _released_in_child: ReleasedInChild,
    pub file: Arc<dyn File>,
    pub path: PathBuf,
}

impl LockFile {
    /// Opens the file; creates it if it is missing.
    pub fn open(storage: &dyn Storage, path: PathBuf) -> Result<Self> {
        let opened = os::without_fork(|| {
            let file = open_file(storage, &path, Open::Create)?;
            let released_in_child = ReleasedInChild::register(file.descriptor());
            Ok((released_in_child, file))
        });
        let (released_in_child, file) = opened?;
        Ok(Self {
            _released_in_child: released_in_child,
            file,
            path,
        })
    }

    /// Acquires the lock, if nobody has it.
    pub fn try_exclusive(&self) -> Result<Option<HeldLock>> {
        HeldLock::try_acquire(&self.file, &self.path, Lock::Exclusive)
    }

    /// The same beside others that acquire it in this way.
    pub fn try_shared(&self) -> Result<Option<HeldLock>> {
        HeldLock::try_acquire(&self.file, &self.path, Lock::Shared)
    }

    /// Begins to wait for the lock.
    pub fn wait(&self, limit: Option<Duration>) -> LockWait {
        LockWait {
            file: self.file.clone(),
            path: self.path.clone(),
            since: Instant::now(),
            limit,
            pause: FIRST_PAUSE,
            told: false,
        }
    }

    /// Waits for the lock.
    pub fn acquire(&self, waiting: Waiting<'_>) -> Result<HeldLock> {
        self.wait(waiting.limit).acquire(waiting.on_slow)
    }
}

/// An acquired lock, which is released when this is dropped.
#[derive(Debug)]
pub(crate) struct HeldLock(Arc<dyn File>);

impl HeldLock {
    fn try_acquire(file: &Arc<dyn File>, path: &Path, lock: Lock) -> Result<Option<Self>> {
        match file.try_lock(lock) {
            Ok(true) => Ok(Some(Self(file.clone()))),
            Ok(false) => Ok(None),
            Err(e) => Err(Error::io("lock", path, &e)),
        }
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // If this fails, the lock is released when the file is closed.
        let _ = self.0.unlock();
    }
}

/// How to wait for a lock.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<'a> {
    /// `None`: as long as it takes.
    pub limit: Option<Duration>,
    /// Called once the wait has become slow.
    pub on_slow: &'a dyn Fn(String),
}

impl Waiting<'_> {
    pub fn at_most(limit: Duration) -> Self {
        Self {
            limit: Some(limit),
            on_slow: &|_| {},
        }
    }
}

/// One wait for a lock, which can be interrupted to tell that it takes long.
#[derive(Debug)]
pub(crate) struct LockWait {
    file: Arc<dyn File>,
    path: PathBuf,
    since: Instant,
    /// `None`: no limit.
    limit: Option<Duration>,
    pause: Duration,
    told: bool,
}

/// How a part of a wait has ended.
pub(crate) enum Attempt {
    Acquired(HeldLock),
    /// The wait has become slow, which is told once; it is to be continued.
    Slow(String),
}

impl LockWait {
    /// Waits until the lock is acquired, or the wait becomes slow, or its limit is
    /// reached: then the error is `Busy` and names the holder.
    pub fn attempt(&mut self) -> Result<Attempt> {
        loop {
            if let Some(held) = HeldLock::try_acquire(&self.file, &self.path, Lock::Exclusive)? {
                return Ok(Attempt::Acquired(held));
            }
            let waited = self.since.elapsed();
            let left = self.limit.map(|limit| limit.saturating_sub(waited));
            if left == Some(Duration::ZERO) {
                return Err(Error::new(Kind::Busy, self.describe(waited)));
            }
            if waited >= SLOW && !self.told {
                self.told = true;
                return Ok(Attempt::Slow(self.describe(waited)));
            }
            std::thread::sleep(self.pause.min(left.unwrap_or(Duration::MAX)));
            let longest = if self.told {
                LONGEST_SLOW_PAUSE
            } else {
                LONGEST_PAUSE
            };
            self.pause = (self.pause * 2).min(longest);
        }
    }

    /// Waits to the end; `on_slow` is called if it takes long.
    pub fn acquire(mut self, on_slow: &dyn Fn(String)) -> Result<HeldLock> {
        loop {
            match self.attempt()? {
                Attempt::Acquired(held) => return Ok(held),
                Attempt::Slow(message) => on_slow(message),
            }
        }
    }

    fn describe(&self, waited: Duration) -> String {
        let holder = match self.file.lock_holder() {
            Some(pid) if pid == std::process::id() => {
                format!("another writer of this process ({pid})")
            }
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        };
        format!(
            "waited {} ms for the lock {}, which {holder} holds",
            waited.as_millis(),
            self.path.display()
        )
    }
}
