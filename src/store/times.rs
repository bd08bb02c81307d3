//! `.auditrail/times`: between which times the events of finished segments lie.
//!
//! Callers may give events any timestamp, so that nothing but the events can
//! tell whether a segment holds one of a time. A writer that has filled a
//! segment from its first event to its last knows, and leaves word when it goes
//! on to the next; a reader that looks for a time then passes the segment over.
//! One line a segment, appended, never synced:
//!
//! ```text
//! <domain>/<category> <number> <bytes> <last id> <last timestamp> <min> <max> <crc-32, in hex>\n
//! ```
//!
//! It is a hint. Without it, or where a line of it is torn, a segment is read.
//! It is believed only if the segment has as many bytes and its last event that
//! id and timestamp: after a loss of power a segment may have been filled again
//! with other events. The last line about a segment counts.

use crate::event::header::leading;
use crate::store::layout::Layout;
use crate::store::storage::{File, Open, Storage, read_range};
use std::collections::HashMap;
use std::sync::Arc;

const NAME: &str = "times";

/// A file larger than this is not looked at: it tells of ten million segments.
const MAX_LEN: u64 = 1 << 30;

/// What is known of the times of a segment's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub min: i64,
    pub max: i64,
    last_id: u64,
    last_timestamp: i64,
}

impl TimeRange {
    /// That of no event.
    pub const EMPTY: Self = Self {
        min: i64::MAX,
        max: i64::MIN,
        last_id: 0,
        last_timestamp: 0,
    };

    /// That with one more event.
    #[inline]
    pub fn including(self, last_id: u64, last_timestamp: i64) -> Self {
        Self {
            min: self.min.min(last_timestamp),
            max: self.max.max(last_timestamp),
            last_id,
            last_timestamp,
        }
    }

    /// Takes in what comes after.
    pub fn extend(&mut self, later: Self) {
        *self = Self {
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            ..later
        };
    }
}

/// Where a writer notes the time ranges.
#[derive(Debug, Default)]
pub(crate) struct TimesFile {
    file: Option<Arc<dyn File>>,
}

impl TimesFile {
    /// Notes what is known of a segment that is finished. If that fails, or
    /// nothing is known, the segment will be read.
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
        // Of one of which nothing is known, what was noted before must not count.
        let (len, range) = range.map_or((0, TimeRange::EMPTY), |range| (len, range));
        let text = format!(
            "{stream} {number} {len} {} {} {} {}",
            range.last_id, range.last_timestamp, range.min, range.max
        );
        // On a line of its own, whatever a crash has left of the one before.
        let line = format!("\n{text} {:08x}\n", crc32fast::hash(text.as_bytes()));
        if let Some(file) = &self.file
            && file.append(line.as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

/// A stream and the number of one of its segments.
type SegmentKey = (Box<str>, u64);

/// Its length, and the times of its events.
type RecordedRange = (u64, TimeRange);

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Times {
    segments: HashMap<SegmentKey, RecordedRange>,
}

impl Times {
    /// Reads what there is.
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

    /// The times of the segment's events, if they are known. `file` is that of
    /// the segment, which must be at rest.
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

/// A last line longer than this is not looked for.
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
