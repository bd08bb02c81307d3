//! Waiting for new events.
//!
//! At the end, the reader polls: for each stream, the size of its newest segment
//! and whether there is a next one; and, less often, whether there are new streams.
//! The pauses grow from 1 to 50 ms while nothing happens, and are always several
//! times as long as a poll takes. The events that one poll finds are returned in
//! the order of their ids.

use super::{ReadPhase, Reader};
use crate::error::{Error, Result};
use crate::read::filter::Order;
use crate::read::record::Record;
use crate::read::segments::Segments;
use crate::store::listing::{self, StreamId};
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The state of following.
#[derive(Debug, Default)]
pub(super) struct Follow {
    known: HashSet<StreamId>,
    /// When to look for new streams.
    next_discovery: Option<Instant>,
    /// When to look into streams that do not pass the filter.
    next_probe: Option<Instant>,
    /// How far a range of ids with an end was followed.
    range: RangeProgress,
}

/// Ids are assigned in the order in which they are written. So once any event at or
/// after the end of the wanted range is in the trail, all events before it are too, and
/// one more merge finds those that are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum RangeProgress {
    #[default]
    Open,
    /// The trail has reached the end; the last merge has begun.
    LastMerge,
    Exhausted,
}

impl Follow {
    /// Adds a stream to those that are known; `false`: it already was.
    pub fn add_known(&mut self, stream: &StreamId) -> bool {
        self.known.insert(stream.clone())
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);
const PROBE_PAUSE: Duration = Duration::from_millis(500);

impl Reader {
    /// The next event; at the end, waits until there is one. `None`: there was
    /// none for as long as `timeout`, or none can come any more, which
    /// [`Reader::is_exhausted`] tells. Not with [`Order::NewestFirst`].
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        if self.order == Order::NewestFirst {
            return Err(Error::argument(
                "a reader that goes from the newest event to the oldest cannot follow",
            ));
        }
        // A timeout that overflows is none.
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = MIN_PAUSE;
        loop {
            if self.step()? {
                return Ok(self.record());
            }
            if self.is_exhausted() {
                return Ok(None);
            }
            let begin = Instant::now();
            if self.poll(begin)? {
                continue;
            }
            if self.follow.range == RangeProgress::LastMerge {
                self.follow.range = RangeProgress::Exhausted;
                continue;
            }
            if self.has_reached_range_end(begin)? {
                self.follow.range = RangeProgress::LastMerge;
                self.phase = ReadPhase::StartMerge;
                continue;
            }
            let now = Instant::now();
            let time_left = match deadline {
                Some(deadline) if deadline <= now => return Ok(None),
                Some(deadline) => deadline - now,
                None => MAX_PAUSE,
            };
            sleep(pause.max(4 * (now - begin)).min(time_left));
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    /// Whether no further event can come, however long one waits: the filter's limit is
    /// reached, or the trail has gone past its range of ids.
    pub fn is_exhausted(&self) -> bool {
        self.remaining == Some(0) || self.follow.range == RangeProgress::Exhausted
    }

    /// Whether an event at or after the end of the range of ids is in the trail.
    fn has_reached_range_end(&mut self, now: Instant) -> Result<bool> {
        let end = *self.matcher.event_ids.end();
        if end == u64::MAX {
            return Ok(false);
        }
        if self.cursors.iter().any(|cursor| cursor.has_met(end)) {
            return Ok(true);
        }
        if self.follow.next_probe.is_some_and(|due| now < due) {
            return Ok(false);
        }
        // It may be in a stream that does not pass the filter.
        self.follow.next_probe = Some(now + PROBE_PAUSE);
        for stream in listing::streams(&*self.storage, &self.layout)? {
            if self.follow.known.contains(&stream) {
                continue;
            }
            let mut segments = Segments::new(self.layout.stream(&stream.name()));
            segments.current_end(&*self.storage)?;
            let newest = segments.len().saturating_sub(1);
            if segments
                .last_id(&*self.storage, newest)
                .is_some_and(|id| id >= end)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is something new to read; if so, a merge is to begin.
    fn poll(&mut self, now: Instant) -> Result<bool> {
        if self.follow.next_discovery.is_none_or(|due| due <= now) {
            self.discover_streams()?;
            let cost = now.elapsed();
            self.follow.next_discovery = Some(now + (20 * cost).max(10 * MIN_PAUSE));
        }
        let mut new = !self.merge_heap.is_empty();
        for (cursor, snapshot_end) in self.cursors.iter_mut().zip(&self.snapshot_ends) {
            if !cursor.is_done() {
                let end = cursor.stream_end(&*self.storage)?;
                cursor.report_irregular(&mut self.damage);
                new |= end != cursor.limit() || end != *snapshot_end;
            }
        }
        if new {
            self.phase = ReadPhase::StartMerge;
        }
        Ok(new)
    }
}
