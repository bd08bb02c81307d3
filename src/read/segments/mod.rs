//! The segments of one stream, and the position of an id in them.
//!
//! Ids rise within a stream, so an id is found by search: first among the first
//! ids of the segments, then within one segment (`search`). What is known of the
//! segments is cached here; a segment never changes once there is a next one.
//!
//! Where ids do not rise, because lines are damaged, a search stops early, and the
//! reader reads more than it must. Errors of a search are left to the reader, which
//! meets them when it reads the segment.

mod search;

use crate::error::{Error, Result};
use crate::store::layout::segment_name;
use crate::store::listing;
use crate::store::storage::{File, Open, Storage, open_regular, read_range};
use memchr::memchr;
use search::{PROBE_BYTES, SegmentSearch, interpolate, line_ids};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A position in a stream: a byte in the segment with this number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub number: u64,
    pub offset: u64,
}

#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    /// Sorted.
    numbers: Vec<u64>,
    /// What is known of the first id in each segment.
    first_ids: Vec<FirstId>,
    /// The numbers at which there is something else than a regular file.
    irregular: BTreeSet<u64>,
    /// Those of them that [`Segments::take_irregular`] has not returned yet.
    new_irregular: Vec<u64>,
}

/// What is at the place of a segment.
enum SegmentPlace {
    Missing,
    /// A file of this length.
    Segment(u64),
    /// A folder, a pipe, a socket or a device.
    Irregular,
}

#[derive(Clone, Copy, Debug)]
enum FirstId {
    Unread,
    /// The segment has none.
    Absent,
    Known(u64),
}

impl Segments {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            numbers: Vec::new(),
            first_ids: Vec::new(),
            irregular: BTreeSet::new(),
            new_irregular: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn number(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or(0)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The numbers of all segments, sorted.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    pub fn index_of(&self, number: u64) -> usize {
        self.numbers.partition_point(|&n| n < number)
    }

    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(segment_name(self.number(index)))
    }

    /// The current end of the stream, after adding the segments that are new.
    pub fn current_end(&mut self, storage: &dyn Storage) -> Result<Position> {
        if self.numbers.is_empty() {
            let (numbers, irregular) = listing::segments_and_irregular(storage, &self.folder)?;
            self.numbers = numbers;
            for number in irregular {
                self.add_irregular(number);
            }
            self.first_ids = vec![FirstId::Unread; self.numbers.len()];
        }
        let Some(&newest) = self.numbers.last() else {
            return Ok(Position::default());
        };
        let mut number = newest;
        let mut len = None;
        // The next one first: once it exists, the one before does not change.
        let mut before = number;
        while let Some(next) = before.checked_add(1) {
            match self.look_at(storage, next)? {
                SegmentPlace::Missing => break,
                // The writer has passed over it, or will.
                SegmentPlace::Irregular => self.add_irregular(next),
                SegmentPlace::Segment(bytes) => {
                    number = next;
                    len = Some(bytes);
                    self.numbers.push(number);
                    self.first_ids.push(FirstId::Unread);
                }
            }
            before = next;
        }
        let offset = match len {
            Some(len) => len,
            None => match self.look_at(storage, number)? {
                SegmentPlace::Segment(len) => len,
                SegmentPlace::Missing => 0,
                SegmentPlace::Irregular => {
                    self.add_irregular(number);
                    0
                }
            },
        };
        Ok(Position { number, offset })
    }

    /// The length of a segment; `None`: it does not exist.
    pub fn segment_len(&self, storage: &dyn Storage, number: u64) -> Result<Option<u64>> {
        Ok(match self.look_at(storage, number)? {
            SegmentPlace::Segment(len) => Some(len),
            SegmentPlace::Missing | SegmentPlace::Irregular => None,
        })
    }

    fn look_at(&self, storage: &dyn Storage, number: u64) -> Result<SegmentPlace> {
        let path = self.folder.join(segment_name(number));
        match storage.stat(&path) {
            Ok(stat) if stat.is_file => Ok(SegmentPlace::Segment(stat.len)),
            Ok(_) => Ok(SegmentPlace::Irregular),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(SegmentPlace::Missing),
            Err(e) => Err(Error::io("look at", &path, &e)),
        }
    }

    fn add_irregular(&mut self, number: u64) {
        if self.irregular.insert(number) {
            self.new_irregular.push(number);
        }
    }

