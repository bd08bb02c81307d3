//! Being told of changes in folders, instead of looking for them.
//!
//! A watcher says where something has changed, never what is there now: that is read
//! from the files, as without it. What changes after [`FolderWatcher::watch`] has
//! returned is told by the next [`FolderWatcher::take`]; so whoever watches a folder
//! first and looks at it then misses nothing. A change is told no later than the next
//! one that the same process, or one that waited for it, makes.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A watch on a folder, as its watcher numbers it. Not used again for another folder
/// soon after the watch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(pub i32);

/// Which changes in a folder are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFor {
    /// Names that appear in it.
    NewNames,
    /// Its files: created, written to, cut, moved or deleted.
    Files,
}

/// What has happened in a watched folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderChange<'n> {
    /// Something happened to what has this name in it.
    Entry(WatchId, &'n str),
    /// The folder was deleted or moved; its watch has ended.
    Gone(WatchId),
    /// More has happened than could be kept: anything may have changed anywhere.
    Lost,
}

/// Tells of changes in folders. After an error it is of no further use.
pub trait FolderWatcher: Send + Sync + fmt::Debug {
    /// Watches a folder. For one that is watched already, the same id, and the
    /// changes of both kinds. `Unsupported` where changes may be made that are not
    /// told, such as another machine's.
    fn watch(&mut self, folder: &Path, what: WatchFor) -> io::Result<WatchId>;
    /// Ends a watch; one that has ended already is no error.
    fn unwatch(&mut self, id: WatchId);
    /// Waits for a change, for `timeout` at most; `false` if there is none. A signal
    /// ends the wait early.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;
    /// Passes on the changes that have come, in their order.
    fn take(&mut self, pass_on: &mut dyn FnMut(FolderChange<'_>)) -> io::Result<()>;
}
