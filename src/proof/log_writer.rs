//! Proof as a writer keeps it: when to sign, and what must hold before.
//!
//! An append pays nothing: leaves are hashed from the lines in the segments, on
//! all processors, when a checkpoint is made; while many events are written, a
//! thread follows and does most of it before. What a writer does with a
//! [`LogWriter`]: open it once the trail is recovered, and put it into a
//! [`Prover`], which many threads can share; after each append ask
//! [`Prover::is_due`]; at a sync, at close, and when it is due, bring the trail
//! to disk and have a checkpoint made up to there.
//!
//! `.auditrail/tlog-lock` is held while the log's files are changed, so that
//! shared writers, and who adds a witness's cosignature, take turns. The new
//! checkpoint of a shared writer goes on from whatever the others have signed.

use super::catch_up::{catch_up, repair_tiles, sync_from};
use super::checkpoint::SignedCheckpoint;
use super::log::{CHECKPOINT, Log, TLOG, read_checkpoint, read_text};
use super::note::{Signer, VerifierKey};
use super::tile::{Durable, LogFolder};
use super::trail_walk::WalkPositions;
use crate::error::{Error, Kind, Result};
use crate::os;
use crate::store::layout::Layout;
use crate::store::storage::{Disk, File, Open, Storage};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

/// Told how many events the tree has, and how many it is to have.
pub type ProgressHandler = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// How a writer keeps proof of its trail.
#[derive(Clone)]
pub struct ProofOptions {
    signer: Arc<dyn Signer>,
    earlier: Vec<VerifierKey>,
    every_events: Option<u64>,
    every: Option<Duration>,
    progress: Option<ProgressHandler>,
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

    /// Also after so many events; 0: not.
    pub fn every_events(&mut self, events: u64) -> &mut Self {
        self.every_events = (events > 0).then_some(events);
        self
    }

    /// Also with the first event after so long; zero: not.
    pub fn every(&mut self, interval: Duration) -> &mut Self {
        self.every = (!interval.is_zero()).then_some(interval);
        self
    }

    /// Whom to tell how far the tree is, when it is built for a trail that
    /// exists.
    pub fn progress(&mut self, progress: ProgressHandler) -> &mut Self {
        self.progress = Some(progress);
        self
    }

    fn keys(&self) -> Vec<VerifierKey> {
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

/// What the machine may have lost of a trail since it was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the kernel still has all that it was given.
    SameBoot,
    /// What was not synced.
    PowerLoss,
}

/// A writer's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    storage: Arc<dyn Storage>,
    layout: Layout,
    options: ProofOptions,
    shared: bool,
    log: Log,
    /// How far the trail was read.
    positions: Option<WalkPositions>,
    lock: Arc<dyn File>,
}

impl LogWriter {
    /// Opens the log of a recovered trail whose last event is `last_id`. Builds
    /// the tree where there is none; an error where the trail is not what was
    /// signed.
    pub fn open(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        options: &ProofOptions,
        last_id: u64,
        since: Loss,
        shared: bool,
    ) -> Result<Self> {
        let lock = open_lock(&**storage, layout)?;
        let held = LogLock::wait(&*lock, layout)?;
        let mut log = Log::open(storage.clone(), layout, &options.keys(), last_id)?;
        if since == Loss::PowerLoss {
            repair_tiles(&mut log, storage, layout)?;
        }
        // What others are writing now may be gone again after a loss of power.
        let mut positions = None;
        if !shared || log.is_behind() {
            feed(&mut log, &mut positions, storage, layout, options, last_id)?;
        }
        // IdRanges that a crash took are signed as empty at once, so that the index,
        // which counts them as given, says no more than the checkpoint. The
        // recovery has brought all to disk. A signer that fails now is asked again
        // at the next sync, which tells why.
        let signed = log.checkpoint().map(SignedCheckpoint::size);
        if since == Loss::PowerLoss && !shared && signed.is_some_and(|size| size < log.size()) {
            let _ = log.sign(&*options.signer);
        }
        drop(held);
        Ok(Self {
            storage: storage.clone(),
            layout: layout.clone(),
            options: options.clone(),
            shared,
            log,
            positions,
            lock,
        })
    }

    /// The newest checkpoint.
    pub fn signed(&self) -> Option<&SignedCheckpoint> {
        self.log.checkpoint()
    }

    /// Signs the trail up to `synced_id`; all events up to it, of this writer,
    /// must be on disk. (Those of other writers are brought there first.)
    pub fn checkpoint(&mut self, synced_id: u64) -> Result<()> {
        let lock = self.lock.clone();
        let _held = LogLock::wait(&*lock, &self.layout)?;
        if self.shared {
            self.see_others(synced_id)?;
        }
        self.feed(synced_id)?;
        if self.log.size() > synced_id {
            // Others have signed more, or not all of it is on disk yet.
            return Ok(());
        }
        self.log.sign(&*self.options.signer)?;
        Ok(())
    }

