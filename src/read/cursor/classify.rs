//! What a line is: an event of the cursor's stream that passes or does not, or
//! damage.
//!
//! A line is looked at as far as the filter needs; one that is returned is
//! checked whole. What is no event of this stream, or breaks the order of its
//! ids, goes into the damage log.
//!
//! An id is out of order if it does not rise above the last good one. A single
//! id that is too high would make all that follow look too low; so the line
//! ahead is asked too, and the one that stands alone is the damaged one. Of a
//! line that does not pass, this is found out when the next one is looked at.

use super::{Cursor, Env, Skipped};
use crate::event::header::{self, Depth, Header, leading_id};
use crate::read::damage::{Damage, DamageKind};
use crate::store::lines::Direction;
use crate::store::lines::Line;
use crate::store::storage::Storage;

/// What a fast_path tells of a line.
pub(super) enum FastPath {
    /// It does not pass.
    Skip,
    /// It passes.
    Pass,
    /// It needs a closer look.
    Unsure,
}

/// Why a line is no event of this stream.
struct LineFault {
    kind: DamageKind,
    reason: String,
    event_id: Option<u64>,
}

impl Direction {
    /// Whether an id may come after another, going this direction.
    #[inline]
    fn in_order(self, earlier: u64, later: u64) -> bool {
        match self {
            Direction::Forward => earlier < later,
            Direction::Backward => earlier > later && later > 0,
        }
    }
}

impl Cursor {
    /// What can be said at a fast_path, about almost every line: that it is an event
    /// of our own shape, in order, and passes or not. One that passes has been
    /// checked, and its header is in `header`.
    #[inline]
    pub(super) fn fast_path(&mut self, line: Line, env: &mut Env<'_>) -> FastPath {
        let Some(lines) = &self.lines else {
            return FastPath::Unsure;
        };
        let text = lines.text(line);
        let depth = env.matcher.depth;
        if !line.whole || header::scan_into(text, &self.names, depth, &mut self.header).is_none() {
            return FastPath::Unsure;
        }
        let id = self.header.event_id;
        if !self.direction.in_order(self.last_id, id) {
            return FastPath::Unsure;
        }
        if !env.matcher.event(&self.header, text) {
            let ids = &env.matcher.event_ids;
            if !ids.contains(&id) {
                return FastPath::Unsure;
            }
            self.skipped = Some(Skipped {
                offset: line.offset,
                at: self.at,
                before: self.last_id,
            });
            self.last_id = id;
            return FastPath::Skip;
        }
        let ahead = lines.ahead().and_then(leading_id);
        if !ahead.is_some_and(|ahead| self.direction.in_order(id, ahead)) {
            return FastPath::Unsure;
        }
        if depth != Depth::All
            && header::scan_into(text, &self.names, Depth::All, &mut self.header).is_none()
        {
            return FastPath::Unsure;
        }
        if !env.checker.is_valid(text, &self.header) {
            return FastPath::Unsure;
        }
        self.skipped = None;
        self.last_id = id;
        FastPath::Pass
    }

