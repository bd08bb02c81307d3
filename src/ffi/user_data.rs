//! What a host wants handed back to its callbacks.

use std::ffi::c_void;

/// A host's pointer. The library never follows it; it only hands it to the host's
/// own callback.
pub(super) struct UserData(*mut c_void);

// SAFETY: what is behind it is used by the host's callback alone, which by the
// header may be called from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    pub(super) fn get(&self) -> *mut c_void {
        self.0
    }
}
