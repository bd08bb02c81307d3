//! Redo: restores from the journal what synced commits have lost.

use super::{RecoveryReport, conflict};
use crate::error::{Error, Kind, Result};
use crate::event::name::name_fault;
use crate::store::journal::{self, RedoEntry};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, ensure_folder, open_regular, read_range};
use crate::warning::WarningKind;
use std::collections::BTreeMap;
use std::io;

/// Redoes the journal; returns the last id in it, if it has any.
pub(super) fn redo(
    storage: &dyn Storage,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> Result<Option<u64>> {
    let mut redone = 0;
    // By segment, the first entry that conflicts with it and all that follow: they are
    // decided together. No more than the journal holds.
    let mut conflicts: BTreeMap<(String, u64), Vec<RedoEntry>> = BTreeMap::new();
    let last = journal::replay(storage, layout, |entry| {
        let segment = (entry.stream.clone(), entry.number);
        if let Some(entries) = conflicts.get_mut(&segment) {
            entries.push(entry);
            return Ok(());
        }
        match redo_entry(storage, layout, &entry)? {
            Some(bytes) => redone += bytes,
            None => drop(conflicts.insert(segment, vec![entry])),
        }
        Ok(())
    })?;
    for entries in conflicts.values() {
        redone += conflict::resolve(storage, layout, entries, report)?;
    }
    if redone > 0 {
        report.warn(
            WarningKind::Redone,
            format!("{redone} bytes of synced events were put back from the journal"),
        );
    }
    Ok(last)
}

/// Writes an entry back to its offset if it is missing; returns the bytes written, or
/// `None` if other bytes are there than a power loss usually leaves.
fn redo_entry(storage: &dyn Storage, layout: &Layout, entry: &RedoEntry) -> Result<Option<u64>> {
    let names: Vec<&str> = entry.stream.split('/').collect();
    let (&[domain, category], true) = (&names[..], entry.number > 0) else {
        return Err(bad_entry(layout, entry));
    };
    if name_fault(domain.as_bytes()).is_some() || name_fault(category.as_bytes()).is_some() {
        return Err(bad_entry(layout, entry));
    }
    for folder in [layout.domain(domain), layout.stream(&entry.stream)] {
        ensure_folder(storage, &folder).map_err(|e| Error::io("create the folder", &folder, &e))?;
    }
    let path = layout.segment(&entry.stream, entry.number);
    let failed = |e: io::Error| Error::io("redo", &path, &e);
    let Some(file) = open_regular(storage, &path, Open::Create).map_err(failed)? else {
        return Ok(None);
    };
    let len = file.stat().map_err(failed)?.len;
    let on_disk = read_range(&*file, entry.offset, entry.bytes.len()).map_err(failed)?;
    if on_disk == entry.bytes {
        return Ok(Some(0));
    }
    let lost = on_disk
        .iter()
        .zip(&entry.bytes)
        .all(|(on_disk, journaled)| on_disk == journaled || *on_disk == 0);
    if len < entry.offset || !lost {
        return Ok(None);
    }
    file.write_at(&entry.bytes, entry.offset).map_err(failed)?;
    Ok(Some(entry.bytes.len() as u64))
}

fn bad_entry(layout: &Layout, entry: &RedoEntry) -> Error {
    Error::new(
        Kind::Corrupt,
        format!(
            "{} names the stream {:?}, segment {}, which cannot be",
            layout.hidden_file("journal").display(),
            entry.stream,
            entry.number
        ),
    )
}