    /// Hashes what is written up to this id, ahead of the next checkpoint. All
    /// events up to it must be there to stay, unless the power goes.
    fn follow(&mut self, written_id: u64) -> Result<()> {
        let lock = self.lock.clone();
        let _held = LogLock::wait(&*lock, &self.layout)?;
        self.feed(written_id)
    }

    fn feed(&mut self, last_id: u64) -> Result<()> {
        let Self {
            storage,
            layout,
            options,
            log,
            positions,
            ..
        } = self;
        feed(log, positions, storage, layout, options, last_id)
    }

    /// Goes on from what other shared writers have signed.
    fn see_others(&mut self, synced_id: u64) -> Result<()> {
        let keys = self.options.keys();
        let folder = LogFolder::new(self.storage.clone(), self.layout.hidden_file(TLOG));
        let now = read_checkpoint(&folder, &keys)?;
        let before = self.log.checkpoint().map_or(0, SignedCheckpoint::size);
        let size = now.as_ref().map_or(0, SignedCheckpoint::size);
        if size < before {
            return Err(Error::new(
                Kind::Tampered,
                format!("the checkpoint over {before} events was replaced by one over {size}"),
            ));
        }
        if size > before {
            let last_id = synced_id.max(size);
            let read_to = self.log.size();
            self.log = Log::open(self.storage.clone(), &self.layout, &keys, last_id)?;
            if self.log.size() < read_to {
                self.positions = None;
            }
        }
        let from = self.log.size();
        sync_from(&self.storage, &self.layout, from + 1)
    }
}

/// Hands in what the log lacks, and tells how far it is.
fn feed(
    log: &mut Log,
    positions: &mut Option<WalkPositions>,
    storage: &Arc<dyn Storage>,
    layout: &Layout,
    options: &ProofOptions,
    last_id: u64,
) -> Result<()> {
    catch_up(log, storage, layout, last_id, positions, |size| {
        if let Some(progress) = &options.progress {
            progress(size, last_id);
        }
    })
}

/// A [`LogWriter`] for many threads, one of which at a time makes a checkpoint.
#[derive(Debug)]
pub(crate) struct Prover {
    log_writer: Mutex<LogWriter>,
    /// The id and the time, in coarse milliseconds, from which one is due.
    due_at_id: AtomicU64,
    due_at_time: AtomicU64,
    /// The id from which the follower has something to do.
    follow_at: AtomicU64,
    follower: Mutex<Follower>,
    called: Condvar,
}

/// What the follower thread is to do.
#[derive(Debug, Default)]
struct Follower {
    called: bool,
    ended: bool,
}

/// So many events are worth a call.
const FOLLOW: u64 = 4096;

impl Prover {
    pub fn new(log_writer: LogWriter) -> Self {
        let prover = Self {
            due_at_id: AtomicU64::default(),
            due_at_time: AtomicU64::default(),
            follow_at: AtomicU64::new(u64::MAX),
            follower: Mutex::default(),
            called: Condvar::new(),
            log_writer: Mutex::new(log_writer),
        };
        if let Ok(log_writer) = prover.log_writer.lock() {
            prover.schedule(
                &log_writer,
                log_writer.signed().map_or(0, SignedCheckpoint::size),
            );
        }
        prover
    }

    fn schedule(&self, log_writer: &LogWriter, id: u64) {
        let at_id = log_writer
            .options
            .every_events
            .map_or(u64::MAX, |every| id.saturating_add(every));
        let at_time = log_writer.options.every.map_or(u64::MAX, |every| {
            os::coarse_millis().saturating_add(u64::try_from(every.as_millis()).unwrap_or(u64::MAX))
        });
        self.due_at_id.store(at_id, Ordering::Relaxed);
        self.due_at_time.store(at_time, Ordering::Relaxed);
    }

    /// Whether a thread of its own may hash what is written: only where nobody
    /// else writes.
    pub fn can_follow(&self) -> bool {
        self.log_writer
            .lock()
            .is_ok_and(|log_writer| !log_writer.shared)
    }

    /// The follower's life: hashes what is written while it is being written,
    /// until [`Prover::end`]. `written` says up to which id the trail is.
    pub fn follow(&self, written: impl Fn() -> u64) {
        loop {
            self.follow_at
                .store(written().saturating_add(FOLLOW), Ordering::Relaxed);
            let Ok(mut follower) = self.follower.lock() else {
                return;
            };
            while !follower.called && !follower.ended {
                follower = match self.called.wait(follower) {
                    Ok(follower) => follower,
                    Err(_) => return,
                };
            }
            follower.called = false;
            if follower.ended {
                return;
            }
            drop(follower);
            // What fails here fails again, and is told, at the next checkpoint.
            if let Ok(mut log_writer) = self.log_writer.lock() {
                let _ = log_writer.follow(written());
            }
        }
    }

