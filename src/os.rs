//! The few system calls that std does not offer, each behind a safe function.
//!
//! Forks: a child that inherits a writer must not use it, and must not keep its
//! parent's lock alive after the parent has died. An atfork handler in the child
//! counts the fork, so that a writer detects it with two loads, and replaces each
//! registered lock file's descriptor with `/dev/null`, which drops the child's
//! share of the lock. A raw clone(2) or `_Fork` runs no handler: there, a page that the
//! kernel wipes in every child tells, and the locks are dropped when the child first
//! opens a trail of its own.

#![allow(unsafe_code)]

use once_cell::sync::OnceCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Forks between the process that loaded the library and this one.
static FORK_GENERATION: AtomicU64 = AtomicU64::new(0);

/// A word that is 1, and 0 in a child in which no handler has run; NULL where the
/// kernel does not offer that (before Linux 4.14).
static WIPED_IN_CHILD: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// What [`fork_generation`] returns in such a child.
const NO_HANDLER_RAN: u64 = u64::MAX;

/// Descriptors of the lock files that a forked child drops; -1 is a free entry. A
/// block that is full is followed by another; blocks are never freed, since a child
/// may only read what is there.
struct LockFiles {
    entries: [AtomicI32; 256],
    next: AtomicPtr<LockFiles>,
}

static LOCK_FILES: LockFiles = LockFiles::new();

