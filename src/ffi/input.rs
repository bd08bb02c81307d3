//! Texts and paths that the caller lends to a call.

use crate::error::{Error, Result};
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A text with a length; (NULL, 0) is the empty one.
pub(super) struct Bytes<'c> {
    slice: Option<&'c [u8]>,
    is_null: bool,
    length: usize,
    name: &'static str,
}

impl<'c> Bytes<'c> {
    /// # Safety
    /// `pointer` is NULL or leads to `length` bytes that stay as they are for `'c`.
    pub(super) unsafe fn new(
        pointer: &'c *const c_char,
        length: usize,
        name: &'static str,
    ) -> Self {
        let is_null = pointer.is_null();
        let slice = if length == 0 {
            Some(&[][..])
        } else if is_null || isize::try_from(length).is_err() {
            None
        } else {
            // SAFETY: it is not NULL, no slice is too small for it, and by the
            // caller it leads to that many bytes.
            Some(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
        };
        Self {
            slice,
            is_null,
            length,
            name,
        }
    }

    /// The bytes; an error if there cannot be so many.
    pub(super) fn get(&self) -> Result<&'c [u8]> {
        self.slice.ok_or_else(|| {
            let (name, length) = (self.name, self.length);
            Error::argument(if self.is_null {
                format!("{name} is NULL, but its length is {length}")
            } else {
                format!("the length of {name}, {length}, is impossible (negative?)")
            })
        })
    }

    /// The bytes as a text; an error if they are not UTF-8.
    pub(super) fn text(&self) -> Result<&'c str> {
        utf8(self.get()?, self.name)
    }
}

/// A NUL-terminated text, or NULL.
pub(super) struct CText<'c> {
    text: Option<&'c CStr>,
    name: &'static str,
}

impl<'c> CText<'c> {
    /// # Safety
    /// `pointer` is NULL or leads to a NUL-terminated text that stays as it is for `'c`.
    pub(super) unsafe fn new(pointer: &'c *const c_char, name: &'static str) -> Self {
        let text = if pointer.is_null() {
            None
        } else {
            // SAFETY: it is not NULL and, by the caller, NUL-terminated.
            Some(unsafe { CStr::from_ptr(*pointer) })
        };
        Self { text, name }
    }

    /// The text, `None` if it is NULL; an error if it is not UTF-8.
    pub(super) fn optional(&self) -> Result<Option<&'c str>> {
        let text = self.text.map(|text| utf8(text.to_bytes(), self.name));
        text.transpose()
    }

    /// The text; an error if it is NULL or not UTF-8.
    pub(super) fn get(&self) -> Result<&'c str> {
        self.optional()?.ok_or_else(|| is_null(self.name))
    }

    /// The text as a path; an error if it is NULL or empty.
    pub(super) fn path(&self) -> Result<&'c Path> {
        let text = self.text.ok_or_else(|| is_null(self.name))?;
        if text.is_empty() {
            return Err(Error::argument(format!("{} is empty", self.name)));
        }
        Ok(Path::new(OsStr::from_bytes(text.to_bytes())))
    }
}

fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::argument(format!("{name} is not UTF-8")).at(at as u64)
    })
}

pub(super) fn is_null(name: &str) -> Error {
    Error::argument(format!("{name} is NULL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    #[test]
    fn a_length_is_looked_at_before_a_pointer() {
        let (none, some) = (null(), c"abc".as_ptr());
        let read = |pointer, length| {
            // SAFETY: NULL, no longer than the text, or refused for its length.
            let bytes = unsafe { Bytes::new(pointer, length, "it") };
            bytes.get().map_err(|error| error.message().to_owned())
        };
        assert_eq!(read(&none, 0), Ok(&b""[..]));
        assert_eq!(read(&some, 0), Ok(&b""[..]));
        assert_eq!(read(&some, 3), Ok(&b"abc"[..]));
        // With debug assertions, a slice at NULL ends the process.
        assert_eq!(
            read(&none, 3),
            Err("it is NULL, but its length is 3".to_owned())
        );
        assert!(read(&some, usize::MAX).unwrap_err().contains("negative?"));
        assert!(read(&none, usize::MAX).unwrap_err().contains("is NULL"));
    }
}
