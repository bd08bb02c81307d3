//! The writer: open, append, flush, sync, close.
//!
//! An append renders its event on the caller's thread, outside any lock, and
//! hands the line to the committer, which decides who writes it and when. What
//! the durability changes is only what the append waits for.

use super::batch::{CheckedBatch, batch_lines, line_of};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, EventLine, Renderer};
use crate::limits::MAX_BATCH_BYTES;
use crate::os;
use crate::proof::{LogWriter, Prover, UnsyncedData};
use crate::recover::{self, RecoveryReport};
use crate::store::index_file;
use crate::store::journal::{self, Journal};
use crate::store::layout::Layout;
use crate::store::lock::{TurnLock, WriteLock};
use crate::store::state::{Phase, State, StateFile};
use crate::store::storage::{Disk, Storage};
use crate::warning::WarningKind;
use crate::write::commit::Committer;
use crate::write::options::{Durability, Options, WarningHandler};
use crate::write::stats::Stats;
use crate::write::trail::{CommitLevel, RecoveredState, Trail, TrailConfig};
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// An open trail, to be written to from any number of threads.
///
/// Dropping it closes it as [`Writer::close`] does, and loses the error that
/// that may give.
#[derive(Debug)]
pub struct Writer {
    core: Arc<Core>,
    flusher: Option<JoinHandle<()>>,
    /// Hashes what is written, for the proof.
    follower: Option<JoinHandle<()>>,
    closed: bool,
}

/// What the flusher thread shares.
#[derive(Debug)]
struct Core {
    committer: Committer,
    options: Options,
    prover: Option<Prover>,
    /// `os::fork_generation` of the process that opened it.
    fork_generation: u64,
    _lock: WriteLock,
}

thread_local! {
    static RENDERER: RefCell<Renderer> = RefCell::default();
}

impl Writer {
    /// Opens the trail at `root`, which is made, with its parents, where it is
    /// missing. Recovers what a crash has left.
    pub fn open(root: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::open_on(Arc::new(Disk), root.as_ref(), options)
    }

    /// The same, over any storage.
    #[doc(hidden)]
    pub fn open_on(storage: Arc<dyn Storage>, root: &Path, options: &Options) -> Result<Self> {
        if options.shared && options.durability == Durability::Buffered {
            return Err(Error::new(
                Kind::Unsupported,
                "a shared trail cannot be BUFFERED: an id can only be given when it is written",
            ));
        }
        os::watch_forks()
            .map_err(|e| Error::io("watch fork_generation with", Path::new("/dev/null"), &e))?;
        let layout = Layout::new(root);
        create_folders(&*storage, root)?;
        create_folders(&*storage, &layout.hidden())?;

        let mut opening = Opening {
            storage: &*storage,
            layout: &layout,
            boot: storage.boot().unwrap_or_default(),
            report: RecoveryReport::default(),
            on_warning: options.on_warning.as_ref(),
            synced_id: 0,
            last_id: 0,
            since: UnsyncedData::Kept,
        };
        let turns = if options.shared {
            Some(TurnLock::open(&*storage, &layout)?)
        } else {
            None
        };
        let lock = if let Some(turns) = &turns {
            let turn = turns.wait(&layout)?;
            let lock = WriteLock::shared(&*storage, &layout, &turn, || opening.recover())?;
            opening.join()?;
            lock
        } else {
            let lock = WriteLock::exclusive(&*storage, &layout)?;
            opening.recover()?;
            lock
        };
        let journal = if options.durability == Durability::Synced && !options.shared {
            let journal = Journal::open(&*storage, &layout, options.journal_bytes)?;
            sync_folder(&*storage, &layout.hidden())?;
            Some(journal)
        } else {
            None
        };
        let prover = match &options.proof {
            Some(proof) => {
                let (last_id, since) = (opening.last_id, opening.since);
                let shared = options.shared;
                let keeper = LogWriter::open(&storage, &layout, proof, last_id, since, shared)?;
                Some(Prover::new(keeper))
            }
            None => None,
        };
        let start = RecoveredState {
            last_id: opening.last_id,
            synced_id: opening.synced_id,
            state: StateFile::open(&*storage, &layout)?,
            boot: opening.boot,
            report: opening.report,
        };
        let synced_id = start.synced_id;
        let manner = TrailConfig {
            max_segment_bytes: options.max_segment_bytes,
            max_open_files: options.max_open_files,
            mark_batches: options.durability == Durability::Buffered,
            turns,
            journal,
        };
        let trail = Trail::new(storage, layout, start, manner);
        let core = Arc::new(Core {
            committer: Committer::new(trail, synced_id, options.buffer_bytes),
            options: options.clone(),
            prover,
            fork_generation: os::fork_generation(),
            _lock: lock,
        });
        core.tell_warnings();
        let flusher = match options.flush_interval {
            Some(interval) if options.durability == Durability::Buffered => {
                let core = core.clone();
                let body = move || {
                    core.committer
                        .flush_by_time(interval, || core.tell_warnings());
                };
                let thread = os::spawn_signal_masked("auditrail-flush", body)
                    .map_err(|e| Error::io("start a thread for", root, &e))?;
                Some(thread)
            }
            _ => None,
        };
        let follower = match &core.prover {
            Some(prover) if prover.can_follow() => {
                let core = core.clone();
                let body = move || {
                    if let Some(prover) = &core.prover {
                        prover.follow(|| core.committer.written_id());
                    }
                };
                // Without it, checkpoints take longer, no more.
                os::spawn_signal_masked("auditrail-tree", body).ok()
            }
            _ => None,
        };
        Ok(Self {
            core,
            flusher,
            follower,
            closed: false,
        })
    }

