//! What a writer reports that is no error: what recovery did, what will be tried again.

/// What a writer has to tell about what it found; nothing of it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What sort of thing was found.
    pub kind: WarningKind,
    /// It, for a person, with path, offset and ids.
    pub message: String,
}

/// The sorts of [`Warning`]; the numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum WarningKind {
    /// Bytes that were no whole event were cut off and kept aside.
    TornTail = 1,
    /// Ids that were given are in no segment: a crash took their events, as the
    /// durability that was chosen allows.
    MissingIds = 2,
    /// `index.json` was missing or unreadable, and was made anew.
    IndexRebuilt = 3,
    /// A whole line is no event; it was left as it is.
    DamagedLine = 4,
    /// Events were put back from the journal.
    Redone = 5,
    /// Accepted events could not be flushed; they are kept, and tried again.
    FlushFailed = 6,
    /// A checkpoint that was due could not be made; it is tried again later.
    ProofFailed = 7,
}
