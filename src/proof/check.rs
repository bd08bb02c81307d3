//! One verification at work: leaf after leaf against what can be trusted.
//!
//! See `verify` for what is compared with what. Events that no tile vouches for
//! are remembered as ranges, and settled at the end by the roots.

use super::checkpoint::SignedCheckpoint;
use super::leaf_chunks::{LeafChunk, LeafChunks, hash_all};
use super::merkle::{Hash, Tree, complete_hash};
use super::report::{Finding, FindingKind, VerifyReport};
use super::tile::{Tile, WIDTH};
use super::tile_verifier::TileVerifier;
use super::trail_walk::{LineLook, LinePosition, TrailWalk};
use super::unmatched::{IdRanges, Unmatched, UnmatchedLine};
use crate::error::Result;
use crate::limits::MAX_LISTED;
use crate::store::layout::Layout;
use crate::store::storage::Storage;
use std::sync::Arc;

pub(crate) struct TreeCheck<'a> {
    report: VerifyReport,
    tile_verifier: Option<TileVerifier>,
    /// By size.
    references: &'a [SignedCheckpoint],
    /// Events before this one may be missing.
    first_id: u64,
    /// The tree over what was found, and its roots at the references' sizes.
    tree: Tree,
    roots: Vec<Hash>,
    /// A tile that comes in more than one chunk.
    tile: LeafChunk,
    /// Events that were signed, but have no line.
    missing: IdRanges,
    /// IdRanges without a line, of which it is not known whether they had one.
    vacant: IdRanges,
    /// Events that no tile vouches for.
    unproved: IdRanges,
    unproved_lines: u64,
    /// Tiles' worth of events that are not as signed.
    differing: IdRanges,
    /// Lines that are not the signed ones of their ids.
    changed: Vec<(u64, LinePosition)>,
    changed_total: u64,
    /// Lines that are right, except for where they stand or how they end.
    misplaced: Vec<(u64, LinePosition, LineLook)>,
    last_id: u64,
}

impl<'a> TreeCheck<'a> {
    pub fn new(
        report: VerifyReport,
        tile_verifier: Option<TileVerifier>,
        references: &'a [SignedCheckpoint],
        first_id: u64,
    ) -> Self {
        Self {
            report,
            tile_verifier,
            references,
            first_id,
            tree: Tree::default(),
            roots: Vec::new(),
            tile: LeafChunk::default(),
            missing: IdRanges::default(),
            vacant: IdRanges::default(),
            unproved: IdRanges::default(),
            unproved_lines: 0,
            differing: IdRanges::default(),
            changed: Vec::new(),
            changed_total: 0,
            misplaced: Vec::new(),
            last_id: 0,
        }
    }

