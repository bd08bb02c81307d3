//! Who commits for whom: batches, ids, watermarks.
//!
//! Two locks. Behind the first, short one is the *queue*: the batch that is
//! being gathered. Behind the second, long one is the *trail*: the files. Who
//! has the trail takes the whole queue in one swap.
//!
//! WRITTEN and SYNCED: a thread that has joined and finds the trail free leads:
//! it takes whatever has joined by then, commits it, lets the trail go, calls one
//! of those who have joined meanwhile to lead the next batch, and tells those
//! who waited for this one. No thread sleeps on the trail while a batch gathers:
//! whoever comes by first takes it along. A thread alone pays for free locks.
//!
//! BUFFERED: an event gets its id as it joins the queue, and the append returns;
//! see `buffer`.

mod buffer;

use crate::error::{Error, Kind, Result};
use crate::event::EventLine;
use crate::store::segment::Slot;
use crate::sync::{
    Arc, AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard, OnceLock, Ordering, PoisonError,
    TryLockError, is_poisoned, yield_now,
};
use crate::warning::{Warning, WarningKind};
use crate::write::batch::{Batch, CheckedBatch};
use crate::write::group::Group;
use crate::write::name_hash::Seed;
use crate::write::stats::Stats;
use crate::write::trail::{CommitLevel, Trail};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often a thread that waits for a batch lets others run before it sleeps:
/// a write takes about as long as a few of them.
const YIELDS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Committer {
    queue: Mutex<PendingBatch>,
    trail: Mutex<CommitState>,
    /// One sync at a time, so that a second one does not report what the first
    /// has not yet done.
    syncing: Mutex<()>,
    /// Set once, by what makes it unknown what is on disk.
    failed: OnceLock<Error>,
    synced: AtomicU64,
    events: AtomicU64,
    batches: AtomicU64,
    flush_failures: AtomicU64,
    /// Whether there is something to warn of.
    warned: AtomicBool,
    buffer_bytes: usize,
    /// For the flusher: whether the writer is being closed.
    closing: Mutex<bool>,
    closed: Condvar,
}

/// What gathers.
#[derive(Debug)]
struct PendingBatch {
    batch: Batch,
    /// Those who sleep until this batch is committed, if there are any.
    group: Option<Arc<Group>>,
    slots: HashMap<Box<str>, Slot, Seed>,
    /// Streams that the trail does not know yet.
    new_streams: Vec<Box<str>>,
    /// BUFFERED: the last id given.
    last_id: u64,
    /// BUFFERED: bytes of the batch that is being flushed, or failed to be.
    held: usize,
    /// BUFFERED: when an unasked flush may be tried again.
    retry_at: u64,
}

/// What is written.
#[derive(Debug)]
struct CommitState {
    trail: Trail,
    /// The batch that is being written. After a failed flush it holds what has
    /// to be tried again.
    batch: Batch,
    /// SYNCED: how many events the last batch had, how long its commit took.
    expected: usize,
    took: Duration,
}

/// Tells a group that its leader panicked, if it did.
struct FailOnPanic(Option<Arc<Group>>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            group.finish(Err(panicked()));
        }
    }
}

/// Dropped after the trail was let go of: calls those who have joined meanwhile,
/// or tells them that it was a panic that set the trail free.
struct WakeNextLeader<'c>(&'c Committer);

impl Drop for WakeNextLeader<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if is_poisoned(&self.0.trail) || is_poisoned(&self.0.queue) {
            let _ = self.0.failed.set(panicked());
            if let Some(group) = queue.group.take() {
                group.finish(Err(panicked()));
            }
        } else if let Some(group) = &queue.group {
            group.wake_leader();
        }
    }
}

/// The trail, taken. Letting it go calls the next leader, so that nobody who
/// joined meanwhile is forgotten.
struct TrailGuard<'c> {
    // Before the wake_leader, for the trail must be free when it is made.
    files: MutexGuard<'c, CommitState>,
    _wake_next: WakeNextLeader<'c>,
}

fn panicked() -> Error {
    Error::new(
        Kind::Failed,
        "the writer was interrupted by a panic; reopen it",
    )
}

impl Committer {
    pub fn new(trail: Trail, synced_id: u64, buffer_bytes: usize) -> Self {
        let last_id = trail.last_id();
        let room = buffer::most_gathered(buffer_bytes);
        Self {
            queue: Mutex::new(PendingBatch {
                batch: Batch::with_room(room),
                group: None,
                slots: HashMap::default(),
                new_streams: Vec::new(),
                last_id,
                held: 0,
                retry_at: 0,
            }),
            trail: Mutex::new(CommitState {
                trail,
                batch: Batch::with_room(room),
                expected: 0,
                took: Duration::ZERO,
            }),
            syncing: Mutex::default(),
            failed: OnceLock::new(),
            synced: AtomicU64::new(synced_id),
            events: AtomicU64::default(),
            batches: AtomicU64::default(),
            flush_failures: AtomicU64::default(),
            warned: AtomicBool::new(true),
            buffer_bytes,
            closing: Mutex::new(false),
            closed: Condvar::new(),
        }
    }

