//! Reading: from segments to events, and answers about whole trails.
//!
//! | module | what it does |
//! | --- | --- |
//! | `reader` | the public handle: events in stream order or merged by id; following |
//! | `cursor` | one stream, event by event |
//! | `segments` | the segments of one stream, and the position of an id in them |
//! | `filter` | which events pass |
//! | `record`, `damage` | what a reader returns, and what it could not return |
//! | `segment_files` | the files of all segments |
//! | `replay` | the state of every record of a stream at one event |
//! | `history` | the changes of one record |
//! | `check` | a whole trail: is it sound? |

pub mod check;
mod cursor;
mod damage;
mod filter;
mod history;
mod reader;
mod record;
mod replay;
mod segment_files;
mod segments;

pub use check::check;
pub use damage::{Damage, DamageKind};
pub use filter::{Filter, Order};
pub use history::{
    Change, History, HistoryEntry, RecordEntry, RecordHistory, history, record_history,
};
pub use reader::Reader;
pub use record::Record;
pub use replay::{Replay, replay};
pub use segment_files::{SegmentFile, segments};
