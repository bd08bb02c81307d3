//! Linux's inotify as a [`FolderWatcher`].
//!
//! The kernel queues a change right after it was made, before the call that made it
//! returns. A forked child shares its parent's queue, and would take from it what its
//! parent waits for: there, every call fails before it touches the queue, and the child
//! makes a watcher of its own.

use super::watch::{FolderChange, FolderWatcher, WatchFor, WatchId};
use crate::os;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// What is read from the queue at once.
const BLOCK: usize = 8 * 1024;

/// How many changes one call passes on; a queue that has more is filled faster than it
/// is emptied.
const MAX_TAKEN: usize = 1 << 20;

/// The file systems of which every change is made by this machine's kernel, by the
/// numbers that statfs(2) gives. With others (NFS, SMB, FUSE, 9p and what is not known
/// here), another machine or a program behind the file system can change files unseen.
const LOCAL_FILE_SYSTEMS: &[u32] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs, and a root in memory
    0x794c_7630, // overlayfs, of containers
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
    0x2011_bab0, // exFAT
    0x4d44,      // FAT
];

/// One inotify instance: a descriptor, of which the kernel grants a user 128.
#[derive(Debug)]
pub(super) struct Inotify {
    descriptor: OwnedFd,
    /// In which process it was made.
    generation: u64,
}

impl Inotify {
    pub fn new() -> io::Result<Self> {
        os::register_fork_handler()?;
        Ok(Self {
            descriptor: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            generation: os::fork_generation(),
        })
    }

    fn require_own(&self) -> io::Result<()> {
        if os::fork_generation() == self.generation {
            Ok(())
        } else {
            Err(io::Error::other("the watches are those of the parent"))
        }
    }
}

impl FolderWatcher for Inotify {
    fn watch(&mut self, folder: &Path, what: WatchFor) -> io::Result<WatchId> {
        self.require_own()?;
        let common = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR
            | WatchFlags::MASK_ADD;
        let flags = match what {
            WatchFor::NewNames => common,
            WatchFor::Files => {
                common | WatchFlags::MODIFY | WatchFlags::MOVED_FROM | WatchFlags::DELETE
            }
        };
        let id = inotify::add_watch(&self.descriptor, folder, flags)?;
        #[allow(clippy::cast_sign_loss)] // a number of 32 bits, signed or not
        let kind = statfs(folder)?.f_type as u32;
        if LOCAL_FILE_SYSTEMS.contains(&kind) {
            Ok(WatchId(id))
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn unwatch(&mut self, id: WatchId) {
        if self.require_own().is_ok() {
            end_watch(&self.descriptor, id.0);
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.require_own()?;
        // What does not fit is longer than anyone waits.
        let timeout = Timespec::try_from(timeout).ok();
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, pass_on: &mut dyn FnMut(FolderChange<'_>)) -> io::Result<()> {
        self.require_own()?;
        let mut block = [MaybeUninit::uninit(); BLOCK];
        let mut queue = inotify::Reader::new(&self.descriptor, &mut block);
        for _ in 0..MAX_TAKEN {
            let event = match queue.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let (id, happened) = (WatchId(event.wd()), event.events());
            if happened.contains(ReadFlags::QUEUE_OVERFLOW) {
                pass_on(FolderChange::Lost);
            } else if happened.contains(ReadFlags::MOVE_SELF) {
                // Its watch would go on, at a path that is no longer ours.
                end_watch(&self.descriptor, id.0);
                pass_on(FolderChange::Gone(id));
            } else if happened.contains(ReadFlags::IGNORED) {
                pass_on(FolderChange::Gone(id));
            } else if let Some(Ok(name)) = event.file_name().map(|name| name.to_str()) {
                // A name that is no UTF-8 is none of a trail's.
                pass_on(FolderChange::Entry(id, name));
            }
        }
        pass_on(FolderChange::Lost);
        Ok(())
    }
}

/// Fails only where the watch has ended by itself.
fn end_watch(descriptor: &OwnedFd, id: i32) {
    let _ = inotify::remove_watch(descriptor, id);
}
