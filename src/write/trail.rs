//! The trail's files as one thing: batches go in whole, or not at all.
//!
//! A commit, in this order:
//!
//! 1. (shared writers) take the turn, and see what others have done since;
//! 2. give ids to the batch, if it does not have them, in the order of its runs;
//! 3. write run after run to the segments. If anything fails, cut every segment
//!    that was touched back to where it was; the ids are free again. If even
//!    that fails, the writer has failed;
//! 4. (SYNCED) write the batch to the journal and sync that. Nobody knows what a
//!    failed sync has left on disk, so the writer has failed;
//! 5. move the last id.
//!
//! At each moment in between, a kill leaves a prefix of the ids in the
//! segments. After a loss of power, the journal holds what was acknowledged,
//! and recovery puts it back where the segments have lost it.

use crate::error::{Error, Kind, Result};
use crate::recover::{self, RecoveryReport};
use crate::store::index_file;
use crate::store::journal::{Journal, JournalEntry};
use crate::store::layout::Layout;
use crate::store::lock::{Turn, TurnLock};
use crate::store::segment::Slot;
use crate::store::segment::{Mark, Stream, UnsyncedSegments};
use crate::store::state::{Phase, State, StateFile};
use crate::store::storage::Storage;
use crate::store::times::{TimeRange, TimesFile};
use crate::write::batch::Batch;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are gathered before they are written.
const CHUNK: usize = 256 * 1024;

/// How a commit is made as safe as its durability asks.
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
    max_segment_bytes: u64,
    max_open_files: usize,
    last_id: u64,
    synced_id: u64,
    boot: String,
    /// A sync has failed.
    sync_failed: bool,
    state: StateFile,
    /// A batch that is being written is marked in the state, so that who finds
    /// the mark knows that it was not finished.
    mark_batches: bool,
    /// Whether others may write too, and whose turn it is then.
    shared: bool,
    turns: Option<TurnLock>,
    journal: Option<Journal>,
    streams: Vec<StreamEntry>,
    /// Slots whose files are open, the longest open first.
    open: VecDeque<Slot>,
    /// Folders with names that are not known to be on disk.
    changed: BTreeSet<PathBuf>,
    /// Rises whenever another shared writer has written.
    generation: u64,
    lines: Vec<u8>,
    entries: Vec<JournalEntry>,
    marks: Vec<(Slot, Mark)>,
    times: TimesFile,
    pub report: RecoveryReport,
    pub rotations: u64,
    pub syncs: u64,
    pub bytes: u64,
}

#[derive(Debug)]
struct StreamEntry {
    name: Box<str>,
    /// What is known of it; found out at its first event.
    stream: Option<Stream>,
    generation: u64,
}

/// What the opening of a writer has found out.
#[derive(Debug)]
pub(crate) struct RecoveredState {
    pub last_id: u64,
    pub synced_id: u64,
    pub state: StateFile,
    pub boot: String,
    pub report: RecoveryReport,
}

/// How a trail is written.
#[derive(Debug)]
pub(crate) struct TrailConfig {
    pub max_segment_bytes: u64,
    pub max_open_files: usize,
    pub mark_batches: bool,
    pub turns: Option<TurnLock>,
    pub journal: Option<Journal>,
}

/// CommitState and folders that a sync has to make durable, and how far it reaches.
pub(crate) struct Unsynced {
    segments: Vec<(Slot, UnsyncedSegments)>,
    folders: BTreeSet<PathBuf>,
    pub up_to: u64,
}

impl Trail {
    pub fn new(
        storage: Arc<dyn Storage>,
        layout: Layout,
        start: RecoveredState,
        manner: TrailConfig,
    ) -> Self {
        Self {
            storage,
            layout,
            max_segment_bytes: manner.max_segment_bytes,
            max_open_files: manner.max_open_files,
            last_id: start.last_id,
            synced_id: start.synced_id,
            boot: start.boot,
            sync_failed: false,
            state: start.state,
            mark_batches: manner.mark_batches || manner.turns.is_some(),
            shared: manner.turns.is_some(),
            turns: manner.turns,
            journal: manner.journal,
            streams: Vec::new(),
            open: VecDeque::new(),
            changed: BTreeSet::new(),
            generation: 0,
            lines: Vec::new(),
            entries: Vec::new(),
            marks: Vec::new(),
            times: TimesFile::default(),
            report: start.report,
            rotations: 0,
            syncs: 0,
            bytes: 0,
        }
    }

    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Adds streams to the table, at the next slots.
    pub fn add_streams(&mut self, names: impl IntoIterator<Item = Box<str>>) {
        self.streams
            .extend(names.into_iter().map(|name| StreamEntry {
                name,
                stream: None,
                generation: 0,
            }));
    }

