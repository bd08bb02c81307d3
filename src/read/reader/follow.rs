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
use crate::store::listing::StreamId;
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The state of following.
#[derive(Debug, Default)]
pub(super) struct Follow {
    known: HashSet<StreamId>,
    /// When to look for new streams.
    next_discovery: Option<Instant>,
}

impl Follow {
    /// Adds a stream to those that are known; `false`: it already was.
    pub fn add_known(&mut self, stream: &StreamId) -> bool {
        self.known.insert(stream.clone())
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);

impl Reader {
    /// The next event; at the end, waits until there is one. `None`: there was
    /// none for as long as `timeout`, or the filter's limit is reached. Not
    /// with [`Order::NewestFirst`].
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
            if self.remaining == Some(0) {
                return Ok(None);
            }
            let begin = Instant::now();
            if self.poll(begin)? {
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
                new |= end != cursor.limit() || end != *snapshot_end;
            }
        }
        if new {
            self.phase = ReadPhase::StartMerge;
        }
        Ok(new)
    }
}
