//! The file system interface: the only module that calls `std::fs`.
//!
//! [`Disk`] is the real file system; with the feature `internals` there is also one
//! in memory that injects faults, torn writes and power losses, so that the crash
//! and fault tests run the real library over it.
//!
//! Guarantees of an implementation: `append` and `write_at` write everything or
//! return an error (they handle short writes and EINTR; after an error an unknown
//! part may have been written); `sync` makes a file's bytes and length durable; a
//! name (created, renamed, removed) is durable after `sync_dir` of its folder;
//! `sync_all` makes everything durable.

mod disk;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(feature = "internals")]
pub mod memory;
mod watch;

pub use disk::Disk;
pub use watch::{FolderChange, FolderWatcher, WatchFor, WatchId};

use crate::error::{Error, Kind, Result};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How much [`read_blocks`] reads at once.
const BLOCK: usize = 256 * 1024;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Read only; it must exist.
    Read,
    /// Append and read; it must exist.
    Append,
    /// Append and read; created if missing.
    AppendOrCreate,
    /// Read and write at offsets; it must exist.
    Update,
    /// Read and write at offsets; created if missing.
    Create,
    /// The same, but not through a symbolic link: an error if the path is one.
    CreateNoFollow,
    /// The same, and a new file can be read by its owner only.
    CreatePrivate,
}

/// The mode of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// One holder.
    Exclusive,
    /// Many holders, none of them exclusive.
    Shared,
}

/// Metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub len: u64,
    /// Device and inode: the same pair is the same file.
    pub identity: (u64, u64),
    /// Number of hard links; 0 once it is deleted.
    pub links: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Whether it is a regular file: no folder, pipe or device.
    pub is_file: bool,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name; invalid UTF-8 is replaced by replacement characters.
    pub name: String,
    /// Whether it is a folder (links are followed).
    pub is_dir: bool,
    /// Whether it is a regular file: no folder, pipe, socket or device (links are
    /// followed). So counts a link whose target cannot be looked at: to open it tells.
    pub is_file: bool,
}

