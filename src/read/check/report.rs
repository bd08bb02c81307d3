//! What a check has found.

use super::ids::Ranges;
use crate::limits::MAX_LISTED;
use serde::Serialize;

/// What a check has found of a trail. [`CheckReport::ok`] says whether all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Whether every event is there, once, whole, in its place, and nothing
    /// else: everything below is empty, and the index is not wrong.
    pub ok: bool,
    /// Events that are whole and in their place.
    pub events: u64,
    /// Streams (domain and category).
    pub streams: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The largest id of those events; none: there are no events.
    pub last_event_id: Option<u64>,
    /// IdSet from 1 to the last that no event has.
    pub missing_ids: Ranges,
    /// IdSet that more than one event has; each counted once less than it is there.
    pub doubled_ids: Ranges,
    /// Lines that are no events.
    pub damaged_lines: List<Fault>,
    /// Events whose domain or category is not that of their folder.
    pub misplaced_events: List<Fault>,
    /// Events whose id does not rise above that of the one before.
    pub disordered_events: List<Fault>,
    /// Unfinished lines at the end of streams; the next writer cuts them off
    /// and keeps them aside.
    pub torn_tails: List<Tail>,
    /// Segment numbers that are left out: they begin at 1 and go on one by one.
    pub missing_segments: List<Gap>,
    /// Files and folders that are no part of a trail.
    pub foreign_files: List<String>,
    /// What the index says.
    pub index: IndexFinding,
}

/// How many there are, and the first 1,000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct List<T> {
    /// How many.
    pub count: u64,
    /// The first ones.
    pub first: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
        }
    }
}

impl<T> List<T> {
    pub(super) fn add(&mut self, item: T) {
        self.count += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(item);
        }
    }
}

/// A line with something wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The segment's file.
    pub path: String,
    /// The byte in it at which the line begins.
    pub offset: u64,
    /// The id that it claims, if that can be read.
    pub event_id: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// An unfinished line at the end of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tail {
    /// The segment's file.
    pub path: String,
    /// The byte at which it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// Segment numbers of a stream that are not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// The stream's folder.
    pub path: String,
    /// The first number that is left out.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// The index against the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexFinding {
    /// How they agree.
    pub state: IndexState,
    /// The last id that the index says.
    pub last_event_id: Option<u64>,
}

/// How the index and the segments agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexState {
    /// There is none. It is written when a writer closes.
    #[default]
    Missing,
    /// It says the last id.
    Equal,
    /// Events were written since: a writer is at work, or was killed.
    Behind,
    /// It knows of ids that no event has: events were lost.
    Ahead,
    /// It does not say an id.
    Unreadable,
}

impl CheckReport {
    /// The same as JSON; the keys are the names of the fields.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn judge(&mut self) {
        self.ok = self.missing_ids.count == 0
            && self.doubled_ids.count == 0
            && self.damaged_lines.count == 0
            && self.misplaced_events.count == 0
            && self.disordered_events.count == 0
            && self.torn_tails.count == 0
            && self.missing_segments.count == 0
            && self.foreign_files.count == 0
            && !matches!(self.index.state, IndexState::Ahead | IndexState::Unreadable);
    }
}
