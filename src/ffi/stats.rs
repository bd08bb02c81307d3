//! What a writer has done and where it is.

use super::is_null;
use super::sized::shared_size;
use crate::error::Result;
use crate::write::Stats;
use std::marker::PhantomData;
use std::mem::offset_of;

/// What a writer has done and where it is. Ids are 0 where there is no event.
#[repr(C)]
pub struct auditrail_stats {
    /// sizeof(auditrail_stats), set by the caller: later versions may add
    /// fields at the end; only what fits is filled in.
    pub size: usize,
    /// Events that this writer has written.
    pub events: u64,
    /// Bytes that it has written to segments.
    pub bytes: u64,
    /// Commits: each wrote one or more events.
    pub batches: u64,
    /// Segments that were opened because the one before was full.
    pub rotations: u64,
    /// Times that something was synced.
    pub syncs: u64,
    /// The last id that was given.
    pub last_id: u64,
    /// All events up to this one are in their segment files.
    pub written_id: u64,
    /// All events up to this one are on disk.
    pub synced_id: u64,
    /// Torn tails that were cut off, at opening and since.
    pub torn_tails: u64,
    /// Their bytes, kept under .auditrail/torn/.
    pub torn_bytes: u64,
    /// Ids whose events a crash took, found at opening.
    pub missing_ids: u64,
    /// BUFFERED, MAPPED: events that were accepted and wait to be written.
    pub waiting: u64,
    /// Streams that this writer has written to.
    pub streams: u64,
    /// Segment files that are held open.
    pub open_files: u64,
    /// BUFFERED, MAPPED: flushes that failed.
    pub flush_failures: u64,
}

/// The caller's struct, of whichever version, or NULL.
pub(super) struct StatsOut<'c> {
    pointer: *mut auditrail_stats,
    call: PhantomData<&'c mut auditrail_stats>,
}

impl<'c> StatsOut<'c> {
    /// # Safety
    /// `pointer` is NULL or leads to as many bytes as the `size` there says, which
    /// are the caller's to be written to during `'c`.
    pub(super) unsafe fn new(pointer: &'c *mut auditrail_stats) -> Self {
        Self {
            pointer: *pointer,
            call: PhantomData,
        }
    }

    /// Looks at the size; an error if it is NULL or lacks fields.
    pub(super) fn get(self) -> Result<StatsPlace<'c>> {
        if self.pointer.is_null() {
            return Err(is_null("stats"));
        }
        // SAFETY: it is not NULL, and the struct begins with its size in every version.
        let size = unsafe { (&raw const (*self.pointer).size).read() };
        let known = size_of::<auditrail_stats>();
        let shared = shared_size("auditrail_stats", size, FIRST_SIZE, known)?;
        Ok(StatsPlace {
            out: self,
            size,
            shared,
        })
    }
}

/// The size of the struct in 0.1, which ended with this field.
const FIRST_SIZE: usize = offset_of!(auditrail_stats, flush_failures) + size_of::<u64>();

/// The caller's struct.
pub(super) struct StatsPlace<'c> {
    out: StatsOut<'c>,
    size: usize,
    /// How much of it this version knows.
    shared: usize,
}

impl StatsPlace<'_> {
    /// Fills in what both know; fields of a later version become 0.
    pub(super) fn put(self, stats: &Stats) {
        let filled = stats_of(self.size, stats);
        let place = self.out.pointer.cast::<u8>();
        // SAFETY: by `StatsOut::new` there are `size` bytes, and by `get` `shared` is no
        // more than that, and no more than `filled` has.
        unsafe {
            place.copy_from_nonoverlapping((&raw const filled).cast(), self.shared);
            place
                .add(self.shared)
                .write_bytes(0, self.size - self.shared);
        }
    }
}

fn stats_of(size: usize, stats: &Stats) -> auditrail_stats {
    auditrail_stats {
        size,
        events: stats.events,
        bytes: stats.bytes,
        batches: stats.batches,
        rotations: stats.rotations,
        syncs: stats.syncs,
        last_id: stats.last_id,
        written_id: stats.written_id,
        synced_id: stats.synced_id,
        torn_tails: stats.torn_tails,
        torn_bytes: stats.torn_bytes,
        missing_ids: stats.missing_ids,
        waiting: stats.waiting,
        streams: stats.streams,
        open_files: stats.open_files,
        flush_failures: stats.flush_failures,
    }
}
