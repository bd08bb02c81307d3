//! Statuses and the error struct.

use super::Out;
use crate::error::{Kind, Result};
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

/// How many bytes the message has, its NUL included.
const MESSAGE: usize =
    size_of::<auditrail_error>() - std::mem::offset_of!(auditrail_error, message);

impl Out<'_, auditrail_error> {
    /// Says a result in the caller's error, if there is one; gives its status.
    pub(super) fn fill(self, result: Result<auditrail_status>) -> auditrail_status {
        match result {
            Ok(status) => {
                self.say(AUDITRAIL_OK, 0, -1, "");
                status
            }
            Err(error) => {
                let status = status_of(error.kind());
                let offset = error.offset().and_then(|offset| i64::try_from(offset).ok());
                self.say(
                    status,
                    error.errno().unwrap_or(0),
                    offset.unwrap_or(-1),
                    error.message(),
                );
                status
            }
        }
    }

    fn say(self, status: i32, os_errno: i32, offset: i64, message: &str) {
        let place = self.pointer();
        if place.is_null() {
            return;
        }
        // SAFETY: it is not NULL and, by `Out::new`, writable. It may hold anything,
        // so that it is written to field by field and never read.
        let text = unsafe {
            (&raw mut (*place).status).write(status);
            (&raw mut (*place).os_errno).write(os_errno);
            (&raw mut (*place).offset).write(offset);
            (&raw mut (*place).message).cast::<u8>()
        };
        let fits = message.floor_char_boundary(MESSAGE - 1);
        // A NUL in a message (of a path, say) would end it: C sees so much.
        // SAFETY: `text` has MESSAGE bytes, and `fits` is less.
        unsafe {
            text.copy_from_nonoverlapping(message.as_ptr(), fits);
            text.add(fits).write(0);
        }
    }
}

/// The status of a kind of error. A kind that has none, or another number, does not
/// compile.
fn status_of(kind: Kind) -> auditrail_status {
    match kind {
        Kind::InvalidArgument => {
            const { same(AUDITRAIL_ERR_INVALID_ARGUMENT, Kind::InvalidArgument as i32) }
        }
        Kind::InvalidEvent => {
            const { same(AUDITRAIL_ERR_INVALID_EVENT, Kind::InvalidEvent as i32) }
        }
        Kind::TooLarge => const { same(AUDITRAIL_ERR_TOO_LARGE, Kind::TooLarge as i32) },
        Kind::Unsupported => const { same(AUDITRAIL_ERR_UNSUPPORTED, Kind::Unsupported as i32) },
        Kind::Io => const { same(AUDITRAIL_ERR_IO, Kind::Io as i32) },
        Kind::NoSpace => const { same(AUDITRAIL_ERR_NO_SPACE, Kind::NoSpace as i32) },
        Kind::Busy => const { same(AUDITRAIL_ERR_BUSY, Kind::Busy as i32) },
        Kind::Failed => const { same(AUDITRAIL_ERR_FAILED, Kind::Failed as i32) },
        Kind::BufferFull => const { same(AUDITRAIL_ERR_BUFFER_FULL, Kind::BufferFull as i32) },
        Kind::NotFound => const { same(AUDITRAIL_ERR_NOT_FOUND, Kind::NotFound as i32) },
        Kind::Corrupt => const { same(AUDITRAIL_ERR_CORRUPT, Kind::Corrupt as i32) },
        Kind::Tampered => const { same(AUDITRAIL_ERR_TAMPERED, Kind::Tampered as i32) },
        Kind::Forked => const { same(AUDITRAIL_ERR_FORKED, Kind::Forked as i32) },
        Kind::Panic => const { same(AUDITRAIL_ERR_PANIC, Kind::Panic as i32) },
    }
}

/// A number of the header, which does not compile where the core has another.
pub(super) const fn same(number: i32, core: i32) -> i32 {
    assert!(number == core);
    number
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_name() {
        let mut found = 0;
        for line in include_str!("error.rs").lines() {
            let Some(constant) = line.strip_prefix("pub const ") else {
                continue;
            };
            let (name, number) = constant.split_once(": auditrail_status = ").unwrap();
            let number = number.trim_end_matches(';').parse().unwrap();
            // SAFETY: the name of a status is static and NUL-terminated.
            let said = unsafe { CStr::from_ptr(auditrail_status_name(number)) };
            assert_eq!(said.to_str().unwrap(), name);
            found += 1;
        }
        assert!(found > 10, "{found} statuses found");
    }
}
