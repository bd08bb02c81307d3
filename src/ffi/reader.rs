//! Reading a trail, event by event.

use super::filter::{auditrail_filter, filter_of};
use super::{
    AUDITRAIL_END, AUDITRAIL_OK, auditrail_error, auditrail_status, guard, guard_plain, handle_mut,
    not_null, path, put,
};
use crate::read::{Reader, Record};
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Reads events. It takes no lock and writes nothing, and may read while
/// others write. For one thread at a time.
pub struct auditrail_reader {
    reader: Reader,
    /// What the accessors have given out about the present event.
    texts: [Vec<u8>; TEXTS],
    /// Path and reason of each piece of damage that was asked for.
    damage: Vec<(CString, CString)>,
}

const TEXTS: usize = 8;

/// Opens the trail at `root` for reading the events that pass the filter (NULL:
/// all of them, in stream order); the filter may be freed at once. Close the
/// reader with `auditrail_reader_close`. AUDITRAIL_ERR_NOT_FOUND if there is no
/// folder at `root`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_open(
    root: *const c_char,
    filter: *const auditrail_filter,
    reader: *mut *mut auditrail_reader,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            not_null(reader, "reader")?;
            let opened = Reader::open(path(root, "root")?, &filter_of(filter))?;
            put(
                reader,
                Box::into_raw(Box::new(auditrail_reader {
                    reader: opened,
                    texts: Default::default(),
                    damage: Vec::new(),
                })),
            );
            Ok(AUDITRAIL_OK)
        })
    }
}

/// Goes on to the next event. Its line, a JSON object without a newline or NUL
/// behind it, is lent until the next call on this reader. Each of the three
/// places may be NULL. AUDITRAIL_END if there is none: at the end, or at the
/// filter's limit. Every line was checked; what is no event is not returned but
/// reported, see `auditrail_reader_damage`. After an error the next call tries
/// again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_next(
    reader: *mut auditrail_reader,
    json: *mut *const c_char,
    length: *mut usize,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let reader = handle_mut(reader, "reader")?;
            let record = reader.reader.next()?;
            Ok(give(record, json, length, event_id))
        })
    }
}

/// As `auditrail_reader_next`, but at the end waits until there is a new event,
/// in whichever stream, for `timeout_ms` milliseconds at most (UINT64_MAX: for
/// ever); AUDITRAIL_END if there was none. It looks at the files now and then:
/// an event is returned some milliseconds after it was written, 50 at most if
/// there are not very many streams. AUDITRAIL_ERR_INVALID_ARGUMENT with
/// AUDITRAIL_ORDER_NEWEST_FIRST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_follow(
    reader: *mut auditrail_reader,
    timeout_ms: u64,
    json: *mut *const c_char,
    length: *mut usize,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let reader = handle_mut(reader, "reader")?;
            let record = reader.reader.follow(Duration::from_millis(timeout_ms))?;
            Ok(give(record, json, length, event_id))
        })
    }
}

/// When the present event was, in Unix seconds; 0 if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_timestamp(reader: *const auditrail_reader) -> i64 {
    guard_plain(0, || {
        // SAFETY: by the header's rules.
        let reader = unsafe { reader.as_ref() };
        reader
            .and_then(|reader| reader.reader.record())
            .map_or(0, |record| record.timestamp())
    })
}

/// The path of the segment in which the present event stands, NUL-terminated,
/// lent until the next call on this reader; NULL if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_path(reader: *mut auditrail_reader) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 0, std::ptr::null_mut(), |record, out| {
            out.extend_from_slice(record.path().as_os_str().as_bytes());
            true
        })
    }
}

/// The byte at which the present event's line begins in that segment; 0 if
/// there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_offset(reader: *const auditrail_reader) -> u64 {
    guard_plain(0, || {
        // SAFETY: by the header's rules.
        let reader = unsafe { reader.as_ref() };
        reader
            .and_then(|reader| reader.reader.record())
            .map_or(0, |record| record.offset())
    })
}

/// The present event's domain, in UTF-8, with a NUL behind it that does not
/// count; its length goes to `length`, which may be NULL. Lent until the next
/// call of `auditrail_reader_next`, `_follow` or this function. NULL if there
/// is no event. The functions that follow do the same for other fields.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_domain(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 1, length, |record, out| {
            out.extend_from_slice(record.domain().as_bytes());
            true
        })
    }
}

/// The present event's category.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_category(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 2, length, |record, out| {
            out.extend_from_slice(record.category().as_bytes());
            true
        })
    }
}

