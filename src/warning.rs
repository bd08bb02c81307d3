//! Warnings of a writer: what recovery did, and what failed but will be retried.

/// A report by a writer about something that did not make a call fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The kind of warning.
    pub kind: WarningKind,
    /// A text for people, with path, offset and ids.
    pub message: String,
}

/// The kinds of [`Warning`]; the numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum WarningKind {
    /// Bytes that were not a whole event were cut off and quarantined.
    TornTail = 1,
    /// Assigned ids are in no segment: a crash lost their events, as the chosen
    /// durability allows.
    MissingIds = 2,
    /// `index.json` was missing or unreadable and was rebuilt.
    IndexRebuilt = 3,
    /// A whole line is not an event, or what has the name of a segment is no regular
    /// file; it was left as it is.
    DamagedLine = 4,
    /// Events were restored from the journal.
    Redone = 5,
    /// Accepted events could not be flushed; they are kept and retried.
    FlushFailed = 6,
    /// A checkpoint that was due could not be made; it is retried later.
    ProofFailed = 7,
    /// A segment that was not yet synced was moved or deleted by someone else; its
    /// events are not known to be on disk.
    SegmentGone = 8,
    /// A writer has waited for a second for a lock of the trail that another process
    /// holds, and goes on waiting.
    LockWait = 9,
}
