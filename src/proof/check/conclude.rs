//! The findings, from what differed while the leaves were compared.

use super::TreeCheck;
use crate::error::Result;
use crate::proof::checkpoint::SignedCheckpoint;
use crate::proof::merkle::Hash;
use crate::proof::report::{Finding, FindingKind};
use crate::proof::tile::{Tile, WIDTH};
use crate::proof::trail_walk::{LineInfo, LinePosition, TrailWalk};
use crate::proof::unmatched::{Unmatched, UnmatchedLine};

impl TreeCheck<'_> {
    /// Adds all findings to the report, in the order of ids.
    pub(super) fn conclude(&mut self, unmatched: &Unmatched, walk: &TrailWalk) -> Result<()> {
        self.report.unsigned_events = unmatched.after_end;
        // In this order: a line that is classified may be the one of a missing event.
        let mut findings = self.classify_unmatched(unmatched, walk)?;
        findings.extend(
            (self.misplaced.iter())
                .map(|&(id, position, info)| misplaced(walk, id, position, info)),
        );
        self.compare_roots(&mut findings);
        findings.extend(self.changed.iter().map(|&(id, position)| {
            let what = "the line is not the one that was signed";
            at_line(walk, FindingKind::Changed, what, Some(id), position)
        }));
        let last_found = self.last_id.max(unmatched.last_id);
        let ranges = self.missing.ranges();
        findings.extend(ranges.map(|(first, last)| self.missing_range(first, last, last_found)));
        findings.sort_by_key(|finding| (finding.first_id, finding.offset));
        for finding in findings {
            self.report.find(finding);
        }
        // What was counted, and not kept.
        let more = unmatched.total - unmatched.lines.len() as u64
            + (self.changed_total - self.changed.len() as u64)
            + self.missing.overflow;
        self.report.findings_total += more;
        self.report_missing_segments(walk);
        Ok(())
    }

    fn missing_range(&self, first: u64, last: u64, last_found: u64) -> Finding {
        let finding = if last == self.size() && first > last_found {
            let last_id = self.last_id;
            Finding::new(
                FindingKind::Cut,
                format!(
                    "the trail ends before, with event {last_id}: its end was cut off, or an \
                     older state of it was put back"
                ),
            )
        } else {
            Finding::new(FindingKind::Missing, "the line was removed")
        };
        finding.of(first, last)
    }

    /// Compares the roots, which decides about events that no trusted tile covers.
    fn compare_roots(&mut self, findings: &mut Vec<Finding>) {
        let wrong: Vec<_> = self
            .references
            .iter()
            .zip(&self.roots)
            .filter(|(reference, root)| reference.root() != **root)
            .map(|(reference, _)| reference.size())
            .collect();
        let right = self
            .references
            .iter()
            .map(SignedCheckpoint::size)
            .filter(|size| !wrong.contains(size))
            .max()
            .unwrap_or(0);
        for (first, last) in self.differing.ranges() {
            let what = "not all of these are as they were signed; which, cannot be said, because \
                        their tile of the tree's hashes is damaged";
            findings.push(Finding::new(FindingKind::Unknown, what).of(first, last));
        }
        if wrong.is_empty() {
            // Vacant ids were vacant when they were signed.
            self.report.verified_events += self.unproved_lines;
        } else {
            for (first, last) in self.vacant.ranges().filter(|(_, last)| *last > right) {
                self.missing.insert(first.max(right + 1), last);
            }
        }
        self.report_wrong_roots(&wrong, right, findings);
    }

    /// For each root that is wrong, reports which events may be the reason, unless the
    /// reason was found. `right` is the largest size whose root is right.
    fn report_wrong_roots(&self, wrong: &[u64], right: u64, findings: &mut Vec<Finding>) {
        let in_doubt: Vec<_> = (self.unproved.ranges())
            .filter(|(_, last)| *last > right)
            .map(|(first, last)| (first.max(right + 1), last))
            .collect();
        for &size in wrong {
            let is_explained = self.changed.iter().any(|(id, _)| *id <= size)
                || self.missing.ranges().any(|(first, _)| first <= size)
                || findings
                    .iter()
                    .any(|f| f.first_id.is_some_and(|id| id <= size));
            let first = in_doubt.first().map_or(1, |range| range.0);
            let last = in_doubt.last().map_or(size, |range| range.1.min(size));
            if !is_explained && first <= last {
                let what = format!(
                    "the first {size} events do not come to the root that was signed over them; \
                     no tile that a signed root vouches for says which of them were changed"
                );
                findings.push(Finding::new(FindingKind::Unknown, what).of(first, last));
            }
        }
    }

    /// Reports each line that is none of the leaves.
    fn classify_unmatched(
        &mut self,
        unmatched: &Unmatched,
        walk: &TrailWalk,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for line in &unmatched.lines {
            let (kind, what) = self.classify(line)?;
            let finding = at_line(walk, kind, what, line.info.id, line.position);
            if line.info.id.is_none() && !line.info.terminated {
                // It is being written, or was when the writer crashed.
                self.report.note(finding);
            } else {
                findings.push(finding);
            }
        }
        Ok(findings)
    }

    fn classify(&mut self, line: &UnmatchedLine) -> Result<(FindingKind, &'static str)> {
        let (Some(id), Some(leaf)) = (line.info.id, line.leaf) else {
            return Ok((FindingKind::Added, "the line is no event"));
        };
        let is_signed = self.signed_leaf(id)?.map(|signed| signed == leaf);
        Ok(match is_signed {
            Some(true) if self.missing.remove(id) => (
                FindingKind::Displaced,
                "the line is out of order; it was moved, or swapped with another",
            ),
            Some(true) => match self.changed.iter().position(|(changed, _)| *changed == id) {
                // The other line with this id is the false one, and is reported.
                Some(_) => (
                    FindingKind::Displaced,
                    "the line is out of order; another has its id",
                ),
                None => (FindingKind::Added, "the line is a copy of the event's"),
            },
            Some(false) if self.missing.remove(id) => (
                FindingKind::Changed,
                "the line is out of order, and not the one that was signed",
            ),
            Some(false) => (FindingKind::Added, "the line was not signed"),
            None if id > self.size() => (
                FindingKind::Added,
                "the line is out of order, and of an event after the last signed one",
            ),
            None => (
                FindingKind::Added,
                "the line is out of order; no tile says whether it was moved or added",
            ),
        })
    }

    /// The leaf that was signed for an event, if a trusted tile says so.
    fn signed_leaf(&mut self, id: u64) -> Result<Option<Hash>> {
        match &mut self.tile_verifier {
            Some(tile_verifier) if id <= tile_verifier.size() => {
                let index = (id - 1) / WIDTH;
                let hashes = tile_verifier.hashes(Tile { level: 0, index })?;
                Ok(hashes.map(|hashes| hashes[((id - 1) % WIDTH) as usize]))
            }
            _ => Ok(None),
        }
    }

    /// Numbers of segments that do not exist: not a fault by themselves, since a trail
    /// can be pruned, but they say why events are missing.
    fn report_missing_segments(&mut self, walk: &TrailWalk) {
        for path in walk.irregular() {
            let what = "this is no regular file, and was not read";
            self.report
                .find(Finding::new(FindingKind::Segment, what).at(path, None));
        }
        for (stream, segments) in walk.streams() {
            let mut expected = 1;
            for &number in segments {
                if number > expected {
                    let what = format!(
                        "segments {expected} to {} of {stream} are not there",
                        number - 1
                    );
                    let finding = Finding::new(FindingKind::Segment, what)
                        .at(&walk.segment_path(stream, expected), None);
                    if self.missing.is_empty() || (expected == 1 && self.first_id > 1) {
                        self.report.note(finding);
                    } else {
                        self.report.find(finding);
                    }
                }
                expected = number + 1;
            }
        }
    }
}

/// The finding about a signed line that is not where or not ended as it was.
fn misplaced(walk: &TrailWalk, id: u64, position: LinePosition, info: LineInfo) -> Finding {
    let (kind, what) = if info.in_own_stream {
        (
            FindingKind::Unended,
            "the newline at the line's end is missing",
        )
    } else {
        (
            FindingKind::Displaced,
            "the line stands in another stream's folder",
        )
    };
    at_line(walk, kind, what, Some(id), position)
}

fn at_line(
    walk: &TrailWalk,
    kind: FindingKind,
    what: &str,
    id: Option<u64>,
    position: LinePosition,
) -> Finding {
    let finding = Finding::new(kind, what).at(&walk.path(position), Some(position.offset));
    match id {
        Some(id) => finding.of(id, id),
        None => finding,
    }
}
