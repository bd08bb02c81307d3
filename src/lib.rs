//! An embedded audit trail: events in, one JSON line each, durable as chosen.
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
//! # The way of one append
//!
//! ```text
//! ffi        C arguments -> Rust values; a panic ends here
//!  |
//! writer     json + event: the text is checked and its line rendered, in one
//!  |         pass, on the caller's thread, outside any lock
//!  |
//! commit     the line joins the batch that is being gathered; one of the
//!  |         threads in it becomes its leader and commits it for all, the
//!  |         others sleep on one word
//!  |
//! trail      ids are given; lines go to their streams, all of them or none;
//!  |         SYNCED: the batch goes to the journal, which is synced
//!  |
//! segment    whole lines are appended to the stream's newest file; a full one
//!  |         is left for the next number
//!  |
//! storage    the few calls that touch files
//! ```
//!
//! Opening a trail recovers it (`recover`); who may write is settled by `lock`;
//! how far the trail is known to be whole stands in `state`. What is where on
//! disk is told in `layout`, `journal` and `state`. A lower room never names a
//! higher one.

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
    Change, Damage, DamageKind, Filter, History, HistoryEntry, Order, Reader, Record, Replay,
    check, history, replay,
};
pub use warning::{Warning, WarningKind};
pub use write::{Durability, Options, Stats, WarningHandler, Writer};

/// What the crate's own tests, benchmarks and fuzz targets reach into. No part
/// of the interface: it may change in any version.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::event::{EventLine, Renderer, json};
    pub use crate::store::storage;

    use crate::error::Result;
    use crate::read::check::{self, CheckProgress, CheckReport};
    use std::path::PathBuf;
    use std::sync::Arc;

    /// [`crate::check()`], on another storage than the machine's file system.
    pub fn check_on(
        storage: Arc<dyn storage::Storage>,
        root: impl Into<PathBuf>,
        progress: impl FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        check::check_on(storage, root, progress)
    }
}
