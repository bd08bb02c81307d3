//! A line on the terminal that shows the progress and the speed of long work.
//!
//! It is drawn on standard error, at most ten times a second and not before the
//! work has taken half a second, and erased at the end. If standard error is not a
//! terminal, nothing is drawn.

use crate::output::Look;
use crate::text::{bytes, grouped};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Events,
}

/// The progress of some work.
pub struct Progress {
    what: &'static str,
    unit: Unit,
    /// The total; `None`: unknown.
    total: Option<u64>,
    done: u64,
    begun: Instant,
    due: Instant,
    shown: bool,
    drawn: bool,
}

const FIRST: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);
const BAR: u64 = 24;

impl Progress {
    pub fn new(look: Look, what: &'static str, unit: Unit, total: Option<u64>) -> Self {
        let begun = Instant::now();
        Self {
            what,
            unit,
            total: total.filter(|&total| total > 0),
            done: 0,
            begun,
            due: begun + FIRST,
            shown: !look.quiet && io::stderr().is_terminal(),
            drawn: false,
        }
    }

    /// For a command that prints while it works: only if its output goes to a file,
    /// because on a terminal the two would mix.
    pub fn only_beside_a_file(&mut self) {
        self.shown &= std::fs::metadata("/dev/stdout").is_ok_and(|about| about.is_file());
    }

    /// Sets the total, once it is known.
    pub fn set_total(&mut self, total: u64) {
        self.total = Some(total).filter(|&total| total > 0);
    }

    /// Adds to what is done.
    pub fn advance(&mut self, by: u64) {
        self.at(self.done + by);
    }

    /// Sets what is done.
    pub fn at(&mut self, done: u64) {
        self.done = done;
        if !self.shown {
            return;
        }
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + BETWEEN;
        self.drawn = true;
        let line = self.line(done, now - self.begun);
        // Progress is optional: a failed write is ignored.
        let _ = write!(io::stderr().lock(), "\r{line}\u{1b}[K");
    }

    /// Erases the line, so that something else can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }

    fn line(&self, done: u64, passed: Duration) -> String {
        let amount = |number| match self.unit {
            Unit::Bytes => bytes(number),
            Unit::Events => grouped(number),
        };
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = u64::try_from(u128::from(done) * 1000 / u128::from(millis)).unwrap_or(u64::MAX);
        let each = match self.unit {
            Unit::Bytes => "/s",
            Unit::Events => " events/s",
        };
        let speed = format!("{}{each}", amount(rate));
        let Some(total) = self.total else {
            return format!("{}: {}, {speed}", self.what, amount(done));
        };
        let done = done.min(total);
        let part = |whole: u64| {
            u64::try_from(u128::from(done) * u128::from(whole) / u128::from(total)).unwrap_or(whole)
        };
        let full = part(BAR) as usize;
        let left = (total - done)
            .checked_div(rate)
            .map_or(String::new(), |seconds| {
                format!(", {}:{:02} left", seconds / 60, seconds % 60)
            });
        format!(
            "{}: [{}{}] {}% of {}, {speed}{left}",
            self.what,
            "#".repeat(full),
            ".".repeat(BAR as usize - full),
            part(100),
            amount(total),
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, When};

    const LOOK: Look = Look {
        format: Format::Auto,
        color: When::Auto,
        quiet: true,
    };

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let half = Progress::new(LOOK, "checking", Unit::Bytes, Some(4_000_000_000));
        assert_eq!(
            half.line(2_000_000_000, Duration::from_secs(2)),
            "checking: [############............] 50% of 4.0 GB, 1.0 GB/s, 0:02 left"
        );
        let unknown = Progress::new(LOOK, "reading", Unit::Events, None);
        assert_eq!(
            unknown.line(3_000, Duration::from_millis(500)),
            "reading: 3,000, 6,000 events/s"
        );
    }

    #[test]
    fn more_than_all_is_all() {
        let over = Progress::new(LOOK, "x", Unit::Events, Some(10));
        assert!(over.line(12, Duration::ZERO).contains("100% of 10"));
    }
}