    /// Whether the line is an event and passes the filter, looked at with all
    /// care. If so, its header is in `header`; if it is none, that is told.
    pub(super) fn classify(&mut self, line: Line, env: &mut Env<'_>) -> bool {
        if !line.whole && self.segments.number(self.at) >= self.limit.number {
            // Perhaps it is being written just now.
            return false;
        }
        let (header, passes) = match self.examine(line, env) {
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
        self.header = header;
        self.skipped = None;
        self.last_id = header.event_id;
        let ids = &env.matcher.event_ids;
        self.done = match self.direction {
            Direction::Forward => header.event_id > *ids.end(),
            Direction::Backward => header.event_id < *ids.start(),
        };
        passes
    }

    /// The header of the line's event, and whether it passes the filter; of one
    /// that does, the whole line is checked. `None`: the line is blank.
    fn examine(
        &mut self,
        line: Line,
        env: &mut Env<'_>,
    ) -> std::result::Result<Option<(Header, bool)>, LineFault> {
        let no_event = |reason: String| LineFault {
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
            header::scan(text, &self.names, env.matcher.depth)
        } else {
            None
        };
        let header = match scanned {
            Some(header) => header,
            None if text.iter().all(u8::is_ascii_whitespace) => return Ok(None),
            None => self.parse(text)?,
        };
        self.doubt_skipped(header.event_id, env);
        let Some(lines) = &self.lines else {
            return Ok(None);
        };
        let ahead = lines.ahead().map(leading_id);
        if let Some(reason) = self.order_fault(header.event_id, ahead, env.storage) {
            return Err(LineFault {
                kind: DamageKind::Disordered,
                reason,
                event_id: Some(header.event_id),
            });
        }
        let Some(lines) = &self.lines else {
            return Ok(None);
        };
        let text = lines.text(line);
        if !env.matcher.event(&header, text) {
            return Ok(Some((header, false)));
        }
        if scanned.is_none() {
            return Ok(Some((header, true)));
        }
        let whole = match env.matcher.depth {
            Depth::All => scanned,
            _ => header::scan(text, &self.names, Depth::All),
        };
        let whole = match whole {
            Some(header) if env.checker.is_valid(text, &header) => header,
            // Of another shape further on, or no JSON.
            _ => self.parse(text)?,
        };
        Ok(Some((whole, true)))
    }

    /// The header of a line of any shape, once it is found to be an event of this
    /// stream.
    fn parse(&self, text: &[u8]) -> std::result::Result<Header, LineFault> {
        let (header, position) = header::parse(text).map_err(|reason| LineFault {
            kind: DamageKind::NoEvent,
            reason,
            event_id: None,
        })?;
        if position.matches(&self.stream.domain, &self.stream.category, text) {
            return Ok(header);
        }
        Err(LineFault {
            kind: DamageKind::Misplaced,
            reason: format!(
                "the event belongs to {}/{}",
                position.domain.text(text),
                position.category.text(text)
            ),
            event_id: Some(header.event_id),
        })
    }

    pub(super) fn tell(&self, env: &mut Env<'_>, offset: u64, kind: DamageKind, reason: &str) {
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
        let (last, direction) = (self.last_id, self.direction);
        if direction.in_order(last, id)
            || !direction.in_order(skipped.before, id)
            || self.is_first(skipped.before, skipped.at, last, env.storage)
        {
            return;
        }
        let reason = match direction {
            Direction::Forward => format!("event_id {last} is followed by {id}"),
            Direction::Backward => format!("event_id {last} does not rise above {id}"),
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
        let first = match (self.direction, before) {
            (Direction::Forward, 0) => self.segments.first_id(storage, at),
            (Direction::Backward, u64::MAX) => self.segments.last_id(storage, at),
            _ => None,
        };
        first == Some(id)
    }

    /// What is wrong with an id at this position, if something is. `ahead` is the
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
        let ahead = match (ahead, self.direction) {
            (Some(ahead), _) => ahead,
            // At a segment's end, the next line is its neighbour's.
            (None, Direction::Forward) => segments.first_id(storage, self.at + 1),
            (None, Direction::Backward) => {
                let before = self.at.checked_sub(1);
                before.and_then(|before| segments.last_id(storage, before))
            }
        };
        match self.direction {
            _ if id == 0 => Some("event_id is 0".to_owned()),
            Direction::Forward if id <= last => {
                Some(format!("event_id {id} does not rise above {last}"))
            }
            Direction::Backward if id >= last => {
                Some(format!("event_id {id} is followed by {last}"))
            }
            Direction::Forward => {
                let ahead = ahead.filter(|&ahead| last < ahead && ahead < id)?;
                let first = self.is_first(last, self.at, id, storage);
                (!first).then(|| format!("event_id {id} is followed by {ahead}"))
            }
            Direction::Backward => {
                let ahead = ahead.filter(|&ahead| id <= ahead && ahead < last)?;
                let first = self.is_first(last, self.at, id, storage);
                (!first).then(|| format!("event_id {id} does not rise above {ahead}"))
            }
        }
    }
}
