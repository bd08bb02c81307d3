//! The limits that more than one module enforces, and how they relate.
//!
//! A limit of a single module is defined in that module. The relations between
//! limits are asserted here at compile time.

/// The longest line, in bytes with its newline: the largest limit that a writer can
/// be given, and the most of one line that any reader of a trail holds in memory.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 30;

/// The smallest limit on a line that a writer can be given: an event with short
/// names must fit.
pub(crate) const MIN_LINE_LIMIT: usize = 256;

/// The limit on a line unless an option sets another.
pub(crate) const DEFAULT_LINE_LIMIT: usize = 1 << 20;

/// How many times longer than the longest line the text of an event may be: blanks
/// and escapes shrink when it is rendered, but the input must be bounded.
pub(crate) const TEXT_PER_LINE: usize = 8;

/// Bytes of a line before its body: `{"event_id":` and the longest id.
pub(crate) const BEFORE_BODY: usize = 12 + 20;

/// Bytes of events that one call of `append_batch` may pass.
pub(crate) const MAX_BATCH_BYTES: usize = 256 << 20;

/// The smallest, largest and default buffer of BUFFERED, in bytes of events.
pub(crate) const MIN_BUFFER_BYTES: usize = 4 << 10;
pub(crate) const MAX_BUFFER_BYTES: usize = 1 << 30;
pub(crate) const DEFAULT_BUFFER_BYTES: usize = 3 << 20;

/// The longest domain or category, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// The longest name of a stream: a domain, a slash, a category.
pub(crate) const MAX_STREAM_NAME_BYTES: usize = 2 * MAX_NAME_BYTES + 1;

/// The longest operation, in bytes.
pub(crate) const MAX_OPERATION_BYTES: usize = 128;

/// How deep objects and arrays may nest; the outermost counts 1.
pub(crate) const MAX_DEPTH: usize = 128;

/// How many faults, gaps, warnings or damaged lines each list keeps; all are
/// counted. Reports about a badly damaged trail must not exhaust memory.
pub(crate) const MAX_LISTED: usize = 1000;

/// How many places are kept of the events that have one id.
pub(crate) const MAX_LISTED_PLACES: usize = 16;

// A header's text spans and a journal entry's length have 32 bits.
const _: () = assert!(MAX_LINE_BYTES <= u32::MAX as usize / 2);
// A journal entry's name length has 16 bits.
const _: () = assert!(MAX_STREAM_NAME_BYTES <= u16::MAX as usize);
const _: () = assert!(MIN_LINE_LIMIT > BEFORE_BODY);
const _: () = assert!(MIN_LINE_LIMIT <= DEFAULT_LINE_LIMIT && DEFAULT_LINE_LIMIT <= MAX_LINE_BYTES);
// Any limit on a text must fit into a usize.
const _: () = assert!(MAX_LINE_BYTES <= usize::MAX / TEXT_PER_LINE);
// An event with the default limit fits into the default buffer.
const _: () = assert!(DEFAULT_LINE_LIMIT <= DEFAULT_BUFFER_BYTES);
const _: () =
    assert!(MIN_BUFFER_BYTES <= DEFAULT_BUFFER_BYTES && DEFAULT_BUFFER_BYTES <= MAX_BUFFER_BYTES);
// The largest batch of one call fits into the largest buffer.
const _: () = assert!(MAX_BATCH_BYTES <= MAX_BUFFER_BYTES);
// Events of a batch are counted with 32 bits, and each takes more than one byte.
const _: () = assert!(MAX_BUFFER_BYTES <= u32::MAX as usize);
