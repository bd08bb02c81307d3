//! The one error type, and the status codes that C sees.
//!
//! An error says what was wrong and where: the message names the key, the path
//! or the limit; `offset` is the byte in the text or file that was given;
//! `errno` is what the operating system said.

use std::fmt;
use std::io;
use std::path::Path;

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

#[derive(Clone)]
struct Inner {
    kind: Kind,
    errno: Option<i32>,
    offset: Option<u64>,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            errno: None,
            offset: None,
            message: message.into(),
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
        out.0.errno = error.raw_os_error();
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
        self.0.errno
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

impl std::error::Error for Error {}
