//! What does not fit while a trail is verified: lines without a place among the
//! leaves, and ids without a line. Both are kept in bounded memory; what is over
//! the bound is counted.

use super::leaf_chunks::UnmatchedSink;
use super::merkle::{Hash, leaf_hash};
use super::trail_walk::{LineLook, LinePosition};

/// More lines than this are counted, not kept.
const MAX_LINES: usize = 10_000;

/// More ranges than this are counted, not kept.
const MAX_RANGES: usize = 100_000;

/// A line out of order, without an id, or the second of its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnmatchedLine {
    pub look: LineLook,
    pub place: LinePosition,
    pub leaf: Hash,
}

#[derive(Debug, Default)]
pub(crate) struct Unmatched {
    pub lines: Vec<UnmatchedLine>,
    pub total: u64,
    /// Events after the last leaf.
    pub beyond: u64,
    /// The largest of their ids.
    pub last_id: u64,
}

impl UnmatchedSink for Unmatched {
    fn odd(&mut self, look: LineLook, place: LinePosition, line: &[u8]) {
        self.total += 1;
        if self.lines.len() < MAX_LINES {
            self.lines.push(UnmatchedLine {
                look,
                place,
                leaf: leaf_hash(line),
            });
        }
    }

    fn beyond(&mut self, id: u64) {
        self.beyond += 1;
        self.last_id = self.last_id.max(id);
    }
}

/// A set of ids that grows from small to large.
#[derive(Debug, Default)]
pub(crate) struct IdRanges {
    ranges: Vec<(u64, u64)>,
    /// IdRanges over the bound.
    pub uncounted: u64,
}

impl IdRanges {
    /// Adds ids that are larger than all before.
    pub fn add(&mut self, first: u64, last: u64) {
        let is_full = self.ranges.len() == MAX_RANGES;
        match self.ranges.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ if is_full => self.uncounted += last - first + 1,
            _ => self.ranges.push((first, last)),
        }
    }

    /// Adds ids of which none is in the set.
    pub fn insert(&mut self, first: u64, last: u64) {
        let place = self.ranges.partition_point(|range| range.0 < first);
        self.ranges.insert(place, (first, last));
    }

    fn find(&self, id: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|(first, _)| *first <= id);
        let place = after.checked_sub(1)?;
        (id <= self.ranges[place].1).then_some(place)
    }

    pub fn remove(&mut self, id: u64) -> bool {
        let Some(place) = self.find(id) else {
            return false;
        };
        let (first, last) = self.ranges[place];
        let rest = [(first, id - 1), (id + 1, last)];
        let rest = rest.into_iter().filter(|(first, last)| first <= last);
        self.ranges.splice(place..=place, rest);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_as_ranges() {
        let mut ids = IdRanges::default();
        ids.add(3, 3);
        ids.add(4, 6);
        ids.add(9, 9);
        assert_eq!(ids.ranges().collect::<Vec<_>>(), [(3, 6), (9, 9)]);
        assert!(!ids.remove(2) && !ids.remove(7) && !ids.remove(10));
        assert!(ids.remove(5) && !ids.remove(5) && ids.remove(9));
        assert_eq!(ids.ranges().collect::<Vec<_>>(), [(3, 4), (6, 6)]);
        assert!(ids.remove(3) && ids.remove(6) && ids.remove(4) && ids.is_empty());
    }

    #[test]
    fn what_is_over_the_bound_is_counted() {
        let mut ids = IdRanges::default();
        (1..=MAX_RANGES as u64 + 5).for_each(|n| ids.add(3 * n, 3 * n + 1));
        assert_eq!((ids.ranges().count(), ids.uncounted), (MAX_RANGES, 10));
    }
}
