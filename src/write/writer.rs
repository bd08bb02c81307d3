//! The writer: open, append, flush, sync, close.
//!
//! An append renders its event on the caller's thread, outside any lock, and passes
//! the line to the committer, which decides which thread writes it and when. The
//! durability only changes what the append waits for.

use super::batch::{CheckedBatch, batch_lines};
use super::commit::Committer;
use super::open::{OpenedTrail, open};
use super::options::{Durability, Options};
use super::stats::Stats;
use super::trail::CommitLevel;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, EventLine, Renderer, write_line};
use crate::limits::MAX_BATCH_BYTES;
use crate::os;
use crate::proof::Prover;
use crate::store::lock::WriteLock;
use crate::store::lock_file::{SLOW, Waiting};
use crate::store::storage::{Disk, Storage};
use crate::warning::WarningKind;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;

/// An open trail for writing; any number of threads may use it at the same time.
///
/// Dropping it closes it as [`Writer::close`] does, but discards the error.
#[derive(Debug)]
pub struct Writer {
    core: Arc<Core>,
    /// `None` once the writer is closed.
    threads: Mutex<Option<Threads>>,
}

/// The writer's own threads.
#[derive(Debug)]
struct Threads {
    flusher: Option<JoinHandle<()>>,
    /// Hashes written events for the proof.
    hasher: Option<JoinHandle<()>>,
}

/// What the writer shares with its threads.
#[derive(Debug)]
struct Core {
    committer: Committer,
    options: Options,
    prover: Option<Prover>,
    /// Held while the warning handler runs.
    delivering: Mutex<()>,
    /// The thread that the warning handler runs on, as [`this_thread`] names it; or 0.
    handler_thread: AtomicUsize,
    /// `os::fork_generation` of the process that opened the writer.
    fork_generation: u64,
    _lock: WriteLock,
}

thread_local! {
    static RENDERER: RefCell<Renderer> = RefCell::default();
    static HERE: u8 = const { 0 };
}

