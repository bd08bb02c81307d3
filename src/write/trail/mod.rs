//! The atomic commit of a batch to the files of a trail.
//!
//! A commit, in this order:
//!
//! 1. (shared writers, which hold the commit lock) read from the state what others
//!    have committed since;
//! 2. assign ids to the batch, if it has none, in the order of its runs;
//! 3. write the runs to the segments, one after the other. If anything fails, roll
//!    every touched segment back; the ids are free again. If the rollback fails, the
//!    writer has failed;
//! 4. (SYNCED) append the batch to the journal and sync that. What a failed sync left
//!    on disk is unknown, so the writer has failed;
//! 5. advance the last id.
//!
//! A kill at any moment leaves a prefix of the ids in the segments. After a power
//! loss, the journal holds what was acknowledged, and recovery restores it where the
//! segments have lost it.

mod durable;

use super::streams::StreamTable;
use crate::error::{Error, Kind, Result};
use crate::proof::UnsyncedData;
use crate::recover::{self, RecoveryReport};
use crate::store::journal::{Journal, JournalEntry};
use crate::store::layout::Layout;
use crate::store::lock_file::HeldLock;
use crate::store::segment::{Savepoint, Slot};
use crate::store::state::{Phase, State, StateFile};
use crate::store::storage::Storage;
use crate::store::times::{TimeRange, TimesFile};
use crate::write::batch::Batch;
use std::collections::HashMap;
use std::sync::Arc;

/// Lines are written to a segment in chunks of about this many bytes.
const CHUNK: usize = 256 * 1024;

/// How durable a commit is when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitLevel {
    /// In the kernel.
    Written,
    /// On disk.
    Synced,
}

#[derive(Debug)]
pub(crate) struct Trail {
    pub storage: Arc<dyn Storage>,
    pub layout: Layout,
    config: TrailConfig,
    streams: StreamTable,
    last_id: u64,
    /// The segments are on disk up to this id, whatever the journal holds.
    synced_id: u64,
    /// A sync has failed.
    sync_failed: bool,
    /// The batch that is being written: its lines, where they went, and the savepoints
    /// of its streams.
    lines: Vec<u8>,
    entries: Vec<JournalEntry>,
    savepoints: Vec<(Slot, Savepoint)>,
    times: TimesFile,
    pub report: RecoveryReport,
    pub rotations: u64,
    pub syncs: u64,
    pub bytes: u64,
}

/// The configuration of a trail, and the open files that it needs.
#[derive(Debug)]
pub(crate) struct TrailConfig {
    pub max_segment_bytes: u64,
    /// 1 or more.
    pub max_open_files: usize,
    /// Whether the state is `busy` while a batch is written, so that recovery or another
    /// writer detects an unfinished one.
    pub mark_batches: bool,
    pub state: StateFile,
    /// The current boot id; empty if it is not known.
    pub boot: String,
    /// Whether others write to the trail, too, each while it holds the commit lock.
    pub shared: bool,
    /// SYNCED: makes a batch durable with one sync.
    pub journal: Option<Journal>,
}

/// The trail as recovery left it, and what recovery did.
#[derive(Debug)]
pub(crate) struct RecoveredState {
    pub last_id: u64,
    /// Ids up to this one are on disk.
    pub synced_id: u64,
    /// What may have been lost since the last writer.
    pub unsynced_data: UnsyncedData,
    pub report: RecoveryReport,
}

impl Trail {
    pub fn new(
        storage: Arc<dyn Storage>,
        layout: Layout,
        config: TrailConfig,
        recovered: RecoveredState,
    ) -> Self {
        let (files, shared) = (config.max_open_files, config.shared);
        Self {
            streams: StreamTable::new(storage.clone(), layout.clone(), files, shared),
            storage,
            layout,
            config,
            last_id: recovered.last_id,
            synced_id: recovered.synced_id,
            sync_failed: false,
            lines: Vec::new(),
            entries: Vec::new(),
            savepoints: Vec::new(),
            times: TimesFile::default(),
            report: recovered.report,
            rotations: 0,
            syncs: 0,
            bytes: 0,
        }
    }

    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// All events up to this one are on disk; on a shared trail, as of its opening.
    pub fn synced_id(&self) -> u64 {
        self.synced_id
    }

    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    pub fn open_files(&self) -> usize {
        self.streams.open_files()
    }

