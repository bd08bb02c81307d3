//! How a trail is opened.

use super::error::same;
use super::{
    Bytes, Exclusive, Nothing, Out, Owned, auditrail_error, auditrail_status, call, free, new,
};
use crate::error::{Error, Result};
use crate::event::Names;
use crate::write::{Durability, Options};
use std::ffi::c_char;
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
/// The event is in a mapped file of the trail, and follows into its segment as with
/// BUFFERED. The end of the process loses nothing: the next opening writes what is not
/// yet in the segments. A power loss loses what was not yet flushed. One thread flushes
/// by time. Only on ext2 to ext4, XFS and tmpfs; elsewhere, and for a shared trail,
/// opening gives AUDITRAIL_ERR_UNSUPPORTED. Who cuts the files `.auditrail/buffer-…`
/// while they are mapped, or takes the file system away, ends the process by SIGBUS.
pub const AUDITRAIL_DURABILITY_MAPPED: auditrail_durability = 3;

/// How a trail is opened. For one thread at a time.
pub struct auditrail_options {
    pub(super) options: Options,
    domains: Vec<String>,
    operations: Vec<String>,
}

/// New options, all at their defaults. Free them with `auditrail_options_free`.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_options_new() -> *mut auditrail_options {
    new(|| auditrail_options {
        options: Options::default(),
        domains: Vec::new(),
        operations: Vec::new(),
    })
}

/// Frees options. NULL is accepted. Writers that were opened with them go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_free(options: *mut auditrail_options) {
    // SAFETY: by the header NULL or options that nobody uses any more.
    free(unsafe { Owned::new(options) });
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        options.get()?.options.max_segment_bytes(bytes)
    })
}

/// What an append waits for. Default AUDITRAIL_DURABILITY_WRITTEN. A number
/// that is no durability: AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_durability(
    options: *mut auditrail_options,
    durability: auditrail_durability,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let durability = durability_of(durability)?;
        Ok(options.get()?.options.durability(durability))
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        options.get()?.options.max_event_bytes(bytes)
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let domain = unsafe { Bytes::new(&domain, length, "domain") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = options.get()?;
        let domain = domain.text()?;
        if let Some(fault) = crate::event::name::name_fault(domain.as_bytes()) {
            return Err(Error::argument(format!("the domain {domain:?} {fault}")));
        }
        options.domains.push(domain.to_owned());
        let domains = Names::Only(options.domains.clone());
        Ok(options.options.domains(domains))
    })
}

/// Allows events of any domain whose name has the right form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_any_domain(
    options: *mut auditrail_options,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(options.get()?.options.domains(Names::Any))
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let operation = unsafe { Bytes::new(&operation, length, "operation") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = options.get()?;
        let operation = operation.text()?;
        if operation.is_empty() || operation.len() > 128 {
            return Err(Error::argument("an operation has 1 to 128 bytes"));
        }
        options.operations.push(operation.to_owned());
        let operations = Names::Only(options.operations.clone());
        Ok(options.options.operations(operations))
    })
}

/// Allows events with any operation of 1 to 128 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_any_operation(
    options: *mut auditrail_options,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(options.get()?.options.operations(Names::Any))
    })
}

/// Not 0: other writers, in this process or others, may write to the trail at
/// the same time; all of them must say so. Each batch then takes a turn, which
/// costs a few system calls. Default 0. Not with
/// AUDITRAIL_DURABILITY_BUFFERED or _MAPPED: opening says AUDITRAIL_ERR_UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_shared(
    options: *mut auditrail_options,
    shared: i32,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(options.get()?.options.shared(shared != 0))
    })
}

/// BUFFERED, MAPPED: how many bytes of events are held at most. (MAPPED takes that
/// and two thirds more on disk, and in memory, which it locks if RLIMIT_MEMLOCK
/// allows.) When they cannot be
/// flushed, an append that does not fit says AUDITRAIL_ERR_BUFFER_FULL. 4096 to
/// 1073741824; default 3145728 (3 MiB). Otherwise
/// AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_buffer_bytes(
    options: *mut auditrail_options,
    bytes: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        options.get()?.options.buffer_bytes(bytes)
    })
}

/// BUFFERED, MAPPED: for how many milliseconds an event is held at most. 0: no thread,
/// and no flush by time. Default 1000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_flush_interval_ms(
    options: *mut auditrail_options,
    milliseconds: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let interval = Duration::from_millis(milliseconds);
        Ok(options.get()?.options.flush_interval(interval))
    })
}

/// How many segment files are held open at most. 1 or more; default 128.
/// Otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_max_open_files(
    options: *mut auditrail_options,
    files: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        options.get()?.options.max_open_files(files)
    })
}

/// For how many milliseconds a call waits for a lock of the trail that another process
/// holds: the commit lock of a shared trail, at an append, a batch, a sync or an opening,
/// or the lock of the proof's log, at a sync, a close or an opening. Then it gives
/// AUDITRAIL_ERR_BUSY with the holder's process id, and the trail is as before; calls
/// that wait together end together. 0, the default: no limit. Either way, a wait of a
/// second is told by AUDITRAIL_WARNING_LOCK_WAIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_lock_timeout_ms(
    options: *mut auditrail_options,
    milliseconds: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let timeout = Duration::from_millis(milliseconds);
        Ok(options.get()?.options.lock_timeout(timeout))
    })
}

fn durability_of(number: auditrail_durability) -> Result<Durability> {
    // A durability that has no number, or another, does not compile.
    let is_it = |durability: &Durability| {
        number
            == match durability {
                Durability::Buffered => {
                    const { same(AUDITRAIL_DURABILITY_BUFFERED, Durability::Buffered as i32) }
                }
                Durability::Written => {
                    const { same(AUDITRAIL_DURABILITY_WRITTEN, Durability::Written as i32) }
                }
                Durability::Synced => {
                    const { same(AUDITRAIL_DURABILITY_SYNCED, Durability::Synced as i32) }
                }
                Durability::Mapped => {
                    const { same(AUDITRAIL_DURABILITY_MAPPED, Durability::Mapped as i32) }
                }
            }
    };
    [
        Durability::Buffered,
        Durability::Written,
        Durability::Synced,
        Durability::Mapped,
    ]
    .into_iter()
    .find(is_it)
    .ok_or_else(|| Error::argument(format!("{number} is no AUDITRAIL_DURABILITY_…")))
}
