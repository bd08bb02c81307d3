//! The log of a writer: opened with the trail, brought up to date, signed.
//!
//! An append costs nothing: leaves are hashed from the lines in the segments, on all
//! processors, when a checkpoint is made; if many events are written, a thread hashes
//! most of them before that (see `prover`). A writer opens its [`LogWriter`] after the
//! trail is recovered.
//!
//! Each change of the log's files is made under the lock [`LOG_LOCK`]. A shared writer
//! continues from the newest checkpoint, whichever process has signed it.

use super::catch_up::{catch_up, repair_tiles, sync_from};
use super::checkpoint::SignedCheckpoint;
use super::checkpoint_file::{LOG_LOCK, TLOG, read_checkpoint};
use super::log::Log;
use super::log_folder::{Durable, LogFolder};
use super::log_start;
use super::proof_options::ProofOptions;
use super::trail_walk::WalkPositions;
use crate::error::{Error, Kind, Result};
use crate::store::layout::Layout;
use crate::store::lock_file::{LockFile, Waiting};
use crate::store::state;
use crate::store::storage::Storage;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether what was written to a trail but not synced still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnsyncedData {
    /// The machine has not restarted since: the kernel has all that it was given.
    Kept,
    /// The power may have failed.
    MaybeLost,
}

/// Runs what it is given under the commit lock of a shared trail, and tells the other
/// writers if a sync fails in it.
pub(crate) type WithCommitLock<'a> = &'a dyn Fn(&dyn Fn() -> Result<()>) -> Result<()>;

/// A writer's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    storage: Arc<dyn Storage>,
    layout: Layout,
    pub(crate) options: ProofOptions,
    pub(crate) shared: bool,
    log: Log,
    /// Where the reading of the trail has stopped.
    positions: Option<WalkPositions>,
    /// Whether it is on disk that the trail has a log.
    is_remembered: bool,
    lock: LockFile,
}

impl LogWriter {
    /// Opens the log of a recovered trail whose last event is `last_id`. Builds the
    /// tree if there is none and it may begin (see `log_start`); an error if the trail is
    /// not what was signed.
    pub fn open(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        options: &ProofOptions,
        last_id: u64,
        unsynced: UnsyncedData,
        shared: bool,
        waiting: Waiting<'_>,
    ) -> Result<Self> {
        let lock = LockFile::open(&**storage, layout.hidden_file(LOG_LOCK))?;
        let held = lock.acquire(waiting)?;
        // Other writers may have appended and signed since `last_id` was read.
        let last_id = match state::read_state(&**storage, layout)? {
            Some(state) if shared => last_id.max(state.written),
            _ => last_id,
        };
        let mut log = Log::open(storage.clone(), layout, &options.keys(), last_id)?;
        if log.checkpoint().is_none() {
            log_start::check_may_begin(&**storage, layout, last_id, options.adopt)?;
        }
        // The opening that finds a new boot need not be one with the key, so that it is
        // kept with the log for which boot its tiles were healed.
        let folder = LogFolder::new(storage.clone(), layout.hidden_file(TLOG));
        let boot = storage.boot().unwrap_or_default();
        let heals = unsynced == UnsyncedData::MaybeLost || !is_healed(&folder, &boot)?;
        if heals {
            repair_tiles(&mut log, storage, layout)?;
        }
        // What other writers have not synced may be lost if the power fails.
        let mut positions = None;
        if !shared || log.is_behind() {
            append_leaves(&mut log, &mut positions, storage, layout, options, last_id)?;
        }
        log_start::check_goes_on_from(&folder, options, &log)?;
        // A log begins before the trail's first event, so that a crash never leaves
        // events without a log. Where the signer fails, the next sync signs and reports
        // the error.
        if log.checkpoint().is_none() && last_id == 0 {
            sign_if_possible(&mut log, options)?;
        }
        // Ids whose events a crash took are signed as empty at once, because the index
        // counts them as given, and must not be ahead of the checkpoint. Recovery has
        // synced everything. If the signer fails now, the next sync signs and reports
        // the error.
        let signed = log.checkpoint().map(SignedCheckpoint::size);
        if unsynced == UnsyncedData::MaybeLost
            && !shared
            && signed.is_some_and(|size| size < log.size())
        {
            let _ = log.sign(&*options.signer);
        }
        if heals && !log.is_behind() {
            let text = format!("{boot}\n");
            let changed = &mut BTreeSet::new();
            folder.write(Path::new(HEALED), text.as_bytes(), Durable::No, changed)?;
        }
        if let Some(signed) = log.checkpoint().filter(|_| !log.is_behind()) {
            folder.remove_stale_partials(signed.size());
        }
        drop(held);
        let mut writer = Self {
            storage: storage.clone(),
            layout: layout.clone(),
            options: options.clone(),
            shared,
            log,
            positions,
            is_remembered: false,
            lock,
        };
        writer.remember()?;
        Ok(writer)
    }

