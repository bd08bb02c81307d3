//! The one error type, and the status codes that C sees.
//!
//! An error says what was wrong and where: the message names the key, the path
//! or the limit; `offset` is the byte in the text or file that was given;
//! `errno` is what the operating system said.

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;

/// What every fallible function of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure an [`Error`] is. The numbers are those of the C
/// interface and never change; new ones may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Kind {
    /// An argument is NULL, out of range, or makes no sense together with another.
    InvalidArgument = -10,
    /// The event breaks a rule of the event line; nothing was written.
    InvalidEvent = -11,
    /// The event or batch is larger than the limit; nothing was written.
    TooLarge = -12,
    /// This combination of options is not supported.
    Unsupported = -13,
    /// The operating system refused a file operation; see `errno`.
    Io = -20,
    /// The disk or the quota is full; nothing of the event was kept.
    NoSpace = -21,
    /// Another writer holds the trail.
    Busy = -22,
    /// The writer failed earlier and must be reopened.
    Failed = -23,
    /// The bounded buffer is full and cannot be flushed; the event was not accepted.
    BufferFull = -24,
    /// There is no trail at the path.
    NotFound = -25,
    /// What is on disk is not what a trail may hold.
    Corrupt = -30,
    /// What is on disk is not what was signed.
    Tampered = -31,
    /// The handle was inherited by a forked child; the child must open its own.
    Forked = -40,
    /// A defect of the library: a panic was caught at the boundary.
    Panic = -90,
}

impl Kind {
    /// The status code of the C interface.
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// Why something failed. Cheap to move, and cloneable, for a failed batch tells
/// every caller in it.
#[derive(Clone)]
pub struct Error(Box<Inner>);

// Results that are mostly good pay for no more than this.
const _: () = assert!(size_of::<Error>() == size_of::<usize>());
const _: () = assert!(size_of::<Result<()>>() == size_of::<usize>());

#[derive(Clone)]
struct Inner {
    kind: Kind,
    offset: Option<u64>,
    message: String,
    /// What the operating system said; shared, for it cannot be cloned.
    source: Option<Arc<io::Error>>,
}

// An `io::Error` is neither, for it may hold any error; those that are kept here
// hold a number or a text.
impl UnwindSafe for Inner {}
impl RefUnwindSafe for Inner {}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            offset: None,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }

    /// A rule of the event line was broken at byte `offset` of the text given.
    pub(crate) fn event(offset: usize, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidEvent, message).at(offset as u64)
    }

    /// For a signer of the host's own (see [`crate::proof::Signer`]): why it could
    /// not sign.
    pub fn signer(message: impl Into<String>) -> Self {
        Self::new(Kind::Io, message)
    }

    /// The operating system refused to `action` the file at `path`.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
            _ => Kind::Io,
        };
        let mut out = Self::new(kind, format!("cannot {action} {}: {error}", path.display()));
        out.0.source = Some(Arc::new(copy(error)));
        out
    }

    /// The same error, with the byte offset that it is about.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// The same error as another kind, with `context` put before its message.
    pub(crate) fn wrap(mut self, kind: Kind, context: &str) -> Self {
        self.0.kind = kind;
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error, found in line `number` of a batch, at byte `start` of it.
    pub(crate) fn in_line(mut self, number: usize, start: usize) -> Self {
        let offset = self.0.offset.unwrap_or(0) + start as u64;
        self.0.message = format!("line {number}: {}", self.0.message);
        self.at(offset)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The operating system's error number, if it gave one.
    pub fn errno(&self) -> Option<i32> {
        self.0.source.as_ref()?.raw_os_error()
    }

    /// The byte in the text or file that was given, if the error is about one.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// What was wrong, for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.offset {
            Some(offset) => write!(f, " (byte {offset})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    /// The [`io::Error`] of the file operation that failed, if one did.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|error| error as _)
    }
}

/// The same error once more, with its kind, number and text; what it may wrap is left
/// out.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn cause(error: &Error) -> &io::Error {
        error.source().unwrap().downcast_ref().unwrap()
    }

    #[test]
    fn the_cause_is_kept() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::io("write", Path::new("a/b"), &full);
        assert_eq!(error.kind(), Kind::NoSpace);
        assert_eq!(error.errno(), None);
        assert_eq!(cause(&error).kind(), io::ErrorKind::StorageFull);
        assert_eq!(cause(&error).to_string(), full.to_string());

        let denied = io::Error::from_raw_os_error(13);
        let error = Error::io("open", Path::new("a/b"), &denied);
        assert_eq!(error.to_string(), format!("cannot open a/b: {denied}"));
        // Whatever is said about it on its way, and in every copy.
        let error = error
            .wrap(Kind::Failed, "failed before")
            .in_line(2, 7)
            .clone();
        assert_eq!(error.kind(), Kind::Failed);
        assert_eq!((error.errno(), error.offset()), (Some(13), Some(7)));
        assert_eq!(cause(&error).raw_os_error(), Some(13));
        assert_eq!(cause(&error).to_string(), denied.to_string());
    }

    #[test]
    fn what_the_library_finds_has_no_cause() {
        let error = Error::event(4, "a rule");
        assert!(error.source().is_none());
        assert_eq!(error.errno(), None);
        assert_eq!(error.to_string(), "a rule (byte 4)");
    }

    #[test]
    fn an_error_goes_anywhere() {
        fn anywhere<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
        anywhere::<Error>();
    }
}
