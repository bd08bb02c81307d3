//! A trail on disk: its files, their formats, and the calls that access them.
//!
//! `docs/format.md` describes every byte; each module here owns one kind of file.
//!
//! | module | contents |
//! | --- | --- |
//! | `storage` | the file system interface: the disk, or memory with injected faults |
//! | `layout` | the names and paths of a trail's files |
//! | `listing` | which domains, streams and segments there are |
//! | `lines` | the lines of a file, forward, backward, and from its end |
//! | `segment` | one stream's newest segment: appending, rotation, rollback |
//! | `journal` | the redo log of synced commits |
//! | `state` | up to which id the trail is known to be intact |
//! | `index_file` | `index.json`, the last id |
//! | `times` | the time range of each full segment |
//! | `lock` | the locks of exclusive and shared writers |

pub(crate) mod buffer_file;
pub(crate) mod index_file;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod lines;
pub(crate) mod listing;
pub(crate) mod lock;
pub(crate) mod lock_file;
pub(crate) mod segment;
pub(crate) mod state;
pub mod storage;
pub(crate) mod times;
