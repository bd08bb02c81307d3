//! The search for an id in one segment.
//!
//! By interpolation, as ids are usually spread evenly, with a bisection step now
//! and then, so that the worst case stays logarithmic. It ends when the position is
//! known to [`SEARCH_PRECISION`], and earlier where ids do not rise.

use crate::event::header::{leading_id, scan_or_parse_id};
use crate::store::storage::{File, read_range};
use memchr::memchr;
use std::sync::Arc;

/// How exactly a position is searched for, in bytes: less than is read at once
/// anyway.
const SEARCH_PRECISION: u64 = 64 * 1024;

/// How much to read to find an id.
pub(super) const PROBE_BYTES: usize = 4096;

/// The ids of the lines in `bytes`, which start at the beginning of a line.
pub(super) fn line_ids(bytes: &[u8]) -> Vec<u64> {
    bytes
        .split_inclusive(|&b| b == b'\n')
        .filter_map(|line| match line.strip_suffix(b"\n") {
            Some(line) => scan_or_parse_id(line),
            None => leading_id(line),
        })
        .collect()
}

/// How much of `size` is below `id` if ids are spread evenly.
pub(super) fn interpolate(id: u64, low_id: u64, high_id: u64, size: u64) -> u64 {
    let part = u128::from(id.saturating_sub(low_id)) * u128::from(size);
    let whole = u128::from(high_id.saturating_sub(low_id)).max(1);
    u64::try_from(part / whole).map_or(size, |share| share.min(size))
}

/// A search for an id in one segment.
pub(super) struct SegmentSearch {
    pub file: Arc<dyn File>,
    pub id: u64,
    /// A line with a smaller id begins here, or the file does.
    pub low: u64,
    pub low_id: u64,
    /// A line with this id or a larger one begins here, or the file ends.
    pub high: u64,
    pub high_id: Option<u64>,
}

impl SegmentSearch {
    /// Where the last known line with a smaller id begins, and the first known line
    /// with this id or a larger one.
    pub fn run(mut self) -> (u64, u64) {
        // No line with an unknown id begins from here to `high`.
        let mut unknown_end = self.high;
        let mut step = 0;
        let mut low_moved = false;
        while unknown_end.saturating_sub(self.low) > SEARCH_PRECISION {
            step += 1;
            let size = unknown_end - self.low;
            let guess = match self.high_id {
                None => unknown_end - SEARCH_PRECISION / 2,
                Some(_) if step % 4 == 0 => self.low + size / 2,
                Some(high_id) => {
                    let expected = self.low + interpolate(self.id, self.low_id, high_id, size);
                    // Aim past the expected position, so that the bound that did
                    // not move last time is likely to move.
                    if low_moved {
                        expected + SEARCH_PRECISION / 3
                    } else {
                        expected.saturating_sub(SEARCH_PRECISION / 3)
                    }
                }
            };
            let guess = guess.clamp(self.low + 1, unknown_end - 1);
            let Some((offset, id)) = self.probe(guess) else {
                break;
            };
            if offset >= self.high {
                unknown_end = guess;
            } else if id < self.id {
                (self.low, self.low_id) = (offset, id);
                low_moved = true;
            } else {
                (self.high, self.high_id) = (offset, Some(id));
                unknown_end = guess;
                low_moved = false;
            }
        }
        (self.low, self.high)
    }

    /// The first line that begins after the byte at `guess`, and its id. `None`:
    /// there is none, or the ids around it are not in order and prove nothing.
    fn probe(&self, guess: u64) -> Option<(u64, u64)> {
        let mut size = PROBE_BYTES;
        let bytes = loop {
            let bytes = read_range(&*self.file, guess, size).ok()?;
            let start = memchr(b'\n', &bytes).map_or(bytes.len(), |newline| newline + 1);
            // An id and its key take less than 40 bytes.
            if start + 40 <= bytes.len() || bytes.len() < size {
                break bytes;
            }
            size *= 4;
            if size > 1 << 20 {
                return None;
            }
        };
        let first = memchr(b'\n', &bytes)? + 1;
        let offset = guess + first as u64;
        if offset >= self.high {
            return Some((offset, 0));
        }
        let mut ids = Vec::new();
        for line in bytes[first..].split_inclusive(|&b| b == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => ids.push(scan_or_parse_id(line)?),
                None => ids.extend(leading_id(line)),
            }
        }
        let first_id = *ids.first()?;
        let in_order = ids.windows(2).all(|pair| pair[0] < pair[1]);
        let between = first_id > self.low_id && self.high_id.is_none_or(|high| first_id < high);
        (in_order && between).then_some((offset, first_id))
    }
}
