//! Writing: from a caller's event to bytes in a segment.
//!
//! | module | contents |
//! | --- | --- |
//! | `writer` | the public handle: renders an event, passes its line to `commit` |
//! | `open` | opening: lock, recover, open the files to write |
//! | `options` | the options of a writer |
//! | `commit` | group commit: leader and followers; the buffer of BUFFERED |
//! | `group` | the threads that wait for one batch |
//! | `batch` | the events that are committed together |
//! | `trail` | writes a batch to segments and journal, or rolls it back |
//! | `streams` | the table of streams, and which files are open |
//! | `name_hash` | the hash for finding a stream by its name |
//! | `stats` | the counters of a writer |

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
