//! Reading a trail, event by event.

use super::filter::filter_of;
use super::output::Place;
use super::{
    CText, Exclusive, NewHandle, OrEnd, Out, Owned, Shared, auditrail_error, auditrail_filter,
    auditrail_status, call, free, guard_plain,
};
use crate::read::{Reader, Record};
use std::borrow::Cow;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Reads events. It takes no lock and writes nothing, and may read while
/// others write. For one thread at a time.
pub struct auditrail_reader {
    reader: Reader,
    /// What the accessors have given out about the present event.
    texts: [Vec<u8>; Slot::Payload as usize + 1],
    /// Path and reason of each piece of damage that was asked for.
    damage: Vec<(CString, CString)>,
}

/// Where the text of each accessor is kept while it is lent.
#[derive(Clone, Copy)]
enum Slot {
    Path,
    Domain,
    Category,
    ModelName,
    Operation,
    User,
    RequestId,
    Payload,
}

impl auditrail_reader {
    /// A piece of damage: path, offset and reason, the texts lent.
    fn damage(&mut self, index: usize) -> Option<(*const c_char, u64, *const c_char)> {
        let found = self.reader.damage();
        let asked = found.get(index)?;
        for damage in found.iter().take(index + 1).skip(self.damage.len()) {
            self.damage.push((
                c_string(damage.path.as_os_str().as_bytes()),
                c_string(damage.reason.as_bytes()),
            ));
        }
        let (path, reason) = &self.damage[index];
        Some((path.as_ptr(), asked.offset, reason.as_ptr()))
    }
}

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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or a filter that nobody changes now.
    let filter = unsafe { Shared::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let reader = unsafe { NewHandle::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, reader, || {
        Ok(auditrail_reader {
            reader: Reader::open(root.path()?, &filter_of(filter))?,
            texts: Default::default(),
            damage: Vec::new(),
        })
    })
}

/// Goes on to the next event. Its line, a JSON object without a newline or NUL
/// behind it, is lent until the next call on this reader. Each of the three
/// places may be NULL. AUDITRAIL_END if there is none: at the end, or at the
/// filter's limit. Every line was checked; what is no event is not returned but
/// reported, see `auditrail_reader_damage`. After an error the next call tries
/// again. In the order of ids, the first call waits if a BUFFERED or shared
/// writer is in the midst of a batch of which a part is in the trail: until that
/// is whole, or for a second, after which the writer counts as killed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_next(
    reader: *mut auditrail_reader,
    json: *mut *const c_char,
    length: *mut usize,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let json = unsafe { Out::new(&json) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let event_id = unsafe { Out::new(&event_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, OrEnd((json, length, event_id)), || {
        Ok(reader.get()?.reader.next()?.map(line_of))
    })
}

/// As `auditrail_reader_next`, but at the end waits until there is a new event,
/// in whichever stream, for `timeout_ms` milliseconds at most (UINT64_MAX: for
/// ever); AUDITRAIL_END if there was none, or none can come any more (see
/// `auditrail_reader_is_exhausted`). A signal does not end the wait. On Linux the
/// first call that waits takes an inotify instance, a file descriptor until the
/// reader is closed, of which a user has 128 unless configured otherwise, and a
/// watch for each folder that it reads: an event is returned as soon as it was
/// written. Elsewhere, where no instances or watches are left, and on file systems
/// that other machines or programs change (NFS, SMB, FUSE, 9p), it looks at the
/// files now and then: an event is returned some milliseconds after it was
/// written, 50 at most if there are not very many streams. The events of a batch
/// that a BUFFERED or shared writer is writing come some milliseconds after its
/// end; what a writer that was killed in a batch has left of it, a second later.
/// AUDITRAIL_ERR_INVALID_ARGUMENT with AUDITRAIL_ORDER_NEWEST_FIRST.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_follow(
    reader: *mut auditrail_reader,
    timeout_ms: u64,
    json: *mut *const c_char,
    length: *mut usize,
    event_id: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let json = unsafe { Out::new(&json) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let event_id = unsafe { Out::new(&event_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, OrEnd((json, length, event_id)), || {
        let timeout = Duration::from_millis(timeout_ms);
        Ok(reader.get()?.reader.follow(timeout)?.map(line_of))
    })
}

/// When the present event was, in Unix seconds; 0 if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_timestamp(reader: *const auditrail_reader) -> i64 {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Shared::new(&reader, "reader") };
    present(reader, |record| record.timestamp())
}

/// The path of the segment in which the present event stands, NUL-terminated,
/// lent until the next call on this reader; NULL if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_path(reader: *mut auditrail_reader) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    lend(reader, Slot::Path, Out::nowhere(), |record| {
        Some(record.path().as_os_str().as_bytes().into())
    })
}

