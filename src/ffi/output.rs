//! Places for results, and [`call`], which alone writes to them.

use super::handle::{Handle, give};
use super::{AUDITRAIL_END, AUDITRAIL_OK, auditrail_error, auditrail_status, guard, is_null};
use crate::error::Result;
use std::marker::PhantomData;

/// Runs `body` and gives its result back: into `place` and as a status, or as an
/// error. If the place is not as it must be, `body` does not run. A panic ends here.
pub(super) fn call<R>(
    error: Out<'_, auditrail_error>,
    place: impl Place<R>,
    body: impl FnOnce() -> Result<R>,
) -> auditrail_status {
    guard(error, || {
        place.check()?;
        let result = body()?;
        Ok(place.put(result))
    })
}

/// Where a result goes.
pub(super) trait Place<R> {
    /// An error if it is NULL and must not be.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Puts the result there; says what the call returns.
    fn put(self, result: R) -> auditrail_status;
}

/// A place of the caller's, or NULL if the caller does not want the result.
///
/// It is kept as a pointer, for nothing forbids a caller to give one place for two
/// results that it does not want.
pub(super) struct Out<'c, T> {
    pointer: *mut T,
    call: PhantomData<&'c mut T>,
}

impl<'c, T> Out<'c, T> {
    /// # Safety
    /// `pointer` is NULL or the caller's to be written to during `'c`.
    pub(super) unsafe fn new(pointer: &'c *mut T) -> Self {
        Self {
            pointer: *pointer,
            call: PhantomData,
        }
    }

    /// For a result that nobody can ask for.
    pub(super) fn nowhere() -> Self {
        Self {
            pointer: std::ptr::null_mut(),
            call: PhantomData,
        }
    }

    /// The place, which may hold anything: written to, but never read. NULL: none.
    pub(super) fn pointer(&self) -> *mut T {
        self.pointer
    }
}

impl<T> Place<T> for Out<'_, T> {
    fn put(self, result: T) -> auditrail_status {
        if !self.pointer.is_null() {
            // SAFETY: it is not NULL and, by `Out::new`, writable.
            unsafe { self.pointer.write(result) };
        }
        AUDITRAIL_OK
    }
}

/// A place for a new handle, which must not be NULL, for nobody could free the handle.
pub(super) struct NewHandle<'c, T> {
    out: Out<'c, *mut T>,
    name: &'static str,
}

impl<'c, T> NewHandle<'c, T> {
    /// # Safety
    /// As for [`Out::new`].
    pub(super) unsafe fn new(pointer: &'c *mut *mut T, name: &'static str) -> Self {
        // SAFETY: as this function's own.
        let out = unsafe { Out::new(pointer) };
        Self { out, name }
    }

    pub(super) fn is_null(&self) -> bool {
        self.out.pointer.is_null()
    }
}

impl<T: Handle> Place<T> for NewHandle<'_, T> {
    fn check(&self) -> Result<()> {
        if self.is_null() {
            return Err(is_null(self.name));
        }
        Ok(())
    }

    fn put(self, result: T) -> auditrail_status {
        if self.is_null() {
            return AUDITRAIL_OK;
        }
        self.out.put(give(result))
    }
}

/// For calls that give nothing back, among them those that go on with a builder.
pub(super) struct Nothing;

impl Place<()> for Nothing {
    fn put(self, (): ()) -> auditrail_status {
        AUDITRAIL_OK
    }
}

impl<T> Place<&mut T> for Nothing {
    fn put(self, _: &mut T) -> auditrail_status {
        AUDITRAIL_OK
    }
}

impl<A, B, P: Place<A>, Q: Place<B>> Place<(A, B)> for (P, Q) {
    fn check(&self) -> Result<()> {
        self.0.check()?;
        self.1.check()
    }

    fn put(self, (a, b): (A, B)) -> auditrail_status {
        self.0.put(a);
        self.1.put(b)
    }
}

impl<A, B, C, P: Place<A>, Q: Place<B>, S: Place<C>> Place<(A, B, C)> for (P, Q, S) {
    fn check(&self) -> Result<()> {
        self.0.check()?;
        self.1.check()?;
        self.2.check()
    }

    fn put(self, (a, b, c): (A, B, C)) -> auditrail_status {
        self.0.put(a);
        self.1.put(b);
        self.2.put(c)
    }
}

/// Places for a result that there may be no more of: AUDITRAIL_END.
pub(super) struct OrEnd<P>(pub(super) P);

impl<R, P: Place<R>> Place<Option<R>> for OrEnd<P> {
    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn put(self, result: Option<R>) -> auditrail_status {
        result.map_or(AUDITRAIL_END, |result| self.0.put(result))
    }
}