/// A number that no other thread has as long as this one lives; not 0. Unlike
/// `thread::current` it allocates nothing in a program's own threads.
fn this_thread() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Writer {
    /// Opens the trail at `root`; creates it, with its parents, if it is missing.
    /// Recovers it after a crash.
    pub fn open(root: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::open_with(Arc::new(Disk), root.as_ref(), options)
    }

    /// The same, on a storage other than the machine's file system.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn open_on(storage: Arc<dyn Storage>, root: &Path, options: &Options) -> Result<Self> {
        Self::open_with(storage, root, options)
    }

    fn open_with(storage: Arc<dyn Storage>, root: &Path, options: &Options) -> Result<Self> {
        os::register_fork_handler()
            .map_err(|e| Error::io("watch forks with", Path::new("/dev/null"), &e))?;
        let OpenedTrail {
            trail,
            buffer_files,
            commit_lock,
            prover,
            lock,
        } = open(storage, root, options)?;
        let core = Arc::new(Core {
            committer: Committer::new(trail, buffer_files, commit_lock, options),
            options: options.clone(),
            prover,
            delivering: Mutex::default(),
            handler_thread: AtomicUsize::new(0),
            fork_generation: os::fork_generation(),
            _lock: lock,
        });
        core.deliver_warnings();
        let flusher =
            start_flusher(&core).map_err(|e| Error::io("start a thread for", root, &e))?;
        let hasher = start_hasher(&core);
        Ok(Self {
            core,
            threads: Mutex::new(Some(Threads { flusher, hasher })),
        })
    }

    /// Appends one event, given as the text of a JSON object; returns its id once it is
    /// as durable as [`Options::durability`] promises. After an error nothing of it is
    /// in the trail.
    pub fn append(&self, event_json: &[u8]) -> Result<u64> {
        self.core.check_process()?;
        let id = with_renderer(|renderer| {
            let line = renderer.render_json(event_json, &self.core.options.rules)?;
            self.core.append(&line)
        });
        self.core.with_warnings_delivered(id)
    }

    /// Appends one event, given as fields.
    pub fn append_event(&self, event: &Event<'_>) -> Result<u64> {
        self.core.check_process()?;
        let id = with_renderer(|renderer| {
            let line = renderer.render_event(event, &self.core.options.rules)?;
            self.core.append(&line)
        });
        self.core.with_warnings_delivered(id)
    }

    /// Appends one event as [`Writer::append`] does, and returns its line as persisted,
    /// with its newline.
    pub fn append_returning(&self, event_json: &[u8]) -> Result<Vec<u8>> {
        self.core.check_process()?;
        let persisted = with_renderer(|renderer| {
            let line = renderer.render_json(event_json, &self.core.options.rules)?;
            let id = self.core.append(&line)?;
            let mut persisted = Vec::with_capacity(line.body.len() + 32);
            write_line(id, line.body, &mut persisted);
            Ok(persisted)
        });
        self.core.with_warnings_delivered(persisted)
    }

    /// Appends events, given as lines of JSON, all or none; blank lines are skipped.
    /// Their ids are consecutive, in the order of the lines. Returns the first id and
    /// the number of events; an empty batch is an error. The offset of an error counts
    /// from the start of the batch.
    pub fn append_batch(&self, events_jsonl: &[u8]) -> Result<(u64, usize)> {
        self.core.check_process()?;
        if events_jsonl.len() > MAX_BATCH_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "a batch of {} bytes is larger than {MAX_BATCH_BYTES}",
                    events_jsonl.len()
                ),
            ));
        }
        // A rendered line is seldom longer than its text.
        let mut events = CheckedBatch::with_capacity(events_jsonl.len());
        with_renderer(|renderer| {
            for (number, (offset, text)) in batch_lines(events_jsonl) {
                let line = renderer
                    .render_json(text, &self.core.options.rules)
                    .map_err(|error| error.in_line(number, offset))?;
                events.push(&line);
            }
            Ok(())
        })?;
        if events.is_empty() {
            return Err(Error::event(0, "the batch holds no event"));
        }
        let first = match self.core.level() {
            Some(level) => {
                let on_slow = || self.core.deliver_warnings();
                self.core.committer.append_all(&events, level, &on_slow)
            }
            None => self.core.committer.buffer_all(&events),
        };
        if let Ok(first) = first {
            self.core.prove_if_due(first + events.len() as u64 - 1);
        }
        self.core
            .with_warnings_delivered(first)
            .map(|first| (first, events.len()))
    }

    /// Writes all events accepted so far to their segment files: any reader sees them,
    /// and they survive the end of the process.
    pub fn flush(&self) -> Result<()> {
        self.core.check_process()?;
        self.core
            .with_warnings_delivered(self.core.committer.flush())
    }

    /// Makes all events accepted so far durable; other writers of a shared trail wait. If
    /// a sync fails, it is unknown what is on disk, and the writer has failed
    /// permanently. With [`Options::proof`], a checkpoint over the events is signed, and
    /// an error may be about that alone.
    pub fn sync(&self) -> Result<()> {
        self.core.check_process()?;
        self.core.with_warnings_delivered(self.core.sync())
    }

    /// The counters and ids of the writer.
    pub fn stats(&self) -> Result<Stats> {
        self.core.check_process()?;
        self.core.committer.stats()
    }

    /// Flushes, syncs, marks the trail as cleanly closed, and releases it. The error
    /// tells what failed; the writer is closed in any case. In a forked child it only
    /// drops the child's copy and touches nothing of the parent's.
    pub fn close(self) -> Result<()> {
        self.close_in_place()
    }

    /// Whether the caller is the writer's warning handler, or was called by it.
    pub(crate) fn is_in_handler(&self) -> bool {
        self.core.handler_thread.load(Ordering::Relaxed) == this_thread()
    }

    /// The same as [`Writer::close`], for who keeps the writer until the warning handler
    /// has ended. Later calls are refused; a second close does nothing.
    pub(crate) fn close_in_place(&self) -> Result<()> {
        let threads = self.threads.lock();
        let Some(threads) = threads.unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        if let Err(error) = self.core.check_process() {
            // These threads exist only in the parent and cannot be joined.
            std::mem::forget(threads);
            return Err(error);
        }
        if let Some(prover) = &self.core.prover {
            prover.end();
        }
        if let Some(hasher) = threads.hasher {
            let _ = hasher.join();
        }
        self.core.committer.close();
        if let Some(flusher) = threads.flusher
            // On the flusher's thread a handler that drops the last `Arc` of its writer
            // would wait for itself.
            && !self.is_in_handler()
        {
            // If it panicked during a flush, the committer has failed and `finish` returns that.
            let _ = flusher.join();
        }
        let proved = match &self.core.prover {
            Some(_) => self.core.sync(),
            None => Ok(()),
        };
        let result = self.core.committer.finish();
        self.core.with_warnings_delivered(result.and(proved))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Callers that need the error use `close`.
        let _ = self.close_in_place();
    }
}

impl Core {
    /// Returns an error in a process other than the one that opened the writer.
    fn check_process(&self) -> Result<()> {
        if os::fork_generation() == self.fork_generation {
            return Ok(());
        }
        Err(Error::new(
            Kind::Forked,
            "this process was forked from the one that opened the writer, and must open its own",
        ))
    }

