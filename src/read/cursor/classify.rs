//! What a line is: an event of the cursor's stream, which passes the filter or
//! does not, or damage.
//!
//! A line is read as far as the filter needs; one that is returned is checked
//! completely. What is no event of this stream, or breaks the order of its ids, is
//! reported as damage.
//!
//! An id is out of order if it is not above the last valid one. A single id that
//! is too high would make all following ones look too low; so the next line's id
//! is compared too, and of the three ids the one that contradicts the other two is
//! the damaged one. For a line that does not pass, this comparison is made when
//! the next line is examined.

use super::{Cursor, CursorContext, SkippedLine};
use crate::event::header::{self, Depth, Header, leading_id};
use crate::read::damage::{Damage, DamageKind, ForeignLine};
use crate::store::lines::{Direction, Line};
use crate::store::storage::Storage;

/// The result of the fast path for a line.
pub(super) enum FastPath {
    /// It is an event that does not pass the filter.
    Skip,
    /// It is an event that passes.
    Pass,
    /// The fast path cannot decide; [`Cursor::classify`] does.
    Unsure,
}

/// What a line is, if it is not damaged.
enum Examined {
    Blank,
    Event {
        header: Header,
        /// Whether it passes the filter. If it does, the whole line has been checked.
        passes: bool,
        /// Whether it is in another form than the trail's own, as far as it was read.
        foreign: bool,
    },
}

/// Why a line is no event of this stream.
struct LineFault {
    kind: DamageKind,
    reason: String,
    event_id: Option<u64>,
}

/// Why an id is out of order: by the one before it.
fn not_above(id: u64, before: u64) -> String {
    if id == before {
        return format!("a duplicate: event_id {id} does not rise above {before}");
    }
    format!("out of order: event_id {id} does not rise above {before}")
}

/// Why an id is out of order: by the one after it.
fn followed_by(id: u64, after: u64) -> String {
    if id == after {
        return format!("a duplicate: event_id {id} is followed by {after}");
    }
    format!("out of order: event_id {id} is followed by {after}")
}

impl Direction {
    /// Whether the id `later` may follow `earlier` in this direction.
    #[inline]
    fn in_order(self, earlier: u64, later: u64) -> bool {
        match self {
            Direction::Forward => earlier < later,
            Direction::Backward => earlier > later && later > 0,
        }
    }
}

impl Cursor {
    /// Decides about nearly every line: those that are events in the trail's own
    /// format with ids in order. One that passes has been checked completely, and
    /// its header is in `header`.
    #[inline]
    pub(super) fn fast_path(&mut self, line: Line, context: &mut CursorContext<'_>) -> FastPath {
        let Some(lines) = &self.lines else {
            return FastPath::Unsure;
        };
        let text = lines.text(line);
        let depth = context.matcher.depth;
        if !line.whole
            || header::scan_into(text, &self.stream_fields, depth, &mut self.header).is_none()
        {
            return FastPath::Unsure;
        }
        let id = self.header.event_id;
        if !self.direction.in_order(self.last_id, id) {
            return FastPath::Unsure;
        }
        if !context.matcher.matches(&self.header, text) {
            let ids = &context.matcher.event_ids;
            if !ids.contains(&id) {
                return FastPath::Unsure;
            }
            self.skipped = Some(SkippedLine {
                offset: line.offset,
                segment_index: self.segment_index,
                previous_id: self.last_id,
            });
            self.last_id = id;
            return FastPath::Skip;
        }
        let ahead = lines.ahead().and_then(leading_id);
        if !ahead.is_some_and(|ahead| self.direction.in_order(id, ahead)) {
            return FastPath::Unsure;
        }
        if depth != Depth::All
            && header::scan_into(text, &self.stream_fields, Depth::All, &mut self.header).is_none()
        {
            return FastPath::Unsure;
        }
        if !context.checker.is_valid(text, &self.header) {
            return FastPath::Unsure;
        }
        self.skipped = None;
        self.last_id = id;
        FastPath::Pass
    }

