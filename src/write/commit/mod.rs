//! Group commit: one thread, the leader, commits a batch for all that wait for it.
//!
//! There are two locks. The pending lock, held briefly, guards the [`PendingBatch`],
//! which collects events. The trail lock, held during a commit, guards the
//! [`CommitState`]. Its holder takes the whole pending batch in one swap.
//!
//! WRITTEN and SYNCED: a thread that has added its event and finds the trail lock
//! free becomes the leader. It takes all events that were added by then, commits
//! them, releases the trail, wakes one of the threads that joined meanwhile to lead
//! the next batch, and then passes the outcome to those that waited for this one. No
//! thread sleeps on the trail lock while a batch collects. A single thread pays for
//! two uncontended locks.
//!
//! BUFFERED and MAPPED: an event gets its id when it is added, and the append returns;
//! see `buffer`.

mod buffer;
mod sync;

pub(crate) use buffer::buffer_file_bytes;

use crate::error::{Error, Kind, Result};
use crate::event::EventLine;
use crate::store::buffer_file::BufferFile;
use crate::store::lock::{CommitLock, CommitTurns};
use crate::store::lock_file::{Attempt, HeldLock};
use crate::store::segment::Slot;
use crate::sync::{
    Arc, AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, OnceLock, Ordering, PoisonError,
    TryLockError, is_poisoned, yield_now,
};
use crate::warning::{Warning, WarningKind};
use crate::write::batch::{Batch, BodyOf, CheckedBatch};
use crate::write::group::Group;
use crate::write::name_hash::NameHashBuilder;
use crate::write::options::{Durability, Options};
use crate::write::stats::Stats;
use crate::write::trail::{CommitLevel, Trail};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often a thread that waits for a batch yields before it sleeps: writing a batch
/// takes about as long as a few yields.
const YIELDS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Committer {
    pending: Mutex<PendingBatch>,
    trail: Mutex<CommitState>,
    /// Serializes syncs, so that a second one does not return before the first, which
    /// took its segments, has synced them.
    syncing: Mutex<()>,
    /// Set once, by the error that failed the writer.
    failed: OnceLock<Error>,
    synced: AtomicU64,
    events: AtomicU64,
    batches: AtomicU64,
    flush_failures: AtomicU64,
    durability: Durability,
    /// Shared writers: the lock under which they commit.
    commit_lock: Option<CommitLock>,
    /// Warnings that are delivered while the trail may be locked.
    urgent_warnings: Mutex<Vec<Warning>>,
    /// Whether there may be warnings to deliver.
    warnings_pending: AtomicBool,
    buffer_bytes: usize,
    /// Tells the flusher thread, with `closed`, that the writer is being closed.
    closing: Mutex<bool>,
    closed: Condvar,
}

/// The batch that collects events, and the group of threads that wait for it.
#[derive(Debug)]
struct PendingBatch {
    batch: Batch,
    /// The threads that wait until this batch is committed, if there are any.
    group: Option<Arc<Group>>,
    slots: HashMap<Box<str>, Slot, NameHashBuilder>,
    /// Streams that the trail does not know yet.
    new_streams: Vec<Box<str>>,
    /// BUFFERED and MAPPED: the last assigned id.
    last_id: u64,
    /// BUFFERED: bytes of the batch that is being flushed or whose flush failed.
    unflushed_bytes: usize,
    /// BUFFERED: when an append may retry a failed flush; 0 if none has failed.
    retry_at: u64,
}

/// The trail, and the batch that is being written to it.
#[derive(Debug)]
struct CommitState {
    trail: Trail,
    /// The batch that is being written. After a failed flush it keeps the events for the
    /// retry.
    batch: Batch,
    /// Shared writers: the wait for the commit lock.
    turns: CommitTurns,
    /// SYNCED: the number of events of the last batch, and how long its commit took.
    last_len: usize,
    last_duration: Duration,
}

/// Passes an error to the group if its leader panics.
struct FailOnPanic(Option<Arc<Group>>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            group.finish(Err(panicked()));
        }
    }
}

/// Must be dropped after the trail was released: wakes a leader for the threads that
/// joined meanwhile, or passes them an error if a panic released the trail.
struct WakeNextLeader<'c>(&'c Committer);

impl Drop for WakeNextLeader<'_> {
    fn drop(&mut self) {
        let mut pending = self
            .0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if is_poisoned(&self.0.trail) || is_poisoned(&self.0.pending) {
            let _ = self.0.failed.set(panicked());
            if let Some(group) = pending.group.take() {
                group.finish(Err(panicked()));
            }
        } else if let Some(group) = &pending.group {
            group.wake_leader();
        }
    }
}

