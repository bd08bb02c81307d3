//! The synchronization primitives of the commit protocol, in one place, so that a
//! model checker can replace them: with `--cfg auditrail_model` they are shuttle's,
//! which explores the interleavings of threads (`tests/model.rs`).

pub(crate) use std::sync::{Arc, OnceLock, PoisonError, TryLockError};

#[cfg(not(auditrail_model))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    /// Sleeps while the atomic has this value; may wake spuriously.
    pub(crate) fn sleep_while(atomic: &AtomicU32, value: u32) {
        atomic_wait::wait(atomic, value);
    }

    /// Wakes one thread that sleeps on the atomic.
    pub(crate) fn wake_one(atomic: &AtomicU32) {
        atomic_wait::wake_one(&raw const *atomic);
    }

    /// Wakes all threads that sleep on the atomic.
    pub(crate) fn wake_all(atomic: &AtomicU32) {
        atomic_wait::wake_all(&raw const *atomic);
    }

    /// Lets another runnable thread run.
    pub(crate) fn yield_now() {
        std::thread::yield_now();
    }

    /// Whether a thread panicked while it held the lock.
    pub(crate) fn is_poisoned<T>(mutex: &Mutex<T>) -> bool {
        mutex.is_poisoned()
    }
}

#[cfg(not(auditrail_model))]
pub(crate) use real::*;

/// The same, for the model checker. Shuttle has no futex: all sleepers share one
/// condition variable, and any wake wakes all. So a sleeper that is never woken is
/// found; one that only an unrelated wake rescues is not.
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
