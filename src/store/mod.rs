//! What a trail is on disk: its files, their formats, and the calls that reach them.
//!
//! `docs/format.md` describes every byte; each module here owns one file of it.
//!
//! | module | what it owns |
//! | --- | --- |
//! | `storage` | the few calls that touch files: the disk, or a memory that fails |
//! | `layout` | the names and paths of a trail's files |
//! | `listing` | which domains, streams and segments there are |
//! | `lines` | the lines of a file, forward, backward, and from its end |
//! | `segment` | one stream's newest file: where its next line goes |
//! | `journal` | the redo log of synced commits |
//! | `state` | how far the trail is known to be whole |
//! | `index_file` | `index.json`, the last id |
//! | `times` | the time range of each full segment |
//! | `lock` | who may write |

pub(crate) mod index_file;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod lines;
pub(crate) mod listing;
pub(crate) mod lock;
pub(crate) mod segment;
pub(crate) mod state;
pub mod storage;
pub(crate) mod times;