    /// Remembers that the trail has a log, once it has one.
    fn remember(&mut self) -> Result<()> {
        if !self.is_remembered
            && let Some(signed) = self.log.checkpoint()
        {
            let origin = &signed.checkpoint().origin;
            log_start::remember(&*self.storage, &self.layout, origin)?;
            self.is_remembered = true;
        }
        Ok(())
    }

    /// The newest checkpoint.
    pub fn signed(&self) -> Option<&SignedCheckpoint> {
        self.log.checkpoint()
    }

    /// Signs the trail up to `synced_id`; all events of this writer up to it must be
    /// on disk. (Those of other writers are synced here.)
    pub fn checkpoint(
        &mut self,
        synced_id: u64,
        waiting: Waiting<'_>,
        with_commit_lock: WithCommitLock<'_>,
    ) -> Result<()> {
        let _held = self.lock.acquire(waiting)?;
        self.reopen_if_failed(synced_id)?;
        if self.shared {
            self.adopt_newer_checkpoint(synced_id)?;
            let from = self.log.size();
            with_commit_lock(&|| sync_from(&self.storage, &self.layout, from + 1))?;
        }
        self.catch_up(synced_id)?;
        if self.log.size() > synced_id {
            // Another writer has signed more, or not all of it is on disk yet.
            return Ok(());
        }
        self.log.sign(&*self.options.signer)?;
        self.remember()
    }

    /// Hashes what is written up to this id, ahead of the next checkpoint. Only a loss
    /// of power may still take these events. An error if the log is locked.
    pub fn follow(&mut self, written_id: u64) -> Result<()> {
        let _held = self.lock.acquire(Waiting::at_most(Duration::ZERO))?;
        self.reopen_if_failed(written_id)?;
        self.catch_up(written_id)
    }

    /// Goes on after a failure of the disk, such as a full one.
    fn reopen_if_failed(&mut self, last_id: u64) -> Result<()> {
        if !self.log.is_usable() {
            self.log.reopen(&self.layout, last_id)?;
            self.positions = None;
        }
        Ok(())
    }

    fn catch_up(&mut self, last_id: u64) -> Result<()> {
        let Self {
            storage,
            layout,
            options,
            log,
            positions,
            ..
        } = self;
        append_leaves(log, positions, storage, layout, options, last_id)
    }

    /// Continues from a checkpoint that another shared writer has signed since.
    fn adopt_newer_checkpoint(&mut self, synced_id: u64) -> Result<()> {
        let keys = self.options.keys();
        let folder = LogFolder::new(self.storage.clone(), self.layout.hidden_file(TLOG));
        let newest = read_checkpoint(&folder, &keys)?;
        let before = self.log.checkpoint().map_or(0, SignedCheckpoint::size);
        let size = newest.as_ref().map_or(0, SignedCheckpoint::size);
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
        Ok(())
    }
}

/// The boot of the machine for which the tiles were last healed.
const HEALED: &str = "healed";

/// Whether the tiles were compared with the tree since the machine was started.
fn is_healed(folder: &LogFolder, boot: &str) -> Result<bool> {
    let Some(text) = folder.read(Path::new(HEALED), 4096)? else {
        return Ok(false);
    };
    Ok(!boot.is_empty() && text.trim_ascii() == boot.as_bytes())
}

/// Signs the log as it is. A failure of the signer is none here, one of the disk is.
fn sign_if_possible(log: &mut Log, options: &ProofOptions) -> Result<()> {
    let signed = log.sign(&*options.signer).map(drop);
    if log.is_usable() { Ok(()) } else { signed }
}

/// Appends the leaves that the log lacks, and calls the progress handler.
fn append_leaves(
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
