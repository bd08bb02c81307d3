//! Where the output goes, and its format: JSON lines for programs, a table for
//! people.

use crate::exit::Failure;
use crate::text::Paint;
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// How to print; the same options for every subcommand.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "How to print")]
pub struct Look {
    /// In what shape; auto is a table on a terminal, and JSON lines elsewhere
    #[arg(long, global = true, value_enum, default_value_t, value_name = "SHAPE")]
    pub format: Format,
    /// Whether in colour; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: When,
    /// No progress, no summary
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// In what shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Auto,
    Json,
    Table,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

/// Standard output.
pub struct Output {
    /// `None`: the caller has closed it.
    out: Option<BufWriter<StdoutLock<'static>>>,
    /// Whether the output is for people.
    pub table: bool,
    pub paint: Paint,
    /// The width of the terminal in columns; `None`: unlimited.
    pub columns: Option<usize>,
    pub quiet: bool,
    /// Whether a person looks at it.
    terminal: bool,
}

impl Output {
    pub fn new(look: Look) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let columns = if terminal {
            // A terminal that does not know its size reports 0.
            let size = rustix::termios::tcgetwinsize(&stdout).ok();
            let columns = size.map_or(0, |size| usize::from(size.ws_col));
            Some(if columns == 0 { 80 } else { columns })
        } else {
            None
        };
        Self {
            out: (!is_missing()).then(|| BufWriter::with_capacity(64 * 1024, stdout.lock())),
            table: match look.format {
                Format::Auto => terminal,
                Format::Json => false,
                Format::Table => true,
            },
            paint: Paint(colour(look.color, terminal)),
            columns,
            quiet: look.quiet,
            terminal,
        }
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out()?
            .write_all(bytes)
            .map_err(|e| Failure::output(&e))
    }

    /// Tells a person who would see an empty terminal that nothing was found.
    pub fn note_nothing(&self, what: &str) {
        if self.terminal && !self.quiet {
            eprintln!("auditrail: {what}");
        }
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out()?.flush().map_err(|e| Failure::output(&e))
    }

    fn out(&mut self) -> Result<&mut BufWriter<StdoutLock<'static>>, Failure> {
        self.out
            .as_mut()
            .ok_or_else(|| Failure::output(&Errno::BADF.into()))
    }

    /// Whether the reader of our output has closed it. Without this check, a command
    /// that waits for events would notice only when it prints the next one.
    pub fn is_closed(&self) -> bool {
        let Some(stdout) = self.out.as_ref().map(BufWriter::get_ref) else {
            return true;
        };
        let mut fds = [PollFd::new(stdout, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut fds, Some(&at_once)) {
            Ok(_) => fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(_) => false,
        }
    }
}

/// Whether the program was started with standard output closed. The runtime then
/// opens /dev/null in its place, to be read and written, which nobody who redirects
/// output there does: without asking, all output would be lost without a word.
fn is_missing() -> bool {
    let stdout = io::stdout();
    let (Ok(flags), Ok(stat)) = (fcntl_getfl(&stdout), fstat(&stdout)) else {
        return true;
    };
    let null = (1, 3);
    flags.contains(OFlags::RDWR)
        && FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == null
}

/// Whether to colour.
pub fn colour(when: When, terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
            terminal && !no_color && !dumb
        }
    }
}