/// Exclusive access to the trail. Releasing it wakes the next leader, so that threads
/// that joined meanwhile do not wait forever.
struct TrailGuard<'c> {
    // Dropped first: the trail must be free when the leader wakes.
    state: MutexGuard<'c, CommitState>,
    _wake_next: WakeNextLeader<'c>,
}

/// What a thread that found the trail free has done.
enum Led<'c> {
    /// Its event has this id.
    Committed(u64),
    /// It has waited long for the commit lock of a shared trail; nothing is committed.
    Slow(TrailGuard<'c>, MutexGuard<'c, PendingBatch>),
}

fn panicked() -> Error {
    Error::new(
        Kind::Failed,
        "the writer was interrupted by a panic; reopen it",
    )
}

impl Committer {
    pub fn new(
        trail: Trail,
        buffer_files: Option<[BufferFile; 2]>,
        commit_lock: Option<CommitLock>,
        options: &Options,
    ) -> Self {
        let (durability, buffer_bytes) = (options.durability, options.buffer_bytes);
        let (last_id, synced_id) = (trail.last_id(), trail.synced_id());
        let batch_bytes = buffer::batch_share(buffer_bytes);
        let [collecting, flushing] = match buffer_files {
            Some(files) => files.map(Batch::mapped),
            None => [(); 2].map(|()| Batch::retaining(batch_bytes)),
        };
        Self {
            pending: Mutex::new(PendingBatch {
                batch: collecting,
                group: None,
                slots: HashMap::default(),
                new_streams: Vec::new(),
                last_id,
                unflushed_bytes: 0,
                retry_at: 0,
            }),
            trail: Mutex::new(CommitState {
                trail,
                batch: flushing,
                turns: CommitTurns::default(),
                last_len: 0,
                last_duration: Duration::ZERO,
            }),
            syncing: Mutex::default(),
            failed: OnceLock::new(),
            synced: AtomicU64::new(synced_id),
            events: AtomicU64::default(),
            batches: AtomicU64::default(),
            flush_failures: AtomicU64::default(),
            durability,
            commit_lock,
            urgent_warnings: Mutex::default(),
            warnings_pending: AtomicBool::new(true),
            buffer_bytes,
            closing: Mutex::new(false),
            closed: Condvar::new(),
        }
    }

    /// Appends one event, and waits until it is as durable as asked. Returns its id.
    /// `on_slow` is called, with no lock held, if the wait has become worth a warning.
    pub fn append(
        &self,
        line: &EventLine<'_>,
        level: CommitLevel,
        on_slow: &dyn Fn(),
    ) -> Result<u64> {
        self.check()?;
        let mut pending = self.pending()?;
        let slot = pending.slot(line.stream);
        let event = pending.batch.push(slot, BodyOf::unrecorded(line.body), 0);
        self.commit_joined(pending, event, level, on_slow)
    }

    /// Appends events with consecutive ids, all or none. Returns the first id.
    pub fn append_all(
        &self,
        events: &CheckedBatch,
        level: CommitLevel,
        on_slow: &dyn Fn(),
    ) -> Result<u64> {
        self.check()?;
        let mut pending = self.pending()?;
        let first = pending.batch.len();
        for (stream, bodies) in events.runs() {
            let slot = pending.slot(stream);
            pending.batch.push_run(slot, bodies);
        }
        self.commit_joined(pending, first, level, on_slow)
    }

