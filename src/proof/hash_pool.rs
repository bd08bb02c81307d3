//! Hashes chunks of leaves on all processors, in order.
//!
//! The caller's thread fills chunks and takes them back in the order in which they
//! were filled; threads that live as long as the call hash them. The number of chunks
//! that exist at a time is bounded, and so is the memory.

use super::leaf_chunks::LeafChunk;
use crate::error::{Error, Kind, Result};
use crate::os;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// More threads than this do not hash faster than one can read.
const MAX_THREADS: usize = 8;

/// No more chunks are filled while those that are waiting or done hold so many bytes.
const MAX_BYTES: usize = 64 << 20;

/// Chunks that may be waiting or done for each thread.
const CHUNKS_PER_THREAD: usize = 3;

/// Hashes all chunks that `fill` fills, until it returns `false`, and gives them to
/// `take` in order.
pub(crate) fn hash_all(
    mut fill: impl FnMut(&mut LeafChunk) -> Result<bool>,
    mut take: impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<()> {
    // To hash a single chunk takes less time than to start a thread.
    let mut first = LeafChunk::default();
    if !fill(&mut first)? {
        return Ok(());
    }
    first.hash();
    take(&first)?;

    let pool = Arc::new(HashPool::default());
    let mut threads = Vec::new();
    let result = run_pipeline(&pool, &mut threads, &mut fill, &mut take);
    pool.close();
    for thread in threads {
        let _ = thread.join();
    }
    result
}

/// Fills, submits and takes chunks, so that the threads always have some.
fn run_pipeline(
    pool: &Arc<HashPool>,
    threads: &mut Vec<JoinHandle<()>>,
    fill: &mut impl FnMut(&mut LeafChunk) -> Result<bool>,
    take: &mut impl FnMut(&LeafChunk) -> Result<()>,
) -> Result<()> {
    let mut spare = Vec::new();
    let (mut submitted, mut taken, mut more) = (0, 0, true);
    let mut held = 0;
    loop {
        while more
            && submitted - taken <= (CHUNKS_PER_THREAD * threads.len()) as u64
            && held < MAX_BYTES
        {
            let mut chunk: LeafChunk = spare.pop().unwrap_or_default();
            more = fill(&mut chunk)?;
            if !more {
                break;
            }
            held += chunk.text_bytes();
            if submitted == 0 {
                *threads = start_threads(pool);
            }
            if threads.is_empty() {
                chunk.hash();
                pool.state().done.insert(submitted, chunk);
            } else {
                pool.submit(submitted, chunk);
            }
            submitted += 1;
        }
        if submitted == taken {
            return Ok(());
        }
        let chunk = pool.wait_for(taken)?;
        take(&chunk)?;
        held -= chunk.text_bytes();
        if chunk.is_reusable() {
            spare.push(chunk);
        }
        taken += 1;
    }
}

fn start_threads(pool: &Arc<HashPool>) -> Vec<JoinHandle<()>> {
    let wanted = thread::available_parallelism().map_or(1, NonZero::get);
    let spawn = |_| {
        let pool = pool.clone();
        // Without any thread, the caller's does the work.
        os::spawn_signal_masked("auditrail-hash", move || pool.work()).ok()
    };
    (0..wanted.min(MAX_THREADS)).filter_map(spawn).collect()
}

/// Chunks on their way to and from the threads.
#[derive(Default)]
struct HashPool {
    state: Mutex<PoolState>,
    /// A chunk was submitted, or the pool was closed.
    submitted: Condvar,
    /// The chunk that is waited for is done, or never will be.
    ready: Condvar,
}

#[derive(Default)]
struct PoolState {
    /// By number.
    waiting: VecDeque<(u64, LeafChunk)>,
    done: BTreeMap<u64, LeafChunk>,
    /// The number that the caller waits for.
    awaited: Option<u64>,
    closed: bool,
    thread_panicked: bool,
}

/// Wakes the caller if a thread panics, so that it does not wait for ever.
struct PanicNotice<'a>(&'a HashPool);

impl Drop for PanicNotice<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.state().thread_panicked = true;
            self.0.ready.notify_all();
        }
    }
}

impl HashPool {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does, until the pool is closed.
    fn work(&self) {
        let _notice = PanicNotice(self);
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
                state = (self.submitted.wait(state)).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn submit(&self, number: u64, chunk: LeafChunk) {
        self.state().waiting.push_back((number, chunk));
        self.submitted.notify_one();
    }

    /// Waits until the chunk with this number is hashed.
    fn wait_for(&self, number: u64) -> Result<LeafChunk> {
        let mut state = self.state();
        loop {
            if let Some(chunk) = state.done.remove(&number) {
                state.awaited = None;
                return Ok(chunk);
            }
            if state.thread_panicked {
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
        self.submitted.notify_all();
    }
}
