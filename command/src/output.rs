//! Where the output goes, and its format: JSON lines for programs, a table for
//! people.

use crate::exit::Failure;
use crate::text::Paint;
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
    out: BufWriter<StdoutLock<'static>>,
    /// Whether the output is for people.
    pub table: bool,
    pub paint: Paint,
    /// The width of the terminal in columns; `None`: unlimited.
    pub columns: Option<usize>,
    pub quiet: bool,
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
            out: BufWriter::with_capacity(64 * 1024, stdout.lock()),
            table: match look.format {
                Format::Auto => terminal,
                Format::Json => false,
                Format::Table => true,
            },
            paint: Paint(colour(look.color, terminal)),
            columns,
            quiet: look.quiet,
        }
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|e| Failure::output(&e))
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| Failure::output(&e))
    }

    /// Whether the reader of our output has closed it. Without this check, a command
    /// that waits for events would notice only when it prints the next one.
    pub fn is_closed(&self) -> bool {
        let stdout = self.out.get_ref();
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
