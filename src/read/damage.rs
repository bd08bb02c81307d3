//! What a reader met that is no event of its stream, and so did not return.

use crate::limits::MAX_LISTED;
use std::path::{Path, PathBuf};

/// A line that is no event of the stream in whose file it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// What sort of damage.
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

/// The sorts of [`Damage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The line is no event.
    NoEvent,
    /// The event belongs to another stream.
    Misplaced,
    /// The event's id does not rise above that of the one before it.
    Disordered,
    /// The whole segment was taken away while it was read.
    Gone,
}

/// Where damage is told.
pub(crate) trait Sink {
    fn damage(&mut self, damage: Damage);
}

/// Everything of that sort, counted; the first of them kept.
#[derive(Debug, Default)]
pub(crate) struct DamageLog {
    first: Vec<Damage>,
    count: u64,
}

impl Sink for DamageLog {
    fn damage(&mut self, damage: Damage) {
        self.count += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(damage);
        }
    }
}

impl DamageLog {
    /// An event whose payload has not the shape that is needed.
    pub fn payload(&mut self, path: &Path, offset: u64, event_id: u64, reason: String) {
        self.damage(Damage {
            kind: DamageKind::NoEvent,
            path: path.to_owned(),
            offset,
            reason,
            event_id: Some(event_id),
        });
    }

    pub fn add_all(&mut self, other: Self) {
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
