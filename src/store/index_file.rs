//! `index.json`: the last id, where the predecessor and people look for it.
//!
//! An object with `last_event_id`, replaced as a whole: temporary file, sync,
//! rename, sync of the folder. Here it is a hint, written at close and after a
//! recovery: the truth is in the segments, so that a lost or unreadable index
//! costs a look at their tails and no id.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, open_if_exists, read_range, sync_folder};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Index {
    last_event_id: u64,
}

/// What was found of the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IndexContent {
    /// It holds this id.
    Last(u64),
    /// There is none.
    Missing,
    /// It does not say a last id, for this reason.
    Unreadable(String),
}

/// An index larger than this is none.
const MAX_LEN: usize = 64 * 1024;

pub(crate) fn read(storage: &dyn Storage, layout: &Layout) -> Result<IndexContent> {
    let path = layout.index();
    let Some(file) = open_if_exists(storage, &path, Open::Read)? else {
        return Ok(IndexContent::Missing);
    };
    let text = read_range(&*file, 0, MAX_LEN).map_err(|e| Error::io("read", &path, &e))?;
    Ok(match serde_json::from_slice::<Index>(&text) {
        Ok(index) => IndexContent::Last(index.last_event_id),
        Err(error) => IndexContent::Unreadable(error.to_string()),
    })
}

/// Replaces the index, durably.
pub(crate) fn write(storage: &dyn Storage, layout: &Layout, last_event_id: u64) -> Result<()> {
    let text = format!("{{\"last_event_id\":{last_event_id}}}");
    let temporary = layout.hidden_file("index.json.new");
    let file = storage
        .open(&temporary, Open::Create)
        .map_err(|e| Error::io("create", &temporary, &e))?;
    file.set_len(0)
        .and_then(|()| file.write_at(text.as_bytes(), 0))
        .and_then(|()| file.sync())
        .map_err(|e| Error::io("write", &temporary, &e))?;
    let path = layout.index();
    storage
        .rename(&temporary, &path)
        .map_err(|e| Error::io("replace", &path, &e))?;
    sync_folder(storage, layout.root())
}
