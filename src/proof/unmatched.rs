//! What does not match while a trail is verified: lines that are none of the leaves,
//! and ids without a line. Memory for both is bounded; what exceeds it is counted.

use super::leaf_chunks::UnmatchedSink;
use super::merkle::{Hash, leaf_hash};
use super::trail_walk::{LineInfo, LinePosition, TrailLine};

/// More lines than this are counted, not kept.
const MAX_LINES: usize = 10_000;

/// More ranges than this are counted, not kept.
const MAX_RANGES: usize = 100_000;

/// A line out of order, without an id, or the second of its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnmatchedLine {
    pub info: LineInfo,
    pub position: LinePosition,
    /// `None` for a line that cannot be a leaf: it has no id or no text. It must not
    /// be compared with any leaf, not with that of an empty entry either.
    pub leaf: Option<Hash>,
}

#[derive(Debug, Default)]
pub(crate) struct Unmatched {
    pub lines: Vec<UnmatchedLine>,
    /// How many lines, kept or not.
    pub total: u64,
    /// How many events after the last leaf.
    pub after_end: u64,
    /// The largest of their ids.
    pub last_id: u64,
}

impl UnmatchedSink for Unmatched {
    fn unmatched(&mut self, line: &TrailLine<'_>) {
        self.total += 1;
        if self.lines.len() < MAX_LINES {
            let text = line.text.filter(|_| line.info.id.is_some());
            self.lines.push(UnmatchedLine {
                info: line.info,
                position: line.position,
                leaf: text.map(leaf_hash),
            });
        }
    }

    fn after_end(&mut self, id: u64) {
        self.after_end += 1;
        self.last_id = self.last_id.max(id);
    }
}

/// A set of ids, as ranges, to which ids are added in rising order.
#[derive(Debug, Default)]
pub(crate) struct IdRanges {
    ranges: Vec<(u64, u64)>,
    /// How many ids were not added because there were too many ranges.
    pub overflow: u64,
}

impl IdRanges {
    /// Adds ids that are larger than all before.
    pub fn add(&mut self, first: u64, last: u64) {
        let is_full = self.ranges.len() == MAX_RANGES;
        match self.ranges.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ if is_full => self.overflow += last - first + 1,
            _ => self.ranges.push((first, last)),
        }
    }

    /// Adds ids of which none is in the set.
    pub fn insert(&mut self, first: u64, last: u64) {
        let index = self.ranges.partition_point(|range| range.0 < first);
        self.ranges.insert(index, (first, last));
    }

    /// The index of the range that holds the id.
    fn find(&self, id: u64) -> Option<usize> {
        let after = self.ranges.partition_point(|(first, _)| *first <= id);
        let index = after.checked_sub(1)?;
        (id <= self.ranges[index].1).then_some(index)
    }

    /// Removes an id, if it is in the set.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(index) = self.find(id) else {
            return false;
        };
        let (first, last) = self.ranges[index];
        let rest = [(first, id - 1), (id + 1, last)];
        let rest = rest.into_iter().filter(|(first, last)| first <= last);
        self.ranges.splice(index..=index, rest);
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
    fn ids_beyond_the_bound_are_counted() {
        let mut ids = IdRanges::default();
        (1..=MAX_RANGES as u64 + 5).for_each(|n| ids.add(3 * n, 3 * n + 1));
        assert_eq!((ids.ranges().count(), ids.overflow), (MAX_RANGES, 10));
    }
}
