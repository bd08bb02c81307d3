//! The barrier: no panic gets through it.

use super::{Out, auditrail_error, auditrail_status};
use crate::error::{Error, Kind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`, turns its result into a status, and fills in `error`. A panic
/// ends here.
pub(super) fn guard(
    error: Out<'_, auditrail_error>,
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
    error.fill(result)
}

/// Runs `body` in a function that cannot fail; a panic gives `fallback`.
pub(super) fn guard_plain<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        std::mem::forget(panic);
        fallback
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::AUDITRAIL_OK;
    use crate::ffi::error::AUDITRAIL_ERR_PANIC;
    use std::ffi::CStr;

    fn run(body: impl FnOnce() -> Result<auditrail_status>) -> (auditrail_status, auditrail_error) {
        let mut error = auditrail_error {
            status: 77,
            os_errno: 77,
            offset: 77,
            message: [b'x'.cast_signed(); 496],
        };
        let place = &raw mut error;
        // SAFETY: it is this function's own.
        let status = guard(unsafe { Out::new(&place) }, body);
        (status, error)
    }

    fn message(error: &auditrail_error) -> String {
        // SAFETY: it is NUL-terminated, or else the test fails.
        let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        message.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let (status, error) = run(|| panic!("number {}", 5));
        assert_eq!(status, AUDITRAIL_ERR_PANIC);
        assert_eq!(
            (error.status, error.os_errno, error.offset),
            (status, 0, -1)
        );
        let said = message(&error);
        assert!(said.ends_with("please report it: number 5"), "{said}");
        assert_eq!(guard_plain(3, || panic!("again")), 3);
    }

    #[test]
    fn the_error_is_filled_in_every_case() {
        let (status, error) = run(|| Ok(AUDITRAIL_OK));
        assert_eq!(
            (status, error.status, error.os_errno, error.offset),
            (0, 0, 0, -1)
        );
        assert_eq!(message(&error), "");

        let (status, error) = run(|| Err(Error::event(9, "é".repeat(300))));
        assert_eq!(
            (status, error.status, error.os_errno, error.offset),
            (-11, -11, 0, 9)
        );
        assert_eq!(message(&error), "é".repeat(247));
    }
}
