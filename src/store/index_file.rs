//! `index.json`: the last id, for the predecessor's tools and for people.
//!
//! An object with `last_event_id`, replaced atomically: temporary file, sync,
//! rename, sync of the folder. It is only a hint, written at close and after a
//! recovery: the segments are authoritative, so a lost or unreadable index makes
//! the next open read their tails and loses no id.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::storage::{Open, Storage, open_if_exists, read_range, sync_folder};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Index {
    last_event_id: u64,
}

/// The content of the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IndexContent {
    /// The last id.
    Last(u64),
    /// The file does not exist.
    Missing,
    /// It cannot be parsed, for this reason.
    Unreadable(String),
}

/// No more than this is read: a longer file fails to parse.
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
