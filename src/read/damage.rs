//! What a reader met that is no event of its stream, and so is not returned.

use crate::limits::MAX_LISTED;
use std::path::{Path, PathBuf};

/// A line that is no event of its file's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The kind of damage.
    pub kind: DamageKind,
    /// The segment's file.
    pub path: PathBuf,
    /// The byte in it at which the line begins.
    pub offset: u64,
    /// What is wrong with the line.
    pub reason: String,
    /// The id that the line claims, if it can be read.
    pub event_id: Option<u64>,
}

/// The kinds of [`Damage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The line is no event.
    NoEvent,
    /// The event belongs to another stream.
    Misplaced,
    /// The event's id is not above that of the event before it.
    Disordered,
    /// The whole segment was removed while it was read.
    Gone,
    /// What has the name of a segment is a folder, a pipe, a socket or a device.
    Irregular,
}

/// A line that no writer writes so.
pub(crate) struct ForeignLine<'l> {
    pub path: &'l Path,
    pub offset: u64,
    pub event_id: Option<u64>,
    /// Without its newline.
    pub text: &'l [u8],
    /// Whether a newline ends it.
    pub terminated: bool,
}

/// Where damage is reported.
pub(crate) trait DamageSink {
    fn report(&mut self, damage: Damage);

    /// A line that is not as a writer writes it is no damage: it holds an event, or is
    /// blank (`event_id` is `None`). Most do not care.
    fn report_foreign(&mut self, line: &ForeignLine<'_>) {
        let _ = line;
    }
}

/// Counts all damage and keeps the first entries.
#[derive(Debug, Default)]
pub(crate) struct DamageLog {
    first: Vec<Damage>,
    count: u64,
}

impl DamageSink for DamageLog {
    fn report(&mut self, damage: Damage) {
        self.count += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(damage);
        }
    }
}

impl DamageLog {
    /// Reports an event whose payload has the wrong shape.
    pub fn report_payload(&mut self, path: &Path, offset: u64, event_id: u64, reason: String) {
        self.report(Damage {
            kind: DamageKind::NoEvent,
            path: path.to_owned(),
            offset,
            reason,
            event_id: Some(event_id),
        });
    }

    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = MAX_LISTED - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }

    pub fn first(&self) -> &[Damage] {
        &self.first
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}
