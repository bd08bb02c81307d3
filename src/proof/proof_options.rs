//! The options of a writer that has its trail signed.

use super::note::{Signer, VerifierKey};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Called with how many events the tree has, and how many it will have.
pub type ProgressHandler = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// How a writer signs its trail.
#[derive(Clone)]
pub struct ProofOptions {
    pub(crate) signer: Arc<dyn Signer>,
    earlier: Vec<VerifierKey>,
    pub(crate) every_events: Option<u64>,
    pub(crate) every: Option<Duration>,
    pub(crate) progress: Option<ProgressHandler>,
}

impl ProofOptions {
    /// Checkpoints are signed by this signer, under its name, at each sync and
    /// at close.
    pub fn new(signer: Arc<dyn Signer>) -> Self {
        Self {
            signer,
            earlier: Vec::new(),
            every_events: None,
            every: None,
            progress: None,
        }
    }

    /// Checkpoints on disk may be signed by this key, of the same name, from
    /// before the key was changed.
    pub fn earlier_key(&mut self, key: VerifierKey) -> &mut Self {
        self.earlier.push(key);
        self
    }

    /// Also after this many events; 0: not.
    pub fn every_events(&mut self, events: u64) -> &mut Self {
        self.every_events = (events > 0).then_some(events);
        self
    }

    /// Also with the first event after this interval; zero: not.
    pub fn every(&mut self, interval: Duration) -> &mut Self {
        self.every = (!interval.is_zero()).then_some(interval);
        self
    }

    /// Called with how far the tree is, when it is built for a trail that exists.
    pub fn progress(&mut self, progress: ProgressHandler) -> &mut Self {
        self.progress = Some(progress);
        self
    }

    /// The keys that may have signed a checkpoint of this trail; today's first.
    pub(crate) fn keys(&self) -> Vec<VerifierKey> {
        let mut keys = vec![self.signer.verifier().clone()];
        keys.extend(self.earlier.iter().cloned());
        keys
    }
}

impl fmt::Debug for ProofOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofOptions")
            .field("key", self.signer.verifier())
            .field("earlier", &self.earlier)
            .field("every_events", &self.every_events)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
