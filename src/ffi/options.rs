//! How a trail is opened.

use super::{auditrail_error, auditrail_status, guard, guard_plain, handle_mut, text};
use crate::error::Error;
use crate::event::Names;
use crate::warning::WarningKind;
use crate::write::{Durability, Options};
use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

/// What an append waits for before it returns: one of AUDITRAIL_DURABILITY_….
pub type auditrail_durability = i32;

/// The event is in memory. A flush follows by size or time (this starts one
/// thread, in which no signal is delivered); until then, the end of the process
/// loses the event.
pub const AUDITRAIL_DURABILITY_BUFFERED: auditrail_durability = 0;
/// The default. The event is in its segment file, visible to any reader. The
/// end of the process loses nothing; a loss of power loses what the operating
/// system had not yet written.
pub const AUDITRAIL_DURABILITY_WRITTEN: auditrail_durability = 1;
/// The event is on disk. Nothing loses it.
pub const AUDITRAIL_DURABILITY_SYNCED: auditrail_durability = 2;

/// A sort of warning: one of AUDITRAIL_WARNING_….
pub type auditrail_warning = i32;

/// Bytes that were no whole event were cut off and kept under .auditrail/torn/.
pub const AUDITRAIL_WARNING_TORN_TAIL: auditrail_warning = 1;
/// A crash took events, as the durability that was chosen allows.
pub const AUDITRAIL_WARNING_MISSING_IDS: auditrail_warning = 2;
/// index.json was missing or unreadable, and was made anew.
pub const AUDITRAIL_WARNING_INDEX_REBUILT: auditrail_warning = 3;
/// A whole line is no event; it was left as it is.
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

/// Called with a warning: its sort and a message for a person (UTF-8,
/// NUL-terminated, valid during the call). It may be called from any thread
/// that uses the writer and from the flusher's, from one at a time, with no lock
/// held; it must return normally. It may use the writer: what it causes is told by
/// a later call, never from within the handler.
pub type auditrail_warning_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        warning: auditrail_warning,
        message: *const c_char,
    ),
>;

/// How a trail is opened. For one thread at a time.
pub struct auditrail_options {
    pub(super) options: Options,
    domains: Vec<String>,
    operations: Vec<String>,
}

/// New options, all at their defaults. Free them with `auditrail_options_free`.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_options_new() -> *mut auditrail_options {
    guard_plain(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(auditrail_options {
            options: Options::default(),
            domains: Vec::new(),
            operations: Vec::new(),
        }))
    })
}

/// Frees options. NULL is accepted. Writers that were opened with them go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_free(options: *mut auditrail_options) {
    guard_plain((), || {
        if !options.is_null() {
            // SAFETY: by the header's rules it came from `_new` and is freed once.
            drop(unsafe { Box::from_raw(options) });
        }
    });
}

/// The size at which a segment is full, so that the next event goes into the
/// next one; a segment can pass it by less than one event. 1 byte or more;
/// default 5242880 (5 MiB). Otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_max_segment_bytes(
    options: *mut auditrail_options,
    bytes: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .max_segment_bytes(bytes)?;
            Ok(0)
        })
    }
}

/// What an append waits for. Default AUDITRAIL_DURABILITY_WRITTEN. A number
/// that is no durability: AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_durability(
    options: *mut auditrail_options,
    durability: auditrail_durability,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let durability = match durability {
                AUDITRAIL_DURABILITY_BUFFERED => Durability::Buffered,
                AUDITRAIL_DURABILITY_WRITTEN => Durability::Written,
                AUDITRAIL_DURABILITY_SYNCED => Durability::Synced,
                other => {
                    return Err(Error::argument(format!(
                        "{other} is no AUDITRAIL_DURABILITY_…"
                    )));
                }
            };
            handle_mut(options, "options")?
                .options
                .durability(durability);
            Ok(0)
        })
    }
}

/// The largest event, in bytes of its line, the newline included and the id
/// counted as 20 digits. 256 to 1073741824; default 1048576 (1 MiB). Otherwise
/// AUDITRAIL_ERR_INVALID_ARGUMENT. Larger events: AUDITRAIL_ERR_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_max_event_bytes(
    options: *mut auditrail_options,
    bytes: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .max_event_bytes(bytes)?;
            Ok(0)
        })
    }
}

