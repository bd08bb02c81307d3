//! The leaves of one tile, compared with the hashes that a signed root covers.

use super::TreeCheck;
use crate::error::Result;
use crate::proof::leaf_chunks::LeafChunk;
use crate::proof::merkle::{Hash, complete_hash};
use crate::proof::tile::{Tile, WIDTH};

/// What is known about the signed hashes of a tile.
struct SignedTile {
    /// The leaves; empty if the tile is damaged or nothing is trusted.
    leaves: Vec<Hash>,
    /// The hash over the whole tile, from the tile above it.
    complete: Option<Hash>,
}

impl TreeCheck<'_> {
    /// Compares the leaves of a tile, or of the last one, and appends them to the tree.
    pub(super) fn add_tile(&mut self, found: &LeafChunk) -> Result<()> {
        if self.is_as_signed(found)? {
            self.add_whole_tile(found);
            return Ok(());
        }
        let signed = self.signed_tile(found)?;
        let whole = match signed.complete {
            // The tile itself is damaged, but the hash over it is known.
            Some(over) if signed.leaves.is_empty() => Some(Some(over) == found.complete),
            _ => None,
        };
        if whole == Some(false) {
            self.differing
                .add(found.first + 1, found.first + found.leaves.len() as u64);
        }
        let mut with_pruned = None;
        for (index, leaf) in found.leaves.iter().enumerate() {
            let signed_leaf = signed.leaves.get(index);
            let matches = signed_leaf.map(|signed| signed == leaf);
            let matches = matches.or(whole.filter(|whole| *whole));
            if self.add_leaf(found, index, matches)
                && let Some(signed_leaf) = signed_leaf
            {
                with_pruned.get_or_insert_with(|| found.leaves.clone())[index] = *signed_leaf;
            }
        }
        match with_pruned {
            // The root over pruned events is the one over their signed leaves.
            Some(leaves) => {
                let complete = found.complete.map(|_| complete_hash(&leaves));
                self.append(&leaves, complete);
            }
            None => self.append(&found.leaves, found.complete),
        }
        Ok(())
    }

    /// Whether a full tile is the signed one, by its hash and its file.
    fn is_as_signed(&mut self, found: &LeafChunk) -> Result<bool> {
        match (&mut self.tile_verifier, found.complete) {
            (Some(tile_verifier), Some(complete)) => {
                tile_verifier.matches(tile_of(found), &found.leaves, complete)
            }
            _ => Ok(false),
        }
    }

    /// Takes in a full tile that is the signed one, the usual case.
    fn add_whole_tile(&mut self, found: &LeafChunk) {
        for (id, line) in (found.first + 1..).zip(&found.lines) {
            if let Some((info, position)) = line {
                self.add_verified(id, *info, *position);
                self.last_id = id;
            }
        }
        self.append(&found.leaves, found.complete);
    }

    fn signed_tile(&mut self, found: &LeafChunk) -> Result<SignedTile> {
        let mut signed = SignedTile {
            leaves: Vec::new(),
            complete: None,
        };
        if let Some(tile_verifier) = &mut self.tile_verifier {
            let tile = tile_of(found);
            let hashes = tile_verifier.hashes(tile)?;
            signed.leaves.extend_from_slice(hashes.unwrap_or_default());
            signed.complete = tile_verifier.complete_hash(tile)?;
            for finding in tile_verifier.damaged.drain(..) {
                self.report.find(finding);
            }
        }
        Ok(signed)
    }

    /// Takes in one leaf; `matches` is whether it is the signed one, where that is
    /// known. Returns whether it is of an event that was pruned.
    fn add_leaf(&mut self, found: &LeafChunk, index: usize, matches: Option<bool>) -> bool {
        let id = found.first + index as u64 + 1;
        let line = found.lines[index];
        match (line, matches) {
            (Some((info, position)), Some(true)) => self.add_verified(id, info, position),
            (Some((_, position)), Some(false)) => self.add_changed(id, position),
            (Some(_), None) => {
                self.unproved.add(id, id);
                self.unproved_lines += 1;
            }
            (None, Some(true)) => {}
            (None, _) if id < self.first_id => {
                self.report.pruned_events += 1;
                return true;
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
        false
    }
}

fn tile_of(found: &LeafChunk) -> Tile {
    Tile {
        level: 0,
        index: found.first / WIDTH,
    }
}
