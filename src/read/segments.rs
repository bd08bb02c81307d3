//! The segments of one stream, and where in them an id is.
//!
//! Ids rise within a stream, so that a few looks at the beginnings of segments,
//! and then into one of them, find the position of an id: by interpolation, for
//! ids are spread evenly more often than not, with halving now and then so that
//! the worst case stays logarithmic. Where ids do not rise, because lines are
//! damaged, the search stops early, and the reader reads more than it must.

use crate::error::{Error, Result};
use crate::event::header::{leading_id, scan_or_parse_id};
use crate::store::layout::segment_name;
use crate::store::listing;
use crate::store::storage::{File, Open, Storage, read_range};
use memchr::memchr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A position in a stream: a byte in the segment with this number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub number: u64,
    pub offset: u64,
}

/// How near to an id's position is near enough, in bytes: less than what is read
/// at once anyway.
const NEAR: u64 = 64 * 1024;

/// How much is read to look at an id.
const LOOK: usize = 4096;

#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    /// Rising.
    numbers: Vec<u64>,
    /// What is known of the first id in each.
    firsts: Vec<First>,
}

#[derive(Clone, Copy, Debug)]
enum First {
    Unknown,
    /// There is none, or not yet.
    Nothing,
    Id(u64),
}

impl Segments {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            numbers: Vec::new(),
            firsts: Vec::new(),
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