/// Allows events of a domain. The first call replaces the default (`legacy` and
/// `v2`), each further one adds to the list. 1 to 128 of A-Z a-z 0-9 . _ -, not
/// starting with a dot; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_add_domain(
    options: *mut auditrail_options,
    domain: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = handle_mut(options, "options")?;
            let domain = text(domain, length, "domain")?;
            if let Some(fault) = crate::event::name::name_fault(domain.as_bytes()) {
                return Err(Error::argument(format!("the domain {domain:?} {fault}")));
            }
            options.domains.push(domain.to_owned());
            options
                .options
                .domains(Names::Only(options.domains.clone()));
            Ok(0)
        })
    }
}

/// Allows events of any domain whose name has the right form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_any_domain(
    options: *mut auditrail_options,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?.options.domains(Names::Any);
            Ok(0)
        })
    }
}

/// Allows events with an operation. The first call replaces the default
/// (`create`, `update` and `delete`), each further one adds to the list. 1 to
/// 128 bytes of UTF-8; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_add_operation(
    options: *mut auditrail_options,
    operation: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = handle_mut(options, "options")?;
            let operation = text(operation, length, "operation")?;
            if operation.is_empty() || operation.len() > 128 {
                return Err(Error::argument("an operation has 1 to 128 bytes"));
            }
            options.operations.push(operation.to_owned());
            options
                .options
                .operations(Names::Only(options.operations.clone()));
            Ok(0)
        })
    }
}

/// Allows events with any operation of 1 to 128 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_any_operation(
    options: *mut auditrail_options,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .operations(Names::Any);
            Ok(0)
        })
    }
}

/// Not 0: other writers, in this process or others, may write to the trail at
/// the same time; all of them must say so. Each batch then takes a turn, which
/// costs a few system calls. Default 0. Not with
/// AUDITRAIL_DURABILITY_BUFFERED: opening says AUDITRAIL_ERR_UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_shared(
    options: *mut auditrail_options,
    shared: i32,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?.options.shared(shared != 0);
            Ok(0)
        })
    }
}

/// BUFFERED: how many bytes of events are held at most. When they cannot be
/// flushed, an append that does not fit says AUDITRAIL_ERR_BUFFER_FULL. 4096 to
/// 1073741824; default 3145728 (3 MiB). Otherwise
/// AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_buffer_bytes(
    options: *mut auditrail_options,
    bytes: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .buffer_bytes(bytes)?;
            Ok(0)
        })
    }
}

/// BUFFERED: for how many milliseconds an event is held at most. 0: no thread,
/// and no flush by time. Default 1000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_flush_interval_ms(
    options: *mut auditrail_options,
    milliseconds: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .flush_interval(Duration::from_millis(milliseconds));
            Ok(0)
        })
    }
}

/// How many segment files are held open at most. 1 or more; default 128.
/// Otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_max_open_files(
    options: *mut auditrail_options,
    files: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle_mut(options, "options")?
                .options
                .max_open_files(files)?;
            Ok(0)
        })
    }
}

/// A host's pointer, which is the host's business on whatever thread.
struct UserData(*mut c_void);
// SAFETY: the library never follows it; it only hands it back to the host's
// callback, which by its documentation may be called from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

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
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = &mut handle_mut(options, "options")?.options;
            options.on_warning = None;
            if let Some(callback) = callback {
                let user_data = UserData(user_data);
                options.on_warning(move |warning| {
                    let message = warning.message.replace('\0', "\u{fffd}");
                    let message = CString::new(message).unwrap_or_default();
                    // SAFETY: the host gave a function of this type, and promised
                    // that it may be called from any thread with this pointer.
                    callback(user_data.get(), warning_of(warning.kind), message.as_ptr());
                });
            }
            Ok(0)
        })
    }
}

fn warning_of(kind: WarningKind) -> auditrail_warning {
    match kind {
        WarningKind::TornTail => AUDITRAIL_WARNING_TORN_TAIL,
        WarningKind::MissingIds => AUDITRAIL_WARNING_MISSING_IDS,
        WarningKind::IndexRebuilt => AUDITRAIL_WARNING_INDEX_REBUILT,
        WarningKind::DamagedLine => AUDITRAIL_WARNING_DAMAGED_LINE,
        WarningKind::Redone => AUDITRAIL_WARNING_REDONE,
        WarningKind::FlushFailed => AUDITRAIL_WARNING_FLUSH_FAILED,
        WarningKind::ProofFailed => AUDITRAIL_WARNING_PROOF_FAILED,
        WarningKind::SegmentGone => AUDITRAIL_WARNING_SEGMENT_GONE,
    }
}