    /// The numbers, met since the last call, at which there is something else than a
    /// regular file.
    pub fn take_irregular(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.new_irregular)
    }

    /// Opens a segment; `None` if that fails, which is left to the caller that reads it.
    fn open(&self, storage: &dyn Storage, index: usize) -> Option<Arc<dyn File>> {
        open_regular(storage, &self.path(index), Open::Read)
            .ok()
            .flatten()
    }

    /// The first id in a segment. `None` also after an error, which is left to the
    /// caller that reads the segment itself.
    pub fn first_id(&mut self, storage: &dyn Storage, index: usize) -> Option<u64> {
        match *self.first_ids.get(index)? {
            FirstId::Known(id) => return Some(id),
            FirstId::Absent => return None,
            FirstId::Unread => {}
        }
        let opened = self.open(storage, index);
        let bytes = opened.and_then(|file| read_range(&*file, 0, PROBE_BYTES).ok());
        let ids = bytes.as_deref().map(line_ids).unwrap_or_default();
        // If one of the first two is wrong, the third decides which.
        let id = match *ids {
            [first, second, third, ..] if first > second && first >= third => Some(second),
            [first, ..] => Some(first),
            [] => None,
        };
        // The newest one may still be empty.
        if id.is_some() || index + 1 < self.len() {
            self.first_ids[index] = id.map_or(FirstId::Absent, FirstId::Known);
        }
        id
    }

    /// The last id in a segment, and `None` under the same conditions.
    pub fn last_id(&self, storage: &dyn Storage, index: usize) -> Option<u64> {
        let file = self.open(storage, index)?;
        let from = file.stat().ok()?.len.saturating_sub(PROBE_BYTES as u64);
        let bytes = read_range(&*file, from, PROBE_BYTES).ok()?;
        let whole = if from == 0 {
            &bytes[..]
        } else {
            &bytes[memchr(b'\n', &bytes)? + 1..]
        };
        match *line_ids(whole) {
            [.., first, second, third] if second >= third && first >= third => Some(second),
            [.., last] => Some(last),
            [] => None,
        }
    }

    /// A position before which all ids are smaller than `id`, not far before the
    /// first one that is not.
    pub fn position_below(&mut self, storage: &dyn Storage, id: u64, end: Position) -> Position {
        let index = self.segment_before_id(storage, id);
        // If the segment before ends with this id or a larger one, something is
        // damaged, and starting after it would hide undamaged events.
        if index > 0
            && self
                .last_id(storage, index - 1)
                .is_some_and(|last| last >= id)
        {
            return Position {
                number: self.number(0),
                offset: 0,
            };
        }
        Position {
            number: self.number(index),
            offset: self.search(storage, index, id, end).0,
        }
    }

    /// A position from which on no id is smaller than `id`, not far after the last
    /// one that is.
    pub fn position_above(&mut self, storage: &dyn Storage, id: u64, end: Position) -> Position {
        let index = self.segment_before_id(storage, id);
        let next = index + 1;
        if next < self.len() && self.last_id(storage, next).is_some_and(|last| last < id) {
            return end;
        }
        Position {
            number: self.number(index),
            offset: self.search(storage, index, id, end).1,
        }
    }

    /// Both positions, in one segment.
    fn search(
        &mut self,
        storage: &dyn Storage,
        index: usize,
        id: u64,
        end: Position,
    ) -> (u64, u64) {
        let newest = self.number(index) >= end.number;
        let next = if newest {
            None
        } else {
            self.first_id(storage, index + 1)
        };
        let opened = self.open(storage, index);
        match opened.and_then(|file| Some((file.stat().ok()?.len, file))) {
            Some((len, file)) => SegmentSearch {
                file,
                id,
                low: 0,
                low_id: self.first_id(storage, index).unwrap_or(0),
                high: if newest { len.min(end.offset) } else { len },
                high_id: next,
            }
            .run(),
            // The caller that reads the segment will meet and report the same error.
            None => (0, if newest { end.offset } else { u64::MAX }),
        }
    }

    /// The last segment that begins with an id below `id`; if there is none, the
    /// first segment.
    fn segment_before_id(&mut self, storage: &dyn Storage, id: u64) -> usize {
        // Segment `low` begins with a smaller id or is the first; segment `high`
        // does not, or is one past the last.
        let (mut low, mut high) = (0, self.len());
        let (mut low_id, mut high_id) = (1, None);
        let mut step = 0;
        while high - low > 1 {
            step += 1;
            let guess = match high_id {
                // The newest first: most readers want the newest events.
                None => high - 1,
                Some(_) if step % 3 == 0 => low + (high - low) / 2,
                Some(high_id) => {
                    let size = (high - low) as u64;
                    low + usize::try_from(interpolate(id, low_id, high_id, size)).unwrap_or(0)
                }
            };
            let guess = guess.clamp(low + 1, high - 1);
            // The first id of an empty segment is that of the next one.
            let first = (guess..self.len())
                .find_map(|index| self.first_id(storage, index))
                .unwrap_or(u64::MAX);
            if first < id {
                (low, low_id) = (guess, first);
            } else {
                (high, high_id) = (guess, Some(first));
            }
        }
        low
    }
}
