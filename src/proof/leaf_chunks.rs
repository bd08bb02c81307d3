//! The trail's entries, leaf after leaf, hashed on all processors.
//!
//! [`LeafChunks`] cuts the walk into chunks of consecutive leaves that lie in one
//! tile; an id that has no line gets the empty entry, so that leaf `i` is always
//! event `i + 1`. [`hash_all`] hashes chunks in threads of its own, which end
//! before it returns, and hands them out in order. What is at work at one time
//! is bounded, so the memory is flat.

use super::merkle::{Hash, complete_hash, leaf_hash};
use super::tile::WIDTH;
use super::trail_walk::{LineLook, LinePosition, TrailWalk, WalkPositions};
use crate::error::{Error, Kind, Result};
use crate::os;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Text in a chunk, after which it is not added to.
const CHUNK_BYTES: usize = 1024 * 1024;

/// More threads than this do not hash faster than one can read.
const MAX_THREADS: usize = 8;

/// Consecutive leaves of one tile.
#[derive(Debug, Default)]
pub(crate) struct LeafChunk {
    /// The index of the first.
    pub first: u64,
    /// What is known of each leaf's line; `None` where there is no line.
    pub lines: Vec<Option<(LineLook, LinePosition)>>,
    pub leaves: Vec<Hash>,
    /// The hash over them, if they are a full tile.
    pub complete: Option<Hash>,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LeafChunk {
    fn reset(&mut self, first: u64) {
        self.first = first;
        self.complete = None;
        self.lines.clear();
        self.leaves.clear();
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, line: Option<(LineLook, LinePosition)>, text: &[u8]) {
        self.lines.push(line);
        self.text.extend_from_slice(text);
        self.ends.push(self.text.len());
    }

    fn is_full(&self) -> bool {
        let next = self.first + self.ends.len() as u64;
        !self.ends.is_empty() && (next.is_multiple_of(WIDTH) || self.text.len() >= CHUNK_BYTES)
    }

    /// The lines' texts, in order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let entry = &self.text[start..end];
            start = end;
            entry
        })
    }

    fn hash(&mut self) {
        let mut leaves = std::mem::take(&mut self.leaves);
        leaves.extend(self.entries().map(leaf_hash));
        if leaves.len() as u64 == WIDTH {
            self.complete = Some(complete_hash(&leaves));
        }
        self.leaves = leaves;
    }
}

/// What lines that have no place among the leaves are given to.
pub(crate) trait UnmatchedSink {
    /// A line that is out of order, no event, or a second one of its id.
    fn odd(&mut self, look: LineLook, place: LinePosition, line: &[u8]);
    /// An event after the last leaf.
    fn beyond(&mut self, id: u64);
}

/// Cuts a walk into chunks.
pub(crate) struct LeafChunks {
    walk: TrailWalk,
    next: u64,
    end: u64,
    /// A line that was met before its turn.
    held: Option<(LineLook, LinePosition, Vec<u8>)>,
    at_end: bool,
}

impl LeafChunks {
    /// The leaves in `range`, from a walk that begins at or before them.
    pub fn new(walk: TrailWalk, range: Range<u64>) -> Self {
        Self {
            walk,
            next: range.start,
            end: range.end,
            held: None,
            at_end: false,
        }
    }

    pub fn walk(&self) -> &TrailWalk {
        &self.walk
    }

    /// Fills the chunk; `false` when there are no more leaves.
    pub fn fill(
        &mut self,
        chunk: &mut LeafChunk,
        unmatched: &mut impl UnmatchedSink,
    ) -> Result<bool> {
        chunk.reset(self.next);
        let start = self.next;
        while self.next < self.end && !chunk.is_full() {
            if self.held.is_none() && !self.at_end {
                self.read(chunk, unmatched)?;
                continue;
            }
            match self.held.take() {
                Some((look, place, line)) if look.id == Some(self.next + 1) => {
                    chunk.push(Some((look, place)), &line);
                }
                held => {
                    self.held = held;
                    chunk.push(None, b"");
                }
            }
            self.next += 1;
        }
        Ok(self.next > start)
    }

    /// Reads lines until one has to wait, the chunk is full, or nothing is left.
    fn read(&mut self, chunk: &mut LeafChunk, unmatched: &mut impl UnmatchedSink) -> Result<()> {
        while self.next < self.end && !chunk.is_full() {
            let Some((look, place, line)) = self.walk.next()? else {
                self.at_end = true;
                return Ok(());
            };
            match look.id {
                Some(id) if look.in_order && id == self.next + 1 => {
                    chunk.push(Some((look, place)), line);
                    self.next += 1;
                }
                // Also one after the last leaf: whoever goes on will want it.
                Some(id) if look.in_order && id > self.next => {
                    self.held = Some((look, place, line.to_vec()));
                    return Ok(());
                }
                _ => unmatched.odd(look, place, line),
            }
        }
        Ok(())
    }

