//! Waiting for new events.
//!
//! At the end, the reader waits until it is told which streams have changed (`watch`),
//! and looks at those. It never does so more often than once in a millisecond or in
//! several times what looking takes, so that events that come fast are read together.
//!
//! Where it cannot be told, it polls: for each stream, the size of its newest segment
//! and whether there is a next one; and, less often, whether there are new streams.
//! The pauses grow from 1 to 50 ms while nothing happens, and are always several
//! times as long as a poll takes.
//!
//! The events that one look finds are returned in the order of their ids. While some are
//! held back because their batch is being written (`unfinished`), the reader looks at
//! nothing but whether it has ended.

use super::unfinished::UnfinishedPolicy;
use super::watch::Watches;
use super::{MIN_PAUSE, ReadPhase, Reader};
use crate::error::{Error, Result};
use crate::read::filter::Order;
use crate::read::record::Record;
use crate::read::segments::Segments;
use crate::store::listing::{self, StreamId};
use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The state of following.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The cursor of each stream.
    pub known: HashMap<StreamId, usize>,
    /// Unless the reader polls.
    pub watches: Option<Watches>,
    /// When to try to watch.
    pub next_watching: Option<Instant>,
    /// When the last wait ended because something had changed.
    pub last_change: Option<Instant>,
    /// How long it has taken since to look where the streams end.
    pub looking: Duration,
    /// When to look for new streams.
    next_discovery: Option<Instant>,
    /// When to look into streams that do not pass the filter.
    next_probe: Option<Instant>,
    /// How far a range of ids with an end was followed.
    range: RangeProgress,
}

/// Batches are written in the order of their ids. So once any event at or after the end
/// of the wanted range is in the trail, all events before it are too, those of the same
/// batch excepted, and one more merge that holds nothing back finds those that are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum RangeProgress {
    #[default]
    Open,
    /// The trail has reached the end; the last merge has begun.
    LastMerge,
    Exhausted,
}

const MAX_PAUSE: Duration = Duration::from_millis(50);
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// How many times longer than a look the pause before the next one is, at least.
const PAUSE_PER_LOOK: u32 = 4;

