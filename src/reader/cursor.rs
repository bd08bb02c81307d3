//! One stream, event by event.
//!
//! A cursor goes through a stream's segments, forward or backward, from the
//! place of the first wanted id to a limit that the reader sets, and stops at
//! each event that passes the filter; what a line is, `judge` says.

mod judge;

use super::damage::{DamageKind, Sink};
use super::lines::{Line, Lines};
use super::segments::{Place, Segments};
use crate::error::{Error, Result};
use crate::filter::Matcher;
use crate::head::{self, Checker, Head};
use crate::layout::Layout;
use crate::storage::{File, Open, Storage};
use crate::times::Times;
use judge::Glance;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all cursors of a reader share.
pub(crate) struct Env<'e> {
    pub storage: &'e dyn Storage,
    pub matcher: &'e Matcher,
    pub times: &'e Times,
    pub damage: &'e mut dyn Sink,
    pub checker: &'e mut Checker,
    /// How much to read at once.
    pub block: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forward,
    Backward,
}

#[derive(Debug)]
pub(crate) struct Cursor {
    pub domain: String,
    pub category: String,
    /// The two, as the stream is called.
    name: String,
    /// What a line of this stream holds, see [`head::names`].
    names: Vec<u8>,
    way: Way,
    segments: Segments,
    /// The segment that is being read, and how far it is while it is not open.
    at: usize,
    resume: u64,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    lines: Option<Lines>,
    begun: bool,
    done: bool,
    limit: Place,
    /// The last good id; 0, or the largest number going backward: none yet.
    last_id: u64,
    /// The last good line, if it was only glanced at and did not pass.
    skipped: Option<Skipped>,
    /// That of the line that was looked at last.
    head: Head,
    found: Option<Found>,
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
pub(crate) struct Found {
    line: Line,
    pub head: Head,
    pub place: Place,
}

impl Cursor {
    pub fn new(layout: &Layout, domain: String, category: String, way: Way) -> Self {
        let folder = layout.domain(&domain).join(&category);
        Self {
            name: format!("{domain}/{category}"),
            names: head::names(&domain, &category),
            domain,
            category,
            way,
            segments: Segments::new(folder),
            at: 0,
            resume: 0,
            path: PathBuf::new(),
            file: None,
            lines: None,
            begun: false,
            done: false,
            limit: Place::default(),
            last_id: match way {
                Way::Forward => 0,
                Way::Backward => u64::MAX,
            },
            skipped: None,
            head: Head::default(),
            found: None,
        }
    }

    /// Where the stream ends now.
    pub fn end(&mut self, storage: &dyn Storage) -> Result<Place> {
        self.segments.end(storage)
    }

    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    pub fn into_segments(self) -> Segments {
        self.segments
    }

    /// Lets the cursor go up to `limit`; going backward, from there.
    pub fn set_limit(&mut self, limit: Place) {
        self.limit = limit;
        let cut = self.way == Way::Forward
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

    pub fn limit(&self) -> Place {
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
    pub fn here(&self) -> Place {
        Place {
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

    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// The bytes of the event at which the cursor stands.
    pub fn line(&self, found: &Found) -> &[u8] {
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
            let passes = match self.glance(line, env) {
                Glance::Skip => continue,
                Glance::Pass => true,
                Glance::Unsure => self.judge(line, env),
            };
            if passes {
                self.found = Some(Found {
                    line,
                    head: self.head,
                    place: Place {
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
        let place = match self.way {
            Way::Forward if *ids.start() <= 1 => return,
            Way::Forward => self.segments.below(env.storage, *ids.start(), self.limit),
            Way::Backward => match ids.end().checked_add(1) {
                Some(above) => self.segments.above(env.storage, above, self.limit),
                None => self.limit,
            },
        };
        self.at = self.segments.index(place.number);
        self.resume = place.offset;
    }

    fn next_line(&mut self, env: &mut Env<'_>) -> Result<Option<Line>> {
        loop {
            let number = self.segments.number(self.at);
            let stop = match self.way {
                Way::Forward => self.here() >= self.limit,
                Way::Backward => self.at >= self.segments.len(),
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
            self.lines = Some(match self.way {
                Way::Forward => Lines::forward(self.resume, env.block),
                Way::Backward => {
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
        let next = match self.way {
            Way::Forward if self.segments.number(self.at) < self.limit.number => self.at + 1,
            Way::Backward if self.at > 0 => self.at - 1,
            Way::Forward => return false,
            Way::Backward => {
                self.done = true;
                return false;
            }
        };
        self.at = next;
        self.file = None;
        self.lines = None;
        self.resume = match self.way {
            Way::Forward => 0,
            Way::Backward => u64::MAX,
        };
        true
    }
}
