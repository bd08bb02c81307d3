//! An embedded audit trail: one JSON line per event, with a choice of durability.
//!
//! ```
//! # fn main() -> auditrail::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path();
//! use auditrail::{Options, Writer};
//!
//! let writer = Writer::open(root, &Options::default())?;
//! let id = writer.append(
//!     br#"{"domain":"v2","category":"users","model_name":"ada","operation":"create",
//!          "logical_user_id":"admin-7","payload":{"after":{"role":"user"}}}"#,
//! )?;
//! assert_eq!(id, 1);
//! writer.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! | module | what it holds |
//! | --- | --- |
//! | `error`, `warning`, `limits`, `os`, `sync` | what all other modules use |
//! | `event` | an event and its rules; from JSON to its line, and back |
//! | `store` | what is on disk: one module per kind of file, and the file system calls |
//! | `recover` | what opening does after a crash |
//! | [`proof`] | Merkle tree, checkpoints, verification |
//! | `write` | from a caller's event to bytes in a segment |
//! | `read` | from segments to events, and answers about whole trails |
//! | `ffi` | the C interface |
//!
//! A lower module never names a higher one. `docs/architecture.md` shows the steps
//! of an append, a commit, an opening and a read; `docs/format.md` describes every
//! byte on disk.

mod error;
mod event;
mod ffi;
mod limits;
mod os;
pub mod proof;
mod read;
mod recover;
mod store;
mod sync;
mod warning;
mod write;

pub use error::{Error, Kind, Result};
pub use event::{Event, Names, Rules};
pub use read::{
    Change, Damage, DamageKind, Filter, History, HistoryEntry, Order, Reader, Record, RecordEntry,
    RecordHistory, Replay, SegmentFile, check, history, record_history, replay, segments,
};
pub use warning::{Warning, WarningKind};
pub use write::{Durability, Options, Stats, WarningHandler, Writer};

/// Internals for the crate's own tests, benchmarks and fuzz targets. Not part of
/// the interface: they may change in any version.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::event::{EventLine, Renderer, json};
    pub use crate::store::storage;

    use crate::error::Result;
    use crate::read::check::{self, CheckOptions, CheckProgress, CheckReport};
    use std::path::PathBuf;
    use std::sync::Arc;

    /// [`crate::check()`], on another storage than the machine's file system.
    pub fn check_on(
        storage: Arc<dyn storage::Storage>,
        root: impl Into<PathBuf>,
        progress: impl FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        check::check_on(storage, root, CheckOptions::new(), progress)
    }
}