    /// Makes the batch part of the trail, or leaves the trail as it was.
    pub fn commit(&mut self, batch: &mut Batch, level: CommitLevel) -> Result<()> {
        // The lock is taken out and put back, for the turn borrows it.
        let turns = self.turns.take();
        let result = match turns.as_ref().map(|turns| turns.wait(&self.layout)) {
            Some(Err(error)) => Err(error),
            Some(Ok(turn)) => self.commit_in_turn(batch, level, Some(&turn)),
            None => self.commit_in_turn(batch, level, None),
        };
        self.turns = turns;
        result
    }

    fn commit_in_turn(
        &mut self,
        batch: &mut Batch,
        level: CommitLevel,
        turn: Option<&Turn<'_>>,
    ) -> Result<()> {
        if turn.is_some() {
            self.see_others()?;
        }
        if self.mark_batches {
            self.write_state(Phase::Busy, self.last_id)?;
        }
        self.marks.clear();
        self.entries.clear();
        self.lines.clear();
        let last = match self.write(batch, level) {
            Ok(last) => last,
            Err(error) => {
                self.rollback(&error)?;
                return Err(error);
            }
        };
        if level == CommitLevel::Synced
            && let Err(error) = self.make_durable(last)
        {
            // What a failed sync has left, nobody knows.
            if error.kind() != Kind::Failed {
                self.rollback(&error)?;
            }
            return Err(error);
        }
        self.lines.shrink_to(CHUNK);
        self.last_id = last;
        if self.mark_batches {
            // The batch is in. If this fails, the mark of an unfinished batch
            // stays, and whoever finds it looks at the segments, which is right.
            let _ = self.write_state(Phase::Open, last);
        }
        Ok(())
    }

    /// Writes the batch to its segments.
    fn write(&mut self, batch: &mut Batch, level: CommitLevel) -> Result<u64> {
        let last = if batch.runs() > 0 && batch.id(0) != 0 {
            // A buffered batch has its ids.
            self.last_id + batch.len() as u64
        } else {
            if self.last_id.checked_add(batch.len() as u64).is_none() {
                return Err(Error::new(
                    Kind::TooLarge,
                    "the trail has no more event ids",
                ));
            }
            batch.number_after(self.last_id)
        };
        let keep_lines = level == CommitLevel::Synced && self.journal.is_some();
        for index in 0..batch.runs() {
            let run = batch.run(index);
            self.enter(run.slot)?;
            let mut from = self.lines.len();
            let mut times = Some(TimeRange::NONE);
            for event in batch.events(run) {
                let stream = self.streams[run.slot as usize].stream_mut()?;
                let ahead = (self.lines.len() - from) as u64;
                if stream.len() + ahead >= self.max_segment_bytes {
                    self.put(run.slot, from, times, keep_lines)?;
                    self.rotate(run.slot)?;
                    from = self.start_of_next(keep_lines);
                    times = Some(TimeRange::NONE);
                } else if self.lines.len() - from >= CHUNK {
                    self.put(run.slot, from, times, keep_lines)?;
                    from = self.start_of_next(keep_lines);
                    times = Some(TimeRange::NONE);
                }
                batch.render(event, &mut self.lines);
                times = match (times, batch.timestamp(event)) {
                    (Some(times), Some(timestamp)) => Some(times.with(batch.id(event), timestamp)),
                    _ => None,
                };
            }
            self.put(run.slot, from, times, keep_lines)?;
            self.start_of_next(keep_lines);
        }
        Ok(last)
    }

    /// Where the lines of the next write begin.
    fn start_of_next(&mut self, keep_lines: bool) -> usize {
        if !keep_lines {
            self.lines.clear();
        }
        self.lines.len()
    }

    /// Appends the lines from `from` on to the stream's segment.
    fn put(
        &mut self,
        slot: Slot,
        from: usize,
        times: Option<TimeRange>,
        keep_lines: bool,
    ) -> Result<()> {
        if self.lines.len() == from {
            return Ok(());
        }
        let stream = self.streams[slot as usize].stream_mut()?;
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
        stream.widen(times);
        self.bytes += (self.lines.len() - from) as u64;
        Ok(())
    }

