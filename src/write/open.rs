//! Opening a trail for writing: lock, recover, open the files to write.
//!
//! An exclusive writer acquires the write lock before it reads anything. A shared
//! writer acquires the commit lock, recovers the trail if there is no other writer,
//! and otherwise continues from the state that the others maintain.

use super::commit::buffer_file_bytes;
use super::options::{Durability, Options};
use super::trail::{RecoveredState, Trail, TrailConfig};
use crate::error::{Error, Kind, Result};
use crate::proof::{LogWriter, Prover, UnsyncedData};
use crate::recover::{self, Recovered, RecoveryReport};
use crate::store::buffer_file::{self, BufferFile};
use crate::store::index_file;
use crate::store::journal::{self, Journal};
use crate::store::layout::Layout;
use crate::store::lock::{CommitLock, WriteLock};
use crate::store::lock_file::Waiting;
use crate::store::state::{Phase, State, StateFile};
use crate::store::storage::{Storage, ensure_folder, sync_folder};
use crate::warning::{Warning, WarningKind};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A trail that is ready for writing.
pub(super) struct OpenedTrail {
    pub trail: Trail,
    /// MAPPED.
    pub buffer_files: Option<[BufferFile; 2]>,
    /// On a shared trail.
    pub commit_lock: Option<CommitLock>,
    pub prover: Option<Prover>,
    pub lock: WriteLock,
}

/// Opens the trail at `root`; creates it if it is missing.
pub(super) fn open(
    storage: Arc<dyn Storage>,
    root: &Path,
    options: &Options,
) -> Result<OpenedTrail> {
    if options.shared && options.durability.is_buffered() {
        return Err(Error::new(
            Kind::Unsupported,
            "a shared trail cannot be BUFFERED or MAPPED: an id can only be given when it is written",
        ));
    }
    let layout = Layout::new(root);
    create_folders(&*storage, root)?;
    create_folders(&*storage, &layout.hidden())?;

    let boot = storage.boot().unwrap_or_default();
    let commit_lock = if options.shared {
        Some(CommitLock::open(&*storage, &layout, options.lock_timeout)?)
    } else {
        None
    };
    let on_warning = options.on_warning.as_ref();
    let on_slow = |message| {
        if let Some(handler) = on_warning {
            handler(&Warning {
                kind: WarningKind::LockWait,
                message,
            });
        }
    };
    let (lock, recovered) = lock_and_recover(
        &*storage,
        &layout,
        &boot,
        commit_lock.as_ref(),
        options,
        &on_slow,
    )?;
    let buffer_files = create_buffer_files(&*storage, &layout, &boot, options)?;
    let journal = open_journal(&*storage, &layout, options)?;
    let prover = match &options.proof {
        Some(proof) => {
            let log = LogWriter::open(
                &storage,
                &layout,
                proof,
                recovered.last_id,
                recovered.unsynced_data,
                options.shared,
                Waiting {
                    limit: options.lock_timeout,
                    on_slow: &on_slow,
                },
            )?;
            Some(Prover::new(log))
        }
        None => None,
    };
    let config = TrailConfig {
        max_segment_bytes: options.max_segment_bytes,
        max_open_files: options.max_open_files.max(1),
        mark_batches: options.durability.is_buffered() || options.shared,
        state: StateFile::open(&*storage, &layout)?,
        boot,
        shared: options.shared,
        journal,
    };
    Ok(OpenedTrail {
        trail: Trail::new(storage, layout, config, recovered),
        buffer_files,
        commit_lock,
        prover,
        lock,
    })
}

fn lock_and_recover(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    commit_lock: Option<&CommitLock>,
    options: &Options,
    on_slow: &dyn Fn(String),
) -> Result<(WriteLock, RecoveredState)> {
    let Some(commit_lock) = commit_lock else {
        let lock = WriteLock::exclusive(storage, layout)?;
        return Ok((lock, recover(storage, layout, boot, options)?));
    };
    let held = commit_lock.wait().acquire(on_slow)?;
    let mut recovered = None;
    let lock = WriteLock::shared(storage, layout, &held, || {
        recovered = Some(recover(storage, layout, boot, options)?);
        Ok(())
    })?;
    let mut recovered = recovered.unwrap_or_else(|| RecoveredState {
        last_id: 0,
        synced_id: 0,
        unsynced_data: UnsyncedData::Kept,
        report: RecoveryReport::default(),
    });
    if let Some(state) = StateFile::open(storage, layout)?.read(layout)? {
        recovered.last_id = state.written;
        recovered.synced_id = state.synced;
        if state.phase == Phase::Busy {
            // A writer was killed in a batch, or has failed after it. Others may have
            // found and signed what is there.
            let found = recover::tails(storage, layout, &mut recovered.report)?;
            recovered.last_id = recovered.last_id.max(found);
        }
    }
    Ok((lock, recovered))
}

