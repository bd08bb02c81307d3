//! How the command ends: its exit codes and its error messages.
//!
//! Scripts may rely on the codes; their meaning never changes. It is no failure if
//! the reader of our output closes it early (`| head`), and there is no message.

use auditrail::{Error, Kind};
use std::io;
use std::process::ExitCode;

/// What the exit codes mean, for help and man pages.
pub const CODES: &str = "\
Exit codes:
  0  done
  1  problems were found, bad lines were skipped, or the record is not there
  2  the arguments are wrong
  3  there is no trail
  4  another writer has the trail
  5  the trail is damaged; all that could be read was printed
  6  the operating system refused something: no permission, disk full, …
  7  an event was refused; nothing of it was kept";

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Problems = 1,
    Usage = 2,
    Missing = 3,
    Locked = 4,
    Damaged = 5,
    System = 6,
    Refused = 7,
    /// A defect of the program.
    Defect = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why the command could not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Empty: no message.
    pub message: String,
}

/// What a subcommand returns.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// The operating system failed to do something with `what`.
    pub fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::System, format!("cannot {what}: {error}"))
    }

    /// Writing to standard output failed.
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::new(Exit::Done, "")
        } else {
            Self::system("write the output", error)
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            Kind::InvalidArgument | Kind::Unsupported => Exit::Usage,
            Kind::InvalidEvent | Kind::TooLarge => Exit::Refused,
            Kind::Io | Kind::NoSpace | Kind::Failed | Kind::BufferFull => Exit::System,
            Kind::Busy => Exit::Locked,
            Kind::NotFound => Exit::Missing,
            Kind::Corrupt | Kind::Tampered => Exit::Damaged,
            _ => Exit::Defect,
        };
        Self::new(exit, error.to_string())
    }
}
