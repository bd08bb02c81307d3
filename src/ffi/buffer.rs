//! Text that the library gives away.

use super::guard_plain;
use std::ffi::c_char;

/// Bytes that the library made and the caller owns, until
/// `auditrail_buffer_free`. They may be read by many threads at once.
pub struct auditrail_buffer {
    bytes: Vec<u8>,
}

impl auditrail_buffer {
    /// Gives the bytes, with a NUL behind them, to the caller.
    pub(super) fn give(mut bytes: Vec<u8>) -> *mut Self {
        bytes.push(0);
        Box::into_raw(Box::new(Self { bytes }))
    }
}

/// The bytes of a buffer; behind them stands a NUL that does not count. Valid
/// until the buffer is freed. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_data(buffer: *const auditrail_buffer) -> *const c_char {
    // SAFETY: by the header's rules it is NULL or a buffer that is not yet freed.
    match unsafe { buffer.as_ref() } {
        Some(buffer) => buffer.bytes.as_ptr().cast(),
        None => std::ptr::null(),
    }
}

/// How many bytes a buffer holds. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_length(buffer: *const auditrail_buffer) -> usize {
    // SAFETY: by the header's rules it is NULL or a buffer that is not yet freed.
    unsafe { buffer.as_ref() }.map_or(0, |buffer| buffer.bytes.len() - 1)
}

/// Frees a buffer. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_free(buffer: *mut auditrail_buffer) {
    guard_plain((), || {
        if !buffer.is_null() {
            // SAFETY: by the header's rules it came from `give` and is freed once.
            drop(unsafe { Box::from_raw(buffer) });
        }
    });
}