    /// The numbers, rising.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    pub fn index(&self, number: u64) -> usize {
        self.numbers.partition_point(|&n| n < number)
    }

    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(segment_name(self.number(index)))
    }

    /// Where the stream ends now. Segments that are new are taken up.
    pub fn end(&mut self, storage: &dyn Storage) -> Result<Position> {
        if self.numbers.is_empty() {
            self.numbers = listing::segments(storage, &self.folder)?;
            self.firsts = vec![First::Unknown; self.numbers.len()];
        }
        let Some(&newest) = self.numbers.last() else {
            return Ok(Position::default());
        };
        let mut number = newest;
        let mut len = None;
        loop {
            // The next one first: once it is there, the one before is at rest.
            let next = match number.checked_add(1) {
                Some(next) => self.stat_len(storage, next)?,
                None => None,
            };
            if next.is_none() {
                break;
            }
            number += 1;
            len = next;
            self.numbers.push(number);
            self.firsts.push(First::Unknown);
        }
        let offset = match len {
            Some(len) => len,
            None => self.stat_len(storage, number)?.unwrap_or(0),
        };
        Ok(Position { number, offset })
    }

    /// How long a segment is; `None`: it is not there.
    pub fn stat_len(&self, storage: &dyn Storage, number: u64) -> Result<Option<u64>> {
        let path = self.folder.join(segment_name(number));
        match storage.stat(&path) {
            Ok(stat) => Ok((!stat.is_dir).then_some(stat.len)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("look at", &path, &e)),
        }
    }

    /// The first id in a segment. What goes wrong here is left to who reads the
    /// segment itself.
    pub fn first_id(&mut self, storage: &dyn Storage, index: usize) -> Option<u64> {
        match *self.firsts.get(index)? {
            First::Id(id) => return Some(id),
            First::Nothing => return None,
            First::Unknown => {}
        }
        let opened = storage.open(&self.path(index), Open::Read);
        let bytes = opened.and_then(|file| read_range(&*file, 0, LOOK)).ok();
        let ids = bytes.as_deref().map(ids).unwrap_or_default();
        // One of the first two may be wrong; then the third tells which.
        let id = match *ids {
            [first, second, third, ..] if first > second && first >= third => Some(second),
            [first, ..] => Some(first),
            [] => None,
        };
        // The newest one may still be empty.
        if id.is_some() || index + 1 < self.len() {
            self.firsts[index] = id.map_or(First::Nothing, First::Id);
        }
        id
    }

    /// The last id in a segment, under the same proviso.
    pub fn last_id(&self, storage: &dyn Storage, index: usize) -> Option<u64> {
        let file = storage.open(&self.path(index), Open::Read).ok()?;
        let from = file.stat().ok()?.len.saturating_sub(LOOK as u64);
        let bytes = read_range(&*file, from, LOOK).ok()?;
        let whole = if from == 0 {
            &bytes[..]
        } else {
            &bytes[memchr(b'\n', &bytes)? + 1..]
        };
        match *ids(whole) {
            [.., first, second, third] if second >= third && first >= third => Some(second),
            [.., last] => Some(last),
            [] => None,
        }
    }

    /// A position in the stream before which all ids are smaller than `id`, and
    /// not far from where they cease to be.
    pub fn below(&mut self, storage: &dyn Storage, id: u64, end: Position) -> Position {
        let index = self.segment_of(storage, id);
        // If the one before goes further than that, something is damaged, and
        // a search in damaged segments would hide what is not.
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

    /// A position in the stream from which on no id is smaller than `id`, and not
    /// far from where they begin not to be.
    pub fn above(&mut self, storage: &dyn Storage, id: u64, end: Position) -> Position {
        let index = self.segment_of(storage, id);
        let next = index + 1;
        if next < self.len() && self.last_id(storage, next).is_some_and(|last| last < id) {
            return end;
        }
        Position {
            number: self.number(index),
            offset: self.search(storage, index, id, end).1,
        }
    }

    /// Both places, in one segment.
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
        let opened = storage.open(&self.path(index), Open::Read);
        match opened.and_then(|file| Ok((file.stat()?.len, file))) {
            Ok((len, file)) => Search {
                file,
                id,
                low: 0,
                low_id: self.first_id(storage, index).unwrap_or(0),
                high: if newest { len.min(end.offset) } else { len },
                high_id: next,
            }
            .run(),
            // Who reads the segment will meet the same and say so.
            Err(_) => (0, if newest { end.offset } else { u64::MAX }),
        }
    }

    /// The last segment that does not begin with the id or a larger one.
    fn segment_of(&mut self, storage: &dyn Storage, id: u64) -> usize {
        // What begins at `low` has a smaller id, or is the beginning of all;
        // what begins at `high` has not, or is the end of all.
        let (mut low, mut high) = (0, self.len());
        let (mut low_id, mut high_id) = (1, None);
        let mut step = 0;
        while high - low > 1 {
            step += 1;
            let guess = match high_id {
                // The newest first: that is where most look.
                None => high - 1,
                Some(_) if step % 3 == 0 => low + (high - low) / 2,
                Some(high_id) => {
                    let size = (high - low) as u64;
                    low + usize::try_from(share(id, low_id, high_id, size)).unwrap_or(0)
                }
            };
            let guess = guess.clamp(low + 1, high - 1);
            // An empty segment begins with what comes next.
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

/// The ids of the lines that begin in `bytes`, which a line begins.
fn ids(bytes: &[u8]) -> Vec<u64> {
    bytes
        .split_inclusive(|&b| b == b'\n')
        .filter_map(|line| match line.strip_suffix(b"\n") {
            Some(line) => scan_or_parse_id(line),
            None => leading_id(line),
        })
        .collect()
}

/// Which share of `size` lies below `id` if ids are spread evenly.
fn share(id: u64, low_id: u64, high_id: u64, size: u64) -> u64 {
    let part = u128::from(id.saturating_sub(low_id)) * u128::from(size);
    let whole = u128::from(high_id.saturating_sub(low_id)).max(1);
    u64::try_from(part / whole).map_or(size, |share| share.min(size))
}

/// A search in one segment.
struct Search {
    file: Arc<dyn File>,
    id: u64,
    /// A line with a smaller id begins here, or the file does.
    low: u64,
    low_id: u64,
    /// A line with this id or a larger one begins here, or the file ends.
    high: u64,
    high_id: Option<u64>,
}

impl Search {
    fn run(mut self) -> (u64, u64) {
        // No line that is not known begins from here to `high`.
        let mut unknown_to = self.high;
        let mut step = 0;
        let mut rose = false;
        while unknown_to.saturating_sub(self.low) > NEAR {
            step += 1;
            let size = unknown_to - self.low;
            let at = match self.high_id {
                None => unknown_to - NEAR / 2,
                Some(_) if step % 4 == 0 => self.low + size / 2,
                Some(high_id) => {
                    let guess = self.low + share(self.id, self.low_id, high_id, size);
                    // On the other side of it than last time.
                    if rose {
                        guess + NEAR / 3
                    } else {
                        guess.saturating_sub(NEAR / 3)
                    }
                }
            };
            let at = at.clamp(self.low + 1, unknown_to - 1);
            let Some((offset, id)) = self.look(at) else {
                break;
            };
            if offset >= self.high {
                unknown_to = at;
            } else if id < self.id {
                (self.low, self.low_id) = (offset, id);
                rose = true;
            } else {
                (self.high, self.high_id) = (offset, Some(id));
                unknown_to = at;
                rose = false;
            }
        }
        (self.low, self.high)
    }

    /// The first line that begins after byte `at`, and its id. `None`: there
    /// is none that is known well enough to be relied upon.
    fn look(&self, at: u64) -> Option<(u64, u64)> {
        let mut size = LOOK;
        let bytes = loop {
            let bytes = read_range(&*self.file, at, size).ok()?;
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
        let offset = at + first as u64;
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
        let rising = ids.windows(2).all(|pair| pair[0] < pair[1]);
        let between = first_id > self.low_id && self.high_id.is_none_or(|high| first_id < high);
        (rising && between).then_some((offset, first_id))
    }
}
