//! BUFFERED and MAPPED: the bounded buffer and its flushes.
//!
//! An event gets its id when it is added to the pending batch, and the append
//! returns. The buffer is flushed by the thread that makes it half full, by the
//! flusher thread after the flush interval, and by a thread that finds it full. A
//! batch whose flush fails keeps its events and ids and is retried; it counts
//! towards the limit of the buffer.
//!
//! MAPPED: each batch has a file that is mapped, in which an event is written before the
//! append returns (see `store::buffer_file`). The file is emptied when the batch is in
//! the segments.

use super::{CommitState, Committer, PendingBatch};
use crate::error::{Error, Kind, Result};
use crate::event::EventLine;
use crate::os;
use crate::store::buffer_file::record_len;
use crate::sync::Ordering;
use crate::warning::WarningKind;
use crate::write::batch::{BodyOf, CheckedBatch};
use crate::write::options::Durability;
use crate::write::trail::CommitLevel;
use std::time::Duration;

/// Milliseconds after a failed flush during which appends do not retry it unless the
/// buffer is full.
const RETRY_AFTER: u64 = 100;

/// The bytes that the pending batch may take of a buffer of this size; the rest is for
/// the batch that is being flushed meanwhile.
pub(super) fn batch_share(buffer_bytes: usize) -> usize {
    buffer_bytes / 4 * 3
}

/// MAPPED: the bytes of records in the file of a batch: its share of the buffer, and an
/// eighth of that for what a record holds besides the event's body.
pub(crate) fn buffer_file_bytes(buffer_bytes: usize) -> usize {
    batch_share(buffer_bytes) / 8 * 9
}

impl Committer {
    /// Accepts one event into the buffer. Returns its id.
    pub fn buffer(&self, line: &EventLine<'_>) -> Result<u64> {
        let size = line.body.len();
        let body = (line.body, self.checksum(line.body));
        self.accept(size, record_len(line.stream, size), 1, |pending| {
            pending.buffer(line.stream, std::iter::once(body));
        })
    }

    /// Accepts events into the buffer, all or none. Returns the first id.
    pub fn buffer_all(&self, events: &CheckedBatch) -> Result<u64> {
        let records = events
            .runs()
            .flat_map(|(stream, bodies)| bodies.map(move |body| record_len(stream, body.len())))
            .sum();
        self.accept(events.bytes(), records, events.len(), |pending| {
            for (stream, bodies) in events.runs() {
                let checked = bodies.map(|body| (body, self.checksum(body)));
                pending.buffer(stream, checked);
            }
        })
    }

    /// The checksum that a mapped file keeps; 0 if there is none.
    fn checksum(&self, body: &[u8]) -> u32 {
        match self.durability {
            Durability::Mapped => crc32fast::hash(body),
            _ => 0,
        }
    }

