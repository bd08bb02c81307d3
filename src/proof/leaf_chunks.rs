//! The trail's entries in the order of leaves, in chunks.
//!
//! A chunk is a range of consecutive leaves of one tile. An id without a line gets
//! the empty entry, so that leaf `i` is always event `i + 1`.

use super::merkle::{Hash, complete_hash, leaf_hash};
use super::tile::WIDTH;
use super::trail_walk::{LineInfo, LinePosition, TrailLine, TrailWalk, WalkPositions};
use crate::error::Result;
use std::ops::Range;

/// A chunk with so much text is full.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Consecutive leaves of one tile.
#[derive(Debug, Default)]
pub(crate) struct LeafChunk {
    /// The index of the first.
    pub first: u64,
    /// Each leaf's line; `None` where there is none.
    pub lines: Vec<Option<(LineInfo, LinePosition)>>,
    pub leaves: Vec<Hash>,
    /// The hash over them, if they are a full tile.
    pub complete: Option<Hash>,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LeafChunk {
    fn reset(&mut self, first: u64) {
        self.first = first;
        self.complete = None;
        self.lines.clear();
        self.leaves.clear();
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, line: Option<(LineInfo, LinePosition)>, text: &[u8]) {
        self.lines.push(line);
        self.text.extend_from_slice(text);
        self.ends.push(self.text.len());
    }

    fn is_full(&self) -> bool {
        let next = self.first + self.ends.len() as u64;
        !self.ends.is_empty() && (next.is_multiple_of(WIDTH) || self.text.len() >= CHUNK_BYTES)
    }

    /// How many bytes the texts of its lines have.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether its memory is no more than the next chunk is likely to need.
    pub fn is_reusable(&self) -> bool {
        self.text.capacity() <= 8 * CHUNK_BYTES
    }

    /// The lines' texts, in order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let entry = &self.text[start..end];
            start = end;
            entry
        })
    }

    /// Computes the leaves.
    pub fn hash(&mut self) {
        let mut leaves = std::mem::take(&mut self.leaves);
        leaves.extend(self.entries().map(leaf_hash));
        if leaves.len() as u64 == WIDTH {
            self.complete = Some(complete_hash(&leaves));
        }
        self.leaves = leaves;
    }
}

/// What becomes of lines that are none of the leaves.
pub(crate) trait UnmatchedSink {
    /// A line that is out of order, no event, or the second one of its id.
    fn unmatched(&mut self, line: &TrailLine<'_>);
    /// An event after the last leaf.
    fn after_end(&mut self, id: u64);
}

/// Cuts a walk into chunks.
pub(crate) struct LeafChunks {
    walk: TrailWalk,
    next: u64,
    end: u64,
    /// A line that was read before those of smaller ids, which may not exist.
    held: Option<HeldLine>,
    at_end: bool,
}

struct HeldLine {
    id: u64,
    info: LineInfo,
    position: LinePosition,
    text: Vec<u8>,
}

impl LeafChunks {
    /// The leaves in `range`, from a walk that begins at or before them.
    pub fn new(walk: TrailWalk, range: Range<u64>) -> Self {
        Self {
            walk,
            next: range.start,
            end: range.end,
            held: None,
            at_end: false,
        }
    }

    pub fn walk(&self) -> &TrailWalk {
        &self.walk
    }

    /// Fills the chunk; `false` when there are no more leaves.
    pub fn fill(
        &mut self,
        chunk: &mut LeafChunk,
        unmatched: &mut impl UnmatchedSink,
    ) -> Result<bool> {
        chunk.reset(self.next);
        let start = self.next;
        while self.next < self.end && !chunk.is_full() {
            if self.held.is_none() && !self.at_end {
                self.read(chunk, unmatched)?;
                continue;
            }
            match self.held.take_if(|line| line.id == self.next + 1) {
                Some(line) => chunk.push(Some((line.info, line.position)), &line.text),
                None => chunk.push(None, b""),
            }
            self.next += 1;
        }
        Ok(self.next > start)
    }

    /// Reads lines until one is held, the chunk is full, or none is left.
    fn read(&mut self, chunk: &mut LeafChunk, unmatched: &mut impl UnmatchedSink) -> Result<()> {
        while self.next < self.end && !chunk.is_full() {
            let Some(line) = self.walk.next()? else {
                self.at_end = true;
                return Ok(());
            };
            let TrailLine { info, position, .. } = line;
            match (info.id.filter(|_| info.in_order), line.text) {
                (Some(id), Some(text)) if id == self.next + 1 => {
                    chunk.push(Some((info, position)), text);
                    self.next += 1;
                }
                // Also one after the last leaf: it comes next when the walk is resumed.
                (Some(id), Some(text)) if id > self.next => {
                    self.held = Some(HeldLine {
                        id,
                        info,
                        position,
                        text: text.to_vec(),
                    });
                    return Ok(());
                }
                _ => unmatched.unmatched(&line),
            }
        }
        Ok(())
    }

    /// Where the walk is, for one that resumes with the next leaf.
    pub fn positions(&self) -> WalkPositions {
        let held = self.held.as_ref();
        self.walk
            .positions(held.map(|line| (line.id, line.position)))
    }

    /// Reads what comes after the last leaf.
    pub fn finish(&mut self, unmatched: &mut impl UnmatchedSink) -> Result<()> {
        if let Some(line) = self.held.take() {
            unmatched.after_end(line.id);
        }
        while let Some(line) = self.walk.next()? {
            match line.info.id {
                Some(id) if line.info.in_order && id > self.end => unmatched.after_end(id),
                _ => unmatched.unmatched(&line),
            }
        }
        Ok(())
    }
}
