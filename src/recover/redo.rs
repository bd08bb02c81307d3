//! Redo: restores from the journal what synced commits have lost.

use super::RecoveryReport;
use super::quarantine::QuarantineFile;
use crate::error::{Error, Kind, Result};
use crate::event::name::name_fault;
use crate::store::journal::{self, RedoEntry};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, ensure_folder, open_regular, read_range};
use crate::warning::WarningKind;
use std::io;

/// Redoes the journal; returns the last id in it, if it has any.
pub(super) fn redo(
    storage: &dyn Storage,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> Result<Option<u64>> {
    let mut redone = 0;
    let last = journal::replay(storage, layout, |entry| {
        redone += redo_entry(storage, layout, &entry, report)?;
        Ok(())
    })?;
    if redone > 0 {
        report.warn(
            WarningKind::Redone,
            format!("{redone} bytes of synced events were put back from the journal"),
        );
    }
    Ok(last)
}

/// Writes an entry back to its offset if it is missing; returns the bytes written.
fn redo_entry(
    storage: &dyn Storage,
    layout: &Layout,
    entry: &RedoEntry,
    report: &mut RecoveryReport,
) -> Result<u64> {
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
    let file = open_regular(storage, &path, Open::Create).map_err(failed)?;
    let may_redo = match &file {
        Some(file) => {
            let len = file.stat().map_err(failed)?.len;
            let on_disk = read_range(&**file, entry.offset, entry.bytes.len()).map_err(failed)?;
            if on_disk == entry.bytes {
                return Ok(0);
            }
            let mut pairs = on_disk.iter().zip(&entry.bytes);
            let lost = pairs.all(|(on_disk, journaled)| on_disk == journaled || *on_disk == 0);
            len >= entry.offset && lost
        }
        None => false,
    };
    let Some(file) = file.filter(|_| may_redo) else {
        // A power loss does not leave this: someone has overwritten, cut or replaced
        // the file.
        let mut quarantine = QuarantineFile::new(storage, layout, &path, entry.offset)?;
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
        return Ok(0);
    };
    file.write_at(&entry.bytes, entry.offset).map_err(failed)?;
    Ok(entry.bytes.len() as u64)
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
