//! The primitives that threads meet at, in one place, so that the commit
//! protocol can be run under a model checker in their stead: with
//! `--cfg auditrail_model` they are shuttle's, which tries out how threads may
//! interleave (`tests/model.rs`).

pub(crate) use std::sync::{Arc, OnceLock, PoisonError, TryLockError};

#[cfg(not(auditrail_model))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    /// Sleeps while the word has this value; may also wake for no reason.
    pub(crate) fn sleep_while(atomic: &AtomicU32, value: u32) {
        atomic_wait::wait(atomic, value);
    }

    /// Wakes one who sleeps on the word.
    pub(crate) fn wake_one(atomic: &AtomicU32) {
        atomic_wait::wake_one(&raw const *atomic);
    }

    /// Wakes all who sleep on the word.
    pub(crate) fn wake_all(atomic: &AtomicU32) {
        atomic_wait::wake_all(&raw const *atomic);
    }

    /// Lets another thread run, if one wants to.
    pub(crate) fn yield_now() {
        std::thread::yield_now();
    }

    /// Whether a thread has panicked while it had the lock.
    pub(crate) fn is_poisoned<T>(mutex: &Mutex<T>) -> bool {
        mutex.is_poisoned()
    }
}

#[cfg(not(auditrail_model))]
pub(crate) use real::*;

/// The same, for the model checker. It knows no word to sleep on: all sleepers
/// share one condition variable, and all wake when any is woken. So a sleeper that
/// nobody wakes is found; one that another's waking saves is not.
#[cfg(auditrail_model)]
mod model {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::yield_now;
    use std::sync::{PoisonError, TryLockError};

    pub(crate) fn is_poisoned<T>(mutex: &Mutex<T>) -> bool {
        matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_)))
    }

    shuttle::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    pub(crate) fn sleep_while(atomic: &AtomicU32, value: u32) {
        let guard = SLEEPERS.0.lock().unwrap_or_else(PoisonError::into_inner);
        if atomic.load(Ordering::SeqCst) == value {
            let _guard = SLEEPERS.1.wait(guard);
        }
    }

    pub(crate) fn wake_one(atomic: &AtomicU32) {
        wake_all(atomic);
    }

    pub(crate) fn wake_all(_: &AtomicU32) {
        let _guard = SLEEPERS.0.lock().unwrap_or_else(PoisonError::into_inner);
        SLEEPERS.1.notify_all();
    }
}

#[cfg(auditrail_model)]
pub(crate) use model::*;
