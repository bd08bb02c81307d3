//! The C interface: a thin skin over the safe core, and all of its `unsafe`.
//!
//! One file a handle. Each `extern "C"` function is written out in full, for
//! cbindgen reads the source as it stands; its body is one closure in
//! [`guard`]: convert, one call into the core, convert back. The header is the
//! manual: what is said here in `///` is what C programmers read.
//!
//! The rules of the interface stand at the head of the header (`cbindgen.toml`).

#![allow(unsafe_code)]
#![allow(non_camel_case_types)] // The names are C's.
#![allow(clippy::missing_safety_doc)] // The rules for all of them stand in the header's head.

mod buffer;
mod error;
mod filter;
mod options;
mod proof;
mod query;
mod reader;
mod writer;

use buffer::auditrail_buffer;
use error::{AUDITRAIL_END, AUDITRAIL_OK, auditrail_error, auditrail_status};
use options::auditrail_options;

use crate::error::{Error, Kind, Result};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`, turns its result into a status, and fills in `error`. A panic
/// ends here.
///
/// # Safety
/// `error` is NULL or the caller's, and nobody else uses it now.
unsafe fn guard(
    error: *mut auditrail_error,
    body: impl FnOnce() -> Result<auditrail_status>,
) -> auditrail_status {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        // A payload may itself panic when it is dropped.
        std::mem::forget(panic);
        Err(Error::new(
            Kind::Panic,
            format!("a defect of auditrail, please report it: {said}"),
        ))
    });
    // SAFETY: as this function's own.
    unsafe { auditrail_error::fill(error, &result) };
    match result {
        Ok(status) => status,
        Err(error) => error.kind().code(),
    }
}

/// Runs `body` in a function that cannot fail; a panic gives `fallback`.
fn guard_plain<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        std::mem::forget(panic);
        fallback
    })
}

/// The bytes at `pointer`; (NULL, 0) is the empty text.
///
/// # Safety
/// `pointer` is NULL or leads to `length` bytes that stay as they are for `'a`.
unsafe fn bytes<'a>(pointer: *const c_char, length: usize, name: &str) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::argument(format!(
            "{name} is NULL, but its length is {length}"
        )));
    }
    if isize::try_from(length).is_err() {
        return Err(Error::argument(format!(
            "the length of {name}, {length}, is impossible (negative?)"
        )));
    }
    // SAFETY: it is not NULL and, by the caller, leads to that many bytes.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// The text at `pointer` and `length`.
///
/// # Safety
/// As for [`bytes`].
unsafe fn text<'a>(pointer: *const c_char, length: usize, name: &str) -> Result<&'a str> {
    // SAFETY: as this function's own.
    utf8(unsafe { bytes(pointer, length, name)? }, name)
}

/// The NUL-terminated text at `pointer`, `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or leads to a NUL-terminated text that stays as it is for `'a`.
unsafe fn c_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not NULL and, by the caller, NUL-terminated.
    utf8(unsafe { CStr::from_ptr(pointer) }.to_bytes(), name).map(Some)
}

fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::argument(format!("{name} is not UTF-8")).at(at as u64)
    })
}

/// The path at `pointer`, which must not be NULL or empty.
///
/// # Safety
/// As for [`c_text`].
unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a std::path::Path> {
    use std::os::unix::ffi::OsStrExt;
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: it is not NULL and, by the caller, NUL-terminated.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    if bytes.is_empty() {
        return Err(Error::argument(format!("{name} is empty")));
    }
    Ok(std::path::Path::new(std::ffi::OsStr::from_bytes(bytes)))
}

/// The handle at `pointer`, which must not be NULL.
///
/// # Safety
/// `pointer` is NULL or a handle that this library gave out and that is not freed during `'a`.
unsafe fn handle<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as this function's own.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// The same, for handles that one thread uses at a time.
///
/// # Safety
/// As for [`handle`], and nobody else uses it during `'a`.
unsafe fn handle_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: as this function's own.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(name))
}

/// Puts a result where the caller wants it, if it does.
///
/// # Safety
/// `place` is NULL or the caller's to be written to.
unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: it is not NULL and, by the caller, writable.
        unsafe { place.write(value) };
    }
}

/// An error if a place for a result that must be taken is NULL.
fn not_null<T>(place: *mut T, name: &str) -> Result<()> {
    if place.is_null() {
        return Err(is_null(name));
    }
    Ok(())
}

fn is_null(name: &str) -> Error {
    Error::argument(format!("{name} is NULL"))
}
