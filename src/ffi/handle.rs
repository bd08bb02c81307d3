//! Handles: what C holds by a pointer, from `_new` or `_open` to `_free` or `_close`.
//!
//! Which types are handles, and which of them one thread uses at a time, is said
//! once, below. What takes a handle takes it as one of three types, so that to free
//! what is no handle, or to change one that other threads may be using, does not
//! compile. Lent handles live as long as the parameter that they came by, so that
//! nothing can keep one beyond its call.

use super::reader::auditrail_reader;
use super::writer::auditrail_writer;
use super::{auditrail_buffer, auditrail_filter, auditrail_options, guard_plain, is_null};
use crate::error::Result;

/// A type that is given to C as a pointer, and that may go from thread to thread.
pub(super) trait Handle: Send + sealed::Sealed {}
impl Handle for auditrail_buffer {}
impl Handle for auditrail_filter {}
impl Handle for auditrail_options {}
impl Handle for auditrail_reader {}
impl Handle for auditrail_writer {}

/// A handle that one thread uses at a time: only these can be changed.
pub(super) trait OneThread: Handle {}
impl OneThread for auditrail_filter {}
impl OneThread for auditrail_options {}
impl OneThread for auditrail_reader {}

/// Keeps other files from adding to the list.
mod sealed {
    pub(in crate::ffi) trait Sealed {}
    impl Sealed for super::auditrail_buffer {}
    impl Sealed for super::auditrail_filter {}
    impl Sealed for super::auditrail_options {}
    impl Sealed for super::auditrail_reader {}
    impl Sealed for super::auditrail_writer {}
}

/// A handle that is lent to be read, or NULL.
pub(super) struct Shared<'c, T> {
    handle: Option<&'c T>,
    name: &'static str,
}

impl<'c, T: Handle> Shared<'c, T> {
    /// # Safety
    /// `pointer` is NULL or a handle that this library gave out, which nobody frees
    /// or changes during `'c`.
    pub(super) unsafe fn new(pointer: &'c *const T, name: &'static str) -> Self {
        // SAFETY: as this function's own.
        let handle = unsafe { pointer.as_ref() };
        Self { handle, name }
    }

    /// The same for a handle whose functions change it behind `&`, while other
    /// threads do so too.
    ///
    /// # Safety
    /// As for [`Shared::new`].
    pub(super) unsafe fn from_mut(pointer: &'c *mut T, name: &'static str) -> Self
    where
        T: Sync,
    {
        // SAFETY: as this function's own.
        let handle = unsafe { pointer.as_ref() };
        Self { handle, name }
    }

    /// The handle; an error if it is NULL.
    pub(super) fn get(self) -> Result<&'c T> {
        self.handle.ok_or_else(|| is_null(self.name))
    }

    /// The handle; `None` if it is NULL.
    pub(super) fn optional(self) -> Option<&'c T> {
        self.handle
    }
}

/// A handle that is lent to be changed, or NULL.
pub(super) struct Exclusive<'c, T> {
    handle: Option<&'c mut T>,
    name: &'static str,
}

impl<'c, T: OneThread> Exclusive<'c, T> {
    /// # Safety
    /// `pointer` is NULL or a handle that this library gave out, which nobody else
    /// uses during `'c`.
    pub(super) unsafe fn new(pointer: &'c *mut T, name: &'static str) -> Self {
        // SAFETY: as this function's own.
        let handle = unsafe { pointer.as_mut() };
        Self { handle, name }
    }

    /// The handle; an error if it is NULL.
    pub(super) fn get(self) -> Result<&'c mut T> {
        self.handle.ok_or_else(|| is_null(self.name))
    }

    /// The handle; `None` if it is NULL.
    pub(super) fn optional(self) -> Option<&'c mut T> {
        self.handle
    }
}

/// A handle that is given back, or NULL.
pub(super) struct Owned<T> {
    pointer: *mut T,
}

impl<T: Handle> Owned<T> {
    /// # Safety
    /// `pointer` is NULL or a handle that this library gave out, and this is the
    /// last use of it.
    pub(super) unsafe fn new(pointer: *mut T) -> Self {
        Self { pointer }
    }

    /// The handle; `None` if it was NULL.
    pub(super) fn take(self) -> Option<Box<T>> {
        if self.pointer.is_null() {
            return None;
        }
        // SAFETY: by `Owned::new` it came from `give` and is used no more; this
        // takes `self`, so that it is taken once.
        Some(unsafe { Box::from_raw(self.pointer) })
    }
}

/// Gives a handle to C.
pub(super) fn give<T: Handle>(handle: T) -> *mut T {
    Box::into_raw(Box::new(handle))
}

/// The whole of a `_new` function: a handle, or NULL where it cannot be made.
pub(super) fn new<T: Handle>(make: impl FnOnce() -> T) -> *mut T {
    guard_plain(std::ptr::null_mut(), || give(make()))
}

/// The whole of a `_free` function.
pub(super) fn free<T: Handle>(handle: Owned<T>) {
    guard_plain((), || drop(handle.take()));
}