/// The present event's model name, without the escapes of JSON; it may hold
/// NUL characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_model_name(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 3, length, |record, out| {
            out.extend_from_slice(record.model_name().as_bytes());
            true
        })
    }
}

/// The present event's operation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_operation(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 4, length, |record, out| {
            out.extend_from_slice(record.operation().as_bytes());
            true
        })
    }
}

/// The present event's user, its logical_user_id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_user(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 5, length, |record, out| {
            out.extend_from_slice(record.logical_user_id().as_bytes());
            true
        })
    }
}

/// The present event's request_id; NULL if it has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_request_id(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 6, length, |record, out| {
            let request_id = record.request_id();
            out.extend_from_slice(request_id.as_deref().unwrap_or_default().as_bytes());
            request_id.is_some()
        })
    }
}

/// The present event's payload, a JSON object as it stands in the line; NULL if
/// it has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_payload(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header's rules.
    unsafe {
        lend(reader, 7, length, |record, out| {
            let payload = record.payload();
            out.extend_from_slice(payload.unwrap_or_default().as_bytes());
            payload.is_some()
        })
    }
}

/// How many lines were met so far that are no event of the stream in whose file
/// they stand. An unfinished line at the end of a stream is none of them, for
/// it may be in the midst of being written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_damage_count(reader: *const auditrail_reader) -> u64 {
    guard_plain(0, || {
        // SAFETY: by the header's rules.
        let reader = unsafe { reader.as_ref() };
        reader.map_or(0, |reader| reader.reader.damage_count())
    })
}

/// One of these lines: the file, the byte in it at which the line begins, and
/// what is wrong with it, both texts NUL-terminated and lent until the reader
/// is closed. Each of the three places may be NULL. `index` counts from 0; the
/// first 1,000 are kept, AUDITRAIL_END for any other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_damage(
    reader: *mut auditrail_reader,
    index: usize,
    path: *mut *const c_char,
    offset: *mut u64,
    reason: *mut *const c_char,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let handle = handle_mut(reader, "reader")?;
            let found = handle.reader.damage();
            let Some(asked) = found.get(index) else {
                return Ok(AUDITRAIL_END);
            };
            for damage in found.iter().take(index + 1).skip(handle.damage.len()) {
                handle.damage.push((
                    c_string(damage.path.as_os_str().as_bytes()),
                    c_string(damage.reason.as_bytes()),
                ));
            }
            let (its_path, its_reason) = &handle.damage[index];
            put(path, its_path.as_ptr());
            put(offset, asked.offset);
            put(reason, its_reason.as_ptr());
            Ok(AUDITRAIL_OK)
        })
    }
}

/// Closes a reader. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_close(reader: *mut auditrail_reader) {
    guard_plain((), || {
        if !reader.is_null() {
            // SAFETY: by the header's rules it came from `_open` and is closed once.
            drop(unsafe { Box::from_raw(reader) });
        }
    });
}

/// Lends an event's line to the caller.
///
/// # Safety
/// Each place is NULL or the caller's to be written to.
unsafe fn give(
    record: Option<Record<'_>>,
    json: *mut *const c_char,
    length: *mut usize,
    event_id: *mut u64,
) -> auditrail_status {
    let Some(record) = record else {
        return AUDITRAIL_END;
    };
    // SAFETY: as this function's own.
    unsafe {
        put(json, record.bytes().as_ptr().cast());
        put(length, record.bytes().len());
        put(event_id, record.event_id());
    }
    AUDITRAIL_OK
}

/// Lends what `write` says about the present event, with a NUL behind it; NULL
/// if there is none or `write` says `false`.
///
/// # Safety
/// As for [`handle_mut`] and [`put`].
unsafe fn lend(
    reader: *mut auditrail_reader,
    text: usize,
    length: *mut usize,
    write: impl FnOnce(&Record<'_>, &mut Vec<u8>) -> bool,
) -> *const c_char {
    guard_plain(std::ptr::null(), || {
        // SAFETY: as this function's own.
        let Some(reader) = (unsafe { reader.as_mut() }) else {
            return std::ptr::null();
        };
        let Some(record) = reader.reader.record() else {
            return std::ptr::null();
        };
        let out = &mut reader.texts[text];
        out.clear();
        if !write(&record, out) {
            return std::ptr::null();
        }
        // SAFETY: as this function's own.
        unsafe { put(length, out.len()) };
        out.push(0);
        out.as_ptr().cast()
    })
}

/// The bytes up to the first NUL.
fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}
