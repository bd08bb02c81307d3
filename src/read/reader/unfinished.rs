//! Batches that a writer has not written whole.
//!
//! A BUFFERED writer gives an id when it accepts an event, and writes a batch stream by
//! stream. So in the midst of a batch an id can be in its segment before a smaller one is
//! in that of another stream. Such a writer marks each batch in `.auditrail/state`: `busy
//! W` before it, where all ids up to W are written, and `open W'` after it.
//!
//! A merge reads the state once, after its snapshot and before its limits:
//!
//! - no batch is marked: each event of the snapshot has an id of at most W', and all of
//!   these were written before the limits were determined. A writer that marks nothing
//!   writes in the order of ids. Nothing is held back in either case;
//! - `busy W`: events with larger ids are held back for the next merge. All others are
//!   below the limits.
//!
//! **Held back until when.** A follower looks at the state every millisecond or so: the
//! segments need not change any more, and nothing tells of the state. Reading to an end
//! waits before it returns anything, if the snapshot has such events, takes another
//! snapshot, and does without the events of a batch that is being written then: a live
//! trail has no end.
//!
//! **Who is dead.** A writer that was killed leaves its mark until the next one opens the
//! trail. Readers take no lock and may be on another machine, so they cannot see that it
//! is dead. If the mark stays the same for [`ABANDONED_AFTER`], counted from when
//! something was held back for it, it binds no more, until the state says something else.
//! What a writer that takes longer for a batch writes meanwhile is then read with gaps.
//!
//! **What is no mark.** A state that is missing, that may not be read or that says nothing
//! has no part in what is read. `doubtful` was written by a writer that has failed: it
//! writes no more.

use super::{MIN_PAUSE, Reader};
use crate::error::Result;
use crate::store::state::{self, Phase, State};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a mark that stays the same is taken for that of a live writer.
const ABANDONED_AFTER: Duration = Duration::from_secs(1);

/// What a merge does about the events of a batch that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnfinishedPolicy {
    /// Waits for the end of the batch, once.
    Await,
    /// Leaves them to the next merge.
    Postpone,
}

/// The batch that was marked as being written when the merge began.
#[derive(Debug, Default)]
pub(super) struct UnfinishedBatch {
    mark: Option<State>,
    /// Since when events have been held back for this mark.
    held_since: Option<Instant>,
    /// The largest id that the merge may return.
    bound: Option<u64>,
    /// Whether this merge has held back events.
    pub holds_back: bool,
}

impl UnfinishedBatch {
    fn begin_merge(&mut self, mark: Option<State>, now: Instant) {
        if mark != self.mark {
            self.mark = mark;
            self.held_since = None;
        }
        let bound = self.mark.as_ref().map(|mark| mark.written);
        self.bound = bound.filter(|_| !self.is_abandoned(now));
        self.holds_back = false;
    }

    fn is_abandoned(&self, now: Instant) -> bool {
        (self.held_since).is_some_and(|since| now.duration_since(since) >= ABANDONED_AFTER)
    }

    /// Whether the merge may return the event with this id; if not, it is held back.
    pub fn allows(&mut self, id: u64) -> bool {
        let allowed = self.bound.is_none_or(|bound| id <= bound);
        if !allowed {
            self.hold_back();
        }
        allowed
    }

    /// Whether nothing had to be held back; if not, events that are wanted may not be in
    /// their segments yet, and the merge counts as one that has held them back.
    pub fn allows_all(&mut self) -> bool {
        let allowed = self.bound.is_none();
        if !allowed {
            self.hold_back();
        }
        allowed
    }

    fn hold_back(&mut self) {
        self.holds_back = true;
        self.held_since.get_or_insert_with(Instant::now);
    }
}

impl Reader {
    /// Between the snapshot and the limits: determines up to which id the merge goes.
    pub(super) fn bound_merge(&mut self, policy: UnfinishedPolicy) -> Result<()> {
        self.unfinished
            .begin_merge(self.read_mark(), Instant::now());
        let Some(bound) = self.unfinished.bound else {
            return Ok(());
        };
        if policy == UnfinishedPolicy::Postpone || !self.snapshot_may_exceed(bound) {
            return Ok(());
        }
        self.unfinished.hold_back();
        while !self.has_batch_ended() {
            sleep(MIN_PAUSE);
        }
        self.take_snapshot()?;
        self.unfinished
            .begin_merge(self.read_mark(), Instant::now());
        Ok(())
    }

    /// Whether what was held back need not be any more.
    pub(super) fn has_batch_ended(&self) -> bool {
        self.unfinished.is_abandoned(Instant::now()) || self.read_mark() != self.unfinished.mark
    }

    /// The state, if it marks a batch with ids that are wanted.
    fn read_mark(&self) -> Option<State> {
        let state = state::read_beside_writer(&*self.storage, &self.layout)?;
        let wanted_to = *self.matcher.event_ids.end();
        let marks = state.phase == Phase::Busy && !state.sync_failed && state.written < wanted_to;
        marks.then_some(state)
    }

    /// Whether a stream's snapshot may end with a larger id.
    fn snapshot_may_exceed(&self, id: u64) -> bool {
        let mut streams = self.cursors.iter().zip(&self.snapshot_ends);
        streams.any(|(cursor, end)| {
            let segments = cursor.segments();
            // An empty newest segment: the stream ends with the one before.
            let filled = segments.len() - usize::from(segments.len() > 0 && end.offset == 0);
            let Some(last) = filled.checked_sub(1) else {
                return false;
            };
            let last = segments.last_id(&*self.storage, last);
            last.is_none_or(|last| last > id)
        })
    }
}
