//! Recovery: brings a trail into a consistent state when it is opened.
//!
//! A trail whose state says it was closed cleanly needs no recovery, unless its index
//! has another last id: then other software has written. Otherwise, in this order:
//!
//! 1. Redo: what synced commits have lost, or find stale blocks in the place of, is
//!    restored from the journal.
//! 2. If the machine was rebooted, a sync has failed, or a marked batch is unfinished,
//!    the events after the last id known to be intact are scanned. After a reboot or a
//!    failed sync each segment is cut at the first line that has no newline or contains
//!    zeros, that is, pages that never reached the disk. Ids that are in no segment are
//!    reported.
//!    What a killed MAPPED writer had accepted is not missing: the caller drains it.
//! 3. The tail of every stream's newest segment is repaired. A partial line, or zeros
//!    that a power loss left, are cut off. A whole event that lacks only its newline
//!    gets it. A whole line that is not an event was not torn: it is reported and
//!    left as it is.
//! 4. The last id is the largest id found in any of these steps.
//! 5. If a sync has failed before, what was not known to be on disk is rewritten
//!    unchanged, because the kernel considers those pages clean.
//! 6. Everything is synced, so that the next recovery need not go back beyond this
//!    point, and the caller discards the journal.
//!
//! Whatever is cut off is first saved, durably, under `.auditrail/torn/`. Recovery is
//! idempotent: a crash during it loses nothing.

mod accepted;
mod conflict;
mod drain;
mod quarantine;
mod redo;
mod scan;
mod sync;
mod tail;

pub(crate) use drain::drain;
pub(crate) use tail::{stream, tails};

use crate::error::Result;
use crate::limits::MAX_LISTED;
use crate::store::buffer_file::BufferedEvent;
use crate::store::index_file;
use crate::store::layout::Layout;
use crate::store::state::{Phase, State};
use crate::store::storage::Storage;
use crate::warning::{Warning, WarningKind};
use std::path::Path;

/// Totals and warnings of recovery.
#[derive(Debug, Default)]
pub(crate) struct RecoveryReport {
    pub warnings: Vec<Warning>,
    pub torn_tails: u64,
    pub torn_bytes: u64,
    pub missing_ids: u64,
}

impl RecoveryReport {
    pub fn warn(&mut self, kind: WarningKind, message: String) {
        // Warnings about a badly damaged trail must not exhaust memory.
        if self.warnings.len() < MAX_LISTED {
            self.warnings.push(Warning { kind, message });
        }
    }

    /// Reports what has the name of a segment and is no regular file.
    pub fn warn_of_irregular(&mut self, path: &Path) {
        self.warn(
            WarningKind::DamagedLine,
            format!("{} is no regular file, and is passed over", path.display()),
        );
    }
}

/// The trail after recovery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub last_id: u64,
    /// Ids up to this one are on disk.
    pub synced_id: u64,
    /// `index.json` does not hold the last id.
    pub index_is_stale: bool,
    /// The journal has records, and their segments are synced by now.
    pub journal_is_stale: bool,
    /// What a killed MAPPED writer had accepted and not written: to be drained, and
    /// counted in `last_id`.
    pub accepted: Vec<BufferedEvent>,
    /// All ids up to this one are in the segments.
    pub intact_id: u64,
}

/// Writes again and syncs all that the state does not say to be on disk: a sync has
/// failed. There must be no other writer at work.
pub(crate) fn rewrite(storage: &dyn Storage, layout: &Layout, state: &State) -> Result<()> {
    scan::rewrite(storage, layout, state.synced)?;
    sync::sync_recovered(storage, layout, Some(state))
}