/// Recovers the trail and marks it as open. There must be no other writer.
fn recover(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    options: &Options,
) -> Result<RecoveredState> {
    let file = StateFile::open(storage, layout)?;
    let state = file.read(layout)?;
    let mut report = RecoveryReport::default();
    let recovered = recover::trail(storage, layout, state.as_ref(), boot, &mut report)
        .inspect_err(|_| {
            // The failure may be that of a sync, which the next recovery must know.
            let state = state.clone().unwrap_or_else(State::unknown);
            let sync_failed = true;
            let _ = file.write(
                layout,
                &State {
                    sync_failed,
                    ..state
                },
            );
        })?;
    drain(
        storage,
        layout,
        boot,
        options,
        &file,
        &recovered,
        &mut report,
    )?;
    let kernel_has_all = state
        .as_ref()
        .is_some_and(|state| state.boot == boot && !state.sync_failed);
    // Delivered before the new state is written: the next open does not find it again.
    for warning in report.warnings.drain(..) {
        if let Some(handler) = &options.on_warning {
            handler(&warning);
        }
    }
    if recovered.index_is_stale && recovered.last_id > 0 {
        index_file::write(storage, layout, recovered.last_id)?;
    }
    // The open state must be on disk before the first write to the trail.
    file.write(
        layout,
        &State {
            phase: Phase::Open,
            written: recovered.last_id,
            synced: recovered.synced_id,
            boot: boot.to_owned(),
            sync_failed: false,
        },
    )?;
    file.sync(layout)?;
    sync_folder(storage, &layout.hidden())?;
    if recovered.journal_is_stale {
        journal::discard(storage, layout)?;
    }
    buffer_file::discard(storage, layout)?;
    Ok(RecoveredState {
        last_id: recovered.last_id,
        synced_id: recovered.synced_id,
        unsynced_data: if kernel_has_all && !boot.is_empty() {
            UnsyncedData::Kept
        } else {
            UnsyncedData::MaybeLost
        },
        report,
    })
}

/// Writes to the segments what a killed MAPPED writer had accepted.
fn drain(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    options: &Options,
    file: &StateFile,
    recovered: &Recovered,
    report: &mut RecoveryReport,
) -> Result<()> {
    if recovered.accepted.is_empty() {
        return Ok(());
    }
    // An opening after this one, if it fails or is killed, must look for what it wrote.
    let intact_id = recovered.intact_id;
    let mut state = State {
        phase: Phase::Busy,
        written: intact_id,
        synced: intact_id.min(recovered.synced_id),
        boot: boot.to_owned(),
        sync_failed: false,
    };
    file.write(layout, &state)?;
    let events = &recovered.accepted;
    let drained = recover::drain(storage, layout, events, options.max_segment_bytes, report)
        .inspect_err(|error| {
            if error.kind() == Kind::Failed {
                state.sync_failed = true;
                let _ = file.write(layout, &state);
            }
        })?;
    report.warn(
        WarningKind::Redone,
        format!("{drained} events that a writer had accepted before it was killed were written"),
    );
    Ok(())
}

/// MAPPED: makes the files for the batch that collects and the one that is flushed.
fn create_buffer_files(
    storage: &dyn Storage,
    layout: &Layout,
    boot: &str,
    options: &Options,
) -> Result<Option<[BufferFile; 2]>> {
    if options.durability != Durability::Mapped {
        return Ok(None);
    }
    if boot.is_empty() {
        return Err(Error::new(
            Kind::Unsupported,
            "MAPPED needs to know whether the machine was restarted, and cannot find out",
        ));
    }
    let capacity = buffer_file_bytes(options.buffer_bytes);
    let create = |name| BufferFile::create(storage, layout, name, boot, capacity);
    let [one, two] = buffer_file::NAMES;
    let files = [create(one)?, create(two)?];
    sync_folder(storage, &layout.hidden())?;
    Ok(Some(files))
}

/// Opens the journal; only exclusive SYNCED writers have one.
fn open_journal(
    storage: &dyn Storage,
    layout: &Layout,
    options: &Options,
) -> Result<Option<Journal>> {
    if options.durability != Durability::Synced || options.shared {
        return Ok(None);
    }
    let journal = Journal::open(storage, layout, options.journal_bytes)?;
    sync_folder(storage, &layout.hidden())?;
    Ok(Some(journal))
}

/// Creates a folder and its missing parents; recovery makes them durable.
fn create_folders(storage: &dyn Storage, folder: &Path) -> Result<()> {
    let failed = |e: &io::Error| Error::io("create the folder", folder, e);
    match storage.create_dir(folder) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                create_folders(storage, parent)?;
                return ensure_folder(storage, folder).map_err(|e| failed(&e));
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
