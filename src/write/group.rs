//! Threads that wait for one batch, and the word that they wait on.
//!
//! A thread waits first for a moment without sleeping, letting others run: a
//! batch that only goes to the kernel is committed before a thread could be put
//! to sleep and woken. Then it sleeps, and all are woken at once.
//!
//! Whoever lets the trail go while a batch waits *calls* its group: one of those
//! who wait is told to lead it.

use crate::error::Result;
use crate::sync::{AtomicU32, OnceLock, Ordering, sleep_while, wake_all, wake_one, yield_now};

const WAITING: u32 = 0;
/// One who waits is wanted as leader.
const LEADER_WANTED: u32 = 1;
/// One has taken the wake_leader.
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
    /// there; `None` where this thread is called to lead before that.
    pub fn wait(&self, mut yields: u32) -> Option<&Result<Vec<u64>>> {
        loop {
            // With `finish` and `wake_leader`: they change the state and then look for
            // sleepers, a sleeper does it the other way round.
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

    /// Tells all who wait. The first word counts; a second is that of a leader
    /// that panicked.
    pub fn finish(&self, outcome: Result<Vec<u64>>) {
        let _ = self.outcome.set(outcome);
        self.state.store(DONE, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            wake_all(&self.state);
        }
    }

    /// Says that a wake_leader is awaited, for the first time, or since the last one
    /// came to nothing.
    pub fn await_leader(&self) {
        self.transition(LEADER_CHOSEN, WAITING);
    }

    /// Calls one of those who wait to lead, unless one is already.
    pub fn wake_leader(&self) {
        if self.transition(WAITING, LEADER_WANTED) && self.sleepers.load(Ordering::SeqCst) > 0 {
            wake_one(&self.state);
        }
    }

    fn transition(&self, from: u32, to: u32) -> bool {
        let turned = self
            .state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        turned.is_ok()
    }
}