    /// Whether a line is an event that passes the filter, if the fast path cannot
    /// decide. If so, its header is in `header`; a line that is no event is reported.
    pub(super) fn classify(&mut self, line: Line, context: &mut CursorContext<'_>) -> bool {
        if !line.whole && self.segments.number(self.segment_index) >= self.limit.number {
            // It may be in the middle of being written.
            return false;
        }
        let (header, passes) = match self.examine(line, context) {
            Ok(Examined::Event {
                header,
                passes,
                foreign,
            }) => {
                if foreign {
                    self.report_foreign(line, Some(header.event_id), context);
                }
                (header, passes)
            }
            Ok(Examined::Blank) => {
                self.report_foreign(line, None, context);
                return false;
            }
            Err(fault) => {
                context.damage.report(Damage {
                    kind: fault.kind,
                    path: self.path.clone(),
                    offset: line.offset,
                    reason: fault.reason,
                    event_id: fault.event_id,
                });
                return false;
            }
        };
        self.header = header;
        self.skipped = None;
        self.last_id = header.event_id;
        let ids = &context.matcher.event_ids;
        self.done = match self.direction {
            Direction::Forward => header.event_id > *ids.end(),
            Direction::Backward => header.event_id < *ids.start(),
        };
        passes
    }

    fn report_foreign(&self, line: Line, event_id: Option<u64>, context: &mut CursorContext<'_>) {
        context.damage.report_foreign(&ForeignLine {
            path: &self.path,
            offset: line.offset,
            event_id,
            text: self.lines.as_ref().map_or(&[], |lines| lines.text(line)),
            terminated: line.whole,
        });
    }

    /// What the line is.
    fn examine(
        &mut self,
        line: Line,
        context: &mut CursorContext<'_>,
    ) -> std::result::Result<Examined, LineFault> {
        let no_event = |reason: String| LineFault {
            kind: DamageKind::NoEvent,
            reason,
            event_id: None,
        };
        if line.skipped {
            return Err(no_event("a long line that is no event".to_owned()));
        }
        let Some(lines) = &self.lines else {
            return Ok(Examined::Blank);
        };
        let text = lines.text(line);
        let scanned = if line.whole {
            header::scan(text, &self.stream_fields, context.matcher.depth)
        } else {
            None
        };
        let header = match scanned {
            Some(header) => header,
            None if text.iter().all(u8::is_ascii_whitespace) => return Ok(Examined::Blank),
            None => self.parse(text)?,
        };
        self.recheck_skipped(header.event_id, context);
        let Some(lines) = &self.lines else {
            return Ok(Examined::Blank);
        };
        let ahead = lines.ahead().map(leading_id);
        if let Some(reason) = self.order_fault(header.event_id, ahead, context.storage) {
            return Err(LineFault {
                kind: DamageKind::Disordered,
                reason,
                event_id: Some(header.event_id),
            });
        }
        let Some(lines) = &self.lines else {
            return Ok(Examined::Blank);
        };
        let text = lines.text(line);
        let event = |header, passes, foreign| Examined::Event {
            header,
            passes,
            foreign,
        };
        if !context.matcher.matches(&header, text) {
            return Ok(event(header, false, scanned.is_none()));
        }
        if scanned.is_none() {
            return Ok(event(header, true, true));
        }
        let whole = match context.matcher.depth {
            Depth::All => scanned,
            _ => header::scan(text, &self.stream_fields, Depth::All),
        };
        match whole {
            Some(header) if context.checker.is_valid(text, &header) => {
                Ok(event(header, true, false))
            }
            // Another format after the scanned part, or no JSON.
            _ => Ok(event(self.parse(text)?, true, true)),
        }
    }

