//! Reading a trail: event by event, in stream order or merged by id.
//!
//! A [`Reader`] looks at nothing but the segments, takes no lock and writes
//! nothing; it may read while others write. It returns whole, checked events
//! only. What is no event of the stream in whose file it stands is reported by
//! [`Reader::damage`] and not returned; an unfinished line at the end of a
//! stream is no damage, for it may be in the midst of being written.
//!
//! **A round.** Streams grow while they are read, and ids are spread over all
//! of them. So a round first notes where each stream ends, and then, once more,
//! how far each may be read. A writer gives ids in the order in which it
//! writes; so when an event lies before the first marks, every smaller id lies
//! before the second ones. A round returns events in the order of their ids as
//! long as one that lies before the first marks is still to come, and then
//! ends: what it has returned has no gap. Following is round after round.
//!
//! Memory: a block for each stream that is being read at the same time, and
//! the blocks are the smaller the more streams there are.

mod follow;

use crate::error::Result;
use crate::event::header::LineChecker;
use crate::read::cursor::{Cursor, Env};
use crate::read::damage::{Damage, DamageLog};
use crate::read::filter::{Filter, Matcher, Order};
use crate::read::record::Record;
use crate::read::segments::Position;
use crate::store::layout::Layout;
use crate::store::lines::Direction;
use crate::store::listing;
use crate::store::storage::{Disk, Storage};
use crate::store::times::Times;
use follow::Follow;
use std::collections::{BinaryHeap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// How many segment files are held open at most.
const MAX_OPEN: usize = 64;

/// The most to read at once, and the least, however many streams there are.
const BLOCK: usize = 256 * 1024;
const SMALLEST_BLOCK: usize = 4 * 1024;

/// What all blocks together may take, in bytes.
const BLOCKS: usize = 16 * 1024 * 1024;

/// Reads the events of a trail.
#[derive(Debug)]
pub struct Reader {
    storage: Arc<dyn Storage>,
    layout: Layout,
    matcher: Matcher,
    /// What is known of segments that may be passed over.
    times: Times,
    order: Order,
    /// How many events may still be returned.
    left: Option<u64>,
    cursors: Vec<Cursor>,
    /// Where each stream ended when the round began.
    sure: Vec<Position>,
    /// Cursors whose files are open, the longest open first.
    open: VecDeque<usize>,
    /// How much to read of a stream at once in this round.
    block: usize,
    phase: ReadPhase,
    /// The events next in line, one a cursor.
    heap: BinaryHeap<Next>,
    /// How many of them lie before the first marks.
    sure_heads: usize,
    /// The cursor whose event was returned last.
    current: Option<usize>,
    damage: DamageLog,
    checker: LineChecker,
    follow: Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadPhase {
    /// Stream after stream; this one is next.
    Streams(usize),
    /// A merged round is to begin.
    Round,
    /// A merged round is under direction.
    Merge,
    /// At the end; only following goes on.
    End,
}

/// An event next in line; the greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    /// The id, or its complement where the lowest goes first.
    rank: u64,
    cursor: usize,
}

impl Reader {
    /// Opens the trail at `root` for reading what passes the filter.
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
        listing::must_be_there(&*storage, &layout)?;
        let order = filter.get_order();
        let matcher = Matcher::new(filter);
        let times = if matcher.has_times() {
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
            left: filter.get_limit(),
            cursors: Vec::new(),
            sure: Vec::new(),
            open: VecDeque::new(),
            block: BLOCK,
            phase: match order {
                Order::Stream => ReadPhase::Streams(0),
                Order::OldestFirst | Order::NewestFirst => ReadPhase::Round,
            },
            heap: BinaryHeap::new(),
            sure_heads: 0,
            current: None,
            damage: DamageLog::default(),
            checker: LineChecker::default(),
            follow: Follow::default(),
        };
        reader.find_streams()?;
        Ok(reader)
    }

    /// The next event; `None` at the end. After an error, the same call tries
    /// again.
    #[allow(clippy::should_implement_trait)] // the record is lent, an Iterator's item is not
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.step()? {
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

    /// What was met so far that is no event of its stream; of more than 1,000
    /// such lines, the first.
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

    /// Makes a cursor for each stream that has none yet; says whether there was
    /// one.
    fn find_streams(&mut self) -> Result<bool> {
        let streams = listing::streams_of(
            &*self.storage,
            &self.layout,
            |domain| self.matcher.domain(domain),
            |category| self.matcher.category(category),
        )?;
        let before = self.cursors.len();
        let direction = match self.order {
            Order::Stream | Order::OldestFirst => Direction::Forward,
            Order::NewestFirst => Direction::Backward,
        };
        for stream in streams {
            if self.follow.is_new(&stream) {
                self.cursors
                    .push(Cursor::new(&self.layout, stream, direction));
                self.sure.push(Position::default());
            }
        }
        Ok(self.cursors.len() > before)
    }

    /// Moves to the next event; `false` at the end.
    fn step(&mut self) -> Result<bool> {
        if self.left == Some(0) {
            self.current = None;
            return Ok(false);
        }
        let found = loop {
            match self.phase {
                ReadPhase::Streams(index) => {
                    if self.step_in_stream(index)? {
                        break true;
                    }
                    self.phase = if index + 1 < self.cursors.len() {
                        ReadPhase::Streams(index + 1)
                    } else {
                        ReadPhase::End
                    };
                }
                ReadPhase::Round => {
                    self.begin_round()?;
                    self.phase = ReadPhase::Merge;
                }
                ReadPhase::Merge => {
                    if self.step_in_merge()? {
                        break true;
                    }
                    self.phase = ReadPhase::End;
                }
                ReadPhase::End => break false,
            }
        };
        if let (true, Some(left)) = (found, &mut self.left) {
            *left -= 1;
        }
        Ok(found)
    }

    fn step_in_stream(&mut self, index: usize) -> Result<bool> {
        let Some(cursor) = self.cursors.get_mut(index) else {
            return Ok(false);
        };
        if self.current != Some(index) {
            // As far as the stream goes now; a writer must not keep us for ever.
            let end = cursor.end(&*self.storage)?;
            cursor.set_limit(end);
            self.current = Some(index);
        }
        let found = self.advance(index, BLOCK)?;
        if !found {
            self.current = None;
        }
        Ok(found)
    }

    /// Notes the two marks of each stream, and what is next in line in each.
    fn begin_round(&mut self) -> Result<()> {
        self.current = None;
        for (cursor, sure) in self.cursors.iter_mut().zip(&mut self.sure) {
            *sure = cursor.end(&*self.storage)?;
        }
        // Smaller ids than those may be in streams that have come up since.
        self.find_streams()?;
        for cursor in &mut self.cursors {
            let end = cursor.end(&*self.storage)?;
            cursor.set_limit(end);
        }
        self.heap.clear();
        self.sure_heads = 0;
        let reading = self.cursors.iter().filter(|c| c.can_go_on()).count();
        self.block = (BLOCKS / reading.max(1)).clamp(SMALLEST_BLOCK, BLOCK);
        for index in 0..self.cursors.len() {
            self.put_in_line(index)?;
        }
        if self.order == Order::NewestFirst {
            // The newest may lack what was written beside them meanwhile.
            while self.sure_heads < self.heap.len() {
                let Some(next) = self.heap.peek().copied() else {
                    break;
                };
                if self.is_sure(next.cursor) {
                    break;
                }
                self.heap.pop();
                self.advance_in_line(next.cursor)?;
            }
        }
        Ok(())
    }

    fn step_in_merge(&mut self) -> Result<bool> {
        if let Some(current) = self.current {
            self.advance_in_line(current)?;
            self.current = None;
        }
        // Going backward, all that is left is older than something sure.
        if self.sure_heads == 0 && self.order != Order::NewestFirst {
            return Ok(false);
        }
        let Some(next) = self.heap.pop() else {
            return Ok(false);
        };
        if self.is_sure(next.cursor) {
            self.sure_heads -= 1;
        }
        self.current = Some(next.cursor);
        Ok(true)
    }

    fn advance_in_line(&mut self, index: usize) -> Result<()> {
        let block = self.block;
        if self.advance(index, block)? {
            self.put_in_line(index)?;
        }
        Ok(())
    }

    /// Puts the cursor's event in line; if it has none, the next one.
    fn put_in_line(&mut self, index: usize) -> Result<()> {
        let cursor = &self.cursors[index];
        if cursor.found().is_none() && cursor.can_go_on() {
            self.advance(index, self.block)?;
        }
        if let Some(found) = self.cursors[index].found() {
            let id = found.header.event_id;
            let rank = match self.order {
                Order::NewestFirst => id,
                Order::Stream | Order::OldestFirst => !id,
            };
            self.heap.push(Next {
                rank,
                cursor: index,
            });
            if self.is_sure(index) {
                self.sure_heads += 1;
            }
        }
        Ok(())
    }

    fn is_sure(&self, index: usize) -> bool {
        self.cursors[index]
            .found()
            .is_some_and(|found| found.position < self.sure[index])
    }

    /// Moves a cursor on, with an eye on how many files are open.
    fn advance(&mut self, index: usize, block: usize) -> Result<bool> {
        let was_open = self.cursors[index].is_open();
        if !was_open
            && self.open.len() >= MAX_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            self.cursors[oldest].close_file();
        }
        let mut env = Env {
            storage: &*self.storage,
            matcher: &self.matcher,
            times: &self.times,
            damage: &mut self.damage,
            checker: &mut self.checker,
            block,
        };
        let found = self.cursors[index].next(&mut env);
        match (was_open, self.cursors[index].is_open()) {
            (false, true) => self.open.push_back(index),
            (true, false) => self.open.retain(|&open| open != index),
            _ => {}
        }
        found
    }
}
