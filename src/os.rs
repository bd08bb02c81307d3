//! The few system calls that std does not offer, each behind a safe function.
//!
//! Forks: a child that inherits a writer must not use it, and must not keep its
//! parent's lock alive after the parent has died. An atfork handler in the child
//! counts the fork, so that a writer detects it with one load, and replaces each
//! registered lock file's descriptor with `/dev/null`, which drops the child's
//! share of the lock.

#![allow(unsafe_code)]

use once_cell::sync::OnceCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Forks between the process that loaded the library and this one.
static FORK_GENERATION: AtomicU64 = AtomicU64::new(0);

/// Descriptors of the lock files that a forked child drops; -1 is a free entry.
/// A lock that finds no free entry still works, but a child keeps it alive.
static LOCK_FILES: [AtomicI32; 256] = [const { AtomicI32::new(-1) }; 256];

/// `/dev/null`, opened before any fork: a child of a threaded process may only make
/// async-signal-safe calls.
static DEV_NULL: OnceCell<File> = OnceCell::new();

/// The number of forks between the process that loaded the library and this one. A
/// writer stores the value at its opening; a different value means that this process
/// is a child of the one that opened it.
pub(crate) fn fork_generation() -> u64 {
    FORK_GENERATION.load(Ordering::Relaxed)
}

/// Installs the handler that runs in forked children, once per process.
pub(crate) fn register_fork_handler() -> io::Result<()> {
    static DEV_NULL_FD: AtomicI32 = AtomicI32::new(-1);

    extern "C" fn in_child() {
        FORK_GENERATION.fetch_add(1, Ordering::Relaxed);
        let null = DEV_NULL_FD.load(Ordering::Relaxed);
        for entry in &LOCK_FILES {
            let fd = entry.swap(-1, Ordering::Relaxed);
            if fd >= 0 {
                // SAFETY: dup3 is async-signal-safe and takes any two numbers;
                // `fd` is a lock file of ours, whose owner is refused in this
                // process from now on and at most closes it.
                unsafe { libc::dup3(null, fd, libc::O_CLOEXEC) };
            }
        }
    }

    DEV_NULL
        .get_or_try_init(|| {
            let null = File::options().read(true).write(true).open("/dev/null")?;
            DEV_NULL_FD.store(null.as_raw_fd(), Ordering::Relaxed);
            // SAFETY: the handler is a plain function of this library that makes
            // only async-signal-safe calls; glibc forgets it if the library is unloaded.
            match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
                0 => Ok(null),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        })
        .map(|_| ())
}

/// Registers a lock file whose descriptor a forked child drops. Must itself be
/// dropped before the file is closed, because the number may be reused then.
#[derive(Debug)]
pub(crate) struct ReleasedInChild(Option<(usize, RawFd)>);

impl ReleasedInChild {
    pub fn register(fd: RawFd) -> Self {
        let index = LOCK_FILES.iter().position(|entry| {
            entry
                .compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        Self(index.map(|index| (index, fd)))
    }
}

impl Drop for ReleasedInChild {
    fn drop(&mut self) {
        if let Some((index, fd)) = self.0 {
            // In a forked child the entry is already free, or reused.
            let _ =
                LOCK_FILES[index].compare_exchange(fd, -1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Milliseconds of a monotonic clock with a resolution of a few; cheap enough to
/// read at every append.
pub(crate) fn coarse_millis() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writes; the clock always exists.
    unsafe { libc::clock_gettime(CLOCK, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// Syncs the whole file system that holds `file`.
pub(crate) fn sync_file_system(file: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    if unsafe { libc::syncfs(file.as_raw_fd()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        // SAFETY: it has no arguments and cannot fail.
        unsafe { libc::sync() };
    }
    Ok(())
}

/// Starts a thread with all signals blocked, so that none of the host's handlers
/// runs on it.
pub(crate) fn spawn_signal_masked(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid for writes; the mask is this thread's own and is
    // restored below. A new thread inherits its creator's mask.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(256 * 1024)
        .spawn(body);
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    thread
}
