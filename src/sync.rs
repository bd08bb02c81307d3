//! The primitives that threads meet at, in one place, so that the commit
//! protocol can be run under a model checker in their stead.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, TryLockError};

/// A word that many threads sleep on, to be woken all at once.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU32);

impl Gate {
    /// Sleeps until the gate is open.
    pub fn wait(&self) {
        while self.0.load(Ordering::Acquire) == 0 {
            atomic_wait::wait(&self.0, 0);
        }
    }

    /// Opens the gate, for good.
    pub fn open(&self) {
        self.0.store(1, Ordering::Release);
        atomic_wait::wake_all(&raw const self.0);
    }
}
