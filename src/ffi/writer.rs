//! The writer.

use super::{
    auditrail_buffer, auditrail_error, auditrail_options, auditrail_status, bytes, c_text, guard,
    handle, not_null, path, put,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::write::Options;
use crate::write::Stats;
use crate::write::Writer;
use std::ffi::c_char;

/// An open trail. Many threads may use it at once; closing it comes last.
pub struct auditrail_writer {
    writer: Writer,
}

/// One event as fields, for `auditrail_writer_append_event`. Set `size` and
/// zero the rest (in C99 `auditrail_event e = {.size = sizeof e};`), then fill
/// in. All texts are UTF-8 and NUL-terminated, and stay the caller's.
#[repr(C)]
pub struct auditrail_event {
    /// sizeof(auditrail_event): later versions may add fields at the end.
    pub size: usize,
    /// Seconds since 1970, UTC; 0: now.
    pub timestamp: i64,
    /// One of the allowed domains.
    pub domain: *const c_char,
    /// 1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot.
    pub category: *const c_char,
    /// Any text.
    pub model_name: *const c_char,
    /// One of the allowed operations.
    pub operation: *const c_char,
    /// Who did it: any text.
    pub logical_user_id: *const c_char,
    /// Any text; NULL: none.
    pub request_id: *const c_char,
    /// The text of a JSON object; NULL: none.
    pub payload: *const c_char,
    /// Its length in bytes.
    pub payload_length: usize,
}

/// What a writer has done and where it is. Ids are 0 where there is no event.
#[repr(C)]
pub struct auditrail_stats {
    /// sizeof(auditrail_stats), set by the caller: later versions may add
    /// fields at the end; only what fits is filled in.
    pub size: usize,
    /// Events that this writer has written.
    pub events: u64,
    /// Bytes that it has written to segments.
    pub bytes: u64,
    /// Commits: each wrote one or more events.
    pub batches: u64,
    /// Segments that were opened because the one before was full.
    pub rotations: u64,
    /// Times that something was synced.
    pub syncs: u64,
    /// The last id that was given.
    pub last_id: u64,
    /// All events up to this one are in their segment files.
    pub written_id: u64,
    /// All events up to this one are on disk.
    pub synced_id: u64,
    /// Torn tails that were cut off, at opening and since.
    pub torn_tails: u64,
    /// Their bytes, kept under .auditrail/torn/.
    pub torn_bytes: u64,
    /// Ids whose events a crash took, found at opening.
    pub missing_ids: u64,
    /// BUFFERED: events that were accepted and wait to be written.
    pub waiting: u64,
    /// Streams that this writer has written to.
    pub streams: u64,
    /// Segment files that are held open.
    pub open_files: u64,
    /// BUFFERED: flushes that failed.
    pub flush_failures: u64,
}

/// Opens the trail at `root` for writing. The folder is made, with its parents,
/// where it is missing; what a crash has left is recovered. NULL options: the
/// defaults. The options stay the caller's. On success `*writer` must be closed
/// with `auditrail_writer_close`.
///
/// AUDITRAIL_ERR_INVALID_ARGUMENT; AUDITRAIL_ERR_UNSUPPORTED for options that
/// do not go together; AUDITRAIL_ERR_BUSY when another writer has the trail;
/// AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE; AUDITRAIL_ERR_CORRUPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_open(
    root: *const c_char,
    options: *const auditrail_options,
    writer: *mut *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(writer, "writer")?;
            let root = path(root, "root")?;
            let opened = match options.as_ref() {
                Some(options) => Writer::open(root, &options.options)?,
                None => Writer::open(root, &Options::default())?,
            };
            put(
                writer,
                Box::into_raw(Box::new(auditrail_writer { writer: opened })),
            );
            Ok(0)
        })
    }
}

/// Appends one event, given as the text of one JSON object with the fields of
/// `auditrail_event` (but `event_id`), in any order. Returns when it is as safe
/// as the durability promises; `*event_id` (NULL allowed) is then its id. After
/// an error nothing of it is in the trail, unless it is AUDITRAIL_ERR_FAILED.
///
/// AUDITRAIL_ERR_INVALID_EVENT with the key and the byte; AUDITRAIL_ERR_TOO_LARGE;
/// AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE, AUDITRAIL_ERR_BUFFER_FULL,
/// AUDITRAIL_ERR_FAILED; AUDITRAIL_ERR_FORKED; AUDITRAIL_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_append(
    writer: *mut auditrail_writer,
    event_json: *const c_char,
    length: usize,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let writer = &handle(writer, "writer")?.writer;
            let id = writer.append(bytes(event_json, length, "event_json")?)?;
            put(event_id, id);
            Ok(0)
        })
    }
}

/// Appends one event, given as fields. Everything else is as for
/// `auditrail_writer_append`; the line is the same as for the same event there.
/// An error's offset counts in the payload or the text that the message names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_append_event(
    writer: *mut auditrail_writer,
    fields: *const auditrail_event,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let writer = &handle(writer, "writer")?.writer;
            let id = writer.append_event(&event(fields)?)?;
            put(event_id, id);
            Ok(0)
        })
    }
}

