//! Syncing: brings committed events to disk while appends go on.
//!
//! What has to be synced is taken from the trail, synced without the trail's lock, and
//! recorded; a shared writer does all of that under the commit lock. A failed sync
//! fails the writer for good; after any other error, such as one of opening a file, it is
//! returned to the trail and may be retried.

use super::{CommitState, Committer, panicked};
use crate::error::{Error, Kind, Result};
use crate::store::buffer_file;
use crate::store::lock::CommitLock;
use crate::store::lock_file::SLOW;
use crate::sync::Ordering;
use crate::warning::WarningKind;
use crate::write::options::Durability;
use crate::write::trail::Trail;

impl Committer {
    /// Makes all accepted events durable.
    pub fn sync(&self) -> Result<()> {
        self.check()?;
        let _one_at_a_time = self.syncing.lock().map_err(|_| panicked())?;
        let unsynced = self.with_trail(|state| {
            self.flush_buffer(state)?;
            self.check_files(&state.trail)?;
            let up_to = state.trail.last_id();
            if self.synced.load(Ordering::Acquire) == up_to {
                return Ok(None);
            }
            if let Some(commit_lock) = &self.commit_lock {
                self.sync_shared(state, commit_lock)?;
                return Ok(None);
            }
            if self.durability == Durability::Synced {
                // Seldom, after an append that failed. Were it synced without the trail
                // lock, an append could be acknowledged before a folder that it needs,
                // and that is taken here, is on disk.
                (state.trail.sync_segments(up_to)).map_err(|error| match error.kind() {
                    Kind::Failed => self.fail_after_sync(state, error),
                    _ => error,
                })?;
            }
            let (storage, layout) = (state.trail.storage.clone(), state.trail.layout.clone());
            Ok(Some((state.trail.take_unsynced(up_to), storage, layout)))
        })?;
        let Some((unsynced, storage, layout)) = unsynced else {
            return Ok(());
        };
        // Without the trail lock, so that appends continue during the sync.
        let up_to = unsynced.up_to;
        let gone = match unsynced.sync(&*storage, &layout) {
            Ok(gone) => gone,
            Err(error) if error.kind() == Kind::Failed => return Err(self.sync_failed(error)),
            Err(error) => {
                self.with_trail(|state| {
                    state.trail.requeue_unsynced(unsynced);
                    Ok(())
                })?;
                return Err(error);
            }
        };
        let state_file = self.with_trail(|state| {
            state.trail.warn_of_gone(&gone);
            if !gone.is_empty() {
                self.warnings_pending.store(true, Ordering::Relaxed);
            }
            state.trail.record_synced(up_to)
        })?;
        // A state that lags behind what is on disk makes recovery doubt synced events.
        state_file
            .sync(&layout)
            .map_err(|error| self.sync_failed(error))?;
        self.synced.fetch_max(up_to, Ordering::AcqRel);
        Ok(())
    }

    /// Makes all events of a shared writer durable. Others wait for that: a sync that
    /// fails takes from them what they have written, and only the state tells them.
    fn sync_shared(&self, state: &mut CommitState, commit_lock: &CommitLock) -> Result<()> {
        let _held = commit_lock
            .wait()
            .acquire(&|message| self.warn_urgently(WarningKind::LockWait, message))?;
        let trail = &mut state.trail;
        let up_to = trail.last_id();
        trail.refresh_from_state()?;
        trail.sync_segments(up_to).inspect_err(|error| {
            if error.kind() == Kind::Failed {
                self.fail_if_failed(error);
                trail.mark_sync_failed();
            }
        })?;
        trail.set_synced(up_to);
        self.synced.fetch_max(up_to, Ordering::AcqRel);
        Ok(())
    }

    /// Runs `sync`, which brings to disk what all writers of a shared trail have written.
    /// If it fails, this writer has failed, and the state tells the others.
    pub fn with_commit_lock(&self, sync: &dyn Fn() -> Result<()>) -> Result<()> {
        self.check()?;
        self.with_trail(|state| {
            let _held = match &self.commit_lock {
                Some(lock) => {
                    let on_slow = |message| self.warn_urgently(WarningKind::LockWait, message);
                    let held = lock.wait().acquire(&on_slow)?;
                    state.trail.refresh_from_state()?;
                    Some(held)
                }
                None => None,
            };
            sync().inspect_err(|error| {
                if error.kind() == Kind::Failed {
                    self.fail_if_failed(error);
                    state.trail.mark_sync_failed();
                }
            })
        })
    }

    /// Fails the writer for good after a failed sync.
    fn sync_failed(&self, error: Error) -> Error {
        // At once, so that no append is acknowledged that waits for the trail meanwhile.
        let _ = self.failed.set(error.clone());
        match self.lock_trail() {
            Ok(mut trail) => self.fail_after_sync(&mut trail.state, error),
            Err(_) => error,
        }
    }

    /// The same for who has the trail.
    fn fail_after_sync(&self, state: &mut CommitState, error: Error) -> Error {
        let _ = self.failed.set(error.clone());
        // Another shared writer that is in the midst of a batch would undo the mark. If
        // the lock cannot be had, it is made nevertheless.
        let commit_lock = self.commit_lock.as_ref();
        let held = commit_lock.map(|lock| lock.wait_at_most(SLOW));
        if let Some(Ok(_)) = &held {
            // So that the state does not fall behind what others have written.
            let _ = state.trail.refresh_from_state();
        }
        state.trail.mark_sync_failed();
        error
    }

    /// Checks that the trail's files were not changed from outside; fails the writer if
    /// they were.
    fn check_files(&self, trail: &Trail) -> Result<()> {
        trail
            .check_files()
            .inspect_err(|error| self.fail_if_failed(error))
    }

    fn fail_if_failed(&self, error: &Error) {
        if error.kind() == Kind::Failed {
            let _ = self.failed.set(error.clone());
        }
    }

    /// Flushes, syncs, and marks the trail as cleanly closed. What comes afterwards, from
    /// a warning handler, is refused.
    pub fn finish(&self) -> Result<()> {
        let result = self.sync().and_then(|()| self.finish_trail());
        let _ = self.failed.set(Error::argument("the writer is closed"));
        result
    }

    fn finish_trail(&self) -> Result<()> {
        self.with_trail(|state| {
            let trail = &mut state.trail;
            // Closing may find what there is to warn of.
            self.warnings_pending.store(true, Ordering::Relaxed);
            trail.finish().inspect_err(|_| trail.mark_sync_failed())?;
            // Before the files go, so that nothing more is accepted into them.
            let _ = self.failed.set(Error::argument("the writer is closed"));
            if self.durability == Durability::Mapped {
                // They are empty; the next opening removes what is left.
                let _ = buffer_file::discard(&*trail.storage, &trail.layout);
            }
            Ok(())
        })
    }
}
