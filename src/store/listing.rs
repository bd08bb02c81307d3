//! Lists the streams of a trail, the segments of a stream, and foreign files.
//!
//! Folders whose names are not valid for a domain or category are skipped, as the
//! predecessor's reader does; `check` reports them. What is removed during a listing
//! counts as missing.

use crate::error::{Error, Kind, Result};
use crate::event::name::name_fault;
use crate::store::layout::{HIDDEN, INDEX, Layout, segment_number};
use crate::store::storage::{DirEntry, Storage};
use std::io;
use std::path::{Path, PathBuf};

/// A stream: the events of one domain and category. Ordered as readers visit them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId {
    pub domain: String,
    pub category: String,
}

impl StreamId {
    /// `domain/category`, which is also its folder's path in the trail's root.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.category)
    }
}

/// All streams, sorted.
pub(crate) fn streams(storage: &dyn Storage, layout: &Layout) -> Result<Vec<StreamId>> {
    streams_matching(storage, layout, |_| true, |_| true)
}

/// The streams whose domain and category pass the predicates, sorted.
pub(crate) fn streams_matching(
    storage: &dyn Storage,
    layout: &Layout,
    domain_passes: impl Fn(&str) -> bool,
    category_passes: impl Fn(&str) -> bool,
) -> Result<Vec<StreamId>> {
    let mut streams = Vec::new();
    for domain in subfolders(storage, layout.root())? {
        if domain_passes(&domain) {
            for category in subfolders(storage, &layout.domain(&domain))? {
                if category_passes(&category) {
                    let domain = domain.clone();
                    streams.push(StreamId { domain, category });
                }
            }
        }
    }
    Ok(streams)
}

/// All streams, sorted, and the paths of everything that does not belong to the trail.
pub(crate) fn streams_and_foreign(
    storage: &dyn Storage,
    layout: &Layout,
) -> Result<(Vec<StreamId>, Vec<PathBuf>)> {
    let (mut streams, mut foreign) = (Vec::new(), Vec::new());
    for domain in list_sorted(storage, layout.root())? {
        let folder = layout.domain(&domain.name);
        if !has_valid_name(&domain) {
            if !is_own(&domain) {
                foreign.push(folder);
            }
            continue;
        }
        for category in list_sorted(storage, &folder)? {
            let folder = folder.join(&category.name);
            if !has_valid_name(&category) {
                foreign.push(folder);
                continue;
            }
            let files = list_sorted(storage, &folder)?;
            foreign.extend(
                files
                    .iter()
                    .filter(|file| segment_number_of(file).is_none())
                    .map(|file| folder.join(&file.name)),
            );
            streams.push(StreamId {
                domain: domain.name.clone(),
                category: category.name,
            });
        }
    }
    Ok((streams, foreign))
}

/// The numbers of the segments in a stream's folder, ascending.
pub(crate) fn segments(storage: &dyn Storage, folder: &Path) -> Result<Vec<u64>> {
    segments_and_irregular(storage, folder).map(|(numbers, _)| numbers)
}

/// The same, and the numbers that belong to something else than a regular file: a
/// folder, a pipe, a socket or a device.
pub(crate) fn segments_and_irregular(
    storage: &dyn Storage,
    folder: &Path,
) -> Result<(Vec<u64>, Vec<u64>)> {
    let (mut numbers, mut irregular) = (Vec::new(), Vec::new());
    for entry in list(storage, folder)? {
        match segment_number(&entry.name) {
            Some(number) if entry.is_file => numbers.push(number),
            Some(number) => irregular.push(number),
            None => {}
        }
    }
    numbers.sort_unstable();
    irregular.sort_unstable();
    Ok((numbers, irregular))
}

/// Fails if there is no trail at the root.
pub(crate) fn require_trail(storage: &dyn Storage, layout: &Layout) -> Result<()> {
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

/// The subfolders with names valid for a domain or category, sorted.
pub(crate) fn subfolders(storage: &dyn Storage, parent: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = list(storage, parent)?
        .into_iter()
        .filter(has_valid_name)
        .map(|entry| entry.name)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The entries of a folder, sorted.
fn list_sorted(storage: &dyn Storage, folder: &Path) -> Result<Vec<DirEntry>> {
    let mut entries = list(storage, folder)?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn list(storage: &dyn Storage, folder: &Path) -> Result<Vec<DirEntry>> {
    match storage.list(folder) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("list", folder, &e)),
    }
}

/// Whether an entry can be the folder of a domain or category.
fn has_valid_name(entry: &DirEntry) -> bool {
    entry.is_dir && name_fault(entry.name.as_bytes()).is_none()
}

/// Whether an entry of the root is one of the trail's own besides the domains.
fn is_own(entry: &DirEntry) -> bool {
    match &*entry.name {
        HIDDEN => entry.is_dir,
        INDEX => !entry.is_dir,
        _ => false,
    }
}

/// The segment number of an entry; `None` if it is not a segment.
fn segment_number_of(entry: &DirEntry) -> Option<u64> {
    segment_number(&entry.name).filter(|_| entry.is_file)
}
