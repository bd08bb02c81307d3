//! Compares the leaves of a trail with what can be trusted.
//!
//! `verify` describes what is compared. This module computes the tree over the
//! lines that were found, tile by tile, and keeps in bounded memory what differs;
//! `tile` compares the leaves of one tile, `conclude` turns what was kept into
//! findings. Events that no trusted tile covers are kept as ranges, and decided by
//! the roots at the end.

mod conclude;
mod tile;

use super::checkpoint::SignedCheckpoint;
use super::hash_pool::hash_all;
use super::leaf_chunks::{LeafChunk, LeafChunks};
use super::merkle::{Hash, Tree, complete_hash};
use super::report::VerifyReport;
use super::tile::WIDTH;
use super::tile_verifier::TileVerifier;
use super::trail_walk::{LineInfo, LinePosition, TrailWalk};
use super::unmatched::{IdRanges, Unmatched};
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
    /// The tree over the lines that were found, and its roots at the references' sizes.
    tree: Tree,
    roots: Vec<Hash>,
    /// The leaves so far of a tile that comes in more than one chunk.
    tile: LeafChunk,
    /// Events that were signed, but have no line.
    missing: IdRanges,
    /// Ids without a line, of which it is not known whether they had one.
    vacant: IdRanges,
    /// Ids that no trusted tile covers, and how many of them have a line.
    unproved: IdRanges,
    unproved_lines: u64,
    /// Ids of tiles that differ from what was signed, it is not known where.
    differing: IdRanges,
    /// Lines that are not the signed ones of their ids.
    changed: Vec<(u64, LinePosition)>,
    changed_total: u64,
    /// Signed lines that are in another stream's folder or not terminated.
    misplaced: Vec<(u64, LinePosition, LineInfo)>,
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

    /// Returns the report, and the trail's last id.
    pub fn run(
        mut self,
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(VerifyReport, u64)> {
        let size = self.size();
        self.record_roots();
        let walk = TrailWalk::new(storage.clone(), layout)?;
        let mut chunks = LeafChunks::new(walk, 0..size);
        let mut unmatched = Unmatched::default();
        hash_all(
            |chunk| chunks.fill(chunk, &mut unmatched),
            |chunk| {
                self.add_chunk(chunk)?;
                progress(self.tree.size(), size);
                Ok(())
            },
        )?;
        chunks.finish(&mut unmatched)?;
        self.conclude(&unmatched, chunks.walk())?;
        let last_id = self.last_id.max(unmatched.last_id);
        Ok((self.report, last_id))
    }

    /// How many leaves are compared: as many as the largest reference has.
    fn size(&self) -> u64 {
        self.references.last().map_or(0, SignedCheckpoint::size)
    }

    /// The size of the next reference whose root is to be recorded.
    fn next_reference_size(&self) -> Option<u64> {
        let next = self.references.get(self.roots.len());
        next.map(SignedCheckpoint::size)
    }

    /// Records the root for each reference that has the tree's size.
    fn record_roots(&mut self) {
        while self.next_reference_size() == Some(self.tree.size()) {
            self.roots.push(self.tree.root());
        }
    }

    fn add_chunk(&mut self, chunk: &LeafChunk) -> Result<()> {
        if chunk.complete.is_some() {
            return self.add_tile(chunk);
        }
        let mut tile = std::mem::take(&mut self.tile);
        if tile.leaves.is_empty() {
            tile.first = chunk.first;
        }
        tile.lines.extend_from_slice(&chunk.lines);
        tile.leaves.extend_from_slice(&chunk.leaves);
        let next = tile.first + tile.leaves.len() as u64;
        if next.is_multiple_of(WIDTH) || next == self.size() {
            let is_full = tile.leaves.len() as u64 == WIDTH;
            tile.complete = is_full.then(|| complete_hash(&tile.leaves));
            self.add_tile(&tile)?;
            tile.lines.clear();
            tile.leaves.clear();
        }
        self.tile = tile;
        Ok(())
    }

    /// Appends the leaves of a tile to the tree over what was found.
    fn append(&mut self, leaves: &[Hash], complete: Option<Hash>) {
        let next = self.tree.size() + leaves.len() as u64;
        let root_is_due_at = self.next_reference_size().unwrap_or(u64::MAX);
        match complete {
            Some(complete) if root_is_due_at >= next => {
                self.tree.push_complete(WIDTH.ilog2(), complete);
                self.record_roots();
            }
            _ => {
                for leaf in leaves {
                    self.tree.push(*leaf);
                    self.record_roots();
                }
            }
        }
    }

    /// The line is the signed one.
    fn add_verified(&mut self, id: u64, info: LineInfo, position: LinePosition) {
        if info.in_own_stream && info.terminated {
            self.report.verified_events += 1;
        } else {
            self.misplaced.push((id, position, info));
        }
    }

    /// The line is not the signed one.
    fn add_changed(&mut self, id: u64, position: LinePosition) {
        self.changed_total += 1;
        if self.changed.len() < MAX_LISTED {
            self.changed.push((id, position));
        }
    }
}