/// The byte at which the present event's line begins in that segment; 0 if
/// there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_offset(reader: *const auditrail_reader) -> u64 {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Shared::new(&reader, "reader") };
    present(reader, |record| record.offset())
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
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::Domain, length, |record| {
        Some(bytes_of(record.domain()))
    })
}

/// The present event's category.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_category(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::Category, length, |record| {
        Some(bytes_of(record.category()))
    })
}

/// The present event's model name, without the escapes of JSON; it may hold
/// NUL characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_model_name(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::ModelName, length, |record| {
        Some(bytes_of(record.model_name()))
    })
}

/// The present event's operation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_operation(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::Operation, length, |record| {
        Some(bytes_of(record.operation()))
    })
}

/// The present event's user, its logical_user_id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_user(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::User, length, |record| {
        Some(bytes_of(record.logical_user_id()))
    })
}

/// The present event's request_id; NULL if it has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_request_id(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::RequestId, length, |record| {
        record.request_id().map(bytes_of)
    })
}

/// The present event's payload, a JSON object as it stands in the line; NULL if
/// it has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_payload(
    reader: *mut auditrail_reader,
    length: *mut usize,
) -> *const c_char {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let length = unsafe { Out::new(&length) };
    lend(reader, Slot::Payload, length, |record| {
        record.payload().map(bytes_of)
    })
}

/// Whether no further event can come, however long one follows: 1 once the
/// filter's limit is reached, or `auditrail_reader_follow` has found that the
/// trail has gone past the filter's largest id and has returned what there is up
/// to it; otherwise 0. So AUDITRAIL_END of `auditrail_reader_follow` with 0 here
/// is a time-out, and with 1 the end. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_is_exhausted(reader: *const auditrail_reader) -> i32 {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Shared::new(&reader, "reader") };
    guard_plain(0, || {
        let reader = reader.optional();
        reader.map_or(0, |reader| i32::from(reader.reader.is_exhausted()))
    })
}

/// How many lines were met so far that are no event of the stream in whose file
/// they stand. An unfinished line at the end of a stream is none of them, for
/// it may be in the midst of being written. A folder, pipe, socket or device with
/// the name of a segment counts as one, at byte 0; it is not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_damage_count(reader: *const auditrail_reader) -> u64 {
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Shared::new(&reader, "reader") };
    guard_plain(0, || {
        let reader = reader.optional();
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
    // SAFETY: by the header NULL or a reader that no other thread uses now.
    let reader = unsafe { Exclusive::new(&reader, "reader") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let path = unsafe { Out::new(&path) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let offset = unsafe { Out::new(&offset) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let reason = unsafe { Out::new(&reason) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, OrEnd((path, offset, reason)), || {
        Ok(reader.get()?.damage(index))
    })
}

/// Closes a reader. NULL is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_reader_close(reader: *mut auditrail_reader) {
    // SAFETY: by the header NULL or a reader that nobody uses any more.
    free(unsafe { Owned::new(reader) });
}

/// An event's line, which the reader lends: its bytes, how many, and its id.
fn line_of(record: Record<'_>) -> (*const c_char, usize, u64) {
    let line = record.bytes();
    (line.as_ptr().cast(), line.len(), record.event_id())
}

/// The whole of an accessor: what `read` says about the present event; zero if there
/// is none.
fn present<R: Default>(
    reader: Shared<'_, auditrail_reader>,
    read: impl FnOnce(Record<'_>) -> R,
) -> R {
    guard_plain(R::default(), || {
        let record = reader.optional().and_then(|reader| reader.reader.record());
        record.map(read).unwrap_or_default()
    })
}

/// The whole of an accessor that lends a text: what `read` says about the present
/// event, with a NUL behind it; NULL if there is no event or it has no such text.
fn lend(
    reader: Exclusive<'_, auditrail_reader>,
    slot: Slot,
    length: Out<'_, usize>,
    read: impl for<'r> FnOnce(&Record<'r>) -> Option<Cow<'r, [u8]>>,
) -> *const c_char {
    let lent = || {
        let reader = reader.optional()?;
        let record = reader.reader.record()?;
        let text = read(&record)?;
        let kept = &mut reader.texts[slot as usize];
        kept.clear();
        kept.extend_from_slice(&text);
        kept.push(0);
        length.put(text.len());
        Some(kept.as_ptr().cast())
    };
    guard_plain(std::ptr::null(), || lent().unwrap_or(std::ptr::null()))
}

fn bytes_of<'r>(text: impl Into<Cow<'r, str>>) -> Cow<'r, [u8]> {
    match text.into() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The bytes up to the first NUL.
fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}