    /// What an append waits for; `None` if it is only buffered.
    fn level(&self) -> Option<CommitLevel> {
        match self.options.durability {
            Durability::Buffered | Durability::Mapped => None,
            Durability::Written => Some(CommitLevel::Written),
            Durability::Synced => Some(CommitLevel::Synced),
        }
    }

    fn append(&self, line: &EventLine<'_>) -> Result<u64> {
        let id = match self.level() {
            Some(level) => {
                let on_slow = || self.deliver_warnings();
                self.committer.append(line, level, &on_slow)
            }
            None => self.committer.buffer(line),
        }?;
        self.prove_if_due(id);
        Ok(id)
    }

    fn sync(&self) -> Result<()> {
        match &self.prover {
            Some(prover) => prover.checkpoint(
                || self.sync_trail(),
                Waiting {
                    limit: self.options.lock_timeout,
                    on_slow: &|message| self.committer.warn(WarningKind::LockWait, message),
                },
                &|sync| self.committer.with_commit_lock(sync),
            ),
            None => self.committer.sync(),
        }
    }

    /// Syncs the trail; returns the last id that is on disk.
    fn sync_trail(&self) -> Result<u64> {
        self.committer.sync()?;
        Ok(self.committer.synced_id())
    }

    /// Makes a checkpoint if the event with this id makes one due. The event is in the
    /// trail either way, so a failure is only a warning.
    fn prove_if_due(&self, id: u64) {
        // An append does not wait long for a lock that it does not need.
        let limit = self.options.lock_timeout.unwrap_or(SLOW).min(SLOW);
        let waiting = Waiting::at_most(limit);
        if let Some(prover) = &self.prover
            && prover.is_due(id)
            && let Err(error) = prover.when_due(|| self.sync_trail(), waiting, &|sync| {
                self.committer.with_commit_lock(sync)
            })
        {
            let message = format!("the checkpoint that was due failed: {error}");
            self.committer.warn(WarningKind::ProofFailed, message);
        }
    }

    /// Delivers new warnings to the handler, then returns `result`.
    fn with_warnings_delivered<T>(&self, result: Result<T>) -> Result<T> {
        if self.committer.has_warnings() {
            self.deliver_warnings();
        }
        result
    }

    /// Calls the handler with what there is to warn of, from one thread at a time. A
    /// handler may use the writer: what it causes, and what other threads find
    /// meanwhile, is delivered by a later call, so that it never runs within itself.
    fn deliver_warnings(&self) {
        let _one_at_a_time = match self.delivering.try_lock() {
            Ok(guard) => guard,
            // A handler has panicked; the next may do better.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let warnings = self.committer.take_warnings();
        if let Some(handler) = &self.options.on_warning {
            // Only this thread asks whether it is this one, so no order is needed.
            self.handler_thread.store(this_thread(), Ordering::Relaxed);
            for warning in &warnings {
                handler(warning);
            }
            self.handler_thread.store(0, Ordering::Relaxed);
        }
    }
}

/// BUFFERED and MAPPED: starts the flusher thread.
fn start_flusher(core: &Arc<Core>) -> io::Result<Option<JoinHandle<()>>> {
    let (true, Some(interval)) = (
        core.options.durability.is_buffered(),
        core.options.flush_interval,
    ) else {
        return Ok(None);
    };
    let core = core.clone();
    os::spawn_signal_masked("auditrail-flush", move || {
        let deliver_warnings = || core.deliver_warnings();
        core.committer.flush_by_time(interval, deliver_warnings);
    })
    .map(Some)
}

/// Proof: starts the thread that hashes written events. If it cannot be started,
/// checkpoints only take longer.
fn start_hasher(core: &Arc<Core>) -> Option<JoinHandle<()>> {
    if !core.prover.as_ref()?.can_follow() {
        return None;
    }
    let core = core.clone();
    os::spawn_signal_masked("auditrail-tree", move || {
        if let Some(prover) = &core.prover {
            prover.follow(|| core.committer.written_id());
        }
    })
    .ok()
}

/// Runs `body` with this thread's renderer.
fn with_renderer<T>(body: impl FnOnce(&mut Renderer) -> Result<T>) -> Result<T> {
    RENDERER.with(|renderer| match renderer.try_borrow_mut() {
        Ok(mut renderer) => {
            let result = body(&mut renderer);
            renderer.trim();
            result
        }
        // A warning handler that appends gets here while its thread's renderer is in use.
        Err(_) => body(&mut Renderer::default()),
    })
}
