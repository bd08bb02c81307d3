//! One stream, event by event.
//!
//! A cursor reads a stream's segments, forward or backward, from the position of
//! the first wanted id to a limit that the reader sets, and stops at each event
//! that passes the filter. `classify` decides what a line is; the reader decides
//! which files stay open.

mod classify;

use super::damage::{Damage, DamageKind, DamageSink};
use super::segments::{Position, Segments};
use crate::error::{Error, Result};
use crate::event::header::{self, Header, LineChecker};
use crate::read::filter::Matcher;
use crate::store::layout::{Layout, segment_name};
use crate::store::lines::{Direction, Line, Lines};
use crate::store::listing::StreamId;
use crate::store::storage::{File, Open, Storage, open_regular};
use crate::store::times::Times;
use classify::FastPath;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is said of a folder, pipe, socket or device with the name of a segment.
const IRREGULAR: &str = "this is no regular file, and was not read";

/// What all cursors of a reader share.
pub(crate) struct CursorContext<'e> {
    pub storage: &'e dyn Storage,
    pub matcher: &'e Matcher,
    pub times: &'e Times,
    pub damage: &'e mut dyn DamageSink,
    pub checker: &'e mut LineChecker,
    /// How many bytes to read at once.
    pub block: usize,
}

#[derive(Debug)]
pub(crate) struct Cursor {
    pub stream: StreamId,
    /// `domain/category`.
    stream_name: String,
    /// See [`header::stream_fields`].
    stream_fields: Vec<u8>,
    direction: Direction,
    segments: Segments,
    /// The stream's folder below the root as the caller gave it: readers, damage and
    /// errors name files so.
    given_folder: PathBuf,
    /// The segment that is being read.
    segment_index: usize,
    /// Where to go on in it while it is not open.
    resume_offset: u64,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    lines: Option<Lines>,
    /// Whether the start position has been looked up.
    started: bool,
    /// No further event can pass.
    done: bool,
    limit: Position,
    /// The last valid id; none yet: 0, or when reading backward the largest number.
    last_id: u64,
    /// The last valid line, if the fast path skipped it.
    skipped: Option<SkippedLine>,
    /// The header of the line that was examined last.
    header: Header,
    found: Option<FoundEvent>,
}

/// A line that did not pass the filter, and whose id the next line may contradict.
#[derive(Clone, Copy, Debug)]
struct SkippedLine {
    offset: u64,
    segment_index: usize,
    /// The last valid id before it.
    previous_id: u64,
}

/// The current event of a cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundEvent {
    line: Line,
    pub header: Header,
    pub position: Position,
}

