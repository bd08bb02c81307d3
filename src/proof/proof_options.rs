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
    pub(crate) adopt: bool,
    pub(crate) goes_on_from: Vec<String>,
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
            adopt: false,
            goes_on_from: Vec::new(),
        }
    }

    /// Checkpoints on disk may be signed by this key, of the same name, from
    /// before the key was changed. With the size that the trail had then
    /// ([`VerifierKey::until`]), a thief of this key cannot sign more; without, the size
    /// is the one that is recorded in the trail when the key is replaced.
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

    /// Whether a log may begin on a trail that holds events and never had one: they are
    /// signed as they are now. Without this, opening such a trail says
    /// [`Kind::Tampered`](crate::Kind::Tampered), because it may also be one whose log
    /// was removed. A trail that is known to have had a log is refused in any case.
    pub fn adopt(&mut self, adopt: bool) -> &mut Self {
        self.adopt = adopt;
        self
    }

    /// Opens a trail only if it goes on from this checkpoint, which was kept elsewhere;
    /// otherwise opening says [`Kind::Tampered`](crate::Kind::Tampered). Several can be
    /// given.
    pub fn goes_on_from(&mut self, checkpoint: &str) -> &mut Self {
        self.goes_on_from.push(checkpoint.to_owned());
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
            .field("adopt", &self.adopt)
            .field("goes_on_from", &self.goes_on_from)
            .finish_non_exhaustive()
    }
}
