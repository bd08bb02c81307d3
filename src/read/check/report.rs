//! The report of a check.

use super::ids::Ranges;
use crate::limits::MAX_LISTED;
use serde::Serialize;

/// What a check found in a trail. [`CheckReport::ok`]: nothing is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Whether every event is present, once, complete and in its place, and nothing
    /// else is: the lists below are empty, and the index is not wrong.
    pub ok: bool,
    /// Events that are complete and in their place.
    pub events: u64,
    /// Streams (domain and category).
    pub streams: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The largest id of those events; none: there are no events.
    pub last_event_id: Option<u64>,
    /// Events that do not exist, before the first one asked for
    /// ([`CheckOptions::pruned_before`](super::CheckOptions::pruned_before)).
    pub pruned_events: u64,
    /// Ids from 1, or from the first one asked for, to the last one that no event has.
    pub missing_ids: Ranges,
    /// Ids that more than one event has; each is counted once for every event after
    /// the first.
    pub doubled_ids: Ranges,
    /// Where the events with such ids stand, by id; of the first 1,000 of these ids that
    /// the check met.
    pub doubled_events: Vec<DoubledEvent>,
    /// Lines that are no events.
    pub damaged_lines: List<Fault>,
    /// Events whose domain or category is not that of their folder.
    pub misplaced_events: List<Fault>,
    /// Events whose id is not above that of the event before.
    pub disordered_events: List<Fault>,
    /// Lines that are read without loss, but that neither a writer of this library nor
    /// its predecessor writes so: blank ones, and events with blanks, other keys, their
    /// keys in another order, other escapes, or another end of the line. Someone else
    /// has written or edited the file. In a payload, the text is looked at and not the
    /// order of keys.
    pub foreign_lines: List<Fault>,
    /// Unfinished lines at the end of streams; the next writer cuts them off and
    /// keeps a copy.
    pub torn_tails: List<Tail>,
    /// Missing segment numbers: they must begin at 1 and be consecutive, except where
    /// all that is missing was pruned.
    pub missing_segments: List<Gap>,
    /// Segments of which `.auditrail/times` says a range of times that does not hold all
    /// of their events: a read of a time would leave those out.
    pub false_times: List<Fault>,
    /// Ids after the last event that the trail had, as its last writer recorded when it
    /// closed or synced: the end of the trail was removed.
    pub removed_ids: Ranges,
    /// Files and folders that are not part of a trail.
    pub foreign_files: List<String>,
    /// What the index says.
    pub index: IndexFinding,
}

/// The number of entries, and the first 1,000.
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
        self.add_with(|| item);
    }

    /// The same for an item that costs more to make than to count.
    pub(super) fn add_with(&mut self, make: impl FnOnce() -> T) {
        self.count += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(make());
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
    /// The id that it claims, if it can be read.
    pub event_id: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// The events that have one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DoubledEvent {
    /// The id.
    pub event_id: u64,
    /// How many events have it.
    pub count: u64,
    /// Where they stand, in the order of streams: the first 16.
    pub places: Vec<LinePlace>,
}

impl DoubledEvent {
    pub(super) fn new(event_id: u64) -> Self {
        Self {
            event_id,
            count: 0,
            places: Vec::new(),
        }
    }
}

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinePlace {
    /// The segment's file.
    pub path: String,
    /// The byte in it at which the line begins.
    pub offset: u64,
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

/// Consecutive segment numbers that are missing in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// The stream's folder.
    pub path: String,
    /// The first missing number.
    pub first: u64,
    /// The last missing number.
    pub last: u64,
}

/// The index compared with the segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexFinding {
    /// How they agree.
    pub state: IndexState,
    /// The last id according to the index.
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
    /// Its id is the last one, or one of those that were pruned.
    Equal,
    /// Events were written since: a writer is running or was killed.
    Behind,
    /// Its id is larger than that of any event: events were lost.
    Ahead,
    /// It contains no id.
    Unreadable,
}

impl CheckReport {
    /// The same as JSON; the keys are the names of the fields.
    pub fn to_json(&self) -> String {
        // Serializing these types to a string cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn set_ok(&mut self) {
        self.ok = self.missing_ids.count == 0
            && self.doubled_ids.count == 0
            && self.damaged_lines.count == 0
            && self.misplaced_events.count == 0
            && self.disordered_events.count == 0
            && self.foreign_lines.count == 0
            && self.torn_tails.count == 0
            && self.missing_segments.count == 0
            && self.foreign_files.count == 0
            && self.false_times.count == 0
            && self.removed_ids.count == 0
            && !matches!(self.index.state, IndexState::Ahead | IndexState::Unreadable);
    }
}
