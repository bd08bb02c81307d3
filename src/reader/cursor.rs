//! One stream, event by event.
//!
//! A cursor goes through a stream's segments, forward or backward, from the
//! place of the first wanted id to a limit that the reader sets, and stops at
//! each event that passes the filter. A line is looked at as far as the filter
//! needs; one that is returned is checked whole. What is no event of this
//! stream, or breaks the order of its ids, goes into the damage log.
//!
//! An id is out of order if it does not rise above the last good one. A single
//! id that is too high would make all that follow look too low; so the line
//! ahead is asked too, and the one that stands alone is the damaged one.

use super::damage::{Damage, DamageKind, Sink};
use super::lines::{Line, Lines};
use super::segments::{Place, Segments};
use crate::error::{Error, Result};
use crate::filter::Matcher;
use crate::head::{self, Checker, Depth, Head, leading_id};
use crate::layout::Layout;
use crate::storage::{File, Open, Storage};
use crate::times::Times;
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

impl Way {
    /// Whether an id may come after another, going this way.
    #[inline]
    fn in_order(self, earlier: u64, later: u64) -> bool {
        match self {
            Way::Forward => earlier < later,
            Way::Backward => earlier > later && later > 0,
        }
    }
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

/// What a glance tells of a line.
enum Glance {
    /// It does not pass.
    Skip,
    /// It passes.
    Pass,
    /// It needs a closer look.
    Unsure,
}

/// The event at which a cursor stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    line: Line,
    pub head: Head,
    pub place: Place,
}

/// Why a line is no event of this stream.
struct Fault {
    kind: DamageKind,
    reason: String,
    event_id: Option<u64>,
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

    /// What can be said at a glance, about almost every line: that it is an event
    /// of our own shape, in order, and passes or not. One that passes has been
    /// checked, and its head is in `head`.
    #[inline]
    fn glance(&mut self, line: Line, env: &mut Env<'_>) -> Glance {
        let Some(lines) = &self.lines else {
            return Glance::Unsure;
        };
        let text = lines.text(line);
        let depth = env.matcher.depth;
        if !line.whole || head::scan_into(text, &self.names, depth, &mut self.head).is_none() {
            return Glance::Unsure;
        }
        let id = self.head.event_id;
        if !self.way.in_order(self.last_id, id) {
            return Glance::Unsure;
        }
        if !env.matcher.event(&self.head, text) {
            let ids = &env.matcher.event_ids;
            if !ids.contains(&id) {
                return Glance::Unsure;
            }
            self.skipped = Some(Skipped {
                offset: line.offset,
                at: self.at,
                before: self.last_id,
            });
            self.last_id = id;
            return Glance::Skip;
        }
        let ahead = lines.ahead().and_then(leading_id);
        if !ahead.is_some_and(|ahead| self.way.in_order(id, ahead)) {
            return Glance::Unsure;
        }
        if depth != Depth::All
            && head::scan_into(text, &self.names, Depth::All, &mut self.head).is_none()
        {
            return Glance::Unsure;
        }
        if !env.checker.rest(text, &self.head) {
            return Glance::Unsure;
        }
        self.skipped = None;
        self.last_id = id;
        Glance::Pass
    }

    /// Whether the line is an event and passes the filter, looked at with all
    /// care. If so, its head is in `head`; if it is none, that is told.
    fn judge(&mut self, line: Line, env: &mut Env<'_>) -> bool {
        if !line.whole && self.segments.number(self.at) >= self.limit.number {
            // Perhaps it is being written just now.
            return false;
        }
        let (head, passes) = match self.examine(line, env) {
            Ok(Some(examined)) => examined,
            Ok(None) => return false,
            Err(fault) => {
                env.damage.damage(Damage {
                    kind: fault.kind,
                    path: self.path.clone(),
                    offset: line.offset,
                    reason: fault.reason,
                    event_id: fault.event_id,
                });
                return false;
            }
        };
        self.head = head;
        self.skipped = None;
        self.last_id = head.event_id;
        let ids = &env.matcher.event_ids;
        self.done = match self.way {
            Way::Forward => head.event_id > *ids.end(),
            Way::Backward => head.event_id < *ids.start(),
        };
        passes
    }

