//! Decides about segments that differ from the journal in more than zeros.
//!
//! Two causes leave that. A file system that does not order data before metadata
//! (ext4 with `data=writeback`, FAT) shows stale blocks after a power loss: whatever
//! the disk held where the file grew. Or someone else has written there since. Stale
//! blocks hold no event that could follow those before them; someone else's lines do.
//!
//! Stale blocks are quarantined, and the synced events put back: they have a checksum,
//! and were acknowledged. Someone else's events stay, and the synced ones are
//! quarantined.

use super::RecoveryReport;
use super::quarantine::QuarantineFile;
use crate::error::{Error, Result};
use crate::event::header::checked_id;
use crate::store::journal::RedoEntry;
use crate::store::layout::Layout;
use crate::store::lines::Lines;
use crate::store::storage::{File, Open, Storage, open_regular, read_blocks};
use crate::warning::WarningKind;
use std::io;
use std::path::Path;

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

/// A disk writes whole sectors.
const SECTOR: u64 = 512;

/// Fewer bytes at the begin of a line say little.
const HEAD: u64 = 12;

/// Resolves the conflict that begins with the first of these entries, all of one
/// segment, oldest first; returns the bytes put back.
pub(super) fn resolve(
    storage: &dyn Storage,
    layout: &Layout,
    entries: &[RedoEntry],
    report: &mut RecoveryReport,
) -> Result<u64> {
    let Some(first) = entries.first() else {
        return Ok(0);
    };
    let path = layout.segment(&first.stream, first.number);
    let failed = |e: io::Error| Error::io("redo", &path, &e);
    let file = open_regular(storage, &path, Open::Update).map_err(failed)?;
    let stale = match file {
        Some(file) => {
            let len = file.stat().map_err(failed)?.len;
            // A hole before the entries does not come from a power loss either.
            let is_stale =
                len >= first.offset && !has_other_events(&*file, entries).map_err(failed)?;
            is_stale.then_some((file, len))
        }
        None => None,
    };
    let Some((file, len)) = stale else {
        for entry in entries {
            keep_entry_aside(storage, layout, &path, entry, report)?;
        }
        return Ok(0);
    };
    let end = entries
        .iter()
        .map(|entry| entry.offset.saturating_add(entry.bytes.len() as u64))
        .fold(first.offset, u64::max)
        .min(len);
    let mut quarantine = QuarantineFile::new(storage, layout, &path, first.offset)?;
    for block in read_blocks(&*file, first.offset..end) {
        quarantine.write(&block.map_err(failed)?.1)?;
    }
    let kept = quarantine.finish(storage, layout)?;
    let mut redone = 0;
    for entry in entries {
        file.write_at(&entry.bytes, entry.offset).map_err(failed)?;
        redone += entry.bytes.len() as u64;
    }
    report.torn_tails += 1;
    report.torn_bytes += end - first.offset;
    report.warn(
        WarningKind::TornTail,
        format!(
            "{} bytes from byte {} of {} were not what was synced there, and no events; they \
             are kept in {}",
            end - first.offset,
            first.offset,
            path.display(),
            kept.display()
        ),
    );
    Ok(redone)
}

/// Whether the segment, from the first entry on, has an event that is not in the
/// entries and could have been appended after the events before them.
fn has_other_events(file: &dyn File, entries: &[RedoEntry]) -> io::Result<bool> {
    let from = entries.first().map_or(0, |entry| entry.offset);
    let first_id = entries
        .first()
        .and_then(|entry| entry.bytes.split(|&byte| byte == b'\n').next())
        .and_then(checked_id)
        .unwrap_or(0);
    let mut lines = Lines::forward(from, BLOCK);
    while let Some(line) = lines.advance(file, true)? {
        let text = lines.text(line);
        if checked_id(text).is_some_and(|id| id >= first_id)
            && !is_in_entries(entries, line.offset, text)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the line at this offset of the segment is the entries' own, or was put
/// together from one of theirs and a stale block, which has its begin where a sector
/// has.
fn is_in_entries(entries: &[RedoEntry], offset: u64, text: &[u8]) -> bool {
    let next = entries.partition_point(|entry| entry.offset <= offset);
    let Some(entry) = next.checked_sub(1).and_then(|at| entries.get(at)) else {
        return false;
    };
    let Some(own) = usize::try_from(offset - entry.offset)
        .ok()
        .and_then(|from| entry.bytes.get(from..))
    else {
        return false;
    };
    let same = own.iter().zip(text).take_while(|(a, b)| a == b).count();
    if same == text.len() && own.get(same) == Some(&b'\n') {
        return true;
    }
    let sector_end = (offset + same as u64) / SECTOR * SECTOR;
    sector_end >= offset + HEAD
}

/// Quarantines the lines of an entry whose place has other events.
fn keep_entry_aside(
    storage: &dyn Storage,
    layout: &Layout,
    path: &Path,
    entry: &RedoEntry,
    report: &mut RecoveryReport,
) -> Result<()> {
    let mut quarantine = QuarantineFile::new(storage, layout, path, entry.offset)?;
    quarantine.write(&entry.bytes)?;
    let kept = quarantine.finish(storage, layout)?;
    report.warn(
        WarningKind::DamagedLine,
        format!(
            "{} was changed from outside at byte {}; the synced events of that place are kept in {}",
            path.display(),
            entry.offset,
            kept.display()
        ),
    );
    Ok(())
}
