//! Statuses and the error struct.

use crate::error::Result;
use std::ffi::{CStr, c_char};

/// What a fallible function returns: 0 for success, positive for an answer
/// that is no failure, negative for an error. The numbers never change; later
/// versions may add some.
pub type auditrail_status = i32;

/// Success.
pub const AUDITRAIL_OK: auditrail_status = 0;
/// There is nothing more.
pub const AUDITRAIL_END: auditrail_status = 1;
/// An argument is NULL, out of range, or makes no sense together with another.
pub const AUDITRAIL_ERR_INVALID_ARGUMENT: auditrail_status = -10;
/// The event breaks a rule; nothing was written. `offset` is the byte.
pub const AUDITRAIL_ERR_INVALID_EVENT: auditrail_status = -11;
/// The event or batch is larger than a limit; nothing was written.
pub const AUDITRAIL_ERR_TOO_LARGE: auditrail_status = -12;
/// These options do not go together.
pub const AUDITRAIL_ERR_UNSUPPORTED: auditrail_status = -13;
/// The operating system refused a file operation; `os_errno` says why.
pub const AUDITRAIL_ERR_IO: auditrail_status = -20;
/// The disk or the quota is full; nothing of the event was kept.
pub const AUDITRAIL_ERR_NO_SPACE: auditrail_status = -21;
/// Another writer has the trail; the message names its process.
pub const AUDITRAIL_ERR_BUSY: auditrail_status = -22;
/// The writer has failed for good and must be reopened: a sync failed, a failed
/// batch could not be undone, or its files were changed from outside. If an
/// append is the first to say so, only reopening tells whether its event is in.
pub const AUDITRAIL_ERR_FAILED: auditrail_status = -23;
/// BUFFERED: the buffer is full and cannot be flushed, for the reason that the
/// message tells. The event was not accepted; those that were are still there.
pub const AUDITRAIL_ERR_BUFFER_FULL: auditrail_status = -24;
/// There is no trail at the path.
pub const AUDITRAIL_ERR_NOT_FOUND: auditrail_status = -25;
/// What is on disk is not what a trail may hold.
pub const AUDITRAIL_ERR_CORRUPT: auditrail_status = -30;
/// What is on disk is not what was signed.
pub const AUDITRAIL_ERR_TAMPERED: auditrail_status = -31;
/// The handle was inherited by a forked child, which must open its own.
pub const AUDITRAIL_ERR_FORKED: auditrail_status = -40;
/// A defect of the library; nothing that was accepted before is lost.
pub const AUDITRAIL_ERR_PANIC: auditrail_status = -90;

/// Why a function failed. The caller owns it; there is nothing to free. 512
/// bytes in all versions. Every function that takes one accepts NULL; a
/// function that succeeds leaves status 0 and an empty message in it.
#[repr(C)]
pub struct auditrail_error {
    /// What the function returned.
    pub status: i32,
    /// The operating system's error number; 0: none.
    pub os_errno: i32,
    /// The byte in the text or file that the error is about; -1: none.
    pub offset: i64,
    /// For a person: UTF-8, NUL-terminated, cut at a character.
    pub message: [c_char; 496],
}

const _: () = assert!(size_of::<auditrail_error>() == 512);

impl auditrail_error {
    /// Says the result in the caller's error, if there is one.
    ///
    /// # Safety
    /// `place` is NULL or the caller's, and nobody else uses it now.
    pub(super) unsafe fn fill(place: *mut Self, result: &Result<auditrail_status>) {
        if place.is_null() {
            return;
        }
        let (status, os_errno, offset, message) = match result {
            Ok(_) => (AUDITRAIL_OK, 0, -1, ""),
            Err(error) => (
                error.kind().code(),
                error.errno().unwrap_or(0),
                error
                    .offset()
                    .and_then(|offset| i64::try_from(offset).ok())
                    .unwrap_or(-1),
                error.message(),
            ),
        };
        // SAFETY: it is not NULL and, by the caller, ours for now. It may hold
        // anything, so that it is written to field by field and never read.
        unsafe {
            (&raw mut (*place).status).write(status);
            (&raw mut (*place).os_errno).write(os_errno);
            (&raw mut (*place).offset).write(offset);
            let text = (&raw mut (*place).message).cast::<u8>();
            let fits = message.floor_char_boundary(495);
            // A NUL in a message (of a path, say) would end it: C sees so much.
            text.copy_from_nonoverlapping(message.as_ptr(), fits);
            text.add(fits).write(0);
        }
    }
}

/// The version of the library, as in AUDITRAIL_VERSION. Static.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The name of a status, such as "AUDITRAIL_ERR_BUSY"; "AUDITRAIL_UNKNOWN" for
/// a number that is none. Static, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_status_name(status: auditrail_status) -> *const c_char {
    let name = match status {
        AUDITRAIL_OK => c"AUDITRAIL_OK",
        AUDITRAIL_END => c"AUDITRAIL_END",
        AUDITRAIL_ERR_INVALID_ARGUMENT => c"AUDITRAIL_ERR_INVALID_ARGUMENT",
        AUDITRAIL_ERR_INVALID_EVENT => c"AUDITRAIL_ERR_INVALID_EVENT",
        AUDITRAIL_ERR_TOO_LARGE => c"AUDITRAIL_ERR_TOO_LARGE",
        AUDITRAIL_ERR_UNSUPPORTED => c"AUDITRAIL_ERR_UNSUPPORTED",
        AUDITRAIL_ERR_IO => c"AUDITRAIL_ERR_IO",
        AUDITRAIL_ERR_NO_SPACE => c"AUDITRAIL_ERR_NO_SPACE",
        AUDITRAIL_ERR_BUSY => c"AUDITRAIL_ERR_BUSY",
        AUDITRAIL_ERR_FAILED => c"AUDITRAIL_ERR_FAILED",
        AUDITRAIL_ERR_BUFFER_FULL => c"AUDITRAIL_ERR_BUFFER_FULL",
        AUDITRAIL_ERR_NOT_FOUND => c"AUDITRAIL_ERR_NOT_FOUND",
        AUDITRAIL_ERR_CORRUPT => c"AUDITRAIL_ERR_CORRUPT",
        AUDITRAIL_ERR_TAMPERED => c"AUDITRAIL_ERR_TAMPERED",
        AUDITRAIL_ERR_FORKED => c"AUDITRAIL_ERR_FORKED",
        AUDITRAIL_ERR_PANIC => c"AUDITRAIL_ERR_PANIC",
        _ => c"AUDITRAIL_UNKNOWN",
    };
    name.as_ptr()
}
