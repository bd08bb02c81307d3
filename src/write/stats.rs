//! The counters of a writer.

/// Counters and ids of a writer. An id is 0 if there is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events that this writer has written.
    pub events: u64,
    /// Bytes that it has written to segments, including those of failed batches.
    pub bytes: u64,
    /// Commits, of one or more events each.
    pub batches: u64,
    /// Segments that were started because the one before was full.
    pub rotations: u64,
    /// Syncs of segments or journal.
    pub syncs: u64,
    /// The last assigned id.
    pub last_id: u64,
    /// All events up to this one are in their segment files.
    pub written_id: u64,
    /// All events up to this one are on disk; on a shared trail, those of this writer.
    pub synced_id: u64,
    /// Torn tails that were cut off, at open and since.
    pub torn_tails: u64,
    /// Their bytes, kept under `.auditrail/torn/`.
    pub torn_bytes: u64,
    /// Ids whose events were lost in a crash, found at open.
    pub missing_ids: u64,
    /// Accepted events that are not yet written.
    pub waiting: u64,
    /// Streams that this writer has written to.
    pub streams: u64,
    /// Open segment files.
    pub open_files: u64,
    /// Flushes that failed.
    pub flush_failures: u64,
}