    fn rotate(&mut self, slot: Slot) -> Result<()> {
        let storage = self.storage.clone();
        let stream = self.streams[slot as usize].stream_mut()?;
        stream.check_identity_now(&*storage, &self.layout)?;
        let (number, len, times) = (stream.number(), stream.len(), stream.times());
        self.times
            .note(&*storage, &self.layout, stream.name(), number, len, times);
        stream.rotate();
        let mut changed = Vec::new();
        let opened = stream.open_file(&*storage, &self.layout, &mut changed);
        self.changed.extend(changed);
        self.rotations += 1;
        opened
    }

    /// Makes the stream ready for events: knows where it goes on, has its file
    /// open, and is marked to be cut back if the batch fails.
    fn enter(&mut self, slot: Slot) -> Result<()> {
        let storage = &*self.storage;
        let entry = &mut self.streams[slot as usize];
        match &mut entry.stream {
            None => {
                let (mut stream, last) =
                    recover::stream(storage, &self.layout, &entry.name, &mut self.report)?;
                if last > self.last_id {
                    // Fails the writer, so that its end is not a clean one.
                    return Err(Error::new(
                        Kind::Failed,
                        format!(
                            "the stream {} holds event {last}, but the trail was closed at an \
                             earlier one: someone wrote to it since; reopen the trail, so that \
                             all streams are looked at",
                            entry.name
                        ),
                    ));
                }
                if self.shared {
                    stream.distrust_names();
                }
                entry.stream = Some(stream);
            }
            Some(stream) if entry.generation != self.generation => {
                stream.go_to_end(storage, &self.layout)?
            }
            Some(_) => {}
        }
        entry.generation = self.generation;
        let stream = entry.stream_mut()?;
        if stream.is_open() {
            stream.check_identity(storage, &self.layout, self.open.len())?;
        } else {
            let mut changed = Vec::new();
            let opened = stream.open_file(storage, &self.layout, &mut changed);
            self.changed.extend(changed);
            opened?;
            // It may have been closed without our doing, and still stand here.
            self.open.retain(|&other| other != slot);
            self.open.push_back(slot);
        }
        let mark = self.streams[slot as usize].stream_mut()?.mark();
        self.marks.push((slot, mark));
        while self.open.len() > self.max_open_files.max(1) {
            if let Some(oldest) = self.open.pop_front()
                && let Some(stream) = &mut self.streams[oldest as usize].stream
            {
                stream.close_file();
            }
        }
        Ok(())
    }

    /// Leaves nothing of a batch that failed with `cause`.
    fn rollback(&mut self, cause: &Error) -> Result<()> {
        // In reverse, for a stream may have been marked more than once.
        for (slot, mark) in std::mem::take(&mut self.marks).into_iter().rev() {
            let stream = self.streams[slot as usize].stream_mut()?;
            stream
                .cut(&*self.storage, &self.layout, mark)
                .map_err(|error| {
                    error.wrap(
                        Kind::Failed,
                        &format!("an append failed ({cause}) and could not be undone"),
                    )
                })?;
        }
        if self.mark_batches {
            // If this fails, the mark of an unfinished batch stays: as below.
            let _ = self.write_state(Phase::Open, self.last_id);
        }
        Ok(())
    }

    /// Makes the batch that was just written durable. After an error that is
    /// not `Failed` it is not on disk.
    fn make_durable(&mut self, last: u64) -> Result<()> {
        match &self.journal {
            Some(journal) if journal.fits(&self.entries, self.lines.len()) => {
                self.append_to_journal(last)?;
            }
            _ => self.sync_segments(last)?,
        }
        self.set_synced(last);
        Ok(())
    }

    fn append_to_journal(&mut self, last: u64) -> Result<()> {
        let full = |journal: &Journal| !journal.has_room(&self.entries, self.lines.len());
        if self.journal.as_ref().is_some_and(full) {
            self.empty_journal(last)?;
            // A state that lags behind costs a longer check_files.
            let _ = self.write_state(Phase::Open, self.last_id);
        }
        let names = |slot: Slot| &*self.streams[slot as usize].name;
        match &mut self.journal {
            Some(journal) => journal.append(last, &self.entries, &self.lines, names),
            None => Ok(()),
        }
    }

    /// Syncs the segments, so that the journal can start anew.
    fn empty_journal(&mut self, last: u64) -> Result<()> {
        self.sync_segments(last)?;
        match &mut self.journal {
            Some(journal) => journal.reset(),
            None => Ok(()),
        }
    }

    fn sync_segments(&mut self, last: u64) -> Result<()> {
        let unsynced = self.take_unsynced(last);
        let result = unsynced.sync(&*self.storage, &self.layout);
        if result.is_err() {
            self.requeue_unsynced(unsynced);
        }
        result
    }

