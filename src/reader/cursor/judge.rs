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

use super::{Cursor, Env, Skipped, Way};
use crate::head::{self, Depth, Head, leading_id};
use crate::reader::damage::{Damage, DamageKind};
use crate::reader::lines::Line;
use crate::storage::Storage;

/// What a glance tells of a line.
pub(super) enum Glance {
    /// It does not pass.
    Skip,
    /// It passes.
    Pass,
    /// It needs a closer look.
    Unsure,
}

/// Why a line is no event of this stream.
struct Fault {
    kind: DamageKind,
    reason: String,
    event_id: Option<u64>,
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

impl Cursor {
    /// What can be said at a glance, about almost every line: that it is an event
    /// of our own shape, in order, and passes or not. One that passes has been
    /// checked, and its head is in `head`.
    #[inline]
    pub(super) fn glance(&mut self, line: Line, env: &mut Env<'_>) -> Glance {
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
    pub(super) fn judge(&mut self, line: Line, env: &mut Env<'_>) -> bool {
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
