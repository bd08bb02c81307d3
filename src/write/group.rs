//! Threads that wait for one batch, and the word that they wait on.
//!
//! A thread waits first for a moment without sleeping, letting others run: a
//! batch that only goes to the kernel is committed before a thread could be put
//! to sleep and woken. Then it sleeps, and all are woken at once.
//!
//! A thread that releases the trail while a batch waits wakes a leader: one of the
//! batch's waiting threads commits it for all.

use crate::error::Result;
use crate::sync::{AtomicU32, OnceLock, Ordering, sleep_while, wake_all, wake_one, yield_now};

const WAITING: u32 = 0;
/// One of the waiting threads is to lead.
const LEADER_WANTED: u32 = 1;
/// One has taken the lead.
const LEADER_CHOSEN: u32 = 2;
/// The outcome is there.
const DONE: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Group {
    state: AtomicU32,
    sleepers: AtomicU32,
    /// The ids of the batch's events, in the order in which they joined.
    outcome: OnceLock<Result<Vec<u64>>>,
}

impl Group {
    /// Waits, the first `yields` times without sleeping, until the outcome is
    /// there; `None` where this thread is to lead before that.
    pub fn wait(&self, mut yields: u32) -> Option<&Result<Vec<u64>>> {
        loop {
            // `finish` and `wake_leader` change the state and then look for sleepers;
            // a sleeper is counted first and then compares the state. So one of both
            // sees the other.
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

    /// Gives the outcome to all waiting threads. The first one given counts: a
    /// second is that of a leader that panicked.
    pub fn finish(&self, outcome: Result<Vec<u64>>) {
        let _ = self.outcome.set(outcome);
        self.state.store(DONE, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            wake_all(&self.state);
        }
    }

    /// A leader is awaited: for the first time, or because the last one found
    /// the trail taken.
    pub fn clear_leader(&self) {
        self.transition(LEADER_CHOSEN, WAITING);
    }

    /// Wakes one of the waiting threads to lead, unless one leads already.
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
