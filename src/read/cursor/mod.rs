//! One stream, event by event.
//!
//! A cursor goes through a stream's segments, forward or backward, from the
//! position of the first wanted id to a limit that the reader sets, and stops at
//! each event that passes the filter; what a line is, `classify` says.

mod classify;

use super::damage::{DamageKind, Sink};

use super::segments::{Position, Segments};
use crate::error::{Error, Result};
use crate::event::header::{self, Header, LineChecker};
use crate::read::filter::Matcher;
use crate::store::layout::Layout;
use crate::store::lines::{Direction, Line, Lines};
use crate::store::listing::StreamId;
use crate::store::storage::{File, Open, Storage};
use crate::store::times::Times;
use classify::FastPath;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all cursors of a reader share.
pub(crate) struct Env<'e> {
    pub storage: &'e dyn Storage,
    pub matcher: &'e Matcher,
    pub times: &'e Times,
    pub damage: &'e mut dyn Sink,
    pub checker: &'e mut LineChecker,
    /// How much to read at once.
    pub block: usize,
}

#[derive(Debug)]
pub(crate) struct Cursor {
    pub stream: StreamId,
    /// Its name.
    name: String,
    /// What a line of this stream holds, see [`header::stream_fields`].
    names: Vec<u8>,
    direction: Direction,
    segments: Segments,
    /// The segment that is being read, and how far it is while it is not open.
    at: usize,
    resume: u64,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    lines: Option<Lines>,
    begun: bool,
    done: bool,
    limit: Position,
    /// The last good id; 0, or the largest number going backward: none yet.
    last_id: u64,
    /// The last good line, if it was only glanced at and did not pass.
    skipped: Option<Skipped>,
    /// That of the line that was looked at last.
    header: Header,
    found: Option<FoundEvent>,
}

/// A line that did not pass, and whose id the next one may make doubtful.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    offset: u64,
    /// The segment.
    at: usize,
    /// The last good id before it.
    before: u64,
}

/// The event at which a cursor stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundEvent {
    line: Line,
    pub header: Header,
    pub position: Position,
}

impl Cursor {
    pub fn new(layout: &Layout, stream: StreamId, direction: Direction) -> Self {
        let name = stream.name();
        let folder = layout.stream(&name);
        Self {
            name,
            names: header::stream_fields(&stream.domain, &stream.category),
            stream,
            direction,
            segments: Segments::new(folder),
            at: 0,
            resume: 0,
            path: PathBuf::new(),
            file: None,
            lines: None,
            begun: false,
            done: false,
            limit: Position::default(),
            last_id: match direction {
                Direction::Forward => 0,
                Direction::Backward => u64::MAX,
            },
            skipped: None,
            header: Header::default(),
            found: None,
        }
    }

    /// Where the stream ends now.
    pub fn end(&mut self, storage: &dyn Storage) -> Result<Position> {
        self.segments.end(storage)
    }

    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    pub fn into_segments(self) -> Segments {
        self.segments
    }

    /// Lets the cursor go up to `limit`; going backward, from there.
    pub fn set_limit(&mut self, limit: Position) {
        self.limit = limit;
        let cut = self.direction == Direction::Forward
            && self.begun
            && self.segments.number(self.at) == limit.number
            && limit.offset < self.position();
        if cut {
            // A batch that failed was taken back; its ids are used again.
            self.close();
            self.resume = limit.offset;
            self.skipped = None;
            self.last_id = 0;
        }
    }

    pub fn limit(&self) -> Position {
        self.limit
    }

    /// Whether no further event can pass, ever.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether there is something before the limit that was not yet read.
    pub fn can_go_on(&self) -> bool {
        !self.done && (!self.begun || self.here() < self.limit)
    }

    /// How far it is; going forward.
    pub fn here(&self) -> Position {
        Position {
            number: self.segments.number(self.at),
            offset: self.position(),
        }
    }