    /// What has to be synced so that all events up to `up_to` are on disk. The
    /// caller must sync it, put it back, or fail the writer.
    pub fn take_unsynced(&mut self, up_to: u64) -> Unsynced {
        let segments = self
            .streams
            .iter_mut()
            .zip(0..)
            .filter_map(|(entry, slot)| Some((slot, entry.stream.as_mut()?.take_unsynced()?)))
            .collect();
        Unsynced {
            segments,
            folders: std::mem::take(&mut self.changed),
            up_to,
        }
    }

    /// What was not synced still has to be.
    pub fn requeue_unsynced(&mut self, unsynced: Unsynced) {
        for (slot, segments) in unsynced.segments {
            if let Some(stream) = &mut self.streams[slot as usize].stream {
                stream.requeue_unsynced(&segments);
            }
        }
        self.changed.extend(unsynced.folders);
    }

    /// Remembers that all events up to `id` are on disk.
    fn set_synced(&mut self, id: u64) {
        self.syncs += 1;
        // On a shared trail only our own are, and the state speaks of all.
        if !self.shared {
            self.synced_id = self.synced_id.max(id);
        }
    }

    /// The same, for whoever opens the trail next.
    pub fn note_synced(&mut self, id: u64) {
        self.set_synced(id);
        if !self.shared {
            // A state that lags behind costs a longer check_files.
            let _ = self.write_state(Phase::Open, self.last_id);
        }
    }

    /// Looks whether the open files are still the trail's.
    pub fn check_files(&self) -> Result<()> {
        self.streams
            .iter()
            .filter_map(|entry| entry.stream.as_ref())
            .try_for_each(|stream| {
                if self.shared {
                    return Ok(());
                }
                stream.check_identity_now(&*self.storage, &self.layout)
            })
    }

    /// Says in the trail that it was closed whole; all of it must be synced or
    /// in the journal.
    pub fn finish(&mut self) -> Result<()> {
        if self.shared {
            // Others may be at work; the next to open looks at the segments.
            return Ok(());
        }
        if self.journal.is_some() {
            self.empty_journal(self.last_id)?;
        }
        index_file::write(&*self.storage, &self.layout, self.last_id)?;
        self.write_state(Phase::Clean, self.last_id)?;
        self.state.sync(&self.layout)
    }

    fn write_state(&self, phase: Phase, written: u64) -> Result<()> {
        self.state.write(
            &self.layout,
            &State {
                phase,
                written,
                synced: self.synced_id,
                boot: self.boot.clone(),
                sync_failed: self.sync_failed,
            },
        )
    }

    /// Leaves word, if that is possible, that what the kernel shows need not be
    /// on disk. The writer has failed.
    pub fn doubt(&mut self) {
        self.sync_failed = true;
        let _ = self.write_state(Phase::Busy, self.last_id);
    }

    /// Learns what other shared writers have written since our last turn.
    fn see_others(&mut self) -> Result<()> {
        let state = self.state.read(&self.layout)?;
        self.sync_failed |= state.as_ref().is_some_and(|state| state.sync_failed);
        match state {
            Some(state) if state.phase != Phase::Busy => {
                if state.written != self.last_id {
                    self.last_id = state.written;
                    self.generation += 1;
                }
            }
            // One was killed in the midst of its batch.
            state => {
                self.generation += 1;
                let known = state.map_or(self.last_id, |state| state.written);
                let found = recover::tails(&*self.storage, &self.layout, &mut self.report)?;
                self.last_id = self.last_id.max(known).max(found);
            }
        }
        Ok(())
    }
}

impl StreamEntry {
    fn stream_mut(&mut self) -> Result<&mut Stream> {
        self.stream
            .as_mut()
            .ok_or_else(|| Error::new(Kind::Panic, "a stream was used before it was opened"))
    }
}

impl Unsynced {
    /// Makes it all durable. After an error that is not `Failed` it has to be
    /// put back.
    pub fn sync(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        for (_, segments) in &self.segments {
            segments.sync(storage, layout)?;
        }
        sync_folders(storage, &self.folders)
    }
}

fn sync_folders(storage: &dyn Storage, folders: &BTreeSet<PathBuf>) -> Result<()> {
    for folder in folders {
        storage.sync_dir(folder).map_err(|e| {
            Error::io("sync", folder, &e).wrap(Kind::Failed, "what is on disk is not known")
        })?;
    }
    Ok(())
}
