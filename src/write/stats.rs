//! What a writer tells of itself.

/// What a writer has done and where it is. Ids are 0 where there is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events that this writer has written.
    pub events: u64,
    /// Bytes that it has written to segments, those of failed batches included.
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
    /// All events up to this one are on disk; on a shared trail, all that this
    /// writer has written.
    pub synced_id: u64,
    /// Torn tails that were cut off, at opening and since.
    pub torn_tails: u64,
    /// Their bytes, kept under `.auditrail/torn/`.
    pub torn_bytes: u64,
    /// Ids whose events a crash took, found at opening.
    pub missing_ids: u64,
    /// Events that were accepted and wait to be written.
    pub waiting: u64,
    /// Streams that this writer has written to.
    pub streams: u64,
    /// Segment files that are held open.
    pub open_files: u64,
    /// Flushes that failed.
    pub flush_failures: u64,
}