    /// Adds streams to the table, at the next slots.
    pub fn add_streams(&mut self, names: impl IntoIterator<Item = Box<str>>) {
        self.streams.add(names);
    }

    fn is_shared(&self) -> bool {
        self.config.shared
    }

    /// Commits the batch, or leaves the trail as it was. A shared trail's commit lock
    /// must be held.
    pub fn commit(
        &mut self,
        batch: &mut Batch,
        level: CommitLevel,
        commit_lock: Option<&HeldLock>,
    ) -> Result<()> {
        if commit_lock.is_some() {
            self.refresh_from_state()?;
        }
        if self.config.mark_batches {
            self.write_state(Phase::Busy, self.last_id)?;
        }
        self.savepoints.clear();
        self.entries.clear();
        self.lines.clear();
        let last = match self.write_batch(batch, level) {
            Ok(last) => last,
            Err(error) => {
                self.rollback(&error)?;
                return Err(error);
            }
        };
        if level == CommitLevel::Synced
            && let Err(error) = self.make_durable(last)
        {
            // After a failed sync a rollback could contradict what is on disk.
            if error.kind() != Kind::Failed {
                self.rollback(&error)?;
            }
            return Err(error);
        }
        for &(slot, _) in &self.savepoints {
            self.streams.stream_mut(slot)?.release_filled();
        }
        self.lines.shrink_to(CHUNK);
        self.last_id = last;
        if self.config.mark_batches {
            // The batch is committed. If this fails, the state stays `busy`, and
            // the next to read it rereads the segments, which is correct.
            let _ = self.write_state(Phase::Open, last);
        }
        Ok(())
    }

    /// Writes the batch to its segments; returns its last id.
    fn write_batch(&mut self, batch: &mut Batch, level: CommitLevel) -> Result<u64> {
        let last = if batch.runs() > 0 && batch.id(0) != 0 {
            // A buffered batch already has its ids.
            self.last_id + batch.len() as u64
        } else {
            if self.last_id.checked_add(batch.len() as u64).is_none() {
                return Err(Error::new(
                    Kind::TooLarge,
                    "the trail has no more event ids",
                ));
            }
            batch.assign_ids_after(self.last_id)
        };
        let keep_lines = level == CommitLevel::Synced && self.config.journal.is_some();
        for index in 0..batch.runs() {
            let run = batch.run(index);
            let savepoint = self
                .streams
                .prepare(run.slot, self.last_id, &mut self.report)?;
            self.savepoints.push((run.slot, savepoint));
            let mut from = self.lines.len();
            let mut times = Some(TimeRange::EMPTY);
            for event in batch.events(run) {
                let stream = self.streams.stream_mut(run.slot)?;
                let unwritten = (self.lines.len() - from) as u64;
                if stream.len() + unwritten >= self.config.max_segment_bytes {
                    self.append_lines(run.slot, from, times, keep_lines)?;
                    self.rotate(run.slot)?;
                    from = self.start_next_chunk(keep_lines);
                    times = Some(TimeRange::EMPTY);
                } else if self.lines.len() - from >= CHUNK {
                    self.append_lines(run.slot, from, times, keep_lines)?;
                    from = self.start_next_chunk(keep_lines);
                    times = Some(TimeRange::EMPTY);
                }
                batch.render_line(event, &mut self.lines);
                times = match (times, batch.timestamp(event)) {
                    (Some(times), Some(timestamp)) => {
                        Some(times.including(batch.id(event), timestamp))
                    }
                    _ => None,
                };
            }
            self.append_lines(run.slot, from, times, keep_lines)?;
            self.start_next_chunk(keep_lines);
        }
        Ok(last)
    }

    /// Returns where the lines of the next write start. Lines that the journal needs are
    /// kept.
    fn start_next_chunk(&mut self, keep_lines: bool) -> usize {
        if !keep_lines {
            self.lines.clear();
        }
        self.lines.len()
    }

