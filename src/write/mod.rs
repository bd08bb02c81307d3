//! Writing: from a caller's event to bytes in a segment.
//!
//! | module | what it does |
//! | --- | --- |
//! | `writer` | the public handle: checks an event, hands its line on |
//! | `open` | opening: lock, recover, open what is written to |
//! | `options` | how a trail is opened |
//! | `commit` | group commit: who commits for whom; the buffer of BUFFERED |
//! | `group` | the threads that wait for one batch |
//! | `batch` | events that are committed together |
//! | `trail` | puts a batch into the segments and the journal, or takes it back |
//! | `streams` | the table of streams, and which files are open |
//! | `stats` | what a writer reports about itself |

mod batch;
mod commit;
mod group;
mod name_hash;
mod open;
mod options;
mod stats;
mod streams;
mod trail;
mod writer;

pub use options::{Durability, Options, WarningHandler};
pub use stats::Stats;
pub use writer::Writer;
