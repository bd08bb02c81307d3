//! tracing-appender and file-rotate behind four C functions, for the
//! side-by-side benchmark.

use file_rotate::{ContentLimit, FileRotate, compression::Compression, suffix::AppendCount};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

enum Peer {
    /// A channel of lines to a thread that writes each; the lossless kind, which
    /// waits where the channel is full. It rotates by time only.
    Tracing(Vec<Mutex<NonBlocking>>, Option<WorkerGuard>),
    /// One write a line, rotating by size.
    Rotate(Mutex<FileRotate<AppendCount>>),
}

impl Peer {
    fn open(name: &str, folder: &Path, segment_bytes: u64, threads: usize) -> Option<Self> {
        match name {
            "tracing-appender" => {
                let file = tracing_appender::rolling::never(folder, "tracing.jsonl");
                let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(file);
                let writers = (0..threads).map(|_| Mutex::new(writer.clone())).collect();
                Some(Self::Tracing(writers, Some(guard)))
            }
            "file-rotate" => Some(Self::Rotate(Mutex::new(FileRotate::new(
                folder.join("rotate.jsonl"),
                AppendCount::new(16),
                ContentLimit::BytesSurpassed(segment_bytes as usize),
                Compression::None,
                None,
            )))),
            _ => None,
        }
    }

    fn append(&self, thread: usize, line: &[u8]) -> bool {
        match self {
            // Each thread has its own, so this lock is always free.
            Self::Tracing(writers, _) => writers[thread]
                .lock()
                .is_ok_and(|mut writer| writer.write_all(line).is_ok()),
            Self::Rotate(file) => file
                .lock()
                .is_ok_and(|mut file| file.write_all(line).is_ok()),
        }
    }

    fn flush(&mut self) -> bool {
        match self {
            // Dropping the guard is how its thread is made to write all it has.
            Self::Tracing(_, guard) => {
                *guard = None;
                true
            }
            Self::Rotate(file) => file.lock().is_ok_and(|mut file| file.flush().is_ok()),
        }
    }
}

/// # Safety
/// `name` and `folder` are NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_open(
    name: *const c_char,
    folder: *const c_char,
    segment_bytes: u64,
    threads: c_uint,
) -> *mut c_void {
    // SAFETY: by the caller.
    let (name, folder) = unsafe { (CStr::from_ptr(name), CStr::from_ptr(folder)) };
    let (Ok(name), Ok(folder)) = (name.to_str(), folder.to_str()) else {
        return std::ptr::null_mut();
    };
    match Peer::open(name, Path::new(folder), segment_bytes, threads as usize) {
        Some(peer) => Box::into_raw(Box::new(peer)).cast(),
        None => std::ptr::null_mut(),
    }
}

/// # Safety
/// `peer` is from `peer_open`; `line` leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_append(
    peer: *mut c_void,
    thread: c_uint,
    line: *const c_char,
    length: usize,
) -> c_int {
    // SAFETY: by the caller.
    let (peer, line) = unsafe {
        (
            &*peer.cast::<Peer>(),
            std::slice::from_raw_parts(line.cast::<u8>(), length),
        )
    };
    c_int::from(!peer.append(thread as usize, line))
}

/// # Safety
/// `peer` is from `peer_open`, and no other thread uses it now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_flush(peer: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    let peer = unsafe { &mut *peer.cast::<Peer>() };
    c_int::from(!peer.flush())
}

/// # Safety
/// `peer` is from `peer_open`; this is its last use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_close(peer: *mut c_void) {
    // SAFETY: by the caller.
    drop(unsafe { Box::from_raw(peer.cast::<Peer>()) });
}
