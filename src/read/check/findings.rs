//! What a check has found so far, and the report made of it.

use super::ids::IdSet;
use super::report::{CheckReport, Fault, IndexFinding, IndexState};
use crate::error::Result;
use crate::read::damage::{Damage, DamageKind, DamageSink};
use crate::store::index_file::IndexContent;
use std::path::Path;

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub report: CheckReport,
    ids: IdSet,
    /// Ids of lines that were reported as damage.
    rejected_ids: IdSet,
    /// The largest id in the snapshot.
    snapshot_last_id: u64,
}

impl DamageSink for Findings {
    fn report(&mut self, damage: Damage) {
        let list = match damage.kind {
            DamageKind::NoEvent | DamageKind::Gone | DamageKind::Irregular => {
                &mut self.report.damaged_lines
            }
            DamageKind::Misplaced => &mut self.report.misplaced_events,
            DamageKind::Disordered => &mut self.report.disordered_events,
        };
        list.add(Fault {
            path: path_text(&damage.path),
            offset: damage.offset,
            event_id: damage.event_id,
            reason: damage.reason,
        });
        if let Some(id) = damage.event_id
            && !self.rejected_ids.insert(id)
        {
            self.report.doubled_ids.add(id, id);
        }
    }
}

impl Findings {
    pub fn add_event(&mut self, id: u64, in_snapshot: bool) {
        self.report.events += 1;
        self.report.last_event_id = self.report.last_event_id.max(Some(id));
        if in_snapshot {
            self.snapshot_last_id = self.snapshot_last_id.max(id);
        }
        if !self.ids.insert(id) {
            self.report.doubled_ids.add(id, id);
        }
    }

    /// `recorded_id`: all events up to this one were in the trail before the check.
    pub fn conclude(&mut self, index: &Result<IndexContent>, recorded_id: u64) {
        for id in self.rejected_ids.iter() {
            // An id above the snapshot is likely to be wrong itself.
            if id <= self.snapshot_last_id && !self.ids.insert(id) {
                self.report.doubled_ids.add(id, id);
            }
        }
        let report = &mut self.report;
        report.missing_ids = self.ids.missing(self.snapshot_last_id);
        let last = report.last_event_id.unwrap_or(0);
        if recorded_id > last {
            report.removed_ids.add(last + 1, recorded_id);
        }
        let (state, indexed) = match index {
            Ok(IndexContent::Last(id)) => {
                let id = *id;
                let state = match id.cmp(&last) {
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
