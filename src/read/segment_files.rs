//! The segment files of a trail, for those who need to know which there are.

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::listing;
use crate::store::storage::{Disk, Storage};
use std::io;
use std::path::PathBuf;

/// One segment: a file of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentFile {
    /// The stream's domain.
    pub domain: String,
    /// The stream's category.
    pub category: String,
    /// The segment's number in its stream, from 1.
    pub number: u64,
    /// Its path, below the root as it was given.
    pub path: PathBuf,
    /// Its length when it was listed.
    pub bytes: u64,
}

/// All segments of the trail at `root`, sorted by domain, category and number. One
/// that is removed while they are listed is left out.
pub fn segments(root: impl Into<PathBuf>) -> Result<Vec<SegmentFile>> {
    let layout = Layout::new(root);
    listing::require_trail(&Disk, &layout)?;
    let mut found = Vec::new();
    for stream in listing::streams(&Disk, &layout)? {
        let name = stream.name();
        for number in listing::segments(&Disk, &layout.stream(&name))? {
            let path = layout.segment(&name, number);
            let bytes = match Disk.stat(&path) {
                Ok(stat) if stat.is_file => stat.len,
                Ok(_) => continue,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io("look at", &path, &e)),
            };
            found.push(SegmentFile {
                domain: stream.domain.clone(),
                category: stream.category.clone(),
                number,
                path: layout.as_given(&path),
                bytes,
            });
        }
    }
    Ok(found)
}
