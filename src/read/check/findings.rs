//! What a check has found so far, and the report made of it.

use super::absent::{AbsentSegments, Verdict, verdict};
use super::ids::IdSet;
use super::report::{CheckReport, Fault, Gap, IndexFinding, IndexState};
use crate::error::Result;
use crate::event::header::form_fault;
use crate::limits::MAX_LISTED;
use crate::read::damage::{Damage, DamageKind, DamageSink, ForeignLine};
use crate::store::index_file::IndexContent;
use std::collections::BTreeSet;
use std::path::Path;

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub report: CheckReport,
    ids: IdSet,
    /// Ids of lines that were reported as damage.
    rejected_ids: IdSet,
    /// The first ids that more than one event has.
    doubled_ids: BTreeSet<u64>,
    /// The largest id in the snapshot.
    snapshot_last_id: u64,
    /// Events before this one may be missing.
    bound: u64,
    /// Segments that were removed since [`Findings::judge`] was called last.
    removed: Vec<Fault>,
    /// Absent segments that are missing if an id before this one is.
    in_doubt: Vec<(AbsentSegments, u64)>,
}

impl DamageSink for Findings {
    fn report(&mut self, damage: Damage) {
        let fault = Fault {
            path: path_text(&damage.path),
            offset: damage.offset,
            event_id: damage.event_id,
            reason: damage.reason,
        };
        match damage.kind {
            DamageKind::Gone => self.removed.push(fault),
            DamageKind::NoEvent | DamageKind::Irregular => self.report.damaged_lines.add(fault),
            DamageKind::Misplaced => self.report.misplaced_events.add(fault),
            DamageKind::Disordered => self.report.disordered_events.add(fault),
        }
        if let Some(id) = damage.event_id
            && !self.rejected_ids.insert(id)
        {
            self.add_doubled(id);
        }
    }

    fn report_foreign(&mut self, line: &ForeignLine<'_>) {
        self.report.foreign_lines.add_with(|| Fault {
            path: path_text(line.path),
            offset: line.offset,
            event_id: line.event_id,
            reason: match line.event_id {
                Some(_) => form_fault(line.text, line.terminated),
                None => "it is blank".to_owned(),
            },
        });
    }
}

impl Findings {
    /// Events before `bound` may be missing.
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            ..Self::default()
        }
    }

    /// Decides about segments of a stream that are not there: these, and those that were
    /// removed since the last call. `before` and `after` are the nearest ids in the
    /// stream; 0 and the largest number: there is none.
    pub fn judge(&mut self, unlisted: impl Iterator<Item = Gap>, before: u64, after: u64) {
        let removed = std::mem::take(&mut self.removed);
        let absent = unlisted.map(AbsentSegments::Unlisted);
        for segments in absent.chain(removed.into_iter().map(AbsentSegments::Removed)) {
            match verdict(self.bound, before, after) {
                Verdict::Pruned => {}
                Verdict::Missing => self.add_absent(segments),
                Verdict::InDoubt(end) => self.in_doubt.push((segments, end)),
            }
        }
    }

    fn add_absent(&mut self, segments: AbsentSegments) {
        match segments {
            AbsentSegments::Unlisted(gap) => self.report.missing_segments.add(gap),
            AbsentSegments::Removed(fault) => self.report.damaged_lines.add(fault),
        }
    }

    pub fn add_event(&mut self, id: u64, in_snapshot: bool) {
        self.report.events += 1;
        self.report.last_event_id = self.report.last_event_id.max(Some(id));
        if in_snapshot {
            self.snapshot_last_id = self.snapshot_last_id.max(id);
        }
        if !self.ids.insert(id) {
            self.add_doubled(id);
        }
    }

    fn add_doubled(&mut self, id: u64) {
        self.report.doubled_ids.add(id, id);
        if self.doubled_ids.len() < MAX_LISTED {
            self.doubled_ids.insert(id);
        }
    }

    /// The first ids that more than one event has.
    pub fn doubled_ids(&self) -> &BTreeSet<u64> {
        &self.doubled_ids
    }

    /// `recorded_id`: all events up to this one were in the trail before the check.
    pub fn conclude(&mut self, index: &Result<IndexContent>, recorded_id: u64) {
        for id in std::mem::take(&mut self.rejected_ids).iter() {
            // An id above the snapshot is likely to be wrong itself.
            if id <= self.snapshot_last_id && !self.ids.insert(id) {
                self.add_doubled(id);
            }
        }
        let first = self.bound.max(1);
        self.report.missing_ids = self.ids.missing(first, self.snapshot_last_id);
        let missing = self.report.missing_ids.ranges.first().copied();
        for (segments, end) in std::mem::take(&mut self.in_doubt) {
            if missing.is_some_and(|(id, _)| id < end) {
                self.add_absent(segments);
            }
        }
        let indexed = match index {
            Ok(IndexContent::Last(id)) => *id,
            _ => 0,
        };
        let given = self.snapshot_last_id.max(recorded_id).max(indexed);
        self.report.pruned_events = self.ids.missing(1, given.min(first - 1)).count;
        let report = &mut self.report;
        let last = report.last_event_id.unwrap_or(0);
        if let Some(next) = last.max(first - 1).checked_add(1) {
            report.removed_ids.add(next, recorded_id);
        }
        let (state, indexed) = match index {
            Ok(IndexContent::Last(id)) => {
                let id = *id;
                // The last events of all may have been pruned too.
                let state = match id.cmp(&last.max(id.min(first - 1))) {
                    std::cmp::Ordering::Less => IndexState::Behind,
                    std::cmp::Ordering::Equal => IndexState::Equal,
                    std::cmp::Ordering::Greater => IndexState::Ahead,
                };
                (state, Some(id))
            }
            Ok(IndexContent::Missing) => (IndexState::Missing, None),
            Ok(IndexContent::Unreadable(_)) | Err(_) => (IndexState::Unreadable, None),
        };
        report.index = IndexFinding {
            state,
            last_event_id: indexed,
        };
        report.set_ok();
    }
}

pub(super) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