impl Reader {
    /// The next event; at the end, waits until there is one. `None`: there was
    /// none for as long as `timeout`, or none can come any more, which
    /// [`Reader::is_exhausted`] tells. Not with [`Order::NewestFirst`].
    ///
    /// On Linux, the first wait makes an inotify instance, which is a file descriptor
    /// until the reader is dropped, and watches the folders of the streams that pass
    /// the filter: an event is returned as soon as it was written, and waiting costs
    /// nothing. Elsewhere, on file systems that other machines or programs change (NFS,
    /// SMB, FUSE, 9p), and where the system grants no more instances or watches, the
    /// files are looked at now and then: an event is returned some milliseconds after
    /// it was written, 50 at most if there are not very many streams. The events of a
    /// batch that a buffered or shared writer is writing come some milliseconds after its
    /// end; what a writer that was killed in a batch has left of it, a second later.
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        if self.order == Order::NewestFirst {
            return Err(Error::argument(
                "a reader that goes from the newest event to the oldest cannot follow",
            ));
        }
        // A timeout that overflows is none.
        let deadline = Instant::now().checked_add(timeout);
        let mut overdue = false;
        let mut pause = MIN_PAUSE;
        loop {
            if self.step(UnfinishedPolicy::Postpone)? {
                return Ok(self.record());
            }
            if self.is_exhausted() {
                return Ok(None);
            }
            let begin = Instant::now();
            let held_back = self.unfinished.holds_back;
            if self.look(begin)? {
                // What comes may never pass the filter, and never cease.
                if overdue && (held_back || self.merge_heap.is_empty()) {
                    return Ok(None);
                }
                overdue = deadline.is_some_and(|deadline| deadline <= begin);
                continue;
            }
            if !held_back && self.moves_on_in_range(begin)? {
                continue;
            }
            let now = Instant::now();
            let time_left = match deadline {
                Some(deadline) if deadline <= now => return Ok(None),
                Some(deadline) => deadline - now,
                None => Duration::MAX,
            };
            if self.unfinished.holds_back {
                let pause = MIN_PAUSE.max(PAUSE_PER_LOOK * self.follow.looking);
                sleep(pause.min(MAX_PAUSE).min(time_left));
                self.follow.looking = Duration::ZERO;
            } else if self.is_watching() {
                self.wait_while_watching(now, time_left);
            } else if !self.start_watching(now) {
                sleep(pause.max(PAUSE_PER_LOOK * (now - begin)).min(time_left));
                pause = (2 * pause).min(MAX_PAUSE);
            }
        }
    }

    /// Whether no further event can come, however long one waits: the filter's limit is
    /// reached, or the trail has gone past its range of ids.
    pub fn is_exhausted(&self) -> bool {
        self.remaining == Some(0) || self.follow.range == RangeProgress::Exhausted
    }

    /// Waits until something has changed, and until it is time to look at it.
    fn wait_while_watching(&mut self, now: Instant, time_left: Duration) {
        if !self.wait_for_change(now, time_left) {
            return;
        }
        let woken = Instant::now();
        if let Some(last) = self.follow.last_change {
            let due = last + MIN_PAUSE.max(PAUSE_PER_LOOK * self.follow.looking);
            let time_left = time_left.saturating_sub(woken - now);
            sleep(due.saturating_duration_since(woken).min(time_left));
        }
        self.follow.last_change = Some(Instant::now());
        self.follow.looking = Duration::ZERO;
    }

    /// Whether it has become known how far the range of ids was followed.
    fn moves_on_in_range(&mut self, now: Instant) -> Result<bool> {
        if self.follow.range == RangeProgress::LastMerge {
            // Otherwise a part of the range may be of a batch that is being written.
            let is_last = self.unfinished.allows_all();
            if is_last {
                self.follow.range = RangeProgress::Exhausted;
            }
            return Ok(is_last);
        }
        let reached = self.has_reached_range_end(now)?;
        if reached {
            self.follow.range = RangeProgress::LastMerge;
            self.phase = ReadPhase::StartMerge;
        }
        Ok(reached)
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
        // It may be in a stream that does not pass the filter.
        if self.is_watching() {
            while let Some(stream) = self.changed_outside() {
                if self.has_event_from(&stream, end)? {
                    return Ok(true);
                }
                self.set_examined(&stream);
            }
            return Ok(false);
        }
        if self.follow.next_probe.is_some_and(|due| now < due) {
            return Ok(false);
        }
        self.follow.next_probe = Some(now + PROBE_PAUSE);
        for stream in listing::streams(&*self.storage, &self.layout)? {
            if !self.follow.known.contains_key(&stream) && self.has_event_from(&stream, end)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a stream's last event has this id or a larger one.
    fn has_event_from(&self, stream: &StreamId, id: u64) -> Result<bool> {
        let mut segments = Segments::new(self.layout.stream(&stream.name()));
        segments.current_end(&*self.storage)?;
        let newest = segments.len().saturating_sub(1);
        let last = segments.last_id(&*self.storage, newest);
        Ok(last.is_some_and(|last| last >= id))
    }

    /// Whether there is something new to read; if so, a merge is to begin.
    fn look(&mut self, now: Instant) -> Result<bool> {
        self.take_changes();
        self.check_watches(now)?;
        let new = if self.unfinished.holds_back {
            self.has_batch_ended()
        } else if self.is_watching() {
            !self.merge_heap.is_empty() || !self.changed.is_empty()
        } else {
            self.poll(now)?
        };
        if new {
            self.phase = ReadPhase::StartMerge;
        }
        self.follow.looking += now.elapsed();
        Ok(new)
    }

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
        Ok(new)
    }
}
