//! `auditrail append`: events from standard input into a trail.
//!
//! Input is appended as soon as it arrives, one batch per block, so that the events
//! of a slow producer are in the trail at once and a fast one needs only one commit
//! per block. A batch is all or nothing: a refused one is appended again line by
//! line, which finds the bad line and keeps those before it.

use crate::exit::{Exit, Failure, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use crate::progress::{Progress, Unit};
use crate::text::{counted, shown};
use auditrail::proof::ProofOptions;
use auditrail::{Durability, Error, Kind, Names, Options, Writer};
use clap::{Args, ValueEnum};
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

/// Append events from standard input, one JSON object a line
///
/// The trail is made where there is none. Prints how many events were appended
/// and their ids, or, with --ids, each id as soon as its event is as safe as the
/// durability promises. Stops at the first bad line; the events before it are in
/// the trail.
#[derive(Args, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Append {
    /// The trail's folder
    trail: PathBuf,
    /// Print the id of each event
    #[arg(long)]
    ids: bool,
    /// Go on after a bad line, and end with exit code 1
    #[arg(long)]
    skip_bad: bool,
    /// What to wait for
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    durability: Safe,
    /// Take turns with other writers that say the same
    #[arg(long)]
    shared: bool,
    /// Keep proof of the trail, signed with the secret key in this file
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// With --sign: begin to prove a trail that holds events and has no proof yet
    #[arg(long, requires = "sign")]
    adopt: bool,
    /// The size at which a segment is full, in bytes; K, M, G are understood
    #[arg(long, value_name = "BYTES", value_parser = size)]
    segment_size: Option<u64>,
    /// The longest line of an event, in bytes
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_event_size: Option<u64>,
    /// The domains that are allowed, or any [default: legacy,v2]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    domains: Vec<String>,
    /// The operations that are allowed, or any [default: create,update,delete]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    operations: Vec<String>,
}

/// The durabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Safe {
    /// In memory: the fastest; a kill loses up to a second
    Buffered,
    /// In a mapped file: a kill loses nothing
    Mapped,
    /// In its file: a kill loses nothing
    #[default]
    Written,
    /// On disk: a power failure loses nothing
    Synced,
}

impl Append {
    pub fn run(&self, look: Look) -> Outcome {
        let writer = Writer::open(&self.trail, &self.options()?)?;
        if io::stdin().is_terminal() && !look.quiet {
            eprintln!("auditrail: reading events, one JSON object a line; Ctrl-D ends");
        }
        let mut intake = Intake {
            writer: &writer,
            output: Output::new(look),
            print_ids: self.ids,
            skip_bad: self.skip_bad,
            line: 0,
            done: Done::default(),
        };
        let mut progress = Progress::new(look, "appending", Unit::Bytes, stdin_size());
        if self.ids {
            progress.only_beside_a_file();
        }
        let result = self.take(&mut intake, &mut progress);
        drop(progress);
        let Intake {
            mut output, done, ..
        } = intake;
        // Events appended before a failure are kept, and reported too.
        let closed = writer.close();
        if !self.ids && !look.quiet {
            let sum = if output.table {
                done.text()
            } else {
                done.json()
            };
            output.line(&sum)?;
        }
        output.flush()?;
        result?;
        closed?;
        Ok(if done.skipped > 0 {
            Exit::Problems
        } else {
            Exit::Done
        })
    }

    fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::default();
        options
            .shared(self.shared)
            .durability(match self.durability {
                Safe::Buffered => Durability::Buffered,
                Safe::Mapped => Durability::Mapped,
                Safe::Written => Durability::Written,
                Safe::Synced => Durability::Synced,
            });
        if let Some(bytes) = self.segment_size {
            options.max_segment_bytes(bytes)?;
        }
        if let Some(bytes) = self.max_event_size {
            options.max_event_bytes(bytes)?;
        }
        if !self.domains.is_empty() {
            options.domains(names(&self.domains));
        }
        if !self.operations.is_empty() {
            options.operations(names(&self.operations));
        }
        if let Some(path) = &self.sign {
            let mut proof = ProofOptions::new(keys::secret(path)?);
            proof.adopt(self.adopt);
            options.proof(proof);
        }
        options.on_warning(|warning| eprintln!("auditrail: warning: {}", shown(&warning.message)));
        Ok(options)
    }

    fn take(&self, intake: &mut Intake<'_>, progress: &mut Progress) -> Result<(), Failure> {
        let longest = self
            .max_event_size
            .unwrap_or(1 << 20)
            .saturating_mul(MAX_TEXT);
        let mut blocks = Blocks::new(
            io::stdin().lock(),
            usize::try_from(longest).unwrap_or(usize::MAX),
        );
        loop {
            let block = blocks
                .next()
                .map_err(|e| Failure::system("read standard input", &e))?;
            let read = match block {
                Block::Lines(lines) => {
                    intake.append(lines)?;
                    lines.len() as u64
                }
                Block::TooLong(bytes) => {
                    intake.line += 1;
                    intake.refuse(&format!("{bytes} bytes are too long for an event"))?;
                    bytes
                }
                Block::End => return Ok(()),
            };
            progress.advance(read);
        }
    }
}

fn names(names: &[String]) -> Names {
    match names {
        [any] if any == "any" => Names::Any,
        names => Names::only(names),
    }
}

/// `64K` is 65,536.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.bytes().last().map(|b| b.to_ascii_uppercase()) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes, such as 65536, 64K or 5M".to_owned())
}

/// The size of the input, if it is known.
fn stdin_size() -> Option<u64> {
    let about = std::fs::metadata("/dev/stdin").ok()?;
    about.is_file().then_some(about.len())
}

/// What was done with the lines so far.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    appended: u64,
    skipped: u64,
    first: u64,
    last: u64,
}

impl Done {
    fn text(self) -> String {
        let mut text = counted(self.appended, "event", "events") + " appended";
        if self.appended > 0 {
            text += &format!(", #{} to #{}", self.first, self.last);
        }
        if self.skipped > 0 {
            text += &format!(
                "; {} skipped",
                counted(self.skipped, "bad line", "bad lines")
            );
        }
        text
    }

    fn json(self) -> String {
        let id = |id: u64| {
            if self.appended > 0 {
                id.to_string()
            } else {
                "null".to_owned()
            }
        };
        format!(
            "{{\"appended\":{},\"skipped\":{},\"first_event_id\":{},\"last_event_id\":{}}}",
            self.appended,
            self.skipped,
            id(self.first),
            id(self.last)
        )
    }
}

/// Appends lines to the trail.
struct Intake<'w> {
    writer: &'w Writer,
    output: Output,
    print_ids: bool,
    skip_bad: bool,
    /// The number of the last line that was processed.
    line: u64,
    done: Done,
}