impl Cursor {
    pub fn new(layout: &Layout, stream: StreamId, direction: Direction) -> Self {
        let stream_name = stream.name();
        let folder = layout.stream(&stream_name);
        Self {
            stream_name,
            stream_fields: header::stream_fields(&stream.domain, &stream.category),
            stream,
            direction,
            given_folder: layout.as_given(&folder),
            segments: Segments::new(folder),
            segment_index: 0,
            resume_offset: 0,
            path: PathBuf::new(),
            file: None,
            lines: None,
            started: false,
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

    /// Reports what has the name of a segment and is no regular file, as far as
    /// [`Cursor::stream_end`] has met it; once.
    pub fn report_irregular(&mut self, damage: &mut dyn DamageSink) {
        for number in self.segments.take_irregular() {
            damage.report(Damage {
                kind: DamageKind::Irregular,
                path: self.given_folder.join(segment_name(number)),
                offset: 0,
                reason: IRREGULAR.to_owned(),
                event_id: None,
            });
        }
    }

    /// The current end of the stream.
    pub fn stream_end(&mut self, storage: &dyn Storage) -> Result<Position> {
        self.segments.current_end(storage)
    }

    fn given_path(&self, segment_index: usize) -> PathBuf {
        let number = self.segments.number(segment_index);
        self.given_folder.join(segment_name(number))
    }

    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    pub fn into_segments(self) -> Segments {
        self.segments
    }

    /// Sets the limit: where reading forward ends, and reading backward begins.
    pub fn set_limit(&mut self, limit: Position) {
        self.limit = limit;
        let was_truncated = self.direction == Direction::Forward
            && self.started
            && self.segments.number(self.segment_index) == limit.number
            && limit.offset < self.offset();
        if was_truncated {
            // A failed batch was rolled back; its ids are used again.
            self.close();
            self.resume_offset = limit.offset;
            self.skipped = None;
            self.last_id = 0;
        }
    }

    pub fn limit(&self) -> Position {
        self.limit
    }

    /// Whether no further event can ever pass.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether an event with this id, or a later one, was met; reading forward.
    pub fn has_met(&self, id: u64) -> bool {
        self.done || self.last_id >= id
    }

    /// Whether something before the limit has not been read yet.
    pub fn has_more(&self) -> bool {
        !self.done && (!self.started || self.position() < self.limit)
    }

    /// How far it has read; for reading forward.
    pub fn position(&self) -> Position {
        Position {
            number: self.segments.number(self.segment_index),
            offset: self.offset(),
        }
    }

    fn offset(&self) -> u64 {
        self.lines
            .as_ref()
            .map_or(self.resume_offset, Lines::position)
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Closes the file; it is opened again when it is needed.
    pub fn close_file(&mut self) {
        self.file = None;
    }

    /// Frees the file and the buffer. A forward cursor can continue later.
    fn close(&mut self) {
        self.resume_offset = self.offset();
        self.lines = None;
        self.file = None;
        self.found = None;
    }

    pub fn found(&self) -> Option<&FoundEvent> {
        self.found.as_ref()
    }

    /// The bytes of the current event.
    pub fn line(&self, found: &FoundEvent) -> &[u8] {
        self.lines
            .as_ref()
            .map_or(&[], |lines| lines.text(found.line))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves to the next event that passes; `false` at the limit.
    pub fn next(&mut self, context: &mut CursorContext<'_>) -> Result<bool> {
        self.found = None;
        if !self.started {
            self.seek_start(context);
        }
        while !self.done {
            let Some(line) = self.next_line(context)? else {
                break;
            };
            let passes = match self.fast_path(line, context) {
                FastPath::Skip => continue,
                FastPath::Pass => true,
                FastPath::Unsure => self.classify(line, context),
            };
            if passes {
                self.found = Some(FoundEvent {
                    line,
                    header: self.header,
                    position: Position {
                        number: self.segments.number(self.segment_index),
                        offset: line.offset,
                    },
                });
                return Ok(true);
            }
        }
        self.close();
        Ok(false)
    }

    /// Moves to where the wanted ids begin.
    fn seek_start(&mut self, context: &CursorContext<'_>) {
        self.started = true;
        if self.segments.len() == 0 {
            // Forward, segments may be added yet; index 0 is the first of them.
            return;
        }
        let ids = &context.matcher.event_ids;
        let position = match self.direction {
            Direction::Forward if *ids.start() <= 1 => return,
            Direction::Forward => {
                self.segments
                    .position_below(context.storage, *ids.start(), self.limit)
            }
            Direction::Backward => match ids.end().checked_add(1) {
                Some(above) => self
                    .segments
                    .position_above(context.storage, above, self.limit),
                None => self.limit,
            },
        };
        self.segment_index = self.segments.index_of(position.number);
        self.resume_offset = position.offset;
    }

    fn next_line(&mut self, context: &mut CursorContext<'_>) -> Result<Option<Line>> {
        loop {
            let number = self.segments.number(self.segment_index);
            let stop = match self.direction {
                Direction::Forward => self.position() >= self.limit,
                Direction::Backward => self.segment_index >= self.segments.len(),
            };
            if stop {
                return Ok(None);
            }
            if !self.open(context)? {
                if !self.next_segment() {
                    return Ok(None);
                }
                continue;
            }
            let (Some(file), Some(lines)) = (&self.file, &mut self.lines) else {
                return Ok(None);
            };
            // Once there is a next segment, this one does not change any more.
            let is_final = number < self.limit.number;
            let line = lines
                .advance(&**file, is_final)
                .map_err(|e| Error::io("read", &self.path, &e))?;
            if line.is_some() {
                return Ok(line);
            }
            if !self.next_segment() {
                return Ok(None);
            }
        }
    }

    /// Opens the segment; `false` if it no longer exists, or if no event in it can
    /// pass.
    fn open(&mut self, context: &mut CursorContext<'_>) -> Result<bool> {
        if self.file.is_none() {
            self.path = self.given_path(self.segment_index);
            let path = self.segments.path(self.segment_index);
            match open_regular(context.storage, &path, Open::Read) {
                Ok(Some(file)) => self.file = Some(file),
                Ok(None) => {
                    self.report_damage(context, 0, DamageKind::Irregular, IRREGULAR);
                    return Ok(false);
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.report_damage(context, 0, DamageKind::Gone, "the segment was taken away");
                    return Ok(false);
                }
                Err(e) => return Err(Error::io("open", &self.path, &e)),
            }
        }
        if let (None, Some(file)) = (&self.lines, &self.file) {
            let number = self.segments.number(self.segment_index);
            if number < self.limit.number
                && let Some(span) = context.times.lookup(&self.stream_name, number, &**file)
                && !context.matcher.overlaps_times(span.min, span.max)
            {
                return Ok(false);
            }
            self.lines = Some(match self.direction {
                Direction::Forward => Lines::forward(self.resume_offset, context.block),
                Direction::Backward => {
                    let stat = file
                        .stat()
                        .map_err(|e| Error::io("look at", &self.path, &e))?;
                    Lines::backward(self.resume_offset.min(stat.len), context.block)
                }
            });
        }
        Ok(true)
    }

    fn next_segment(&mut self) -> bool {
        let next = match self.direction {
            Direction::Forward if self.segments.number(self.segment_index) < self.limit.number => {
                self.segment_index + 1
            }
            Direction::Backward if self.segment_index > 0 => self.segment_index - 1,
            Direction::Forward => return false,
            Direction::Backward => {
                self.done = true;
                return false;
            }
        };
        self.segment_index = next;
        self.file = None;
        self.lines = None;
        self.resume_offset = match self.direction {
            Direction::Forward => 0,
            Direction::Backward => u64::MAX,
        };
        true
    }
}
