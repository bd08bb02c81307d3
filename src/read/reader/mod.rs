//! Reading a trail: event by event, in stream order or merged by id.
//!
//! A [`Reader`] reads segments, takes no lock and writes nothing; it may read while
//! others write. It returns only complete, checked events. A line that is no event
//! of its file's stream is reported by [`Reader::damage`] and not returned. An
//! unfinished line at the end of a stream is no damage, because it may be in the
//! middle of being written.
//!
//! **Merging.** Streams grow while they are read, and ids are spread over all of
//! them. So a merge first takes a snapshot of where each stream ends, and then
//! determines the ends once more: these are the limits up to which it reads.
//! Batches are written in the order of their ids; so if an event is in the
//! snapshot, every smaller id is below the limits, unless both are of a batch that is
//! being written: its events are held back (`unfinished`). A merge returns events in
//! the order of their ids while an event of the snapshot is still to come, and then
//! ends: the events that it has returned have no gap. Following is one merge after
//! the other.
//!
//! Memory: one block for each stream that is read at the same time; the more
//! streams, the smaller the blocks.

mod changed;
mod follow;
mod unfinished;
mod watch;

use crate::error::Result;
use crate::event::header::LineChecker;
use crate::read::cursor::{Cursor, CursorContext};
use crate::read::damage::{Damage, DamageLog};
use crate::read::filter::{Filter, Matcher, Order};
use crate::read::record::Record;
use crate::read::segments::Position;
use crate::store::layout::Layout;
use crate::store::lines::Direction;
use crate::store::listing::{self, StreamId};
use crate::store::storage::{Disk, Storage};
use crate::store::times::Times;
use changed::ChangedStreams;
use follow::Follow;
use std::collections::{BinaryHeap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unfinished::{UnfinishedBatch, UnfinishedPolicy};

/// The shortest pause between two looks at the same thing.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// How many segment files may be open at once.
const MAX_OPEN_FILES: usize = 64;

/// The most and the least to read at once, in bytes; the least for any number of
/// streams.
const MAX_BLOCK: usize = 256 * 1024;
const MIN_BLOCK: usize = 4 * 1024;

/// The size of all blocks together, in bytes.
const BLOCK_BUDGET: usize = 16 * 1024 * 1024;

/// Reads the events of a trail.
#[derive(Debug)]
pub struct Reader {
    storage: Arc<dyn Storage>,
    layout: Layout,
    matcher: Matcher,
    /// By which segments can be skipped if times are filtered.
    times: Times,
    order: Order,
    /// How many events may still be returned.
    remaining: Option<u64>,
    cursors: Vec<Cursor>,
    /// By cursor: where its stream ended when the merge began.
    snapshot_ends: Vec<Position>,
    /// Cursors whose files are open, the one open longest first.
    open_cursors: VecDeque<usize>,
    /// How much of a stream to read at once in this merge.
    block: usize,
    phase: ReadPhase,
    /// The head of each cursor: its event that is next to be returned.
    merge_heap: BinaryHeap<HeapEntry>,
    /// How many of the heads are in the snapshot.
    snapshot_heads: usize,
    unfinished: UnfinishedBatch,
    /// What the next merge looks at, besides the cursors in the heap.
    changed: ChangedStreams,
    /// The cursor whose event was returned last.
    current: Option<usize>,
    damage: DamageLog,
    checker: LineChecker,
    follow: Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadPhase {
    /// One stream after the other; this one is next.
    Streams(usize),
    /// A merge is to begin.
    StartMerge,
    /// A merge has begun.
    Merge,
    /// At the end; only following continues.
    End,
}

/// A cursor's head in the heap; the one with the highest priority is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HeapEntry {
    /// The id, or its complement if the lowest id is returned first.
    priority: u64,
    cursor: usize,
}

impl Reader {
    /// Opens the trail at `root` to read the events that pass the filter.
    pub fn open(root: impl Into<PathBuf>, filter: &Filter) -> Result<Self> {
        Self::open_with(Arc::new(Disk), root, filter)
    }

    /// The same, on another storage than the machine's file system.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn open_on(
        storage: Arc<dyn Storage>,
        root: impl Into<PathBuf>,
        filter: &Filter,
    ) -> Result<Self> {
        Self::open_with(storage, root, filter)
    }

    fn open_with(
        storage: Arc<dyn Storage>,
        root: impl Into<PathBuf>,
        filter: &Filter,
    ) -> Result<Self> {
        let layout = Layout::new(root);
        listing::require_trail(&*storage, &layout)?;
        let order = filter.get_order();
        let matcher = Matcher::new(filter);
        let times = if matcher.filters_times() && filter.uses_hints() {
            Times::read(&*storage, &layout)
        } else {
            Times::default()
        };
        let mut reader = Self {
            storage,
            layout,
            matcher,
            times,
            order,
            remaining: filter.get_limit(),
            cursors: Vec::new(),
            snapshot_ends: Vec::new(),
            open_cursors: VecDeque::new(),
            block: MAX_BLOCK,
            phase: match order {
                Order::Stream => ReadPhase::Streams(0),
                Order::OldestFirst | Order::NewestFirst => ReadPhase::StartMerge,
            },
            merge_heap: BinaryHeap::new(),
            snapshot_heads: 0,
            unfinished: UnfinishedBatch::default(),
            changed: ChangedStreams::default(),
            current: None,
            damage: DamageLog::default(),
            checker: LineChecker::default(),
            follow: Follow::default(),
        };
        reader.discover_streams()?;
        Ok(reader)
    }

    /// The next event; `None` at the end. After an error, the same call tries
    /// again.
    ///
    /// In the order of ids, the first call waits while a buffered or shared writer is in
    /// the midst of a batch of which a part is in the trail: a second at most, after which
    /// the writer counts as killed.
    #[allow(clippy::should_implement_trait)] // the record is lent, an Iterator's item is not
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.step(UnfinishedPolicy::Await)? {
            Ok(self.record())
        } else {
            Ok(None)
        }
    }

    /// The event that was returned last.
    pub fn record(&self) -> Option<Record<'_>> {
        let cursor = self.cursors.get(self.current?)?;
        let found = cursor.found()?;
        Some(Record::new(
            cursor.line(found),
            &found.header,
            cursor,
            found.position.offset,
        ))
    }

    /// The lines met so far that are no events of their streams; at most the first
    /// 1,000.
    pub fn damage(&self) -> &[Damage] {
        self.damage.first()
    }

    /// How many such lines were met so far.
    pub fn damage_count(&self) -> u64 {
        self.damage.count()
    }

    pub(crate) fn into_damage(self) -> DamageLog {
        self.damage
    }

    /// Makes a cursor for each stream that has none yet.
    fn discover_streams(&mut self) -> Result<()> {
        let streams = listing::streams_matching(
            &*self.storage,
            &self.layout,
            |domain| self.matcher.allows_domain(domain),
            |category| self.matcher.allows_category(category),
        )?;
        for stream in streams {
            self.cursor_of(stream);
        }
        Ok(())
    }

    /// The cursor of a stream, which is made if there is none yet.
    fn cursor_of(&mut self, stream: StreamId) -> usize {
        if let Some(&cursor) = self.follow.known.get(&stream) {
            return cursor;
        }
        let direction = match self.order {
            Order::Stream | Order::OldestFirst => Direction::Forward,
            Order::NewestFirst => Direction::Backward,
        };
        let cursor = self.cursors.len();
        self.follow.known.insert(stream.clone(), cursor);
        self.cursors
            .push(Cursor::new(&self.layout, stream, direction));
        self.snapshot_ends.push(Position::default());
        cursor
    }

    /// Moves to the next event; `false` at the end.
    fn step(&mut self, policy: UnfinishedPolicy) -> Result<bool> {
        if self.remaining == Some(0) {
            self.current = None;
            return Ok(false);
        }
        let found = loop {
            match self.phase {
                ReadPhase::Streams(index) => {
                    if self.next_in_stream(index)? {
                        break true;
                    }
                    self.phase = if index + 1 < self.cursors.len() {
                        ReadPhase::Streams(index + 1)
                    } else {
                        ReadPhase::End
                    };
                }
                ReadPhase::StartMerge => {
                    self.start_merge(policy)?;
                    self.phase = ReadPhase::Merge;
                }
                ReadPhase::Merge => {
                    if self.next_merged()? {
                        break true;
                    }
                    self.phase = ReadPhase::End;
                }
                ReadPhase::End => break false,
            }
        };
        if let (true, Some(remaining)) = (found, &mut self.remaining) {
            *remaining -= 1;
        }
        Ok(found)
    }

    fn next_in_stream(&mut self, index: usize) -> Result<bool> {
        let Some(cursor) = self.cursors.get_mut(index) else {
            return Ok(false);
        };
        if self.current != Some(index) {
            // Up to the current end: a stream that grows must not be read forever.
            let end = cursor.stream_end(&*self.storage)?;
            cursor.report_irregular(&mut self.damage);
            cursor.set_limit(end);
            self.current = Some(index);
        }
        let found = self.advance_cursor(index, MAX_BLOCK)?;
        if !found {
            self.current = None;
        }
        Ok(found)
    }

    /// Takes the snapshot, sets the limits, and fills the heap. After an error, what is
    /// to be looked at is still known.
    fn start_merge(&mut self, policy: UnfinishedPolicy) -> Result<()> {
        self.current = None;
        for head in self.merge_heap.drain() {
            self.changed.mark(head.cursor);
        }
        self.snapshot_heads = 0;
        self.take_snapshot()?;
        self.bound_merge(policy)?;
        self.set_limits()?;
        let changed = self.changed.list().iter();
        let reading = changed.filter(|&&c| self.cursors[c].has_more()).count();
        self.block = (BLOCK_BUDGET / reading.max(1)).clamp(MIN_BLOCK, MAX_BLOCK);
        for n in 0..self.changed.list().len() {
            self.push_head(self.changed.list()[n])?;
        }
        self.changed.clear();
        if self.order == Order::NewestFirst {
            self.begin_in_snapshot()?;
        }
        Ok(())
    }

    /// Determines where the streams that may have changed end now. The others end where
    /// they have been read to.
    fn take_snapshot(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.take_changes();
        if !self.is_watching() {
            self.changed.mark_all(self.cursors.len());
        }
        for &index in self.changed.list() {
            self.snapshot_ends[index] = self.cursors[index].stream_end(&*self.storage)?;
        }
        self.follow.looking += begin.elapsed();
        Ok(())
    }

    /// Determines the ends once more, for the limits. Smaller ids than those of the
    /// snapshot may also be in streams that were created or changed since; a write is
    /// told before the next one begins, so all these are known now.
    fn set_limits(&mut self) -> Result<()> {
        let in_snapshot = self.changed.list().len();
        self.take_changes();
        if !self.is_watching() {
            self.discover_streams()?;
            self.changed.mark_all(self.cursors.len());
        }
        for &index in &self.changed.list()[in_snapshot..] {
            self.snapshot_ends[index] = Position::default();
        }
        for &index in self.changed.list() {
            let cursor = &mut self.cursors[index];
            let end = cursor.stream_end(&*self.storage)?;
            cursor.report_irregular(&mut self.damage);
            cursor.set_limit(end);
        }
        Ok(())
    }

    /// Between the newest events, ids may be missing that were written to other streams
    /// meanwhile, or are yet to be: begins with an event of the snapshot that is not held
    /// back.
    fn begin_in_snapshot(&mut self) -> Result<()> {
        while let Some(head) = self.merge_heap.peek().copied() {
            let in_snapshot = self.is_in_snapshot(head.cursor);
            if in_snapshot && self.unfinished.allows(self.id_of(head)) {
                break;
            }
            self.merge_heap.pop();
            self.snapshot_heads -= usize::from(in_snapshot);
            self.advance_head(head.cursor)?;
        }
        Ok(())
    }

    fn next_merged(&mut self) -> Result<bool> {
        if let Some(current) = self.current {
            self.advance_head(current)?;
            self.current = None;
        }
        // Backward, all remaining events are older than one of the snapshot.
        if self.snapshot_heads == 0 && self.order != Order::NewestFirst {
            return Ok(false);
        }
        let Some(head) = self.merge_heap.peek().copied() else {
            return Ok(false);
        };
        if !self.unfinished.allows(self.id_of(head)) {
            return Ok(false);
        }
        self.merge_heap.pop();
        if self.is_in_snapshot(head.cursor) {
            self.snapshot_heads -= 1;
        }
        self.current = Some(head.cursor);
        Ok(true)
    }

    fn advance_head(&mut self, index: usize) -> Result<()> {
        let block = self.block;
        if self.advance_cursor(index, block)? {
            self.push_head(index)?;
        }
        Ok(())
    }

    /// Pushes the cursor's current event into the heap; if there is none, its next.
    fn push_head(&mut self, index: usize) -> Result<()> {
        let cursor = &self.cursors[index];
        if cursor.found().is_none() && cursor.has_more() {
            self.advance_cursor(index, self.block)?;
        }
        if let Some(found) = self.cursors[index].found() {
            let priority = self.priority_of(found.header.event_id);
            self.merge_heap.push(HeapEntry {
                priority,
                cursor: index,
            });
            if self.is_in_snapshot(index) {
                self.snapshot_heads += 1;
            }
        }
        Ok(())
    }

    fn priority_of(&self, id: u64) -> u64 {
        match self.order {
            Order::NewestFirst => id,
            Order::Stream | Order::OldestFirst => !id,
        }
    }

    fn id_of(&self, head: HeapEntry) -> u64 {
        // It is its own inverse.
        self.priority_of(head.priority)
    }

    fn is_in_snapshot(&self, index: usize) -> bool {
        self.cursors[index]
            .found()
            .is_some_and(|found| found.position < self.snapshot_ends[index])
    }

    /// Moves a cursor to its next event, and limits how many files are open.
    fn advance_cursor(&mut self, index: usize, block: usize) -> Result<bool> {
        let was_open = self.cursors[index].is_open();
        if !was_open
            && self.open_cursors.len() >= MAX_OPEN_FILES
            && let Some(oldest) = self.open_cursors.pop_front()
        {
            self.cursors[oldest].close_file();
        }
        let mut context = CursorContext {
            storage: &*self.storage,
            matcher: &self.matcher,
            times: &self.times,
            damage: &mut self.damage,
            checker: &mut self.checker,
            block,
        };
        let found = self.cursors[index].next(&mut context);
        match (was_open, self.cursors[index].is_open()) {
            (false, true) => self.open_cursors.push_back(index),
            (true, false) => self.open_cursors.retain(|&open| open != index),
            _ => {}
        }
        found
    }
}
