//! The writer.

use super::event::{EventIn, auditrail_event};
use super::stats::{StatsOut, auditrail_stats};
use super::{
    Bytes, CText, NewHandle, Nothing, Out, Owned, Shared, auditrail_buffer, auditrail_error,
    auditrail_options, auditrail_status, call,
};
use crate::error::Error;
use crate::write::Options;
use crate::write::Writer;
use std::ffi::c_char;

/// An open trail. Many threads may use it at once; closing it comes last.
pub struct auditrail_writer {
    writer: Writer,
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or options that nobody changes now.
    let options = unsafe { Shared::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let writer = unsafe { NewHandle::new(&writer, "writer") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, writer, || {
        let root = root.path()?;
        let writer = match options.optional() {
            Some(options) => Writer::open(root, &options.options)?,
            None => Writer::open(root, &Options::default())?,
        };
        Ok(auditrail_writer { writer })
    })
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or `length` bytes.
    let event_json = unsafe { Bytes::new(&event_json, length, "event_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let event_id = unsafe { Out::new(&event_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, event_id, || {
        writer.get()?.writer.append(event_json.get()?)
    })
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or an event of the size that it says.
    let fields = unsafe { EventIn::new(&fields) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let event_id = unsafe { Out::new(&event_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, event_id, || {
        writer.get()?.writer.append_event(&fields.get()?)
    })
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or `length` bytes.
    let jsonl = unsafe { Bytes::new(&jsonl, length, "jsonl") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let first_id = unsafe { Out::new(&first_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let count = unsafe { Out::new(&count) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, (first_id, count), || {
        writer.get()?.writer.append_batch(jsonl.get()?)
    })
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or `length` bytes.
    let event_json = unsafe { Bytes::new(&event_json, length, "event_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let line = unsafe { NewHandle::new(&line, "line") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, line, || {
        let line = writer.get()?.writer.append_returning(event_json.get()?)?;
        Ok(line.into())
    })
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || writer.get()?.writer.flush())
}

/// Brings all events that were accepted so far to disk; other threads can go on
/// appending meanwhile, except on a shared trail, whose other writers wait too. If the
/// disk fails, nobody knows what is on it: the writer has failed for good, and this
/// and every later call says AUDITRAIL_ERR_FAILED. Otherwise as
/// `auditrail_writer_flush`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_sync(
    writer: *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || writer.get()?.writer.sync())
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
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let writer = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or the caller's, of the size that it says.
    let stats = unsafe { StatsOut::new(&stats) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let place = stats.get()?;
        place.put(&writer.get()?.writer.stats()?);
        Ok(())
    })
}

/// Flushes, syncs, marks the trail as closed whole, lets it go, and frees the
/// writer, whatever it returns; an error says what could not be done. No other
/// call may use the writer any more, but for its warning handler until this
/// returns. In a forked child it only frees what the child has, and says
/// AUDITRAIL_ERR_FORKED. From within the writer's own warning handler it does
/// nothing, frees nothing, and says AUDITRAIL_ERR_INVALID_ARGUMENT. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_writer_close(
    writer: *mut auditrail_writer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a writer that is not yet closed.
    let lent = unsafe { Shared::from_mut(&writer, "writer") };
    // SAFETY: by the header NULL or a writer that nobody but its warning handler uses
    // any more; it is taken when that has ended.
    let owned = unsafe { Owned::new(writer) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let Some(lent) = lent.optional() else {
            return Ok(());
        };
        if lent.writer.is_in_handler() {
            return Err(Error::argument(
                "a writer cannot be closed by its own warning handler",
            ));
        }
        let result = lent.writer.close_in_place();
        drop(owned.take());
        result
    })
}