    /// Appends one event, given as the text of a JSON object; returns its id
    /// once it is as safe as the durability promises. After an error nothing of
    /// it is in the trail.
    pub fn append(&self, event_json: &[u8]) -> Result<u64> {
        self.core.here()?;
        let id = with_renderer(|renderer| {
            let line = renderer.render_json(event_json, &self.core.options.rules)?;
            self.core.append(&line)
        });
        self.core.told(id)
    }

    /// Appends one event, given as fields.
    pub fn append_event(&self, event: &Event<'_>) -> Result<u64> {
        self.core.here()?;
        let id = with_renderer(|renderer| {
            let line = renderer.render_event(event, &self.core.options.rules)?;
            self.core.append(&line)
        });
        self.core.told(id)
    }

    /// Appends one event as [`Writer::append`] does, and gives back its line as
    /// it was persisted, with its newline.
    pub fn append_returning(&self, event_json: &[u8]) -> Result<Vec<u8>> {
        self.core.here()?;
        let persisted = with_renderer(|renderer| {
            let line = renderer.render_json(event_json, &self.core.options.rules)?;
            let id = self.core.append(&line)?;
            let mut persisted = Vec::with_capacity(line.body.len() + 32);
            line_of(id, line.body, &mut persisted);
            Ok(persisted)
        });
        self.core.told(persisted)
    }

