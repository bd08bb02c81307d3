//! The names and paths of a trail's files.
//!
//! ```text
//! ROOT/<domain>/<category>/audit-000001.jsonl   the segments of one stream
//! ROOT/index.json                               {"last_event_id":n}
//! ROOT/.auditrail/lock                          held by every open writer
//! ROOT/.auditrail/commit-lock                   held by a shared writer while it commits
//! ROOT/.auditrail/state                         up to which id the trail is known to be intact
//! ROOT/.auditrail/journal                       the redo log of synced commits
//! ROOT/.auditrail/buffer-1, -2                 accepted events of a MAPPED writer
//! ROOT/.auditrail/times                         the time ranges of full segments
//! ROOT/.auditrail/torn/                         bytes that recovery cut off, or could not redo
//! ```

use crate::event::name::RESERVED;
use std::path::{Path, PathBuf};

/// The folder under a trail's root for everything but segments and index.
pub(crate) const HIDDEN: &str = ".auditrail";

/// The name of the index in a trail's root.
pub(crate) const INDEX: &str = RESERVED;

/// Builds the paths of one trail.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Absolute.
    root: PathBuf,
    /// As the caller gave it, for what the caller is told.
    given: PathBuf,
}

impl Layout {
    /// A relative root is taken from where the process is now: it may change its
    /// working directory later, and must not continue in another folder then.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let given = root.into();
        // Fails for an empty path, and where the working directory was deleted; both
        // then fail when the folder is looked for.
        let root = std::path::absolute(&given).unwrap_or_else(|_| given.clone());
        Self { root, given }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of this layout below the root as the caller gave it.
    pub fn as_given(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(inside) => self.given.join(inside),
            Err(_) => path.to_owned(),
        }
    }

    pub fn index(&self) -> PathBuf {
        self.root.join(INDEX)
    }

    pub fn hidden(&self) -> PathBuf {
        self.root.join(HIDDEN)
    }

    pub fn hidden_file(&self, name: &str) -> PathBuf {
        self.hidden().join(name)
    }

    pub fn domain(&self, domain: &str) -> PathBuf {
        self.root.join(domain)
    }

    /// The folder of the stream `domain/category`.
    pub fn stream(&self, stream: &str) -> PathBuf {
        self.root.join(stream)
    }

    pub fn segment(&self, stream: &str, number: u64) -> PathBuf {
        self.stream(stream).join(segment_name(number))
    }
}

/// `audit-000001.jsonl`: six digits, more from segment 1,000,000 on.
pub(crate) fn segment_name(number: u64) -> String {
    format!("audit-{number:06}.jsonl")
}

/// The number in a segment's name; `None` for any other name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    let canonical = digits.len() == 6 || (digits.len() > 6 && !digits.starts_with('0'));
    if !canonical || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names_go_both_ways_and_compare_as_numbers() {
        for number in [1, 42, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(segment_number(&segment_name(number)), Some(number));
        }
        for name in [
            "audit-000000.jsonl",
            "audit-1.jsonl",
            "audit-0000001.jsonl",
            "audit-00000a.jsonl",
            "audit-+00001.jsonl",
            "audit-000001.jsonl.gz",
            "Audit-000001.jsonl",
            "audit-99999999999999999999.jsonl",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
