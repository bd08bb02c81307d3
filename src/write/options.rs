//! The options of a writer.

use crate::error::{Error, Result};
use crate::event::{Names, Rules};
use crate::limits::{
    DEFAULT_BUFFER_BYTES, MAX_BUFFER_BYTES, MAX_LINE_BYTES, MIN_BUFFER_BYTES, MIN_LINE_LIMIT,
};
use crate::proof::ProofOptions;
use crate::warning::Warning;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What an append waits for before it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Durability {
    /// The event is in memory. It is flushed by size or time; if the process ends
    /// before, it is lost. Starts one thread, which flushes by time.
    Buffered = 0,
    /// The event is in its segment file, visible to any reader. It survives the end of
    /// the process; a power loss loses what the OS had not yet written.
    #[default]
    Written = 1,
    /// The event is on disk. It survives a power loss.
    Synced = 2,
    /// The event is in the kernel's memory, in a mapped file of the trail, and follows
    /// into its segment as with [`Durability::Buffered`]. It survives the end of the
    /// process, and is in its segment after the next opening; a power loss loses what is
    /// not yet flushed. Starts one thread, which flushes by time.
    Mapped = 3,
}

impl Durability {
    /// Whether an append returns before the event is in its segment.
    pub(crate) fn is_buffered(self) -> bool {
        matches!(self, Self::Buffered | Self::Mapped)
    }
}

/// Called with each warning of a writer.
pub type WarningHandler = Arc<dyn Fn(&Warning) + Send + Sync>;

/// How a trail is opened and written. [`Options::default`] is the predecessor's
/// configuration, made safe.
#[derive(Clone)]
pub struct Options {
    pub(crate) max_segment_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) rules: Rules,
    pub(crate) shared: bool,
    pub(crate) buffer_bytes: usize,
    pub(crate) flush_interval: Option<Duration>,
    pub(crate) max_open_files: usize,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) journal_bytes: u64,
    pub(crate) on_warning: Option<WarningHandler>,
    pub(crate) proof: Option<ProofOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_segment_bytes: 5 * 1024 * 1024,
            durability: Durability::default(),
            rules: Rules::default(),
            shared: false,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            flush_interval: Some(Duration::from_secs(1)),
            max_open_files: 128,
            lock_timeout: None,
            journal_bytes: 16 * 1024 * 1024,
            on_warning: None,
            proof: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_segment_bytes", &self.max_segment_bytes)
            .field("durability", &self.durability)
            .field("rules", &self.rules)
            .field("shared", &self.shared)
            .field("buffer_bytes", &self.buffer_bytes)
            .field("flush_interval", &self.flush_interval)
            .field("max_open_files", &self.max_open_files)
            .field("lock_timeout", &self.lock_timeout)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The size at which a segment is full, so that the next event goes into a new one.
    /// 1 byte or more; the default is 5 MiB.
    pub fn max_segment_bytes(&mut self, bytes: u64) -> Result<&mut Self> {
        if bytes == 0 {
            return Err(Error::argument("max_segment_bytes must be at least 1"));
        }
        self.max_segment_bytes = bytes;
        Ok(self)
    }

    /// What an append waits for. The default is [`Durability::Written`].
    pub fn durability(&mut self, durability: Durability) -> &mut Self {
        self.durability = durability;
        self
    }

    /// The longest line, in bytes, with its newline and with its id counted as
    /// 20 digits. 256 bytes to 1 GiB; the default is 1 MiB.
    pub fn max_event_bytes(&mut self, bytes: u64) -> Result<&mut Self> {
        match usize::try_from(bytes) {
            Ok(bytes @ MIN_LINE_LIMIT..=MAX_LINE_BYTES) => self.rules.max_line = bytes,
            _ => {
                return Err(Error::argument(format!(
                    "max_event_bytes must be {MIN_LINE_LIMIT} to {MAX_LINE_BYTES}, not {bytes}"
                )));
            }
        }
        Ok(self)
    }

    /// The domains that events may have. The default is `legacy` and `v2`.
    pub fn domains(&mut self, names: Names) -> &mut Self {
        self.rules.domains = names;
        self
    }

    /// The operations that events may have. The default is `create`, `update`
    /// and `delete`.
    pub fn operations(&mut self, names: Names) -> &mut Self {
        self.rules.operations = names;
        self
    }

    /// Whether other writers, in this process or others, may write to the trail at the
    /// same time; all of them must set this. Not with [`Durability::Buffered`] or
    /// [`Durability::Mapped`].
    pub fn shared(&mut self, shared: bool) -> &mut Self {
        self.shared = shared;
        self
    }

    /// The size of the buffer of [`Durability::Buffered`] and [`Durability::Mapped`], in
    /// bytes of events. It is flushed when it is half full. 4 KiB to 1 GiB; the default is 3 MiB.
    pub fn buffer_bytes(&mut self, bytes: u64) -> Result<&mut Self> {
        match usize::try_from(bytes) {
            Ok(bytes @ MIN_BUFFER_BYTES..=MAX_BUFFER_BYTES) => self.buffer_bytes = bytes,
            _ => {
                return Err(Error::argument(format!(
                    "buffer_bytes must be {MIN_BUFFER_BYTES} to {MAX_BUFFER_BYTES}, not {bytes}"
                )));
            }
        }
        Ok(self)
    }

    /// The longest time that [`Durability::Buffered`] and [`Durability::Mapped`] hold an
    /// event. Zero: no thread,
    /// and no flush by time. The default is one second.
    pub fn flush_interval(&mut self, interval: Duration) -> &mut Self {
        self.flush_interval = Some(interval).filter(|interval| !interval.is_zero());
        self
    }

    /// The most segment files kept open. 1 or more; the default is 128.
    pub fn max_open_files(&mut self, files: u64) -> Result<&mut Self> {
        match usize::try_from(files) {
            Ok(files) if files > 0 => self.max_open_files = files,
            _ => return Err(Error::argument("max_open_files must be at least 1")),
        }
        Ok(self)
    }

    /// How long a call waits for a lock of the trail that another process holds, the
    /// commit lock of [`Options::shared`] or that of the proof's log; then its error is
    /// [`Kind::Busy`](crate::error::Kind::Busy) and names the holder, and the trail is as
    /// before. Calls that wait together end together. Zero, the default: no limit. Either
    /// way a wait of a second is warned of.
    pub fn lock_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.lock_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        self
    }

    /// The size of the journal's file, so that tests can fill it.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn journal_bytes(&mut self, bytes: u64) -> &mut Self {
        self.journal_bytes = bytes;
        self
    }

    /// Makes the writer keep a proof of its trail: a Merkle tree over all events, and
    /// signed checkpoints. See [`crate::proof`].
    pub fn proof(&mut self, proof: ProofOptions) -> &mut Self {
        self.proof = Some(proof);
        self
    }

    /// The handler of warnings: what recovery did or could not do, a failed flush.
    /// Called from the thread that found it, with no lock held.
    pub fn on_warning(&mut self, handler: impl Fn(&Warning) + Send + Sync + 'static) -> &mut Self {
        self.on_warning = Some(Arc::new(handler));
        self
    }
}