    /// The header of a line in any format, if it is an event of this stream.
    fn parse(&self, text: &[u8]) -> std::result::Result<Header, LineFault> {
        let (header, stream) = header::parse(text).map_err(|reason| LineFault {
            kind: DamageKind::NoEvent,
            reason,
            event_id: None,
        })?;
        if stream.matches(&self.stream.domain, &self.stream.category, text) {
            return Ok(header);
        }
        Err(LineFault {
            kind: DamageKind::Misplaced,
            reason: format!(
                "the event belongs to {}/{}",
                stream.domain.text(text),
                stream.category.text(text)
            ),
            event_id: Some(header.event_id),
        })
    }

    pub(super) fn report_damage(
        &self,
        context: &mut CursorContext<'_>,
        offset: u64,
        kind: DamageKind,
        reason: &str,
    ) {
        context.damage.report(Damage {
            kind,
            path: self.path.clone(),
            offset,
            reason: reason.to_owned(),
            event_id: None,
        });
    }

    /// Reports the last line if it was skipped and it is the only reason why `id` is
    /// out of order: then that line's id is the wrong one.
    fn recheck_skipped(&mut self, id: u64, context: &mut CursorContext<'_>) {
        let Some(skipped) = self.skipped.take() else {
            return;
        };
        let (last, direction) = (self.last_id, self.direction);
        if direction.in_order(last, id)
            || !direction.in_order(skipped.previous_id, id)
            || self.is_first_in_stream(
                skipped.previous_id,
                skipped.segment_index,
                last,
                context.storage,
            )
        {
            return;
        }
        let reason = match direction {
            Direction::Forward => followed_by(last, id),
            Direction::Backward => not_above(last, id),
        };
        context.damage.report(Damage {
            kind: DamageKind::Disordered,
            path: self.given_path(skipped.segment_index),
            offset: skipped.offset,
            reason,
            event_id: Some(last),
        });
        self.last_id = skipped.previous_id;
    }

    /// Whether an id with no valid one before it is the first of the stream: if the
    /// first two ids contradict each other, the third decides which is wrong.
    fn is_first_in_stream(
        &mut self,
        previous_id: u64,
        segment_index: usize,
        id: u64,
        storage: &dyn Storage,
    ) -> bool {
        let first = match (self.direction, previous_id) {
            (Direction::Forward, 0) => self.segments.first_id(storage, segment_index),
            (Direction::Backward, u64::MAX) => self.segments.last_id(storage, segment_index),
            _ => None,
        };
        first == Some(id)
    }

    /// Why an id is out of order here; `None`: it is in order. `ahead` is the next
    /// line of the segment, if there is one, and within it the line's id, if it can
    /// be read.
    #[allow(clippy::option_option)] // a line without an id is not the same as no line
    fn order_fault(
        &mut self,
        id: u64,
        ahead: Option<Option<u64>>,
        storage: &dyn Storage,
    ) -> Option<String> {
        let last = self.last_id;
        let segments = &mut self.segments;
        let ahead = match (ahead, self.direction) {
            (Some(ahead), _) => ahead,
            // At the end of a segment, the next line is in the next segment.
            (None, Direction::Forward) => segments.first_id(storage, self.segment_index + 1),
            (None, Direction::Backward) => {
                let next = self.segment_index.checked_sub(1);
                next.and_then(|next| segments.last_id(storage, next))
            }
        };
        match self.direction {
            _ if id == 0 => Some("event_id is 0".to_owned()),
            Direction::Forward if id <= last => Some(not_above(id, last)),
            Direction::Backward if id >= last => Some(followed_by(id, last)),
            Direction::Forward => {
                let ahead = ahead.filter(|&ahead| last < ahead && ahead < id)?;
                let first = self.is_first_in_stream(last, self.segment_index, id, storage);
                (!first).then(|| followed_by(id, ahead))
            }
            Direction::Backward => {
                let ahead = ahead.filter(|&ahead| id <= ahead && ahead < last)?;
                let first = self.is_first_in_stream(last, self.segment_index, id, storage);
                (!first).then(|| not_above(id, ahead))
            }
        }
    }
}