/// The file system that a trail is stored in.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: Open) -> io::Result<Arc<dyn File>>;
    /// Creates one folder; fails if the name exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a folder, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Metadata of what the path leads to.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Whether the path is a symbolic link; a missing one is none.
    fn is_link(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Ok(false)
    }
    /// Renames a file, replacing an existing one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or an empty folder. The library only removes what it can
    /// recreate, so an implementation need not support it.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes a folder's names durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes durable everything written so far, by any process, to the file system
    /// that holds the folder.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
    /// An id of the current boot of the machine: as long as it does not change, the
    /// kernel has lost nothing that was written to it. `None` if it is not known.
    fn boot(&self) -> Option<String>;
    /// A watcher of folders. An error where there is none: the caller then looks at
    /// the files now and then.
    fn watcher(&self) -> io::Result<Box<dyn FolderWatcher>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// An open file.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at the end (files opened for appending).
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset` (files not opened for appending).
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates, or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes bytes and length durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Makes the kernel forget what it holds of a range that is not to be written, and
    /// what it thinks of its place on disk. Only a wish.
    fn forget(&self, _range: Range<u64>) {}
    /// Its current metadata.
    fn stat(&self) -> io::Result<Stat>;
    /// Acquires a lock on the file (flock: it belongs to the open file description, not
    /// to the process), or returns `false` if another holder conflicts.
    fn try_lock(&self, lock: Lock) -> io::Result<bool>;
    /// The process that holds the lock, if that can be found out.
    fn lock_holder(&self) -> Option<u32>;
    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;
    /// The file descriptor; -1 if there is none.
    fn descriptor(&self) -> i32;
    /// Maps the first `len` bytes, which were written before; of kind `Unsupported` where
    /// a mapping is not reliable. The file must not be cut while it is mapped.
    fn map(&self, len: usize) -> io::Result<Box<dyn Mapping>> {
        let _ = len;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A shared mapping of a file: what is written to it is in the file at once, in the order
/// in which it is written, and outlives the process.
pub trait Mapping: Send + fmt::Debug {
    /// Copies from `offset`; nothing if that is not all inside of the mapping.
    fn read(&self, offset: usize, to: &mut [u8]);
    /// Copies `bytes` to `offset`; nothing if that is not all inside of the mapping.
    fn write(&mut self, offset: usize, bytes: &[u8]);
    /// Stores a number, little endian, as one: a killed process has stored all of it or
    /// nothing. `offset` is a multiple of 8.
    fn store(&mut self, offset: usize, value: u64);
}

/// Opens a file.
pub(crate) fn open_file(storage: &dyn Storage, path: &Path, mode: Open) -> Result<Arc<dyn File>> {
    storage
        .open(path, mode)
        .map_err(|e| Error::io("open", path, &e))
}

/// Opens a file; `None` if it does not exist.
pub(crate) fn open_if_exists(
    storage: &dyn Storage,
    path: &Path,
    mode: Open,
) -> Result<Option<Arc<dyn File>>> {
    match storage.open(path, mode) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open", path, &e)),
    }
}

/// Opens a segment; `None` if what has its name is no regular file. That is asked of
/// the open file, for the name may lead elsewhere a moment later, and a device can give
/// bytes for ever.
pub(crate) fn open_regular(
    storage: &dyn Storage,
    path: &Path,
    mode: Open,
) -> io::Result<Option<Arc<dyn File>>> {
    match storage.open(path, mode) {
        Ok(file) => Ok(file.stat()?.is_file.then_some(file)),
        // A socket cannot be opened, nor a folder for writing.
        Err(e) if e.kind() != io::ErrorKind::NotFound => match storage.stat(path) {
            Ok(stat) if !stat.is_file => Ok(None),
            _ => Err(e),
        },
        Err(e) => Err(e),
    }
}

/// Opens a segment that was listed as one.
pub(crate) fn open_segment(
    storage: &dyn Storage,
    path: &Path,
    mode: Open,
) -> Result<Arc<dyn File>> {
    match open_regular(storage, path, mode) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Error::new(
            Kind::Corrupt,
            format!("{} is no regular file any more", path.display()),
        )),
        Err(e) => Err(Error::io("open", path, &e)),
    }
}

/// Creates one folder unless the name exists.
pub(crate) fn ensure_folder(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    match storage.create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(storage: &dyn Storage, folder: &Path) -> Result<()> {
    storage
        .sync_dir(folder)
        .map_err(|e| Error::io("sync", folder, &e))
}

/// Whether an error of [`Storage::sync_dir`] comes from opening the folder: open(2)
/// gives these errors and fsync(2) never does. Nothing was synced then, and nothing
/// lost.
pub(crate) fn failed_to_open(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::EACCES
                | libc::ENOENT
                | libc::ENOTDIR
        )
    )
}

/// The error of a failed sync: the kernel may have dropped the dirty pages, so a
/// retry could succeed without writing them, and only recovery can tell.
pub(crate) fn sync_failed(path: &Path, error: &io::Error) -> Error {
    Error::io("sync", path, error).wrap(Kind::Failed, "what is on disk is not known")
}

/// Reads the bytes `range` of a file in blocks, each with its offset, up to the
/// end of the file; the last block may reach beyond the range.
pub(crate) fn read_blocks(
    file: &dyn File,
    range: Range<u64>,
) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + '_ {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        match read_range(file, at, BLOCK) {
            Ok(block) if block.is_empty() => None,
            Ok(block) => {
                let offset = at;
                at += block.len() as u64;
                Some(Ok((offset, block)))
            }
            Err(error) => {
                at = range.end;
                Some(Err(error))
            }
        }
    })
}

/// Reads `len` bytes at `offset`, or fewer where the file ends before.
pub(crate) fn read_range(file: &dyn File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