    /// The report, and the trail's last id.
    pub fn run(
        mut self,
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(VerifyReport, u64)> {
        let size = self.size();
        self.reach();
        let walk = TrailWalk::new(storage.clone(), layout)?;
        let mut chunks = LeafChunks::new(walk, 0..size);
        let mut odd = Unmatched::default();
        hash_all(
            |chunk| chunks.fill(chunk, &mut odd),
            |chunk| {
                self.take(chunk)?;
                progress(self.tree.size(), size);
                Ok(())
            },
        )?;
        chunks.finish(&mut odd)?;
        self.conclude(&odd, chunks.walk())?;
        let last_id = self.last_id.max(odd.last_id);
        Ok((self.report, last_id))
    }

    fn size(&self) -> u64 {
        self.references.last().map_or(0, SignedCheckpoint::size)
    }

    /// Takes the root, where the tree has the size of a reference.
    fn reach(&mut self) {
        let size = self.tree.size();
        while self
            .references
            .get(self.roots.len())
            .map(SignedCheckpoint::size)
            == Some(size)
        {
            self.roots.push(self.tree.root());
        }
    }

    fn take(&mut self, chunk: &LeafChunk) -> Result<()> {
        if chunk.complete.is_some() {
            return self.judge(chunk.first, &chunk.lines, &chunk.leaves, chunk.complete);
        }
        let mut tile = std::mem::take(&mut self.tile);
        if tile.leaves.is_empty() {
            tile.first = chunk.first;
        }
        tile.lines.extend_from_slice(&chunk.lines);
        tile.leaves.extend_from_slice(&chunk.leaves);
        let next = tile.first + tile.leaves.len() as u64;
        if next.is_multiple_of(WIDTH) || next == self.size() {
            let complete = (tile.leaves.len() as u64 == WIDTH).then(|| complete_hash(&tile.leaves));
            self.judge(tile.first, &tile.lines, &tile.leaves, complete)?;
            tile.lines.clear();
            tile.leaves.clear();
        }
        self.tile = tile;
        Ok(())
    }

    /// Compares a tile's leaves, or those of the last tile.
    fn judge(
        &mut self,
        first: u64,
        lines: &[Option<(LineLook, LinePosition)>],
        leaves: &[Hash],
        complete: Option<Hash>,
    ) -> Result<()> {
        let tile = Tile {
            level: 0,
            index: first / WIDTH,
        };
        let (mut trusted, mut over) = (Vec::new(), None);
        if let Some(tile_verifier) = &mut self.tile_verifier {
            if let Some(complete) = complete
                && tile_verifier.agrees(tile, leaves, complete)?
            {
                for (id, line) in (first + 1..).zip(lines) {
                    if let Some((look, at)) = line {
                        self.verified(id, *look, *at);
                        self.last_id = id;
                    }
                }
                self.grow(leaves, Some(complete));
                return Ok(());
            }
            trusted.extend_from_slice(tile_verifier.hashes(tile)?.unwrap_or_default());
            over = tile_verifier.full(tile)?;
            for finding in tile_verifier.damaged.drain(..) {
                self.report.find(finding);
            }
        }
        // The tile itself is damaged, but the hash over it is known.
        let (as_signed, differs) = match over.filter(|_| trusted.is_empty()) {
            Some(over) => (Some(over) == complete, Some(over) != complete),
            None => (false, false),
        };
        if differs {
            self.differing.add(first + 1, first + leaves.len() as u64);
        }
        let mut pruned = None;
        for (place, (line, leaf)) in lines.iter().zip(leaves).enumerate() {
            let id = first + place as u64 + 1;
            let right = trusted.get(place).map(|trusted| trusted == leaf);
            let right = right.or(as_signed.then_some(true));
            match (line, right) {
                (Some((look, at)), Some(true)) => self.verified(id, *look, *at),
                (Some((_, at)), Some(false)) => self.differs(id, *at),
                (Some(_), None) => {
                    self.unproved.add(id, id);
                    self.unproved_lines += 1;
                }
                (None, Some(true)) => {}
                (None, _) if id < self.first_id => {
                    self.report.pruned_events += 1;
                    if let Some(trusted) = trusted.get(place) {
                        pruned.get_or_insert_with(|| leaves.to_vec())[place] = *trusted;
                    }
                }
                (None, Some(false)) => self.missing.add(id, id),
                (None, None) => {
                    self.unproved.add(id, id);
                    self.vacant.add(id, id);
                }
            }
            if line.is_some() {
                self.last_id = id;
            }
        }
        match pruned {
            Some(leaves) => {
                let complete = complete.map(|_| complete_hash(&leaves));
                self.grow(&leaves, complete);
            }
            None => self.grow(leaves, complete),
        }
        Ok(())
    }

    fn grow(&mut self, leaves: &[Hash], complete: Option<Hash>) {
        let next = self.tree.size() + leaves.len() as u64;
        let stop = self
            .references
            .get(self.roots.len())
            .map_or(u64::MAX, SignedCheckpoint::size);
        match complete {
            Some(complete) if stop >= next => {
                self.tree.push_complete(WIDTH.ilog2(), complete);
                self.reach();
            }
            _ => {
                for leaf in leaves {
                    self.tree.push(*leaf);
                    self.reach();
                }
            }
        }
    }

    fn verified(&mut self, id: u64, look: LineLook, place: LinePosition) {
        if look.at_home && look.ended {
            self.report.verified_events += 1;
        } else {
            self.misplaced.push((id, place, look));
        }
    }

    fn differs(&mut self, id: u64, place: LinePosition) {
        self.changed_total += 1;
        if self.changed.len() < MAX_LISTED {
            self.changed.push((id, place));
        }
    }

    /// Puts together what was found.
    fn conclude(&mut self, odd: &Unmatched, walk: &TrailWalk) -> Result<()> {
        self.report.unsigned_events = odd.beyond;
        let mut findings = self.judge_odd(odd, walk)?;
        findings.extend(self.misplaced.iter().map(|&(id, place, look)| {
            let (kind, what) = if look.at_home {
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
            found(walk, kind, what, Some(id), place)
        }));
        self.judge_roots(&mut findings);
        for &(id, place) in &self.changed {
            let what = "the line is not the one that was signed";
            findings.push(found(walk, FindingKind::Changed, what, Some(id), place));
        }
        let size = self.size();
        findings.extend(self.missing.ranges().map(|(first, last)| {
            let finding = if last == size && first > self.last_id.max(odd.last_id) {
                Finding::new(
                    FindingKind::Cut,
                    format!(
                        "the trail ends before, with event {}: its end was cut off, or an older \
                         state of it was put back",
                        self.last_id
                    ),
                )
            } else {
                Finding::new(FindingKind::Missing, "the line was removed")
            };
            finding.of(first, last)
        }));
        findings.sort_by_key(|finding| (finding.first_id, finding.offset));
        for finding in findings {
            self.report.find(finding);
        }
        // What was counted, and not kept.
        let more = odd.total - odd.lines.len() as u64
            + (self.changed_total - self.changed.len() as u64)
            + self.missing.uncounted;
        self.report.findings_total += more;
        self.judge_segments(walk);
        Ok(())
    }

    /// Compares the roots, which settles what no tile vouches for.
    fn judge_roots(&mut self, findings: &mut Vec<Finding>) {
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
        let in_doubt = (self.unproved.ranges())
            .filter(|(_, last)| *last > right)
            .map(|(first, last)| (first.max(right + 1), last));
        let ranges: Vec<_> = in_doubt.collect();
        let seen = |size: u64, findings: &[Finding]| {
            self.changed.iter().any(|(id, _)| *id <= size)
                || self.missing.ranges().any(|(first, _)| first <= size)
                || findings
                    .iter()
                    .any(|f| f.first_id.is_some_and(|id| id <= size))
        };
        for size in wrong {
            let (first, last) = (
                ranges.first().map_or(1, |range| range.0),
                ranges.last().map_or(size, |range| range.1.min(size)),
            );
            if !seen(size, findings) && first <= last {
                let what = format!(
                    "the first {size} events do not come to the root that was signed over them; \
                     no tile that a signed root vouches for says which of them were changed"
                );
                findings.push(Finding::new(FindingKind::Unknown, what).of(first, last));
            }
        }
    }

    /// What the lines are that have no place among the leaves.
    fn judge_odd(&mut self, odd: &Unmatched, walk: &TrailWalk) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for line in &odd.lines {
            let (kind, what) = self.judge_odd_line(line)?;
            let finding = found(walk, kind, what, line.look.id, line.place);
            if line.look.id.is_none() && !line.look.ended {
                // A line that is being written looks like this, or was in a crash.
                self.report.note(finding);
            } else {
                findings.push(finding);
            }
        }
        Ok(findings)
    }

    fn judge_odd_line(&mut self, line: &UnmatchedLine) -> Result<(FindingKind, &'static str)> {
        let Some(id) = line.look.id else {
            return Ok((FindingKind::Added, "the line is no event"));
        };
        let signed = match &mut self.tile_verifier {
            Some(tile_verifier) if id <= tile_verifier.size() => {
                let index = (id - 1) / WIDTH;
                let hashes = tile_verifier.hashes(Tile { level: 0, index })?;
                hashes.map(|hashes| hashes[((id - 1) % WIDTH) as usize])
            }
            _ => None,
        };
        let as_signed = signed.map(|signed| signed == line.leaf);
        Ok(match as_signed {
            Some(true) if self.missing.remove(id) => (
                FindingKind::Displaced,
                "the line is out of order; it was moved, or swapped with another",
            ),
            Some(true) => match self.changed.iter().position(|(changed, _)| *changed == id) {
                // The other one with this id is the false one, and is named.
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

    /// Numbers of segments that are not there: by themselves no fault, since a
    /// trail can be pruned, but they say why events are missing.
    fn judge_segments(&mut self, walk: &TrailWalk) {
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

fn found(
    walk: &TrailWalk,
    kind: FindingKind,
    what: &str,
    id: Option<u64>,
    place: LinePosition,
) -> Finding {
    let finding = Finding::new(kind, what).at(&walk.path(place), Some(place.offset));
    match id {
        Some(id) => finding.of(id, id),
        None => finding,
    }
}