    fn position(&self) -> u64 {
        self.lines.as_ref().map_or(self.resume, Lines::position)
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Gives the file handle back; it is opened again when it is needed.
    pub fn close_file(&mut self) {
        self.file = None;
    }

    /// Gives the file and the buffer back. Going forward, the cursor can go on.
    fn close(&mut self) {
        self.resume = self.position();
        self.lines = None;
        self.file = None;
        self.found = None;
    }

    pub fn found(&self) -> Option<&FoundEvent> {
        self.found.as_ref()
    }

    /// The bytes of the event at which the cursor stands.
    pub fn line(&self, found: &FoundEvent) -> &[u8] {
        self.lines
            .as_ref()
            .map_or(&[], |lines| lines.text(found.line))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on to the next event that passes; `false` at the limit.
    pub fn next(&mut self, env: &mut Env<'_>) -> Result<bool> {
        self.found = None;
        if !self.begun {
            self.begin(env);
        }
        while !self.done {
            let Some(line) = self.next_line(env)? else {
                break;
            };
            let passes = match self.fast_path(line, env) {
                FastPath::Skip => continue,
                FastPath::Pass => true,
                FastPath::Unsure => self.classify(line, env),
            };
            if passes {
                self.found = Some(FoundEvent {
                    line,
                    header: self.header,
                    position: Position {
                        number: self.segments.number(self.at),
                        offset: line.offset,
                    },
                });
                return Ok(true);
            }
        }
        self.close();
        Ok(false)
    }

    /// Goes to where the wanted ids begin.
    fn begin(&mut self, env: &Env<'_>) {
        self.begun = true;
        if self.segments.len() == 0 {
            // Forward, segments may come yet; `at` is the first of them.
            return;
        }
        let ids = &env.matcher.event_ids;
        let position = match self.direction {
            Direction::Forward if *ids.start() <= 1 => return,
            Direction::Forward => self.segments.below(env.storage, *ids.start(), self.limit),
            Direction::Backward => match ids.end().checked_add(1) {
                Some(above) => self.segments.above(env.storage, above, self.limit),
                None => self.limit,
            },
        };
        self.at = self.segments.index(position.number);
        self.resume = position.offset;
    }

    fn next_line(&mut self, env: &mut Env<'_>) -> Result<Option<Line>> {
        loop {
            let number = self.segments.number(self.at);
            let stop = match self.direction {
                Direction::Forward => self.here() >= self.limit,
                Direction::Backward => self.at >= self.segments.len(),
            };
            if stop {
                return Ok(None);
            }
            if !self.open(env)? {
                if !self.next_segment() {
                    return Ok(None);
                }
                continue;
            }
            let (Some(file), Some(lines)) = (&self.file, &mut self.lines) else {
                return Ok(None);
            };
            // Once there is a next segment, this one is at rest.
            let last = number < self.limit.number;
            let line = lines
                .advance(&**file, last)
                .map_err(|e| Error::io("read", &self.path, &e))?;
            if line.is_some() {
                return Ok(line);
            }
            if !self.next_segment() {
                return Ok(None);
            }
        }
    }

    /// Opens the segment; `false` if it is not there any more, or if no event
    /// in it can pass.
    fn open(&mut self, env: &mut Env<'_>) -> Result<bool> {
        if self.file.is_none() {
            self.path = self.segments.path(self.at);
            match env.storage.open(&self.path, Open::Read) {
                Ok(file) => self.file = Some(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.tell(env, 0, DamageKind::Gone, "the segment was taken away");
                    return Ok(false);
                }
                Err(e) => return Err(Error::io("open", &self.path, &e)),
            }
        }
        if let (None, Some(file)) = (&self.lines, &self.file) {
            let number = self.segments.number(self.at);
            if number < self.limit.number
                && let Some(span) = env.times.of(&self.name, number, &**file)
                && !env.matcher.times(span.min, span.max)
            {
                return Ok(false);
            }
            self.lines = Some(match self.direction {
                Direction::Forward => Lines::forward(self.resume, env.block),
                Direction::Backward => {
                    let stat = file
                        .stat()
                        .map_err(|e| Error::io("look at", &self.path, &e))?;
                    Lines::backward(self.resume.min(stat.len), env.block)
                }
            });
        }
        Ok(true)
    }

    fn next_segment(&mut self) -> bool {
        let next = match self.direction {
            Direction::Forward if self.segments.number(self.at) < self.limit.number => self.at + 1,
            Direction::Backward if self.at > 0 => self.at - 1,
            Direction::Forward => return false,
            Direction::Backward => {
                self.done = true;
                return false;
            }
        };
        self.at = next;
        self.file = None;
        self.lines = None;
        self.resume = match self.direction {
            Direction::Forward => 0,
            Direction::Backward => u64::MAX,
        };
        true
    }
}
