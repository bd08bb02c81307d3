//! The real file system, through std.

use crate::os;

use super::{DirEntry, File, Lock, Mapping, Open, Stat, Storage};
#[cfg(target_os = "linux")]
use super::{FolderWatcher, inotify::Inotify};
use std::fs;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// How much of `/proc/locks` is read: thousands of locks.
const MAX_LOCKS_BYTES: u64 = 1 << 20;

/// The file system of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct Disk;

impl Storage for Disk {
    fn open(&self, path: &Path, mode: Open) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            // Opening must not block if the path is a pipe.
            Open::Read => options.custom_flags(libc::O_NONBLOCK),
            Open::Append => options.append(true),
            Open::AppendOrCreate => options.append(true).create(true),
            Open::Update => options.write(true),
            Open::Create => options.write(true).create(true),
            Open::CreateNoFollow => options
                .write(true)
                .create(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK),
            Open::CreatePrivate => options
                .write(true)
                .create(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK),
        };
        Ok(Arc::new(options.open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let kind = entry.file_type()?;
                let (is_dir, is_file) = if kind.is_symlink() {
                    fs::metadata(entry.path()).map_or((false, true), |m| (m.is_dir(), m.is_file()))
                } else {
                    (kind.is_dir(), kind.is_file())
                };
                Ok(DirEntry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_dir,
                    is_file,
                })
            })
            .collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        fs::metadata(path).map(|m| stat(&m))
    }

    fn is_link(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.is_symlink()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        os::sync_file_system(&fs::File::open(dir)?)
    }

    fn boot(&self) -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned())
    }

    #[cfg(target_os = "linux")]
    fn watcher(&self) -> io::Result<Box<dyn FolderWatcher>> {
        Ok(Box::new(Inotify::new()?))
    }
}

impl File for fs::File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fs::File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn forget(&self, range: Range<u64>) {
        os::forget_pages(self, range);
    }

    fn stat(&self) -> io::Result<Stat> {
        self.metadata().map(|m| stat(&m))
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let taken = match lock {
            Lock::Exclusive => fs::File::try_lock(self),
            Lock::Shared => self.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_holder(&self) -> Option<u32> {
        let metadata = self.metadata().ok()?;
        let mut locks = String::new();
        let file = fs::File::open("/proc/locks").ok()?;
        file.take(MAX_LOCKS_BYTES).read_to_string(&mut locks).ok()?;
        locks.lines().find_map(|line| flock_holder(line, &metadata))
    }

    fn unlock(&self) -> io::Result<()> {
        fs::File::unlock(self)
    }

    fn descriptor(&self) -> i32 {
        self.as_raw_fd()
    }

    fn map(&self, len: usize) -> io::Result<Box<dyn Mapping>> {
        check_mappable(self)?;
        Ok(Box::new(os::SharedMapping::new(self, len)?))
    }
}

/// File systems, by the numbers that statfs(2) gives, that write to a mapped page whose
/// block is allocated without asking for space again. Those that copy on write do ask, and
/// network and FUSE file systems and overlays of them promise nothing: where they cannot
/// write, the process gets SIGBUS.
#[cfg(target_os = "linux")]
const MAPPABLE: [u32; 3] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x0102_1994, // tmpfs
];

#[cfg(target_os = "linux")]
fn check_mappable(file: &fs::File) -> io::Result<()> {
    #[allow(clippy::cast_sign_loss)] // a number of 32 bits, signed or not
    let kind = rustix::fs::fstatfs(file)?.f_type as u32;
    if MAPPABLE.contains(&kind) {
        return Ok(());
    }
    let message = format!("its file system ({kind:#x}) is none of ext2 to ext4, XFS and tmpfs");
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

#[cfg(not(target_os = "linux"))]
fn check_mappable(_: &fs::File) -> io::Result<()> {
    let message = "only file systems of Linux are known to be reliable";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

impl Mapping for os::SharedMapping {
    fn read(&self, offset: usize, to: &mut [u8]) {
        Self::read(self, offset, to);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        Self::write(self, offset, bytes);
    }

    fn store(&mut self, offset: usize, value: u64) {
        Self::store(self, offset, value);
    }
}

/// The process in a line of `/proc/locks` (see proc_locks(5)) if it says who holds the
/// flock of this file: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1048 0 EOF`. One that
/// waits for it has `->` after the number.
fn flock_holder(line: &str, metadata: &fs::Metadata) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next() != Some("FLOCK") {
        return None;
    }
    let process = words.nth(2)?;
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    (words.next()? == file).then(|| process.parse().ok())?
}

fn stat(metadata: &fs::Metadata) -> Stat {
    Stat {
        len: metadata.len(),
        identity: (metadata.dev(), metadata.ino()),
        links: metadata.nlink(),
        is_dir: metadata.is_dir(),
        is_file: metadata.is_file(),
    }
}
