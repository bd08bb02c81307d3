//! What a reader met that is no event of its stream, and so did not return.

use std::path::{Path, PathBuf};

/// A line that is no event of the stream in whose file it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// The byte in it at which the line begins.
    pub offset: u64,
    /// What is wrong with the line.
    pub reason: String,
}

/// Everything of that sort, counted; the first of them kept.
#[derive(Debug, Default)]
pub(crate) struct DamageLog {
    first: Vec<Damage>,
    count: u64,
}

/// A badly damaged trail must not fill the memory with its complaints.
const KEPT: usize = 1000;

impl DamageLog {
    pub fn add(&mut self, path: &Path, offset: u64, reason: String) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(Damage {
                path: path.to_owned(),
                offset,
                reason,
            });
        }
    }

    pub fn add_all(&mut self, other: Self) {
        self.count += other.count;
        let room = KEPT - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }

    pub fn first(&self) -> &[Damage] {
        &self.first
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}
