//! What recovery found and restored is brought to disk.
//!
//! The next recovery starts after this point, so nothing that it would not look at
//! again may be lost, and no folder either, whoever created it. Only the trail's own
//! files are synced: others on the file system may have gigabytes to write. The one
//! exception is a trail whose state is missing or unreadable and that holds events:
//! they are someone else's, all of them may be unsynced, and one call is cheaper than
//! opening each file.

use super::scan::segments_after;
use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::listing::{self, StreamId};
use crate::store::state::State;
use crate::store::storage::{Open, Storage, failed_to_open, open_segment, sync_folder};
use std::path::Path;

/// Brings everything to disk that may not be there; `state` is that of the last writer.
pub(super) fn sync_recovered(
    storage: &dyn Storage,
    layout: &Layout,
    state: Option<&State>,
) -> Result<()> {
    let streams = listing::streams(storage, layout)?;
    let known = state.filter(|state| !state.is_unknown());
    match known {
        Some(state) => sync_segments(storage, layout, &streams, state.synced)?,
        None if streams.is_empty() => {}
        None => return sync_file_system(storage, layout),
    }
    sync_folder(storage, layout.root())?;
    if known.is_none() {
        // It was just created, or the opening that created it has failed.
        return sync_parents(storage, layout);
    }
    Ok(())
}

/// Syncs the segments that can hold events after `synced_id`, and their names.
fn sync_segments(
    storage: &dyn Storage,
    layout: &Layout,
    streams: &[StreamId],
    synced_id: u64,
) -> Result<()> {
    let mut last_domain = None;
    for stream in streams {
        let name = stream.name();
        let mut any = false;
        for number in segments_after(storage, layout, &name, synced_id)? {
            let path = layout.segment(&name, number);
            open_segment(storage, &path, Open::Read)?
                .sync()
                .map_err(|e| Error::io("sync", &path, &e))?;
            any = true;
        }
        if any {
            sync_folder(storage, &layout.stream(&name))?;
            if last_domain != Some(&stream.domain) {
                sync_folder(storage, &layout.domain(&stream.domain))?;
                last_domain = Some(&stream.domain);
            }
        }
    }
    Ok(())
}

/// Makes the name of the trail's folder durable, and those of all folders above it.
fn sync_parents(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    let parents = layout.root().ancestors().skip(1);
    for parent in parents.filter(|parent| *parent != Path::new("")) {
        match storage.sync_dir(parent) {
            Ok(()) => {}
            // A folder that may be passed through, but not be opened.
            Err(e) if failed_to_open(&e) => return sync_file_system(storage, layout),
            Err(e) => return Err(Error::io("sync", parent, &e)),
        }
    }
    Ok(())
}

fn sync_file_system(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    storage
        .sync_all(layout.root())
        .map_err(|e| Error::io("sync", layout.root(), &e))
}