    /// Waits until an event of the pending batch is committed; returns its id.
    fn commit_joined<'c>(
        &'c self,
        mut pending: MutexGuard<'c, PendingBatch>,
        event: usize,
        level: CommitLevel,
        on_slow: &dyn Fn(),
    ) -> Result<u64> {
        let yields = match level {
            CommitLevel::Written => YIELDS,
            CommitLevel::Synced => 0,
        };
        let mut slow = None;
        loop {
            // Tried under the pending lock: the holder of the trail acquires that lock
            // after releasing the trail, and so sees this event.
            match self.trail.try_lock() {
                Ok(state) => match self.lead(state, pending, event, level)? {
                    Led::Committed(id) => return Ok(id),
                    // Joins the group below, so that another thread can commit the batch
                    // meanwhile.
                    Led::Slow(trail, released) => {
                        pending = released;
                        slow = Some(trail);
                    }
                },
                Err(TryLockError::Poisoned(_)) => return Err(panicked()),
                Err(TryLockError::WouldBlock) => {}
            }
            let group = pending.group.get_or_insert_default().clone();
            group.clear_leader();
            drop(pending);
            if let Some(TrailGuard { state, _wake_next }) = slow.take() {
                drop(state);
                on_slow();
            }
            pending = loop {
                match group.wait(yields) {
                    Some(Ok(ids)) => return Ok(ids[event]),
                    Some(Err(error)) => return Err(error.clone()),
                    None => {}
                }
                let Ok(pending) = self.pending() else {
                    drop(WakeNextLeader(self));
                    return Err(panicked());
                };
                // Otherwise another thread has taken the batch, and sets the outcome.
                if (pending.group.as_ref()).is_some_and(|waiting| Arc::ptr_eq(waiting, &group)) {
                    break pending;
                }
            };
        }
    }

    /// Commits the pending batch for all threads that wait for it; returns the id of the
    /// leader's `event`.
    fn lead<'c>(
        &'c self,
        state: MutexGuard<'c, CommitState>,
        mut pending: MutexGuard<'c, PendingBatch>,
        event: usize,
        level: CommitLevel,
    ) -> Result<Led<'c>> {
        let wake_next = WakeNextLeader(self);
        let mut state = state;
        if level == CommitLevel::Synced {
            pending = self.wait_for_joiners(&state, pending)?;
        }
        let commit_lock = match &self.commit_lock {
            None => Ok(None),
            Some(lock) => {
                // So that others join the batch meanwhile.
                drop(pending);
                let attempt = lock.attempt(&mut state.turns);
                pending = self.pending()?;
                match attempt {
                    Ok(Attempt::Acquired(held)) => Ok(Some(held)),
                    Ok(Attempt::Slow(message)) => {
                        self.warn_urgently(WarningKind::LockWait, message);
                        let trail = TrailGuard {
                            state,
                            _wake_next: wake_next,
                        };
                        return Ok(Led::Slow(trail, pending));
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let started = (level == CommitLevel::Synced).then(Instant::now);
        let mut fail_on_panic = FailOnPanic(pending.swap_into(&mut state));
        drop(pending);
        let result = self
            .check()
            .and(commit_lock)
            .and_then(|commit_lock| self.commit(&mut state, level, commit_lock.as_ref()));
        let id = state.batch.id(event);
        let outcome = match &result {
            Ok(()) if fail_on_panic.0.is_some() => Ok(state.batch.ids().collect()),
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(error.clone()),
        };
        if let Some(started) = started {
            state.last_len = state.batch.len();
            state.last_duration = started.elapsed();
        }
        state.batch.clear();
        // Wakes the next leader first: the disk must not idle while the group is woken.
        drop(state);
        drop(wake_next);
        if let Some(group) = fail_on_panic.0.take() {
            group.finish(outcome);
        }
        result.map(|()| Led::Committed(id))
    }

    /// Waits briefly for the threads of the last batch, which are likely to append
    /// again: one sync for all costs no more than a sync for one. If fewer come, the
    /// next commit waits for fewer.
    fn wait_for_joiners<'c>(
        &'c self,
        state: &CommitState,
        mut pending: MutexGuard<'c, PendingBatch>,
    ) -> Result<MutexGuard<'c, PendingBatch>> {
        let since = Instant::now();
        while pending.batch.len() < state.last_len && since.elapsed() < state.last_duration / 4 {
            drop(pending);
            yield_now();
            pending = self.pending()?;
        }
        Ok(pending)
    }

    /// Commits the batch that was swapped in.
    fn commit(
        &self,
        state: &mut CommitState,
        level: CommitLevel,
        commit_lock: Option<&HeldLock>,
    ) -> Result<()> {
        let CommitState { trail, batch, .. } = state;
        let result = trail.commit(batch, level, commit_lock);
        if !trail.report.warnings.is_empty() {
            self.warnings_pending.store(true, Ordering::Relaxed);
        }
        if let Err(error) = result {
            if error.kind() == Kind::Failed {
                let _ = self.failed.set(error.clone());
                trail.mark_sync_failed();
            }
            return Err(error);
        }
        if level == CommitLevel::Synced {
            self.synced.store(trail.last_id(), Ordering::Release);
        }
        let count = |counter: &AtomicU64, n: usize| {
            counter.fetch_add(n as u64, Ordering::Relaxed);
        };
        count(&self.events, batch.len());
        count(&self.batches, 1);
        Ok(())
    }

    /// Writes all accepted events to their segments.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
        // Waiting for the trail also waits for what other threads are writing.
        self.with_trail(|state| self.flush_buffer(state))
    }

    /// Returns an error if the writer has failed, or is closed.
    fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(closed) if closed.kind() == Kind::InvalidArgument => Err(closed.clone()),
            Some(cause) => Err(cause
                .clone()
                .wrap(Kind::Failed, "the writer has failed and must be reopened")),
        }
    }

    pub fn stats(&self) -> Result<Stats> {
        let guard = self.lock_trail()?;
        let state = &guard.state;
        let pending = self.pending()?;
        let waiting = pending.batch.len() + state.batch.len();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let trail = &state.trail;
        Ok(Stats {
            events: load(&self.events),
            bytes: trail.bytes,
            batches: load(&self.batches),
            rotations: trail.rotations,
            syncs: trail.syncs,
            last_id: trail.last_id() + waiting as u64,
            written_id: trail.last_id(),
            synced_id: self.synced.load(Ordering::Acquire),
            torn_tails: trail.report.torn_tails,
            torn_bytes: trail.report.torn_bytes,
            missing_ids: trail.report.missing_ids,
            waiting: waiting as u64,
            streams: trail.streams() as u64,
            open_files: trail.open_files() as u64,
            flush_failures: load(&self.flush_failures),
        })
    }

    /// All events up to this one are in their segment files; 0 if that is not known,
    /// after a panic.
    pub fn written_id(&self) -> u64 {
        self.with_trail(|state| Ok(state.trail.last_id()))
            .unwrap_or(0)
    }

    /// All events up to this one are on disk.
    pub fn synced_id(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Keeps a warning for [`Committer::take_warnings`].
    pub fn warn(&self, kind: WarningKind, message: String) {
        let added = self.with_trail(|state| {
            state.trail.report.warn(kind, message);
            Ok(())
        });
        if added.is_ok() {
            self.warnings_pending.store(true, Ordering::Relaxed);
        }
    }

    /// Keeps a warning that is to be delivered even while the trail is locked.
    fn warn_urgently(&self, kind: WarningKind, message: String) {
        self.urgent_warnings().push(Warning { kind, message });
        self.warnings_pending.store(true, Ordering::Relaxed);
    }

    fn urgent_warnings(&self) -> MutexGuard<'_, Vec<Warning>> {
        let warnings = self.urgent_warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Committer::take_warnings`] may return any.
    pub fn has_warnings(&self) -> bool {
        self.warnings_pending.load(Ordering::Relaxed)
    }

    /// The warnings since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let _wake_next = WakeNextLeader(self);
        // Does not wait for a commit: its warnings are returned next time.
        let mut warnings = match self.trail.try_lock() {
            Ok(mut state) => {
                self.warnings_pending.store(false, Ordering::Relaxed);
                std::mem::take(&mut state.trail.report.warnings)
            }
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => Vec::new(),
        };
        warnings.append(&mut self.urgent_warnings());
        warnings
    }

    fn pending(&self) -> Result<MutexGuard<'_, PendingBatch>> {
        self.pending.lock().map_err(|_| panicked())
    }

    /// Runs `body` with exclusive access to the trail.
    fn with_trail<T>(&self, body: impl FnOnce(&mut CommitState) -> Result<T>) -> Result<T> {
        body(&mut self.lock_trail()?.state)
    }

    fn lock_trail(&self) -> Result<TrailGuard<'_>> {
        // Created first, so that a leader is woken, or gets the error, if locking fails.
        let wake_next = WakeNextLeader(self);
        let state = self.trail.lock().map_err(|_| panicked())?;
        Ok(TrailGuard {
            state,
            _wake_next: wake_next,
        })
    }
}

impl PendingBatch {
    fn slot(&mut self, stream: &str) -> Slot {
        if let Some(&slot) = self.slots.get(stream) {
            return slot;
        }
        let slot = self.slots.len() as Slot;
        self.slots.insert(stream.into(), slot);
        self.new_streams.push(stream.into());
        slot
    }

    /// Swaps the pending batch into the commit state, for its empty one.
    fn swap_into(&mut self, state: &mut CommitState) -> Option<Arc<Group>> {
        std::mem::swap(&mut self.batch, &mut state.batch);
        state.trail.add_streams(self.new_streams.drain(..));
        self.group.take()
    }
}