    /// Appends the lines from `from` on to the stream's segment.
    fn append_lines(
        &mut self,
        slot: Slot,
        from: usize,
        times: Option<TimeRange>,
        keep_lines: bool,
    ) -> Result<()> {
        if self.lines.len() == from {
            return Ok(());
        }
        let stream = self.streams.stream_mut(slot)?;
        if keep_lines {
            self.entries.push(JournalEntry {
                slot,
                number: stream.number(),
                offset: stream.len(),
                from,
                to: self.lines.len(),
            });
        }
        stream.append(&self.layout, &self.lines[from..])?;
        stream.extend_times(times);
        self.bytes += (self.lines.len() - from) as u64;
        Ok(())
    }

    /// Continues the stream in its next segment.
    fn rotate(&mut self, slot: Slot) -> Result<()> {
        let (storage, layout) = (&*self.storage, &self.layout);
        let stream = self.streams.stream_mut(slot)?;
        stream.check_identity_now(storage, layout)?;
        let (number, len, times) = (stream.number(), stream.len(), stream.times());
        self.times
            .record(storage, layout, stream.name(), number, len, times);
        stream.rotate();
        self.rotations += 1;
        self.streams.open_next_file(slot, &mut self.report)
    }

    /// Removes everything of a batch that failed with `cause`.
    fn rollback(&mut self, cause: &Error) -> Result<()> {
        let savepoints = std::mem::take(&mut self.savepoints);
        let mut earliest = HashMap::new();
        for (index, &(slot, _)) in savepoints.iter().enumerate() {
            earliest.entry(slot).or_insert(index);
        }
        // In reverse order, because a stream may have several savepoints.
        for (index, (slot, savepoint)) in savepoints.into_iter().enumerate().rev() {
            let stream = self.streams.stream_mut(slot)?;
            stream
                .rollback_to(&*self.storage, &self.layout, savepoint)
                .map_err(|error| {
                    error.wrap(
                        Kind::Failed,
                        &format!("an append failed ({cause}) and could not be undone"),
                    )
                })?;
            if earliest.get(&slot) == Some(&index) {
                // Frees descriptors for streams that were closed meanwhile.
                stream.release_filled();
                stream.close_file();
            }
        }
        if self.config.mark_batches {
            // If this fails, the state stays `busy`, as in `commit`.
            let _ = self.write_state(Phase::Open, self.last_id);
        }
        Ok(())
    }

    fn write_state(&self, phase: Phase, written: u64) -> Result<()> {
        self.config.state.write(
            &self.layout,
            &State {
                phase,
                written,
                synced: self.synced_id,
                boot: self.config.boot.clone(),
                sync_failed: self.sync_failed,
            },
        )
    }

    /// Records in the state, if that is still possible, that a sync has failed: what
    /// reads return need not be on disk. The writer has failed. A shared trail's commit
    /// lock must be held, before which no other writer may commit or sync.
    pub fn mark_sync_failed(&mut self) {
        self.sync_failed = true;
        let _ = self.write_state(Phase::Busy, self.last_id);
    }

    /// Reads from the state what other shared writers have committed since this one
    /// held the commit lock.
    pub fn refresh_from_state(&mut self) -> Result<()> {
        let state = self.config.state.read(&self.layout)?;
        if let Some(state) = state.as_ref().filter(|state| state.sync_failed) {
            // What that sync lost would be a hole in front of what is written now. The
            // kernel tells it to those who had the file open, and to nobody later.
            recover::rewrite(&*self.storage, &self.layout, state)?;
        }
        match state {
            Some(state) if state.phase != Phase::Busy => {
                if state.written != self.last_id {
                    self.last_id = state.written;
                    self.streams.invalidate();
                }
            }
            // A writer was killed during a batch, or the state cannot be parsed.
            state => {
                self.streams.invalidate();
                let known = state.map_or(self.last_id, |state| state.written);
                let found = recover::tails(&*self.storage, &self.layout, &mut self.report)?;
                self.last_id = self.last_id.max(known).max(found);
                // So that no one finds less than what is signed of it from now on.
                self.write_state(Phase::Open, self.last_id)?;
            }
        }
        Ok(())
    }
}