    /// Adds events with `push_events`, once the buffer has room for their bytes, and a
    /// mapped file for those of their records. Returns the first id.
    fn accept(
        &self,
        size: usize,
        records: usize,
        events: usize,
        push_events: impl FnOnce(&mut PendingBatch),
    ) -> Result<u64> {
        self.check()?;
        if size > self.buffer_bytes {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "{size} bytes of events do not fit into the buffer of {} bytes",
                    self.buffer_bytes
                ),
            ));
        }
        let mut pending = self.pending()?;
        if let Some(capacity) = pending.batch.record_capacity()
            && records > capacity
        {
            return Err(Error::new(
                Kind::TooLarge,
                format!("{size} bytes of events do not fit into a mapped file of {capacity} bytes"),
            ));
        }
        let has_room = |pending: &PendingBatch| {
            pending.has_room(size, self.buffer_bytes) && pending.batch.has_room_for_records(records)
        };
        while !has_room(&pending) {
            drop(pending);
            let flushed = self.with_trail(|state| self.flush_buffer(state));
            pending = self.pending()?;
            match flushed {
                Err(error) if self.failed.get().is_some() => return Err(error),
                Err(error) if !has_room(&pending) => {
                    let full = "the buffer is full and cannot be flushed";
                    return Err(error.wrap(Kind::BufferFull, full));
                }
                _ => {}
            }
        }
        let first = pending.last_id.checked_add(1).ok_or_else(ids_exhausted)?;
        if events as u64 > u64::MAX - pending.last_id {
            return Err(ids_exhausted());
        }
        push_events(&mut pending);
        pending.batch.publish();
        // Half, so that appends find room during a flush; not less, so that each of many
        // streams gets one large write.
        let due = pending.batch.bytes() * 2 >= self.buffer_bytes
            && (pending.retry_at == 0 || pending.retry_at <= os::coarse_millis());
        drop(pending);
        if due && let Ok(mut state) = self.trail.try_lock() {
            // A failure is counted and reported as a warning; the events are kept.
            let _ = self.flush_buffer(&mut state);
        }
        Ok(first)
    }

    /// Writes the buffered events to their segments.
    pub(super) fn flush_buffer(&self, state: &mut CommitState) -> Result<()> {
        self.check()?;
        // A batch that failed before goes first, because its ids are smaller.
        if !state.batch.is_empty() {
            self.flush_batch(state)?;
        }
        let mut pending = self.pending()?;
        // A batch without ids has waiting threads, one of which commits it.
        if pending.batch.is_empty() || pending.batch.id(0) == 0 {
            return Ok(());
        }
        pending.swap_into(state);
        pending.unflushed_bytes = state.batch.bytes();
        drop(pending);
        self.flush_batch(state)
    }

    fn flush_batch(&self, state: &mut CommitState) -> Result<()> {
        let result = self.commit(state, CommitLevel::Written, None);
        let mut pending = self.pending()?;
        match result {
            Ok(()) => {
                pending.unflushed_bytes = 0;
                pending.retry_at = 0;
                state.batch.clear();
                Ok(())
            }
            Err(error) => {
                pending.retry_at = os::coarse_millis() + RETRY_AFTER;
                drop(pending);
                self.flush_failures.fetch_add(1, Ordering::Relaxed);
                state.trail.report.warn(
                    WarningKind::FlushFailed,
                    format!(
                        "{} events wait, for a flush failed: {error}",
                        state.batch.len()
                    ),
                );
                self.warnings_pending.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// The body of the flusher thread: flushes the buffer every `interval`, until
    /// [`Committer::close`].
    pub fn flush_by_time(&self, interval: Duration, deliver_warnings: impl Fn()) {
        let Ok(mut closing) = self.closing.lock() else {
            return;
        };
        while !*closing {
            match self.closed.wait_timeout(closing, interval) {
                Ok((guard, _)) => closing = guard,
                Err(_) => return,
            }
            if !*closing {
                drop(closing);
                // A failure is counted and reported as a warning; the events are kept.
                let _ = self.flush();
                deliver_warnings();
                match self.closing.lock() {
                    Ok(guard) => closing = guard,
                    Err(_) => return,
                }
            }
        }
    }

    /// Stops the flusher thread.
    pub fn close(&self) {
        if let Ok(mut closing) = self.closing.lock() {
            *closing = true;
        }
        self.closed.notify_all();
    }
}

impl PendingBatch {
    /// Whether `size` bytes may be added to a buffer of `limit` bytes.
    fn has_room(&self, size: usize, limit: usize) -> bool {
        let batched = self.batch.bytes();
        if batched + self.unflushed_bytes + size > limit {
            return false;
        }
        // After a failed flush the whole buffer may be used.
        batched == 0 || self.retry_at > 0 || batched + size <= batch_share(limit)
    }

    /// Adds events of one stream, with the next ids.
    fn buffer<'b>(&mut self, stream: &str, bodies: impl Iterator<Item = (&'b [u8], u32)>) {
        let slot = self.slot(stream);
        for (bytes, checksum) in bodies {
            self.last_id += 1;
            let body = BodyOf {
                bytes,
                stream,
                checksum,
            };
            self.batch.push(slot, body, self.last_id);
        }
    }
}

fn ids_exhausted() -> Error {
    Error::new(Kind::TooLarge, "the trail has no more event ids")
}
