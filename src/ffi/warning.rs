//! What a writer tells its host that is no error.

use super::error::same;
use super::{
    Exclusive, Nothing, Out, UserData, auditrail_error, auditrail_options, auditrail_status, call,
};
use crate::warning::WarningKind;
use std::ffi::{CString, c_char, c_void};

/// A sort of warning: one of AUDITRAIL_WARNING_….
pub type auditrail_warning = i32;

/// Bytes that were no whole event were cut off and kept under .auditrail/torn/.
pub const AUDITRAIL_WARNING_TORN_TAIL: auditrail_warning = 1;
/// A crash took events, as the durability that was chosen allows.
pub const AUDITRAIL_WARNING_MISSING_IDS: auditrail_warning = 2;
/// index.json was missing or unreadable, and was made anew.
pub const AUDITRAIL_WARNING_INDEX_REBUILT: auditrail_warning = 3;
/// A whole line is no event, or what has the name of a segment is a folder, a
/// pipe, a socket or a device; it was left as it is, and passed over.
pub const AUDITRAIL_WARNING_DAMAGED_LINE: auditrail_warning = 4;
/// Synced events were put back from the journal.
pub const AUDITRAIL_WARNING_REDONE: auditrail_warning = 5;
/// Accepted events could not be flushed; they are kept, and tried again.
pub const AUDITRAIL_WARNING_FLUSH_FAILED: auditrail_warning = 6;
/// A checkpoint that was due could not be made; it is tried again later.
pub const AUDITRAIL_WARNING_PROOF_FAILED: auditrail_warning = 7;
/// A segment that was not yet synced was moved or deleted by someone else; its
/// events are not known to be on disk.
pub const AUDITRAIL_WARNING_SEGMENT_GONE: auditrail_warning = 8;
/// A writer has waited for a second for a lock of the trail that another process
/// holds, and goes on waiting (see `auditrail_options_set_lock_timeout_ms`).
pub const AUDITRAIL_WARNING_LOCK_WAIT: auditrail_warning = 9;

/// Called with a warning: its sort and a message for a person (UTF-8,
/// NUL-terminated, valid during the call). It may be called from any thread
/// that uses the writer and from the flusher's, from one at a time, with no lock
/// held; it must return normally. It may use the writer, but not close it: what it
/// causes is told by a later call, never from within the handler. While the writer
/// is being closed, what it asks for may be refused with
/// AUDITRAIL_ERR_INVALID_ARGUMENT.
pub type auditrail_warning_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        warning: auditrail_warning,
        message: *const c_char,
    ),
>;

/// Who is told what is worth telling and no error: what recovery did and could
/// not do, that a flush failed. `user_data` is handed to each call and must
/// stay valid until the writer is closed. A NULL callback: nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_warning_callback(
    options: *mut auditrail_options,
    callback: auditrail_warning_callback,
    user_data: *mut c_void,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = &mut options.get()?.options;
        options.on_warning = None;
        let Some(callback) = callback else {
            return Ok(());
        };
        let user_data = UserData::new(user_data);
        options.on_warning(move |warning| {
            let message = warning.message.replace('\0', "\u{fffd}");
            let message = CString::new(message).unwrap_or_default();
            let number = warning_of(warning.kind);
            // SAFETY: by the header the host's function takes these, on any thread.
            unsafe { callback(user_data.get(), number, message.as_ptr()) };
        });
        Ok(())
    })
}

/// A kind of warning that has no number, or another, does not compile.
fn warning_of(kind: WarningKind) -> auditrail_warning {
    use WarningKind as W;
    match kind {
        W::TornTail => const { same(AUDITRAIL_WARNING_TORN_TAIL, W::TornTail as i32) },
        W::MissingIds => const { same(AUDITRAIL_WARNING_MISSING_IDS, W::MissingIds as i32) },
        W::IndexRebuilt => const { same(AUDITRAIL_WARNING_INDEX_REBUILT, W::IndexRebuilt as i32) },
        W::DamagedLine => const { same(AUDITRAIL_WARNING_DAMAGED_LINE, W::DamagedLine as i32) },
        W::Redone => const { same(AUDITRAIL_WARNING_REDONE, W::Redone as i32) },
        W::FlushFailed => const { same(AUDITRAIL_WARNING_FLUSH_FAILED, W::FlushFailed as i32) },
        W::ProofFailed => const { same(AUDITRAIL_WARNING_PROOF_FAILED, W::ProofFailed as i32) },
        W::SegmentGone => const { same(AUDITRAIL_WARNING_SEGMENT_GONE, W::SegmentGone as i32) },
        W::LockWait => const { same(AUDITRAIL_WARNING_LOCK_WAIT, W::LockWait as i32) },
    }
}