    /// Appends one event, and waits until it is as safe as asked. Says its id.
    pub fn append(&self, line: &EventLine<'_>, level: CommitLevel) -> Result<u64> {
        self.check()?;
        let mut queue = self.queue()?;
        let slot = queue.slot(line.stream);
        let event = queue.batch.push(slot, line.body, 0);
        self.commit_joined(queue, event, level)
    }

    /// Appends events with consecutive ids, all or none. Says the first id.
    pub fn append_all(&self, events: &CheckedBatch, level: CommitLevel) -> Result<u64> {
        self.check()?;
        let mut queue = self.queue()?;
        let first = queue.batch.len();
        for (stream, bodies) in events.runs() {
            let slot = queue.slot(stream);
            queue.batch.push_run(slot, bodies);
        }
        self.commit_joined(queue, first, level)
    }

    /// Waits until the event that has joined is committed; says its id.
    fn commit_joined<'c>(
        &'c self,
        mut queue: MutexGuard<'c, PendingBatch>,
        event: usize,
        level: CommitLevel,
    ) -> Result<u64> {
        let yields = match level {
            CommitLevel::Written => YIELDS,
            CommitLevel::Synced => 0,
        };
        loop {
            // While the queue is held: whoever has the trail looks into the
            // queue after letting it go, and so sees this event.
            match self.trail.try_lock() {
                Ok(files) => return self.lead(files, queue, event, level),
                Err(TryLockError::Poisoned(_)) => return Err(panicked()),
                Err(TryLockError::WouldBlock) => {}
            }
            let group = queue.group.get_or_insert_default().clone();
            group.await_leader();
            drop(queue);
            queue = loop {
                match group.wait(yields) {
                    Some(Ok(ids)) => return Ok(ids[event]),
                    Some(Err(error)) => return Err(error.clone()),
                    None => {}
                }
                let Ok(queue) = self.queue() else {
                    drop(WakeNextLeader(self));
                    return Err(panicked());
                };
                // Unless someone was quicker, who will tell.
                if (queue.group.as_ref()).is_some_and(|waiting| Arc::ptr_eq(waiting, &group)) {
                    break queue;
                }
            };
        }
    }

    /// Commits what has joined, for all who wait for it; says an event's id.
    fn lead<'c>(
        &'c self,
        files: MutexGuard<'c, CommitState>,
        mut queue: MutexGuard<'c, PendingBatch>,
        event: usize,
        level: CommitLevel,
    ) -> Result<u64> {
        let wake_next = WakeNextLeader(self);
        let mut files = files;
        let mut started = None;
        if level == CommitLevel::Synced {
            queue = self.gather(&files, queue)?;
            started = Some(Instant::now());
        }
        let mut fail_on_panic = FailOnPanic(queue.hand_over(&mut files));
        drop(queue);
        let result = self.check().and_then(|()| self.commit(&mut files, level));
        let id = files.batch.id(event);
        let outcome = match &result {
            Ok(()) if fail_on_panic.0.is_some() => Ok(files.batch.ids().collect()),
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(error.clone()),
        };
        if let Some(started) = started {
            files.expected = files.batch.len();
            files.took = started.elapsed();
        }
        files.batch.clear();
        // The next leader first: the disk is not to wait until all are awake.
        drop(files);
        drop(wake_next);
        if let Some(group) = fail_on_panic.0.take() {
            group.finish(outcome);
        }
        result.map(|()| id)
    }

    /// Waits a moment for those who have just been told of the last batch, and are
    /// likely to come back: a sync for all costs no more than one for the first
    /// of them. Where fewer came than last time, fewer are waited for next time.
    fn gather<'c>(
        &'c self,
        files: &CommitState,
        mut queue: MutexGuard<'c, PendingBatch>,
    ) -> Result<MutexGuard<'c, PendingBatch>> {
        let since = Instant::now();
        while queue.batch.len() < files.expected && since.elapsed() < files.took / 4 {
            drop(queue);
            yield_now();
            queue = self.queue()?;
        }
        Ok(queue)
    }

    /// Commits the batch that was taken over.
    fn commit(&self, files: &mut CommitState, level: CommitLevel) -> Result<()> {
        let CommitState { trail, batch, .. } = files;
        let result = trail.commit(batch, level);
        if !trail.report.warnings.is_empty() {
            self.warned.store(true, Ordering::Relaxed);
        }
        if let Err(error) = result {
            if error.kind() == Kind::Failed {
                let _ = self.failed.set(error.clone());
                trail.doubt();
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

    /// Gives all accepted events to the kernel.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
        // Whatever was written by then is written when the trail is free.
        self.with_trail(|files| self.flush_buffer(files))
    }

    /// Brings all accepted events to disk.
    pub fn sync(&self) -> Result<()> {
        self.check()?;
        let _one_at_a_time = self.syncing.lock().map_err(|_| panicked())?;
        let unsynced = self.with_trail(|files| {
            self.flush_buffer(files)?;
            self.check_files(&files.trail)?;
            let up_to = files.trail.last_id();
            if self.synced.load(Ordering::Acquire) == up_to {
                return Ok(None);
            }
            let (storage, layout) = (files.trail.storage.clone(), files.trail.layout.clone());
            Ok(Some((files.trail.take_unsynced(up_to), storage, layout)))
        })?;
        let Some((unsynced, storage, layout)) = unsynced else {
            return Ok(());
        };
        // Appends go on while the disk works.
        let up_to = unsynced.up_to;
        if let Err(error) = unsynced.sync(&*storage, &layout) {
            let failed = error.kind() == Kind::Failed;
            if failed {
                let _ = self.failed.set(error.clone());
            }
            self.with_trail(|files| {
                if failed {
                    files.trail.doubt();
                } else {
                    files.trail.requeue_unsynced(unsynced);
                }
                Ok(())
            })?;
            return Err(error);
        }
        self.synced.fetch_max(up_to, Ordering::AcqRel);
        self.with_trail(|files| {
            files.trail.note_synced(up_to);
            Ok(())
        })
    }

    /// Looks whether the trail's files are still its own; fails the writer for
    /// good if they are not.
    fn check_files(&self, trail: &Trail) -> Result<()> {
        trail.check_files().inspect_err(|error| {
            if error.kind() == Kind::Failed {
                let _ = self.failed.set(error.clone());
            }
        })
    }

    /// Flushes, syncs, and says in the trail that it was closed whole. Nothing
    /// may be appended after.
    pub fn finish(&self) -> Result<()> {
        self.sync()?;
        self.with_trail(|files| {
            let trail = &mut files.trail;
            trail.finish().inspect_err(|_| trail.doubt())
        })
    }

    /// An error if the writer has failed.
    fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(cause) => Err(cause
                .clone()
                .wrap(Kind::Failed, "the writer has failed and must be reopened")),
        }
    }

    pub fn stats(&self) -> Result<Stats> {
        let held = self.hold()?;
        let files = &held.files;
        let queue = self.queue()?;
        let waiting = queue.batch.len() + files.batch.len();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let trail = &files.trail;
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

    /// All events up to this one are in their segment files; 0 where that is not
    /// known, after a panic.
    pub fn written_id(&self) -> u64 {
        self.with_trail(|files| Ok(files.trail.last_id()))
            .unwrap_or(0)
    }

    /// All events up to this one are on disk.
    pub fn synced_id(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Keeps a warning for [`Committer::take_warnings`].
    pub fn warn(&self, kind: WarningKind, message: String) {
        let warned = self.with_trail(|files| {
            files.trail.report.warn(kind, message);
            Ok(())
        });
        if warned.is_ok() {
            self.warned.store(true, Ordering::Relaxed);
        }
    }

    /// Whether [`Committer::take_warnings`] may have something.
    pub fn has_warnings(&self) -> bool {
        self.warned.load(Ordering::Relaxed)
    }

    /// What there is to warn of since the last time.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let _wake_next = WakeNextLeader(self);
        // A writer at work is not waited for: its warnings come next time.
        match self.trail.try_lock() {
            Ok(mut files) => {
                self.warned.store(false, Ordering::Relaxed);
                std::mem::take(&mut files.trail.report.warnings)
            }
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => Vec::new(),
        }
    }

    fn queue(&self) -> Result<MutexGuard<'_, PendingBatch>> {
        self.queue.lock().map_err(|_| panicked())
    }

    /// Does something with the trail while nobody else does.
    fn with_trail<T>(&self, body: impl FnOnce(&mut CommitState) -> Result<T>) -> Result<T> {
        body(&mut self.hold()?.files)
    }

    fn hold(&self) -> Result<TrailGuard<'_>> {
        // First, so that the next is also called, or told, where this fails.
        let wake_next = WakeNextLeader(self);
        let files = self.trail.lock().map_err(|_| panicked())?;
        Ok(TrailGuard {
            files,
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

    /// Gives the gathered batch to who has the files, whose own is empty.
    fn hand_over(&mut self, files: &mut CommitState) -> Option<Arc<Group>> {
        std::mem::swap(&mut self.batch, &mut files.batch);
        files.trail.add_streams(self.new_streams.drain(..));
        self.group.take()
    }
}