impl Intake<'_> {
    fn append(&mut self, lines: &[u8]) -> Result<(), Failure> {
        match self.writer.append_batch(lines) {
            Ok((first, count)) => {
                self.line += memchr::memchr_iter(b'\n', lines).count() as u64;
                self.appended(first, count as u64)
            }
            Err(error) if is_about_the_event(&error) => self.append_each(lines),
            Err(error) => Err(error.into()),
        }
    }

    fn append_each(&mut self, lines: &[u8]) -> Result<(), Failure> {
        for line in lines.split_inclusive(|&b| b == b'\n') {
            self.line += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match self.writer.append(line) {
                Ok(id) => self.appended(id, 1)?,
                Err(error) if is_about_the_event(&error) => self.refuse(&error.to_string())?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reports that the line processed last is bad.
    fn refuse(&mut self, reason: &str) -> Result<(), Failure> {
        let message = format!("line {}: {}", self.line, shown(reason));
        if !self.skip_bad {
            return Err(Failure::new(Exit::Refused, message));
        }
        eprintln!("auditrail: {message}");
        self.done.skipped += 1;
        Ok(())
    }

    fn appended(&mut self, first: u64, count: u64) -> Result<(), Failure> {
        if self.done.appended == 0 {
            self.done.first = first;
        }
        self.done.appended += count;
        self.done.last = first + count - 1;
        if self.print_ids {
            let printed = (first..first + count)
                .try_for_each(|id| self.output.line(&id.to_string()))
                .and_then(|()| self.output.flush());
            match printed {
                // A closed output is no reason to lose events.
                Err(failure) if failure.exit == Exit::Done => self.print_ids = false,
                printed => printed?,
            }
        }
        Ok(())
    }
}

fn is_about_the_event(error: &Error) -> bool {
    matches!(error.kind(), Kind::InvalidEvent | Kind::TooLarge)
}

/// How much to read at once, which is also the largest batch.
const BLOCK: usize = 256 * 1024;

/// How many times longer than its line the text of an event may be.
const MAX_TEXT: u64 = 8;

/// Splits the input into blocks of whole lines, as soon as they arrive.
struct Blocks<R> {
    from: R,
    text: Vec<u8>,
    /// How much of the text was returned.
    used: usize,
    longest: usize,
    /// How much was skipped of a line that is too long to be kept.
    passed_over: u64,
    ended: bool,
}

enum Block<'a> {
    Lines(&'a [u8]),
    /// A line of so many bytes, which were discarded.
    TooLong(u64),
    End,
}

impl<R: Read> Blocks<R> {
    fn new(from: R, longest: usize) -> Self {
        Self {
            from,
            text: Vec::new(),
            used: 0,
            longest,
            passed_over: 0,
            ended: false,
        }
    }

    fn next(&mut self) -> io::Result<Block<'_>> {
        self.text.drain(..self.used);
        self.used = 0;
        // How much of the text is known to contain no newline.
        let mut known = 0;
        loop {
            if self.passed_over > 0 {
                let end = memchr::memchr(b'\n', &self.text).map(|end| end + 1);
                if end.is_some() || self.ended {
                    let end = end.unwrap_or(self.text.len());
                    self.used = end;
                    return Ok(Block::TooLong(
                        std::mem::take(&mut self.passed_over) + end as u64,
                    ));
                }
                self.passed_over += self.text.len() as u64;
                self.text.clear();
            } else if let Some(end) = memchr::memrchr(b'\n', &self.text[known..]) {
                self.used = known + end + 1;
                return Ok(Block::Lines(&self.text[..self.used]));
            } else if self.ended {
                self.used = self.text.len();
                return Ok(match self.used {
                    0 => Block::End,
                    _ => Block::Lines(&self.text),
                });
            } else if self.text.len() > self.longest {
                self.passed_over = self.text.len() as u64;
                self.text.clear();
            }
            known = self.text.len();
            self.text.resize(known + BLOCK, 0);
            let got = loop {
                match self.from.read(&mut self.text[known..]) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    got => break got,
                }
            };
            self.text.truncate(known + *got.as_ref().unwrap_or(&0));
            self.ended = got? == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one of its pieces for each read.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buf[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn blocks(pieces: &[&'static [u8]], longest: usize) -> Vec<String> {
        let mut blocks = Blocks::new(Pieces(pieces.to_vec()), longest);
        let mut out = Vec::new();
        loop {
            match blocks.next().expect("no failure") {
                Block::Lines(lines) => out.push(String::from_utf8_lossy(lines).into_owned()),
                Block::TooLong(bytes) => out.push(format!("too long: {bytes}")),
                Block::End => return out,
            }
        }
    }

    #[test]
    fn lines_are_given_out_as_soon_as_they_are_whole() {
        assert_eq!(
            blocks(&[b"a\nb", b"c\nd\n", b"e"], 100),
            ["a\n", "bc\nd\n", "e"]
        );
        assert!(blocks(&[], 100).is_empty());
        assert_eq!(blocks(&[b"\n"], 100), ["\n"]);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        assert_eq!(
            blocks(&[b"a\n", b"12345", b"6789", b"0\nb\n", b"c\n"], 4),
            ["a\n", "too long: 11", "b\n", "c\n"]
        );
        assert_eq!(blocks(&[b"12345", b"6789"], 4), ["too long: 9"]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("5m"), Ok(5 << 20));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "K", "1T", "-1", "99999999999G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