    /// Appends events, given as lines of JSON, all or none; blank lines are
    /// skipped. Their ids are consecutive, in the order of the lines. Returns
    /// the first id and how many there are; an empty batch is an error. The
    /// offset of an error counts from the start of the batch.
    pub fn append_batch(&self, events_jsonl: &[u8]) -> Result<(u64, usize)> {
        self.core.here()?;
        if events_jsonl.len() > MAX_BATCH_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "a batch of {} bytes is larger than {MAX_BATCH_BYTES}",
                    events_jsonl.len()
                ),
            ));
        }
        // A line is seldom longer than its text.
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
            Some(level) => self.core.committer.append_all(&events, level),
            None => self.core.committer.buffer_all(&events),
        };
        if let Ok(first) = first {
            self.core.prove_if_due(first + events.len() as u64 - 1);
        }
        self.core.told(first).map(|first| (first, events.len()))
    }

    /// Gives all events that were accepted so far to the kernel: any reader
    /// sees them, and the end of the process does not lose them.
    pub fn flush(&self) -> Result<()> {
        self.core.here()?;
        self.core.told(self.core.committer.flush())
    }

    /// Brings all events that were accepted so far to disk. If the disk fails,
    /// nobody knows what is on it, and the writer has failed for good. With
    /// [`Options::proof`], a checkpoint over them is signed, and an error may be
    /// about that alone.
    pub fn sync(&self) -> Result<()> {
        self.core.here()?;
        self.core.told(self.core.sync())
    }

    /// What the writer has done and where it is.
    pub fn stats(&self) -> Result<Stats> {
        self.core.here()?;
        self.core.committer.stats()
    }

    /// Flushes, syncs, marks the trail as closed whole, and lets it go. The
    /// error says what could not be done; the writer is gone in any case. In a
    /// forked child it only forgets what the parent has.
    pub fn close(mut self) -> Result<()> {
        self.shut()
    }

    fn shut(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        if let Err(error) = self.core.here() {
            // The thread is the parent's, and so is what waits.
            std::mem::forget(self.flusher.take());
            std::mem::forget(self.follower.take());
            return Err(error);
        }
        if let Some(prover) = &self.core.prover {
            prover.end();
        }
        if let Some(follower) = self.follower.take() {
            let _ = follower.join();
        }
        self.core.committer.close();
        if let Some(flusher) = self.flusher.take() {
            // A flusher that panicked has left its word in the committer.
            let _ = flusher.join();
        }
        let proved = match &self.core.prover {
            Some(_) => self.core.sync(),
            None => Ok(()),
        };
        let result = self.core.committer.finish();
        self.core.told(result.and(proved))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // `close` is there for those who want to know.
        let _ = self.shut();
    }
}

impl Core {
    /// An error in a process that did not open the writer.
    fn here(&self) -> Result<()> {
        if os::fork_generation() == self.fork_generation {
            return Ok(());
        }
        Err(Error::new(
            Kind::Forked,
            "this process was forked from the one that opened the writer, and must open its own",
        ))
    }

    /// What an append waits for; `None`: nothing.
    fn level(&self) -> Option<CommitLevel> {
        match self.options.durability {
            Durability::Buffered => None,
            Durability::Written => Some(CommitLevel::Written),
            Durability::Synced => Some(CommitLevel::Synced),
        }
    }

    fn append(&self, line: &EventLine<'_>) -> Result<u64> {
        let id = match self.level() {
            Some(level) => self.committer.append(line, level),
            None => self.committer.buffer(line),
        }?;
        self.prove_if_due(id);
        Ok(id)
    }

    fn sync(&self) -> Result<()> {
        match &self.prover {
            Some(prover) => prover.checkpoint(|| self.sync_trail()),
            None => self.committer.sync(),
        }
    }

    /// Says up to which id the trail is on disk.
    fn sync_trail(&self) -> Result<u64> {
        self.committer.sync()?;
        Ok(self.committer.synced_id())
    }

    /// Makes the checkpoint that the event of this id makes due. The event is in
    /// the trail whatever comes of that, so a failure is a warning.
    fn prove_if_due(&self, id: u64) {
        if let Some(prover) = &self.prover
            && prover.is_due(id)
            && let Err(error) = prover.when_due(|| self.sync_trail())
        {
            let message = format!("the checkpoint that was due failed: {error}");
            self.committer.warn(WarningKind::ProofFailed, message);
        }
    }

    /// The same result, after those who asked for warnings have got them.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        if self.committer.has_warnings() {
            self.tell_warnings();
        }
        result
    }

    fn tell_warnings(&self) {
        let warnings = self.committer.take_warnings();
        if let Some(handler) = &self.options.on_warning {
            for warning in &warnings {
                handler(warning);
            }
        }
    }
}

