//! Waiting for events that are yet to come.
//!
//! At the end, the reader looks again and again at the size of each stream's
//! newest segment, at whether there is a next one, and, less often, at whether
//! there are new streams. The pauses grow from 1 to 50 ms while nothing
//! happens, and are never short against what a look costs. Whatever one look
//! finds is returned in the order of the ids.

use super::{ReadPhase, Reader};
use crate::error::{Error, Result};
use crate::read::filter::Order;
use crate::read::record::Record;
use crate::store::listing::StreamId;
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What following has to remember.
#[derive(Debug, Default)]
pub(super) struct Follow {
    known: HashSet<StreamId>,
    /// When new streams are to be looked for.
    streams_due: Option<Instant>,
}

impl Follow {
    /// Whether the stream was not known; now it is.
    pub fn is_new(&mut self, stream: &StreamId) -> bool {
        self.known.insert(stream.clone())
    }
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

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
        // A time-out too long to be reckoned with is none.
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = SHORTEST;
        loop {
            if self.step()? {
                return Ok(self.record());
            }
            if self.left == Some(0) {
                return Ok(None);
            }
            let begin = Instant::now();
            if self.look(begin)? {
                continue;
            }
            let now = Instant::now();
            let left = match deadline {
                Some(deadline) if deadline <= now => return Ok(None),
                Some(deadline) => deadline - now,
                None => LONGEST,
            };
            sleep(pause.max(4 * (now - begin)).min(left));
            pause = (2 * pause).min(LONGEST);
        }
    }

    /// Whether there is something new to read; begins a round if so.
    fn look(&mut self, now: Instant) -> Result<bool> {
        if self.follow.streams_due.is_none_or(|due| due <= now) {
            self.find_streams()?;
            let cost = now.elapsed();
            self.follow.streams_due = Some(now + (20 * cost).max(10 * SHORTEST));
        }
        let mut new = !self.heap.is_empty();
        for (cursor, sure) in self.cursors.iter_mut().zip(&self.sure) {
            if !cursor.is_done() {
                let end = cursor.end(&*self.storage)?;
                new |= end != cursor.limit() || end != *sure;
            }
        }
        if new {
            self.phase = ReadPhase::Round;
        }
        Ok(new)
    }
}
