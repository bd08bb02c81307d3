//! An embedded audit trail.
mod batch;
mod commit;
mod error;
mod event;
#[doc(hidden)]
pub mod ffi;
mod filter;
mod head;
mod index;
mod journal;
mod json;
mod layout;
mod lines;
mod lock;
mod options;
mod os;
mod reader;
mod recover;
mod segment;
mod state;
mod stats;
#[doc(hidden)]
pub mod storage;
mod sync;
mod trail;
mod writer;
pub use error::{Error, Kind, Result};
pub use event::{Event, Names, Rules};
pub use filter::{Filter, Order};
pub use options::{Durability, Options, WarningHandler};
pub use reader::{Damage, Reader, Record};
pub use recover::{Warning, WarningKind};
pub use stats::Stats;
pub use writer::Writer;