impl LockFiles {
    const fn new() -> Self {
        Self {
            entries: [const { AtomicI32::new(-1) }; 256],
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: NULL, or a block that was leaked by `next_or_new`.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// The next block, which is added if there is none.
    fn next_or_new(&self) -> &'static Self {
        if let Some(next) = self.next() {
            return next;
        }
        let new = Box::into_raw(Box::new(Self::new()));
        let none = std::ptr::null_mut();
        match self
            .next
            .compare_exchange(none, new, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: it was just made, and is not freed from now on.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: another thread was quicker: nobody has seen ours, and the
                // other is a block that is never freed.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }

    /// Puts a descriptor into a free entry.
    fn insert(&'static self, fd: RawFd) -> &'static AtomicI32 {
        let mut block = self;
        loop {
            let free = block.entries.iter().find(|entry| {
                entry
                    .compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            });
            match free {
                Some(entry) => return entry,
                None => block = block.next_or_new(),
            }
        }
    }
}

/// `/dev/null`, opened before any fork: a child of a threaded process may only make
/// async-signal-safe calls.
static DEV_NULL: OnceCell<File> = OnceCell::new();

/// The number of forks between the process that loaded the library and this one. A
/// writer stores the value at its opening; a different value means that this process
/// is a child of the one that opened it.
#[inline]
pub(crate) fn fork_generation() -> u64 {
    if no_handler_ran() {
        return NO_HANDLER_RAN;
    }
    FORK_GENERATION.load(Ordering::Relaxed)
}

#[inline]
fn no_handler_ran() -> bool {
    let word = WIPED_IN_CHILD.load(Ordering::Relaxed);
    // SAFETY: NULL, or a word of a page that is never unmapped.
    unsafe { word.as_ref() }.is_some_and(|word| word.load(Ordering::Relaxed) == 0)
}

static DEV_NULL_FD: AtomicI32 = AtomicI32::new(-1);

/// Forks of this process that have begun, and that have ended.
static FORKS_BEGUN: AtomicU64 = AtomicU64::new(0);
static FORKS_ENDED: AtomicU64 = AtomicU64::new(0);

extern "C" fn before_fork() {
    FORKS_BEGUN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_fork() {
    FORKS_ENDED.fetch_add(1, Ordering::SeqCst);
}

/// How often [`without_fork`] tries again, and how long it waits in between: together
/// longer than a large process takes to fork.
const FORK_TRIES: u32 = 200;
const FORK_PAUSE: Duration = Duration::from_millis(1);

/// Runs `body` until no other thread forks meanwhile, so that no child has what it
/// opens without knowing of it. In a process that forks without a break it gives up.
pub(crate) fn without_fork<T>(mut body: impl FnMut() -> T) -> T {
    for _ in 0..FORK_TRIES {
        // In this order: a fork that is counted as ended has begun before.
        let ended = FORKS_ENDED.load(Ordering::SeqCst);
        if FORKS_BEGUN.load(Ordering::SeqCst) == ended {
            let result = body();
            if FORKS_BEGUN.load(Ordering::SeqCst) == ended {
                return result;
            }
        }
        std::thread::sleep(FORK_PAUSE);
    }
    body()
}

/// Counts the fork and drops the child's share of the parent's locks. Makes only
/// async-signal-safe calls.
extern "C" fn in_child() {
    FORK_GENERATION.fetch_add(1, Ordering::Relaxed);
    FORKS_ENDED.store(FORKS_BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
    let null = DEV_NULL_FD.load(Ordering::Relaxed);
    let mut block = Some(&LOCK_FILES);
    while let Some(files) = block {
        for entry in &files.entries {
            let fd = entry.swap(-1, Ordering::Relaxed);
            if fd >= 0 {
                // SAFETY: dup3 is async-signal-safe and takes any two numbers;
                // `fd` is a lock file of ours, whose owner is refused in this
                // process from now on and at most closes it.
                unsafe { libc::dup3(null, fd, libc::O_CLOEXEC) };
            }
        }
        block = files.next();
    }
    let word = WIPED_IN_CHILD.load(Ordering::Relaxed);
    // SAFETY: NULL, or a word of a page that is never unmapped.
    if let Some(word) = unsafe { word.as_ref() } {
        word.store(1, Ordering::Relaxed);
    }
}

/// Installs the handler that runs in forked children, once per process.
pub(crate) fn register_fork_handler() -> io::Result<()> {
    DEV_NULL.get_or_try_init(|| {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        DEV_NULL_FD.store(null.as_raw_fd(), Ordering::Relaxed);
        // SAFETY: the handlers are plain functions of this library that make only
        // async-signal-safe calls; glibc forgets them if the library is unloaded.
        match unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        map_wiped_page();
        Ok(null)
    })?;
    if no_handler_ran() {
        in_child();
    }
    Ok(())
}

/// Maps the page that the kernel wipes in children. Without it, children of a raw
/// clone are not recognised.
fn map_wiped_page() {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        // SAFETY: a new private mapping, at a place that the kernel chooses.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return;
        }
        // SAFETY: the mapping was just made.
        if unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: as above; nobody has seen it.
            unsafe { libc::munmap(page, PAGE) };
            return;
        }
        let word = page.cast::<AtomicU32>();
        // SAFETY: the page is writable, aligned, and never unmapped from now on.
        unsafe { &*word }.store(1, Ordering::Relaxed);
        WIPED_IN_CHILD.store(word, Ordering::Relaxed);
    }
}

/// Registers a lock file whose descriptor a forked child drops. Must itself be
/// dropped before the file is closed, because the number may be reused then.
#[derive(Debug)]
pub(crate) struct ReleasedInChild {
    entry: &'static AtomicI32,
    fd: RawFd,
}

impl ReleasedInChild {
    pub fn register(fd: RawFd) -> Self {
        Self {
            entry: LOCK_FILES.insert(fd),
            fd,
        }
    }
}

impl Drop for ReleasedInChild {
    fn drop(&mut self) {
        // In a forked child the entry is already free, or reused.
        let _ = self
            .entry
            .compare_exchange(self.fd, -1, Ordering::Relaxed, Ordering::Relaxed);
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

/// A shared mapping of the beginning of a file.
#[derive(Debug)]
pub(crate) struct SharedMapping(memmap2::MmapMut);

impl SharedMapping {
    /// Maps `len` bytes, and makes the kernel hold them in memory.
    pub fn new(file: &File, len: usize) -> io::Result<Self> {
        let mut options = memmap2::MmapOptions::new();
        // SAFETY: only this writer, which holds the trail's lock, writes to the file; what
        // it reads, it copies, as a read of the file would. Who cuts the file meanwhile ends the process
        // by SIGBUS, which is documented, but breaks no memory.
        let mapping = unsafe { options.len(len).populate().map_mut(file) }?;
        // So that no page has to be read again, which can fail. Without the right to lock
        // so much, that is left to luck.
        let _ = mapping.lock();
        Ok(Self(mapping))
    }

    /// Copies from `offset`; nothing if that is not all inside.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        if let Some(from) = self.0.get(offset..).and_then(|at| at.get(..to.len())) {
            to.copy_from_slice(from);
        }
    }

    /// Copies `bytes` to `offset`; nothing if that is not all inside.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(target) = self
            .0
            .get_mut(offset..)
            .and_then(|at| at.get_mut(..bytes.len()))
        {
            target.copy_from_slice(bytes);
        }
    }

    /// Stores a number, little endian, as one, after all that was written before.
    pub fn store(&mut self, offset: usize, value: u64) {
        if let Some(target) = self.0.get_mut(offset..)
            && target.len() >= 8
            && target.as_ptr().addr().is_multiple_of(8)
        {
            // SAFETY: 8 bytes are there, aligned, and nobody else uses them.
            let word = unsafe { AtomicU64::from_ptr(target.as_mut_ptr().cast()) };
            word.store(value.to_le(), Ordering::Release);
        }
    }
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

/// Makes the kernel drop the clean pages of a range of a file, if it likes to.
pub(crate) fn forget_pages(file: &File, range: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let (Ok(offset), Ok(len)) = (
        libc::off_t::try_from(range.start),
        libc::off_t::try_from(range.end.saturating_sub(range.start)),
    ) {
        // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is
        // passed.
        unsafe {
            libc::posix_fadvise(file.as_raw_fd(), offset, len, libc::POSIX_FADV_DONTNEED);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, range);
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