    /// The head of the line's event, and whether it passes the filter; of one
    /// that does, the whole line is checked. `None`: the line is blank.
    fn examine(
        &mut self,
        line: Line,
        env: &mut Env<'_>,
    ) -> std::result::Result<Option<(Head, bool)>, Fault> {
        let no_event = |reason: String| Fault {
            kind: DamageKind::NoEvent,
            reason,
            event_id: None,
        };
        if line.skipped {
            return Err(no_event("a long line that is no event".to_owned()));
        }
        let Some(lines) = &self.lines else {
            return Ok(None);
        };
        let text = lines.text(line);
        let scanned = if line.whole {
            head::scan(text, &self.names, env.matcher.depth)
        } else {
            None
        };
        let head = match scanned {
            Some(head) => head,
            None if text.iter().all(u8::is_ascii_whitespace) => return Ok(None),
            None => self.parse(text)?,
        };
        self.doubt_skipped(head.event_id, env);
        let Some(lines) = &self.lines else {
            return Ok(None);
        };
        let ahead = lines.ahead().map(leading_id);
        if let Some(reason) = self.order_fault(head.event_id, ahead, env.storage) {
            return Err(Fault {
                kind: DamageKind::Disordered,
                reason,
                event_id: Some(head.event_id),
            });
        }
        let Some(lines) = &self.lines else {
            return Ok(None);
        };
        let text = lines.text(line);
        if !env.matcher.event(&head, text) {
            return Ok(Some((head, false)));
        }
        if scanned.is_none() {
            return Ok(Some((head, true)));
        }
        let whole = match env.matcher.depth {
            Depth::All => scanned,
            _ => head::scan(text, &self.names, Depth::All),
        };
        let whole = match whole {
            Some(head) if env.checker.rest(text, &head) => head,
            // Of another shape further on, or no JSON.
            _ => self.parse(text)?,
        };
        Ok(Some((whole, true)))
    }

    /// The head of a line of any shape, once it is found to be an event of this
    /// stream.
    fn parse(&self, text: &[u8]) -> std::result::Result<Head, Fault> {
        let (head, place) = head::parse(text).map_err(|reason| Fault {
            kind: DamageKind::NoEvent,
            reason,
            event_id: None,
        })?;
        if place.is(&self.domain, &self.category, text) {
            return Ok(head);
        }
        Err(Fault {
            kind: DamageKind::Misplaced,
            reason: format!(
                "the event belongs to {}/{}",
                place.domain.text(text),
                place.category.text(text)
            ),
            event_id: Some(head.event_id),
        })
    }

    fn tell(&self, env: &mut Env<'_>, offset: u64, kind: DamageKind, reason: &str) {
        env.damage.damage(Damage {
            kind,
            path: self.path.clone(),
            offset,
            reason: reason.to_owned(),
            event_id: None,
        });
    }

    /// If the last line was skipped, and the present id would be in order but for
    /// it, then it is that line whose id is wrong.
    fn doubt_skipped(&mut self, id: u64, env: &mut Env<'_>) {
        let Some(skipped) = self.skipped.take() else {
            return;
        };
        let (last, way) = (self.last_id, self.way);
        if way.in_order(last, id)
            || !way.in_order(skipped.before, id)
            || self.is_first(skipped.before, skipped.at, last, env.storage)
        {
            return;
        }
        let reason = match way {
            Way::Forward => format!("event_id {last} is followed by {id}"),
            Way::Backward => format!("event_id {last} does not rise above {id}"),
        };
        env.damage.damage(Damage {
            kind: DamageKind::Disordered,
            path: self.segments.path(skipped.at),
            offset: skipped.offset,
            reason,
            event_id: Some(last),
        });
        self.last_id = skipped.before;
    }

    /// Whether an id with no good one before it is nevertheless right: of the
    /// very first two, the third tells which is wrong.
    fn is_first(&mut self, before: u64, at: usize, id: u64, storage: &dyn Storage) -> bool {
        let first = match (self.way, before) {
            (Way::Forward, 0) => self.segments.first_id(storage, at),
            (Way::Backward, u64::MAX) => self.segments.last_id(storage, at),
            _ => None,
        };
        first == Some(id)
    }

    /// What is wrong with an id at this place, if something is. `ahead` is the
    /// next line, if the segment has one, as the id that it holds, if it does.
    #[allow(clippy::option_option)] // As said.
    fn order_fault(
        &mut self,
        id: u64,
        ahead: Option<Option<u64>>,
        storage: &dyn Storage,
    ) -> Option<String> {
        let last = self.last_id;
        let segments = &mut self.segments;
        let ahead = match (ahead, self.way) {
            (Some(ahead), _) => ahead,
            // At a segment's end, the next line is its neighbour's.
            (None, Way::Forward) => segments.first_id(storage, self.at + 1),
            (None, Way::Backward) => {
                let before = self.at.checked_sub(1);
                before.and_then(|before| segments.last_id(storage, before))
            }
        };
        match self.way {
            _ if id == 0 => Some("event_id is 0".to_owned()),
            Way::Forward if id <= last => Some(format!("event_id {id} does not rise above {last}")),
            Way::Backward if id >= last => Some(format!("event_id {id} is followed by {last}")),
            Way::Forward => {
                let ahead = ahead.filter(|&ahead| last < ahead && ahead < id)?;
                let first = self.is_first(last, self.at, id, storage);
                (!first).then(|| format!("event_id {id} is followed by {ahead}"))
            }
            Way::Backward => {
                let ahead = ahead.filter(|&ahead| id <= ahead && ahead < last)?;
                let first = self.is_first(last, self.at, id, storage);
                (!first).then(|| format!("event_id {id} does not rise above {ahead}"))
            }
        }
    }
}