    fn call(&self) {
        if self.follow_at.swap(u64::MAX, Ordering::Relaxed) != u64::MAX
            && let Ok(mut follower) = self.follower.lock()
        {
            follower.called = true;
            self.called.notify_one();
        }
    }

    /// Ends the follower.
    pub fn end(&self) {
        if let Ok(mut follower) = self.follower.lock() {
            follower.ended = true;
        }
        self.called.notify_one();
    }

    /// Whether a checkpoint is due, now that `id` was given. Calls the follower,
    /// if there is enough to do.
    pub fn is_due(&self, id: u64) -> bool {
        if id >= self.follow_at.load(Ordering::Relaxed) {
            self.call();
        }
        if id >= self.due_at_id.load(Ordering::Relaxed) {
            return true;
        }
        let at_time = self.due_at_time.load(Ordering::Relaxed);
        at_time != u64::MAX && os::coarse_millis() >= at_time
    }

    /// Makes the checkpoint that is due, unless another thread is at it. `sync`
    /// brings the trail to disk and says up to which id it is there.
    pub fn when_due(&self, sync: impl FnOnce() -> Result<u64>) -> Result<()> {
        match self.log_writer.try_lock() {
            Ok(log_writer) => self.sign(log_writer, sync),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Poisoned(_)) => Err(interrupted()),
        }
    }

    /// Makes a checkpoint of the trail as it is now.
    pub fn checkpoint(&self, sync: impl FnOnce() -> Result<u64>) -> Result<()> {
        self.sign(self.log_writer.lock().map_err(|_| interrupted())?, sync)
    }

    fn sign(
        &self,
        mut log_writer: MutexGuard<'_, LogWriter>,
        sync: impl FnOnce() -> Result<u64>,
    ) -> Result<()> {
        let synced_id = sync()?;
        let signed = log_writer.checkpoint(synced_id);
        // If it failed, it is tried again as late as the next one is due.
        self.schedule(&log_writer, synced_id);
        signed
    }
}

fn interrupted() -> Error {
    Error::new(
        Kind::Failed,
        "the log was interrupted by a panic; reopen the writer",
    )
}

fn open_lock(storage: &dyn Storage, layout: &Layout) -> Result<Arc<dyn File>> {
    let path = layout.hidden_file("tlog-lock");
    storage
        .open(&path, Open::Create)
        .map_err(|e| Error::io("open", &path, &e))
}

/// The log's files may be changed while this lives.
struct LogLock<'a>(&'a dyn File);

impl<'a> LogLock<'a> {
    fn wait(file: &'a dyn File, layout: &Layout) -> Result<Self> {
        file.lock()
            .map_err(|e| Error::io("lock", &layout.hidden_file("tlog-lock"), &e))?;
        Ok(Self(file))
    }
}

impl Drop for LogLock<'_> {
    fn drop(&mut self) {
        // Closing the file lets go of it, too.
        let _ = self.0.unlock();
    }
}

/// The text of the newest checkpoint of the trail at `root`, unchecked.
pub fn checkpoint_text(root: &Path) -> Result<String> {
    let folder = LogFolder::new(Arc::new(Disk), Layout::new(root).hidden_file(TLOG));
    newest(&folder)
}

fn newest(folder: &LogFolder) -> Result<String> {
    read_text(folder)?.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("there is no checkpoint in {}", folder.path().display()),
        )
    })
}

/// The newest checkpoint of the trail at `root`, signed by one of `keys`;
/// `None` where it has none.
pub fn checkpoint(root: &Path, keys: &[VerifierKey]) -> Result<Option<SignedCheckpoint>> {
    let folder = LogFolder::new(Arc::new(Disk), Layout::new(root).hidden_file(TLOG));
    read_checkpoint(&folder, keys)
}

/// Adds a witness's signature lines to the newest checkpoint of the trail at
/// `root`, a writer may be at work. At least one line must be by a witness in
/// `keys`, and hold; the log's key must be in `keys` too.
pub fn add_cosignatures(
    root: &Path,
    lines: &str,
    keys: &[VerifierKey],
) -> Result<SignedCheckpoint> {
    let layout = Layout::new(root);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
    let lock = open_lock(&*storage, &layout)?;
    let _held = LogLock::wait(&*lock, &layout)?;
    let text = newest(&folder)?;
    if lines.trim().is_empty() {
        return Err(Error::argument("there are no signature lines"));
    }
    let before = SignedCheckpoint::open(&text, keys)?;
    let text = format!("{text}{}\n", lines.trim_end_matches('\n'));
    let signed = SignedCheckpoint::open(&text, keys)?;
    if signed.witnesses().count() <= before.witnesses().count() {
        return Err(Error::argument(
            "none of the lines is the cosignature of a witness that is known and new",
        ));
    }
    let mut changed = BTreeSet::new();
    let name = Path::new(CHECKPOINT);
    folder.write(name, text.as_bytes(), Durable::Yes, &mut changed)?;
    folder.sync(&mut changed)?;
    Ok(signed)
}
