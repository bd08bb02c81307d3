//! What recovery found and restored is brought to disk.
//!
//! The next recovery starts after this point, so nothing that it would not look at
//! again may be lost, and no folder either, whoever created it. Only the trail's own
//! files are synced: others on the file system may have gigabytes to write. There are
//! two exceptions, where one call for the file system is cheaper than syncing each file:
//! a trail whose state is missing or unreadable and that holds events, for they are
//! someone else's, and all of them may be unsynced; and very many segments.

use super::scan::segments_after;
use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::listing::{self, StreamId};
use crate::store::state::State;
use crate::store::storage::{Open, Storage, failed_to_open, open_segment, sync_folder};
use std::collections::BTreeSet;
use std::path::Path;

/// More than so many segments are not synced one by one: each takes two calls to a disk
/// that may take milliseconds.
const MANY_SEGMENTS: usize = 256;

/// Brings everything to disk that may not be there; `state` is that of the last writer.
pub(super) fn sync_recovered(
    storage: &dyn Storage,
    layout: &Layout,
    state: Option<&State>,
) -> Result<()> {
    let streams = listing::streams(storage, layout)?;
    let known = state.filter(|state| !state.is_unknown());
    match known {
        Some(state) => {
            let unsynced = unsynced_segments(storage, layout, &streams, state.synced)?;
            if unsynced.len() > MANY_SEGMENTS {
                return sync_file_system(storage, layout);
            }
            sync_segments(storage, layout, &unsynced)?;
        }
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

/// The segments that can hold events after `synced_id`, at most one more than
/// [`MANY_SEGMENTS`].
fn unsynced_segments<'s>(
    storage: &dyn Storage,
    layout: &Layout,
    streams: &'s [StreamId],
    synced_id: u64,
) -> Result<Vec<(&'s StreamId, u64)>> {
    let mut found = Vec::new();
    for stream in streams {
        for number in segments_after(storage, layout, &stream.name(), synced_id)? {
            found.push((stream, number));
            if found.len() > MANY_SEGMENTS {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Syncs these segments, and their names.
fn sync_segments(
    storage: &dyn Storage,
    layout: &Layout,
    segments: &[(&StreamId, u64)],
) -> Result<()> {
    for (stream, number) in segments {
        let path = layout.segment(&stream.name(), *number);
        open_segment(storage, &path, Open::Read)?
            .sync()
            .map_err(|e| Error::io("sync", &path, &e))?;
    }
    let folders: BTreeSet<_> = segments
        .iter()
        .flat_map(|(stream, _)| [layout.stream(&stream.name()), layout.domain(&stream.domain)])
        .collect();
    for folder in folders {
        sync_folder(storage, &folder)?;
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