/// Appends events, given as lines of JSON, all or none; blank lines are
/// skipped, a batch without an event is an error. Their ids are consecutive and
/// in the order of the lines: `*first_id` and on, `*count` of them (each NULL
/// allowed). Everything else is as for `auditrail_writer_append`; an error's
/// offset counts from the start of the batch. At most 256 MiB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_append_batch(
    writer: *mut auditrail_writer,
    jsonl: *const c_char,
    length: usize,
    first_id: *mut u64,
    count: *mut usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let writer = &handle(writer, "writer")?.writer;
            let (first, events) = writer.append_batch(bytes(jsonl, length, "jsonl")?)?;
            put(first_id, first);
            put(count, events);
            Ok(0)
        })
    }
}

/// Appends one event as `auditrail_writer_append` does, and gives its line as
/// it was persisted, with its id, timestamp and newline. Free `*line` with
/// `auditrail_buffer_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_append_returning(
    writer: *mut auditrail_writer,
    event_json: *const c_char,
    length: usize,
    line: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(line, "line")?;
            let writer = &handle(writer, "writer")?.writer;
            let persisted = writer.append_returning(bytes(event_json, length, "event_json")?)?;
            put(line, auditrail_buffer::give(persisted));
            Ok(0)
        })
    }
}

/// Gives all events that were accepted so far to the operating system: readers
/// see them, and the end of the process does not lose them.
///
/// AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE (the events wait, and are tried
/// again), AUDITRAIL_ERR_FAILED, AUDITRAIL_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_flush(
    writer: *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle(writer, "writer")?.writer.flush()?;
            Ok(0)
        })
    }
}

/// Brings all events that were accepted so far to disk; other threads can go on
/// appending meanwhile. If the disk fails, nobody knows what is on it: the
/// writer has failed for good, and this and every later call says
/// AUDITRAIL_ERR_FAILED. Otherwise as `auditrail_writer_flush`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_sync(
    writer: *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            handle(writer, "writer")?.writer.sync()?;
            Ok(0)
        })
    }
}

/// Fills in what the writer has done and where it is. `stats->size` must be
/// set. AUDITRAIL_ERR_INVALID_ARGUMENT, AUDITRAIL_ERR_FAILED,
/// AUDITRAIL_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_stats(
    writer: *mut auditrail_writer,
    stats: *mut auditrail_stats,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(stats, "stats")?;
            let size = (&raw const (*stats).size).read();
            let known = size_of::<auditrail_stats>();
            if size < known {
                return Err(wrong_size("auditrail_stats", size, known));
            }
            let filled = stats_of(size, &handle(writer, "writer")?.writer.stats()?);
            stats.write(filled);
            // What a later version of the header has, this one does not count.
            stats.cast::<u8>().add(known).write_bytes(0, size - known);
            Ok(0)
        })
    }
}

/// Flushes, syncs, marks the trail as closed whole, lets it go, and frees the
/// writer, whatever it returns; an error says what could not be done. No other
/// call may use the writer any more. In a forked child it only frees what the
/// child has, and says AUDITRAIL_ERR_FORKED. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_close(
    writer: *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's, and
    // this is the writer's last call.
    unsafe {
        guard(error, || {
            if !writer.is_null() {
                Box::from_raw(writer).writer.close()?;
            }
            Ok(0)
        })
    }
}

/// The fields of an event.
///
/// # Safety
/// `fields` is NULL or leads to `size` bytes, whose pointers are NULL or lead to
/// what the header says, for `'a`.
unsafe fn event<'a>(fields: *const auditrail_event) -> Result<Event<'a>> {
    // SAFETY: as this function's own; nothing past `size` bytes is read.
    unsafe {
        let size = handle(fields, "fields")?.size;
        let known = size_of::<auditrail_event>();
        if size < known {
            return Err(wrong_size("auditrail_event", size, known));
        }
        let tail = fields.cast::<c_char>().add(known);
        if bytes(tail, size - known, "fields")?.iter().any(|&b| b != 0) {
            return Err(Error::argument(
                "auditrail_event has fields that this version of the library does not know",
            ));
        }
        let fields = &*fields;
        let required = |pointer, name: &str| {
            c_text(pointer, name)?.ok_or_else(|| {
                Error::new(
                    crate::error::Kind::InvalidEvent,
                    format!("{name} is missing"),
                )
            })
        };
        Ok(Event {
            timestamp: fields.timestamp,
            domain: required(fields.domain, "domain")?,
            category: required(fields.category, "category")?,
            model_name: required(fields.model_name, "model_name")?,
            operation: required(fields.operation, "operation")?,
            logical_user_id: required(fields.logical_user_id, "logical_user_id")?,
            request_id: c_text(fields.request_id, "request_id")?,
            payload: if fields.payload.is_null() && fields.payload_length == 0 {
                None
            } else {
                Some(bytes(fields.payload, fields.payload_length, "payload")?)
            },
        })
    }
}

fn wrong_size(name: &str, size: usize, known: usize) -> Error {
    Error::argument(format!(
        "{name}.size is {size}; set it to sizeof({name}), which is at least {known}"
    ))
}

fn stats_of(size: usize, stats: &Stats) -> auditrail_stats {
    auditrail_stats {
        size,
        events: stats.events,
        bytes: stats.bytes,
        batches: stats.batches,
        rotations: stats.rotations,
        syncs: stats.syncs,
        last_id: stats.last_id,
        written_id: stats.written_id,
        synced_id: stats.synced_id,
        torn_tails: stats.torn_tails,
        torn_bytes: stats.torn_bytes,
        missing_ids: stats.missing_ids,
        waiting: stats.waiting,
        streams: stats.streams,
        open_files: stats.open_files,
        flush_failures: stats.flush_failures,
    }
}
