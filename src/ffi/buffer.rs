//! Text that the library gives away.

use super::{Owned, Shared, free};
use std::ffi::c_char;

/// Bytes that the library made and the caller owns, until
/// `auditrail_buffer_free`. They may be read by many threads at once.
pub struct auditrail_buffer {
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for auditrail_buffer {
    /// Puts a NUL behind the bytes.
    fn from(mut bytes: Vec<u8>) -> Self {
        bytes.push(0);
        Self { bytes }
    }
}

impl From<String> for auditrail_buffer {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// The bytes of a buffer; behind them stands a NUL that does not count. Valid
/// until the buffer is freed. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_data(buffer: *const auditrail_buffer) -> *const c_char {
    // SAFETY: by the header it is NULL or a buffer that is not yet freed.
    match unsafe { Shared::new(&buffer, "buffer") }.optional() {
        Some(buffer) => buffer.bytes.as_ptr().cast(),
        None => std::ptr::null(),
    }
}

/// How many bytes a buffer holds. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_length(buffer: *const auditrail_buffer) -> usize {
    // SAFETY: by the header it is NULL or a buffer that is not yet freed.
    let buffer = unsafe { Shared::new(&buffer, "buffer") };
    buffer.optional().map_or(0, |buffer| buffer.bytes.len() - 1)
}

/// Frees a buffer. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_buffer_free(buffer: *mut auditrail_buffer) {
    // SAFETY: by the header it is NULL or a buffer that nobody uses any more.
    free(unsafe { Owned::new(buffer) });
}
