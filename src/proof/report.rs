//! What verification found, as a structure and as JSON.

use super::merkle::Hash;
use crate::error::{Error, Kind, Result};
use crate::limits::MAX_LISTED;
use crate::store::layout::Layout;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// The result of a verification.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Whether all that was signed exists unchanged, and nothing was added to it: there
    /// are no findings.
    pub intact: bool,
    /// The largest checkpoint that the trail was compared with.
    pub checkpoint: Option<Covered>,
    /// Events that were found in their own stream, as they were signed.
    pub verified_events: u64,
    /// Events after the last signed one, about which nothing is proved.
    pub unsigned_events: u64,
    /// Events that do not exist, before the first one asked for.
    pub pruned_events: u64,
    /// What is wrong; at most 1,000 are listed.
    pub findings: Vec<Finding>,
    /// How many findings there are, listed or not.
    pub findings_total: u64,
    /// What is worth knowing but not wrong.
    pub notes: Vec<Finding>,
}

/// What a checkpoint covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Covered {
    /// The log's name.
    pub origin: String,
    /// How many events.
    pub size: u64,
    /// The tree's root, in base64.
    #[serde(serialize_with = "base64")]
    pub root: Hash,
    /// The witnesses whose cosignatures hold.
    pub witnesses: Vec<Witness>,
}

/// A witness that has cosigned a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Witness {
    /// The name of its key.
    pub name: String,
    /// When it says that it has signed, in Unix seconds.
    pub time: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn base64<S: Serializer>(hash: &Hash, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The line of this event is not the one that was signed.
    Changed,
    /// The lines of these events do not exist.
    Missing,
    /// The trail ends before these events, the last of those signed.
    Cut,
    /// A line that was not signed is among those that were.
    Added,
    /// The event is unchanged, but its line was moved.
    Displaced,
    /// The line's end is damaged, not the event.
    Unended,
    /// These events are not as they were signed; which of them, is not known.
    Unknown,
    /// The segment of this number does not exist.
    Segment,
    /// A file of the tree's hashes is missing or changed.
    Tile,
    /// A checkpoint is missing, not signed, or not of this trail.
    Checkpoint,
    /// `index.json` does not fit the trail.
    Index,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// The id of the first event that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_id: Option<u64>,
    /// The id of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_id: Option<u64>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The byte of that file at which the line begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The same as a text.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            first_id: None,
            last_id: None,
            path: None,
            offset: None,
            message: message.into(),
        }
    }

    pub(crate) fn of(mut self, first: u64, last: u64) -> Self {
        (self.first_id, self.last_id) = (Some(first), Some(last));
        self
    }

    pub(crate) fn at(mut self, path: &Path, offset: Option<u64>) -> Self {
        (self.path, self.offset) = (Some(path.display().to_string()), offset);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first_id, self.last_id) {
            (Some(first), Some(last)) if first < last => write!(f, "events {first} to {last}: ")?,
            (Some(id), _) => write!(f, "event {id}: ")?,
            _ => {}
        }
        f.write_str(&self.message)?;
        if let Some(path) = &self.path {
            write!(f, " ({path}")?;
            if let Some(offset) = self.offset {
                write!(f, ", byte {offset}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl VerifyReport {
    /// An error with the first finding, if there is one.
    pub fn to_result(&self) -> Result<()> {
        let Some(first) = self.findings.first() else {
            return Ok(());
        };
        let message = match self.findings_total {
            1 => first.to_string(),
            total => format!("{first}; and {} more findings", total - 1),
        };
        Err(Error::new(Kind::Tampered, message))
    }

    pub(crate) fn new() -> Self {
        Self {
            intact: true,
            checkpoint: None,
            verified_events: 0,
            unsigned_events: 0,
            pruned_events: 0,
            findings: Vec::new(),
            findings_total: 0,
            notes: Vec::new(),
        }
    }

    /// Names all files below the root as the caller gave it.
    pub(crate) fn with_paths_as_given(mut self, layout: &Layout) -> Self {
        for finding in self.findings.iter_mut().chain(&mut self.notes) {
            if let Some(path) = &mut finding.path {
                *path = layout.as_given(Path::new(&*path)).display().to_string();
            }
        }
        self
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        self.intact = false;
        self.findings_total += 1;
        if self.findings.len() < MAX_LISTED {
            self.findings.push(finding);
        }
    }

    pub(crate) fn note(&mut self, note: Finding) {
        if self.notes.len() < MAX_LISTED {
            self.notes.push(note);
        }
    }
}
