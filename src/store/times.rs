//! `.auditrail/times`: the time ranges of full segments.
//!
//! Callers may give events any timestamp, so only the events tell which times a
//! segment covers. A writer that filled a segment from its first event to its last
//! knows the range and records it at rotation; readers that filter by time skip the
//! segments outside it. One line per segment, appended, never synced:
//!
//! ```text
//! <domain>/<category> <number> <bytes> <last id> <last timestamp> <min> <max> <crc-32, in hex>\n
//! ```
//!
//! It is a hint: a segment without a valid line is read. A line counts only if the
//! segment still has this length and its last event this id and timestamp, because
//! after a power loss a segment may have been filled with other events. The last
//! line about a segment counts.

use crate::event::header::leading;
use crate::store::layout::Layout;
use crate::store::storage::{File, Open, Storage, read_range};
use std::collections::HashMap;
use std::sync::Arc;

const NAME: &str = "times";

/// A larger file is ignored; this is enough for ten million segments.
const MAX_LEN: u64 = 1 << 30;

/// The time range of a segment's events, and its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub min: i64,
    pub max: i64,
    last_id: u64,
    last_timestamp: i64,
}

impl TimeRange {
    /// The range of no events.
    pub const EMPTY: Self = Self {
        min: i64::MAX,
        max: i64::MIN,
        last_id: 0,
        last_timestamp: 0,
    };

    /// The range extended by the next event.
    #[inline]
    pub fn including(self, last_id: u64, last_timestamp: i64) -> Self {
        Self {
            min: self.min.min(last_timestamp),
            max: self.max.max(last_timestamp),
            last_id,
            last_timestamp,
        }
    }

    /// Extends the range by that of later events.
    pub fn extend(&mut self, later: Self) {
        *self = Self {
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            ..later
        };
    }
}

/// The open times file of a writer; created at the first record.
#[derive(Debug, Default)]
pub(crate) struct TimesFile {
    file: Option<Arc<dyn File>>,
}

impl TimesFile {
    /// Records the range of a full segment. If that fails, or the range is unknown,
    /// readers read the segment.
    pub fn record(
        &mut self,
        storage: &dyn Storage,
        layout: &Layout,
        stream: &str,
        number: u64,
        len: u64,
        range: Option<TimeRange>,
    ) {
        if self.file.is_none() {
            self.file = storage
                .open(&layout.hidden_file(NAME), Open::AppendOrCreate)
                .ok();
        }
        // An unknown range must invalidate an earlier record: no full segment has length 0.
        let (len, range) = range.map_or((0, TimeRange::EMPTY), |range| (len, range));
        let text = format!(
            "{stream} {number} {len} {} {} {} {}",
            range.last_id, range.last_timestamp, range.min, range.max
        );
        // Starts a new line, because a crash may have left a part of the last one.
        let line = format!("\n{text} {:08x}\n", crc32fast::hash(text.as_bytes()));
        if let Some(file) = &self.file
            && file.append(line.as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

/// A stream's name and a segment number.
type SegmentKey = (Box<str>, u64);

/// The segment's length and time range.
type RecordedRange = (u64, TimeRange);

/// The recorded time ranges, as read from the file.
#[derive(Debug, Default)]
pub(crate) struct Times {
    segments: HashMap<SegmentKey, RecordedRange>,
}

impl Times {
    /// Reads the file; empty if that fails.
    pub fn read(storage: &dyn Storage, layout: &Layout) -> Self {
        let mut times = Self::default();
        let Ok(file) = storage.open(&layout.hidden_file(NAME), Open::Read) else {
            return times;
        };
        let len = file.stat().map_or(0, |stat| stat.len);
        if len > MAX_LEN {
            return times;
        }
        let bytes = read_range(&*file, 0, len as usize).unwrap_or_default();
        for line in bytes.split(|&b| b == b'\n') {
            if let Some((key, value)) = parse(line) {
                times.segments.insert(key, value);
            }
        }
        times
    }

    /// The time range of a segment, if it is known. `file` is the segment's file; no
    /// one may be writing to it.
    pub fn lookup(&self, stream: &str, number: u64, file: &dyn File) -> Option<TimeRange> {
        let (len, range) = self.segments.get(&(stream.into(), number))?;
        if file.stat().ok()?.len != *len {
            return None;
        }
        let from = len.saturating_sub(MAX_LAST_LINE);
        let bytes = read_range(file, from, MAX_LAST_LINE as usize).ok()?;
        let lines = bytes.strip_suffix(b"\n")?;
        let start = lines.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        if start == 0 && from > 0 {
            return None;
        }
        let last = leading(&lines[start..])?;
        (last == (range.last_id, range.last_timestamp)).then_some(*range)
    }
}

/// A last line longer than this is not searched for; the range counts as unknown.
const MAX_LAST_LINE: u64 = 16 * 1024;

fn parse(line: &[u8]) -> Option<(SegmentKey, RecordedRange)> {
    let line = std::str::from_utf8(line).ok()?;
    let (text, crc) = line.rsplit_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(text.as_bytes()) {
        return None;
    }
    let mut fields = text.split(' ');
    let mut next = || fields.next();
    let key = (next()?.into(), next()?.parse().ok()?);
    let len = next()?.parse().ok()?;
    let range = TimeRange {
        last_id: next()?.parse().ok()?,
        last_timestamp: next()?.parse().ok()?,
        min: next()?.parse().ok()?,
        max: next()?.parse().ok()?,
    };
    Some((key, (len, range)))
}
