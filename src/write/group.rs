//! The threads that wait for one batch, and the atomic that they sleep on.
//!
//! A waiting thread first yields a few times: a batch that is only written to the
//! kernel is committed faster than a thread can be put to sleep and woken. Then it
//! sleeps, until all are woken at once.
//!
//! A thread that releases the trail while a batch waits wakes a leader: one of the
//! waiting threads, which commits the batch for all.

use crate::error::Result;
use crate::sync::{AtomicU32, OnceLock, Ordering, sleep_while, wake_all, wake_one, yield_now};

const WAITING: u32 = 0;
/// One of the waiting threads must become the leader.
const LEADER_WANTED: u32 = 1;
/// One of them has become the leader.
const LEADER_CHOSEN: u32 = 2;
/// The outcome is set.
const DONE: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Group {
    state: AtomicU32,
    sleepers: AtomicU32,
    /// The ids of the batch's events, in the order in which they joined.
    outcome: OnceLock<Result<Vec<u64>>>,
}

impl Group {
    /// Waits until the outcome is set, the first `yields` times by yielding; `None` if
    /// this thread has become the leader instead.
    pub fn wait(&self, mut yields: u32) -> Option<&Result<Vec<u64>>> {
        loop {
            // `finish` and `wake_leader` change the state, then check for sleepers; a
            // sleeper counts itself, then compares the state. So at least one of the
            // two sees the other, and no wake is lost.
            let state = self.state.load(Ordering::SeqCst);
            if state == DONE {
                return self.outcome.get();
            }
            if state == LEADER_WANTED && self.transition(LEADER_WANTED, LEADER_CHOSEN) {
                return None;
            }
            if yields > 0 {
                yields -= 1;
                yield_now();
                continue;
            }
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            sleep_while(&self.state, state);
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Sets the outcome and wakes all waiting threads. Only the first outcome counts;
    /// a second one comes from a leader that panicked.
    pub fn finish(&self, outcome: Result<Vec<u64>>) {
        let _ = self.outcome.set(outcome);
        self.state.store(DONE, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            wake_all(&self.state);
        }
    }

    /// Makes the group wait for a leader again, because the last one found the trail
    /// locked; no effect if there was none.
    pub fn clear_leader(&self) {
        self.transition(LEADER_CHOSEN, WAITING);
    }

    /// Makes one of the waiting threads the leader, unless there is one already.
    pub fn wake_leader(&self) {
        if self.transition(WAITING, LEADER_WANTED) && self.sleepers.load(Ordering::SeqCst) > 0 {
            wake_one(&self.state);
        }
    }

    fn transition(&self, from: u32, to: u32) -> bool {
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        changed.is_ok()
    }
}
