//! The primitives that threads meet at, in one place, so that the commit
//! protocol can be run under a model checker in their stead.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

/// Sleeps while the word has this value; may also wake for no reason.
pub(crate) fn sleep_while(word: &AtomicU32, value: u32) {
    atomic_wait::wait(word, value);
}

/// Wakes one who sleeps on the word.
pub(crate) fn wake_one(word: &AtomicU32) {
    atomic_wait::wake_one(&raw const *word);
}

/// Wakes all who sleep on the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    atomic_wait::wake_all(&raw const *word);
}

/// Lets another thread run, if one wants to.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}