    /// Where the walk is, for one that goes on with the next leaf.
    pub fn positions(&self) -> WalkPositions {
        let held = self.held.as_ref();
        self.walk
            .positions(held.and_then(|(look, place, _)| Some((look.id?, *place))))
    }

    /// Goes through what comes after the last leaf.
    pub fn finish(&mut self, unmatched: &mut impl UnmatchedSink) -> Result<()> {
        if let Some(id) = self.held.take().and_then(|(look, ..)| look.id) {
            unmatched.beyond(id);
        }
        while let Some((look, place, line)) = self.walk.next()? {
            match look.id {
                Some(id) if look.in_order && id > self.end => unmatched.beyond(id),
                _ => unmatched.odd(look, place, line),
            }
        }
        Ok(())
    }
}

/// Hashes all chunks that `fill` gives, and hands them to `take` in order.
pub(crate) fn hash_all(
    mut fill: impl FnMut(&mut LeafChunk) -> Result<bool>,
    mut take: impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<()> {
    // What one chunk holds is hashed before a thread is up.
    let mut first = LeafChunk::default();
    if !fill(&mut first)? {
        return Ok(());
    }
    first.hash();
    take(&first)?;

    let bench = Arc::new(Bench::default());
    let mut threads = Vec::new();
    let result = conduct(&bench, &mut threads, &mut fill, &mut take);
    bench.close();
    for thread in threads {
        let _ = thread.join();
    }
    result
}

fn start(bench: &Arc<Bench>) -> Vec<JoinHandle<()>> {
    let wanted = thread::available_parallelism().map_or(1, NonZero::get);
    let spawn = |_| {
        let bench = bench.clone();
        // Where no thread is to be had, this one does the work.
        os::spawn_signal_masked("auditrail-hash", move || bench.hash()).ok()
    };
    (0..wanted.min(MAX_THREADS)).filter_map(spawn).collect()
}

/// Where threads find work, and leave what is done.
#[derive(Default)]
struct Bench {
    state: Mutex<PoolState>,
    /// There is something to do, or never will be.
    work: Condvar,
    /// What was waited for is done.
    ready: Condvar,
}

#[derive(Default)]
struct PoolState {
    waiting: VecDeque<(u64, LeafChunk)>,
    done: BTreeMap<u64, LeafChunk>,
    awaited: Option<u64>,
    closed: bool,
    broken: bool,
}

impl Bench {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn hash(&self) {
        /// Tells who waits, should a thread end before its time.
        struct Alarm<'a>(&'a Bench);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.state().broken = true;
                    self.0.ready.notify_all();
                }
            }
        }
        let _alarm = Alarm(self);
        let mut state = self.state();
        loop {
            if let Some((number, mut chunk)) = state.waiting.pop_front() {
                drop(state);
                chunk.hash();
                state = self.state();
                state.done.insert(number, chunk);
                if state.awaited == Some(number) {
                    self.ready.notify_one();
                }
            } else if state.closed {
                return;
            } else {
                state = (self.work.wait(state)).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn put(&self, number: u64, chunk: LeafChunk) {
        self.state().waiting.push_back((number, chunk));
        self.work.notify_one();
    }

    fn get(&self, number: u64) -> Result<LeafChunk> {
        let mut state = self.state();
        loop {
            if let Some(chunk) = state.done.remove(&number) {
                state.awaited = None;
                return Ok(chunk);
            }
            if state.broken {
                return Err(Error::new(
                    Kind::Panic,
                    "a hashing thread ended before its time",
                ));
            }
            state.awaited = Some(number);
            state = (self.ready.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.state().closed = true;
        self.work.notify_all();
    }
}

/// Keeps the threads busy with a bounded number of chunks.
fn conduct(
    bench: &Arc<Bench>,
    threads: &mut Vec<JoinHandle<()>>,
    fill: &mut impl FnMut(&mut LeafChunk) -> Result<bool>,
    take: &mut impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<()> {
    let mut spare = Vec::new();
    let (mut sent, mut taken, mut more) = (0, 0, true);
    loop {
        while more && sent - taken <= 3 * threads.len() as u64 {
            let mut chunk: LeafChunk = spare.pop().unwrap_or_default();
            more = fill(&mut chunk)?;
            if !more {
                break;
            }
            if sent == 0 {
                *threads = start(bench);
            }
            if threads.is_empty() {
                chunk.hash();
                bench.state().done.insert(sent, chunk);
            } else {
                bench.put(sent, chunk);
            }
            sent += 1;
        }
        if sent == taken {
            return Ok(());
        }
        let chunk = bench.get(taken)?;
        take(&chunk)?;
        spare.push(chunk);
        taken += 1;
    }
}
