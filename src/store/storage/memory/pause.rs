//! A call that waits, so that a test can do something else meanwhile.

use super::Call;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The next call of a kind, on a path that contains a text.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    pub call: Call,
    pub path: String,
    pub reached: Sender<()>,
    pub go_on: Arc<Mutex<Receiver<()>>>,
}

/// A call that is made to wait by [`Memory::pause`](super::Memory::pause). It goes on
/// when this is dropped.
#[derive(Debug)]
pub struct PausedCall {
    pub(super) reached: Receiver<()>,
    pub(super) _go_on: Sender<()>,
}

impl PausedCall {
    /// Waits until the call is made; `false` if it is not within a minute.
    pub fn is_reached(&self) -> bool {
        self.reached.recv_timeout(Duration::from_mins(1)).is_ok()
    }
}

impl Pause {
    pub fn is_at(&self, call: Call, what: &str) -> bool {
        self.call == call && what.contains(&self.path)
    }

    pub fn wait(&self) {
        let _ = self.reached.send(());
        let go_on = self.go_on.lock().unwrap_or_else(PoisonError::into_inner);
        // Returns when the sender is dropped.
        let _ = go_on.recv();
    }
}
