//! A set of ids that takes little memory, however many there are.
//!
//! Ids are kept in chunks of 65,536: as a sorted list while there are few, as a
//! bitmap once there are more, and without data for a full chunk. A sound trail
//! takes an eighth of a byte per event while it is read and next to nothing in the
//! end; scattered ids, which come from damage, take a list entry each.

use crate::limits::MAX_LISTED;
use serde::Serialize;
use std::collections::BTreeMap;

const CHUNK_IDS: usize = 1 << 16;
const BITMAP_WORDS: usize = CHUNK_IDS / 64;

/// The most ids in a chunk that is a list.
const MAX_LIST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct IdSet {
    chunks: BTreeMap<u64, Chunk>,
}

#[derive(Debug)]
enum Chunk {
    /// Sorted.
    List(Vec<u16>),
    /// The bits, and how many are set.
    Bitmap(Box<[u64; BITMAP_WORDS]>, usize),
    Full,
}

impl IdSet {
    /// Adds an id; `false`: it was in the set already.
    pub fn insert(&mut self, id: u64) -> bool {
        let low = (id % CHUNK_IDS as u64) as u16;
        let chunk = self
            .chunks
            .entry(id / CHUNK_IDS as u64)
            .or_insert_with(|| Chunk::List(Vec::new()));
        match chunk {
            Chunk::Full => false,
            Chunk::Bitmap(words, count) => {
                let (word, bit) = (usize::from(low) / 64, 1 << (low % 64));
                if words[word] & bit != 0 {
                    return false;
                }
                words[word] |= bit;
                *count += 1;
                if *count == CHUNK_IDS {
                    *chunk = Chunk::Full;
                }
                true
            }
            Chunk::List(list) => {
                // Most ids come in order.
                let index = match list.last() {
                    Some(&newest) if newest >= low => match list.binary_search(&low) {
                        Ok(_) => return false,
                        Err(index) => index,
                    },
                    _ => list.len(),
                };
                list.insert(index, low);
                if list.len() > MAX_LIST {
                    let mut bitmap = Box::new([0; BITMAP_WORDS]);
                    for item in &*list {
                        bitmap[usize::from(*item) / 64] |= 1 << (item % 64);
                    }
                    *chunk = Chunk::Bitmap(bitmap, list.len());
                }
                true
            }
        }
    }

    /// All ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().flat_map(|(high, chunk)| {
            chunk
                .list()
                .into_iter()
                .map(move |low| high * CHUNK_IDS as u64 + u64::from(low))
        })
    }

    /// The ids from `first`, 1 or more, to `last` that are not in the set.
    pub fn missing(&self, first: u64, last: u64) -> Ranges {
        let mut missing = Ranges::default();
        let mut next = first;
        for (high, chunk) in &self.chunks {
            let base = high * CHUNK_IDS as u64;
            if base > last {
                break;
            }
            let end = base.wrapping_add(CHUNK_IDS as u64);
            if end != 0 && end <= first {
                continue;
            }
            if let Chunk::Full = chunk {
                missing.add(next, base.saturating_sub(1));
                next = end;
                continue;
            }
            for low in chunk.list() {
                let id = base + u64::from(low);
                if id >= first && id <= last {
                    missing.add(next, id - 1);
                    next = id.wrapping_add(1);
                }
            }
        }
        if next > 0 {
            missing.add(next, last);
        }
        missing
    }
}

impl Chunk {
    /// Its ids, in order.
    fn list(&self) -> Vec<u16> {
        match self {
            Chunk::List(list) => list.clone(),
            Chunk::Full => (0..=u16::MAX).collect(),
            Chunk::Bitmap(words, count) => {
                let mut list = Vec::with_capacity(*count);
                for (word, base) in words.iter().zip((0..=u16::MAX).step_by(64)) {
                    let mut left = *word;
                    while left != 0 {
                        list.push(base | left.trailing_zeros() as u16);
                        left &= left - 1;
                    }
                }
                list
            }
        }
    }
}

/// Ids, as ranges with both ends included: their number, and the first 1,000
/// ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ranges {
    /// How many ids.
    pub count: u64,
    /// The first ranges.
    pub ranges: Vec<(u64, u64)>,
}

impl Ranges {
    /// Adds the ids from `first` to `last`; none if `first` is larger.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        self.count = self.count.saturating_add(last - first).saturating_add(1);
        let full = self.ranges.len() >= MAX_LISTED;
        match self.ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ if !full => self.ranges.push((first, last)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn compare_with_model(ids: impl IntoIterator<Item = u64>, first: u64, last: u64) {
        let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
        for id in ids {
            assert_eq!(set.insert(id), model.insert(id), "{id}");
        }
        assert!(set.iter().eq(model.iter().copied()));
        let missing = set.missing(first, last);
        let mut expected = Ranges::default();
        for id in (first..=last).filter(|id| !model.contains(id)) {
            expected.add(id, id);
        }
        assert_eq!(missing, expected);
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            ids in prop::collection::vec(0u64..2000, 0..1500),
            first in 1u64..2100,
            last in 0u64..2100,
        ) {
            compare_with_model(ids, first, last);
        }
    }

    #[test]
    fn chunks_fill_up() {
        for first in [1, 65_535, 65_536, 65_537, 131_072, 200_000] {
            compare_with_model(1..=200_000, first, 200_000);
            compare_with_model((1..=200_000).rev(), first, 200_000);
            let gap = (1..=200_000).filter(|id| *id != 65_535 && *id != 65_536);
            compare_with_model(gap, first, 200_100);
            compare_with_model(131_072..140_000, first, 140_000);
        }
    }

    #[test]
    fn far_ids_cost_nothing_in_between() {
        let mut set = IdSet::default();
        assert!(set.insert(u64::MAX) && set.insert(1) && set.insert(1 << 40));
        let missing = set.missing(1, u64::MAX);
        assert_eq!(
            missing.ranges,
            [(2, (1 << 40) - 1), ((1 << 40) + 1, u64::MAX - 1)]
        );
        assert_eq!(missing.count, u64::MAX - 3);
    }
}