/// Recovers the trail; `state` was written by its last writer, `boot` is the current
/// boot id.
pub(crate) fn trail(
    storage: &dyn Storage,
    layout: &Layout,
    state: Option<&State>,
    boot: &str,
    report: &mut RecoveryReport,
) -> Result<Recovered> {
    let index = index_file::read(storage, layout)?;
    if let (Some(state), index_file::IndexContent::Last(last)) = (state, &index)
        && state.phase == Phase::Clean
        && state.written == *last
    {
        return Ok(Recovered {
            last_id: *last,
            synced_id: state.synced,
            index_is_stale: false,
            journal_is_stale: false,
            accepted: Vec::new(),
            intact_id: *last,
        });
    }
    let indexed = indexed_id(&index, layout, report);
    let journaled = redo::redo(storage, layout, report)?;
    let mut last_id = indexed.max(journaled.unwrap_or(0));
    let written = state.map_or(0, |state| state.written);
    let accepted = accepted::accepted_after(storage, layout, boot, written, report)?;
    let unknown = State::unknown();
    // Without a state, accepted events show that one was removed.
    let known = state.or((!accepted.is_empty()).then_some(&unknown));
    let mut unwritten = Unwritten::default();
    if let Some(state) = known {
        let intact_id = if kernel_has_all(state, boot) {
            state.written
        } else {
            state.synced.max(journaled.unwrap_or(0))
        };
        last_id = last_id.max(intact_id);
        unwritten = scan_unwritten(
            storage,
            layout,
            (state, boot),
            (intact_id, last_id),
            accepted,
            report,
        )?;
        last_id = unwritten.last_id;
    }
    last_id = last_id.max(tails(storage, layout, report)?);
    if let Some(state) = state.filter(|state| state.sync_failed) {
        scan::rewrite(storage, layout, state.synced)?;
    }
    sync::sync_recovered(storage, layout, state)?;
    if index == index_file::IndexContent::Missing
        && last_id > 0
        && state.is_some_and(|s| s.phase == Phase::Clean)
    {
        report.warn(
            WarningKind::IndexRebuilt,
            format!("{} was missing", layout.index().display()),
        );
    }
    Ok(Recovered {
        last_id,
        synced_id: last_id,
        index_is_stale: index != index_file::IndexContent::Last(last_id),
        journal_is_stale: journaled.is_some(),
        accepted: unwritten.accepted,
        intact_id: unwritten.intact_id,
    })
}

/// The last id by the index; 0 if it tells none.
fn indexed_id(
    index: &index_file::IndexContent,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> u64 {
    match index {
        index_file::IndexContent::Last(last) => *last,
        index_file::IndexContent::Missing => 0,
        index_file::IndexContent::Unreadable(why) => {
            report.warn(
                WarningKind::IndexRebuilt,
                format!("{} cannot be read: {why}", layout.index().display()),
            );
            0
        }
    }
}

/// What is known of the events after the last id that is known to be intact.
#[derive(Debug, Default)]
struct Unwritten {
    intact_id: u64,
    /// The largest id that was given.
    last_id: u64,
    /// Accepted events that are in no segment.
    accepted: Vec<BufferedEvent>,
}

/// Whether the kernel has all that it was given: the machine was not restarted, and no
/// sync has failed, after which pages can be gone as after a loss of power.
fn kernel_has_all(state: &State, boot: &str) -> bool {
    !boot.is_empty() && state.boot == boot && !state.sync_failed
}

/// Scans the events after `intact_id` if some may be missing, and reports those that are;
/// `last_id` is the largest id known so far.
fn scan_unwritten(
    storage: &dyn Storage,
    layout: &Layout,
    (state, boot): (&State, &str),
    (intact_id, last_id): (u64, u64),
    accepted: Vec<BufferedEvent>,
    report: &mut RecoveryReport,
) -> Result<Unwritten> {
    let may_be_torn = !kernel_has_all(state, boot);
    let in_batch = state.phase == Phase::Busy;
    let is_unfinished = in_batch || (state.phase != Phase::Clean && may_be_torn);
    let mut unwritten = Unwritten {
        intact_id,
        last_id,
        accepted,
    };
    if !is_unfinished && unwritten.accepted.is_empty() {
        return Ok(unwritten);
    }
    let (mut found, max_id) = scan::scan_after(storage, layout, intact_id, may_be_torn, report)?;
    let seen = found.iter().map(|&(_, last)| last).max().unwrap_or(0);
    let given = last_id.max(max_id);
    let accepted = std::mem::take(&mut unwritten.accepted);
    unwritten.accepted = accepted::without_written(
        storage,
        layout,
        accepted,
        intact_id,
        (&found, given.max(seen)),
        report,
    )?;
    let ids = unwritten.accepted.iter().map(|event| event.id);
    found.extend(ids.map(|id| (id, id)));
    found.sort_unstable();
    unwritten.last_id = scan::report_missing(intact_id, given, found, report);
    Ok(unwritten)
}