/// What opening finds out.
struct Opening<'a> {
    storage: &'a dyn Storage,
    layout: &'a Layout,
    boot: String,
    report: RecoveryReport,
    on_warning: Option<&'a WarningHandler>,
    last_id: u64,
    synced_id: u64,
    since: UnsyncedData,
}

impl Opening<'_> {
    /// Recovers the trail while no other writer is there, and marks it open.
    fn recover(&mut self) -> Result<()> {
        let file = StateFile::open(self.storage, self.layout)?;
        let state = file.read(self.layout)?;
        let recovered = recover::trail(
            self.storage,
            self.layout,
            state.as_ref(),
            &self.boot,
            &mut self.report,
        )
        .inspect_err(|_| {
            // A sync may have failed, and the next opener must know.
            let state = state.clone().unwrap_or_else(State::unknown);
            let sync_failed = true;
            let _ = file.write(
                self.layout,
                &State {
                    sync_failed,
                    ..state
                },
            );
        })?;
        let kernel_has_all = state
            .as_ref()
            .is_some_and(|state| state.boot == self.boot && !state.sync_failed);
        if !kernel_has_all || self.boot.is_empty() {
            self.since = UnsyncedData::MaybeLost;
        }
        self.last_id = recovered.last_id;
        self.synced_id = recovered.synced_id;
        // Told before it is forgotten: the next opening will not find it again.
        for warning in self.report.warnings.drain(..) {
            if let Some(handler) = self.on_warning {
                handler(&warning);
            }
        }
        if recovered.index_is_stale && self.last_id > 0 {
            index_file::write(self.storage, self.layout, self.last_id)?;
        }
        // Before anything is written, it must be known that it was not closed.
        file.write(
            self.layout,
            &State {
                phase: Phase::Open,
                written: self.last_id,
                synced: self.synced_id,
                boot: self.boot.clone(),
                sync_failed: false,
            },
        )?;
        file.sync(self.layout)?;
        sync_folder(self.storage, &self.layout.hidden())?;
        if recovered.journal_is_stale {
            journal::forget(self.storage, self.layout)?;
        }
        Ok(())
    }

    /// Learns where the trail is that other shared writers have open.
    fn join(&mut self) -> Result<()> {
        let state = StateFile::open(self.storage, self.layout)?.read(self.layout)?;
        // A state that says nothing is dealt with in the first turn.
        if let Some(state) = state {
            self.last_id = state.written;
            self.synced_id = state.synced;
        }
        Ok(())
    }
}

/// Runs `body` with this thread's renderer.
fn with_renderer<T>(body: impl FnOnce(&mut Renderer) -> Result<T>) -> Result<T> {
    RENDERER.with(|renderer| match renderer.try_borrow_mut() {
        Ok(mut renderer) => {
            let result = body(&mut renderer);
            renderer.trim();
            result
        }
        // A warning handler that appends comes here while its thread renders.
        Err(_) => body(&mut Renderer::default()),
    })
}

/// Makes a folder and the parents that it lacks; recovery makes them durable.
fn create_folders(storage: &dyn Storage, folder: &Path) -> Result<()> {
    let failed = |e: &io::Error| Error::io("create the folder", folder, e);
    match storage.create_dir(folder) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                create_folders(storage, parent)?;
                match storage.create_dir(folder) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&e)),
                    _ => return Ok(()),
                }
            }
            _ => return Err(failed(&e)),
        },
        Err(e) => return Err(failed(&e)),
    }
    match storage.stat(folder) {
        Ok(stat) if stat.is_dir => Ok(()),
        Ok(_) => Err(Error::new(
            Kind::Io,
            format!("{} is a file, not a folder", folder.display()),
        )),
        Err(e) => Err(Error::io("look at", folder, &e)),
    }
}

fn sync_folder(storage: &dyn Storage, folder: &Path) -> Result<()> {
    storage
        .sync_dir(folder)
        .map_err(|e| Error::io("sync", folder, &e))
}
