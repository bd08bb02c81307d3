//! Which streams a trail has, and which segments a stream.
//!
//! Folders whose names no domain or category can have are passed over, as the
//! predecessor's reader does; `check` reports them.

use crate::error::{Error, Kind, Result};
use crate::event::name::name_fault;
use crate::store::layout::{Layout, segment_number};
use crate::store::storage::Storage;
use std::io;
use std::path::Path;

/// The domains and categories that `domain` and `category` let through, sorted.
pub(crate) fn streams(
    storage: &dyn Storage,
    layout: &Layout,
    domain: impl Fn(&str) -> bool,
    category: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>> {
    let mut streams = Vec::new();
    for name in folders(storage, layout.root())? {
        if domain(&name) {
            for stream in folders(storage, &layout.domain(&name))? {
                if category(&stream) {
                    streams.push((name.clone(), stream));
                }
            }
        }
    }
    Ok(streams)
}

/// Says so when there is no trail at the root.
pub(crate) fn must_be_there(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    let root = layout.root();
    match storage.stat(root) {
        Ok(stat) if stat.is_dir => Ok(()),
        Ok(_) => Err(Error::new(
            Kind::NotFound,
            format!("there is no trail at {}: it is no folder", root.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::new(
            Kind::NotFound,
            format!("there is no trail at {}: no such folder", root.display()),
        )),
        Err(error) => Err(Error::io("look at", root, &error)),
    }
}

fn folders(storage: &dyn Storage, parent: &Path) -> Result<Vec<String>> {
    let entries = match storage.list(parent) {
        Ok(entries) => entries,
        // Taken away since it was listed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", parent, &e)),
    };
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.is_dir && name_fault(entry.name.as_bytes()).is_none())
        .map(|entry| entry.name)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The numbers of the segments in a stream's folder, rising.
pub(crate) fn segments(storage: &dyn Storage, folder: &Path) -> Result<Vec<u64>> {
    let entries = match storage.list(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", folder, &e)),
    };
    let mut numbers: Vec<u64> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| segment_number(&entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
