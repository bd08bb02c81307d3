//! When a writer signs its trail, and the thread that hashes ahead.
//!
//! A writer asks [`Prover::is_due`] after each append. At a sync, at close, and when a
//! checkpoint is due, it syncs the trail and has a checkpoint made.

use super::checkpoint::SignedCheckpoint;
use super::log_writer::{LogWriter, WithCommitLock};
use crate::error::{Error, Kind, Result};
use crate::os;
use crate::store::lock_file::Waiting;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, TryLockError};

/// A [`LogWriter`] for many threads, one of which at a time makes a checkpoint.
#[derive(Debug)]
pub(crate) struct Prover {
    log_writer: Mutex<LogWriter>,
    /// The id and the time, in coarse milliseconds, from which a checkpoint is due.
    due_at_id: AtomicU64,
    due_at_time: AtomicU64,
    /// The id from which the follower thread is worth waking.
    follow_at: AtomicU64,
    follower: Mutex<FollowerState>,
    follower_wake: Condvar,
}

/// What the follower thread, which hashes ahead of the next checkpoint, is to do.
#[derive(Debug, Default)]
struct FollowerState {
    has_work: bool,
    ended: bool,
}

/// The follower is woken for this many new events.
const FOLLOW_EVENTS: u64 = 4096;

impl Prover {
    pub fn new(log_writer: LogWriter) -> Self {
        let prover = Self {
            due_at_id: AtomicU64::default(),
            due_at_time: AtomicU64::default(),
            follow_at: AtomicU64::new(u64::MAX),
            follower: Mutex::default(),
            follower_wake: Condvar::new(),
            log_writer: Mutex::new(log_writer),
        };
        if let Ok(log_writer) = prover.log_writer.lock() {
            prover.schedule(
                &log_writer,
                log_writer.signed().map_or(0, SignedCheckpoint::size),
            );
        }
        prover
    }

    fn schedule(&self, log_writer: &LogWriter, id: u64) {
        let at_id = log_writer
            .options
            .every_events
            .map_or(u64::MAX, |every| id.saturating_add(every));
        let at_time = log_writer.options.every.map_or(u64::MAX, |every| {
            os::coarse_millis().saturating_add(u64::try_from(every.as_millis()).unwrap_or(u64::MAX))
        });
        self.due_at_id.store(at_id, Ordering::Relaxed);
        self.due_at_time.store(at_time, Ordering::Relaxed);
    }

    /// Whether a thread may hash ahead what is written: only if no other process writes.
    pub fn can_follow(&self) -> bool {
        self.log_writer
            .lock()
            .is_ok_and(|log_writer| !log_writer.shared)
    }

    /// What the follower thread does: hashes events soon after they are written, until
    /// [`Prover::end`]. `written` returns the last id that is written.
    pub fn follow(&self, written: impl Fn() -> u64) {
        loop {
            self.follow_at
                .store(written().saturating_add(FOLLOW_EVENTS), Ordering::Relaxed);
            let Ok(mut follower) = self.follower.lock() else {
                return;
            };
            while !follower.has_work && !follower.ended {
                follower = match self.follower_wake.wait(follower) {
                    Ok(follower) => follower,
                    Err(_) => return,
                };
            }
            follower.has_work = false;
            if follower.ended {
                return;
            }
            drop(follower);
            // What fails here fails again at the next checkpoint, which reports it.
            if let Ok(mut log_writer) = self.log_writer.lock() {
                let _ = log_writer.follow(written());
            }
        }
    }

    fn wake_follower(&self) {
        if self.follow_at.swap(u64::MAX, Ordering::Relaxed) != u64::MAX
            && let Ok(mut follower) = self.follower.lock()
        {
            follower.has_work = true;
            self.follower_wake.notify_one();
        }
    }

    /// Ends the follower thread.
    pub fn end(&self) {
        if let Ok(mut follower) = self.follower.lock() {
            follower.ended = true;
        }
        self.follower_wake.notify_one();
    }

    /// Whether a checkpoint is due, now that `id` was given. Wakes the follower if
    /// there is enough to hash.
    pub fn is_due(&self, id: u64) -> bool {
        if id >= self.follow_at.load(Ordering::Relaxed) {
            self.wake_follower();
        }
        if id >= self.due_at_id.load(Ordering::Relaxed) {
            return true;
        }
        let at_time = self.due_at_time.load(Ordering::Relaxed);
        at_time != u64::MAX && os::coarse_millis() >= at_time
    }

    /// Makes the checkpoint that is due, unless another thread is making one. `sync`
    /// syncs the trail and returns the last id that is on disk.
    pub fn when_due(
        &self,
        sync: impl FnOnce() -> Result<u64>,
        waiting: Waiting<'_>,
        with_commit_lock: WithCommitLock<'_>,
    ) -> Result<()> {
        match self.log_writer.try_lock() {
            Ok(log_writer) => self.sign(log_writer, sync, waiting, with_commit_lock),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Poisoned(_)) => Err(interrupted()),
        }
    }

    /// Makes a checkpoint of the trail as it is now.
    pub fn checkpoint(
        &self,
        sync: impl FnOnce() -> Result<u64>,
        waiting: Waiting<'_>,
        with_commit_lock: WithCommitLock<'_>,
    ) -> Result<()> {
        let log_writer = self.log_writer.lock().map_err(|_| interrupted())?;
        self.sign(log_writer, sync, waiting, with_commit_lock)
    }

    fn sign(
        &self,
        mut log_writer: MutexGuard<'_, LogWriter>,
        sync: impl FnOnce() -> Result<u64>,
        waiting: Waiting<'_>,
        with_commit_lock: WithCommitLock<'_>,
    ) -> Result<()> {
        let synced_id = sync()?;
        let signed = log_writer.checkpoint(synced_id, waiting, with_commit_lock);
        // One that failed is tried again when the next one is due.
        self.schedule(&log_writer, synced_id);
        signed
    }
}

fn interrupted() -> Error {
    Error::new(
        Kind::Failed,
        "the log was interrupted by a panic; reopen the writer",
    )
}
