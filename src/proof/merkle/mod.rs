//! The Merkle tree of RFC 6962: its hashes, its proofs, their checks.
//!
//! A leaf's hash is SHA-256(0x00 ‖ entry), a node's SHA-256(0x01 ‖ left ‖ right),
//! the empty tree's SHA-256 of nothing. A tree of any size has one root, and all
//! trees that grow from it contain it: that is what a consistency proof shows.
//!
//! [`Tree`] computes a root while leaves are added, in O(log n) memory. Proofs are
//! made from [`Nodes`], the hashes of complete subtrees (see `tile_nodes`); to check
//! them, only the proof is needed. The checks follow RFC 9162,
//! section 2.1, which describes the same tree and gives the algorithms.

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::fmt;

/// The SHA-256 hash of a leaf, a node or a tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Its base64 text, as checkpoints and proofs write it.
    pub fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// Parses a base64 text of 44 characters.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

/// The hash of an event's leaf: of its line, without the newline at its end.
pub fn leaf_hash(line: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(line);
    Hash(hasher.finalize().into())
}

/// The hash of the node over two subtrees.
pub(crate) fn node_hash(left: Hash, right: Hash) -> Hash {
    let mut message = [0; 65];
    message[0] = 1;
    message[1..33].copy_from_slice(&left.0);
    message[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(message).into())
}

/// The root of a tree without leaves.
pub(crate) fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The hash over a power of two of subtrees of one size.
pub(crate) fn complete_hash(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty_root(),
        [one] => *one,
        [left, right] => node_hash(*left, *right),
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(complete_hash(left), complete_hash(right))
        }
    }
}

/// A growing tree, as the roots of the complete subtrees on its right edge: one for
/// each bit of its size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    size: u64,
    /// The largest first.
    peaks: Vec<Hash>,
}

impl Tree {
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn push(&mut self, leaf: Hash) {
        self.push_complete(0, leaf);
    }

    /// Adds a complete subtree of `2^level` leaves. The caller makes sure that the size
    /// is a multiple of that.
    pub fn push_complete(&mut self, level: u32, hash: Hash) {
        debug_assert_eq!(self.size % (1 << level), 0);
        let mut hash = hash;
        let mut size = self.size >> level;
        while size & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(left, hash);
            size >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1 << level;
    }

    pub fn root(&self) -> Hash {
        root_of_peaks(&self.peaks)
    }
}

/// The root over complete subtrees, the largest first.
pub(crate) fn root_of_peaks(peaks: &[Hash]) -> Hash {
    peaks
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(left, right))
        .unwrap_or_else(empty_root)
}

/// Gives the hashes of complete subtrees.
pub(crate) trait Nodes {
    /// The hash over the leaves from `index << level` to `(index + 1) << level`.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash>;
}

/// The root over the leaves `start..end`, where `start` is a multiple of a power
/// of two that is not less than `end - start`.
fn range_root(nodes: &mut impl Nodes, start: u64, end: u64) -> Result<Hash> {
    let mut peaks = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        peaks.push(nodes.node(level, at >> level)?);
        at += 1 << level;
    }
    Ok(root_of_peaks(&peaks))
}

/// Where a tree over `count` leaves, at least 2, is split: the largest power of
/// two below `count`.
fn split_point(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the tree of the first `size` leaves.
pub(crate) fn root(nodes: &mut impl Nodes, size: u64) -> Result<Hash> {
    range_root(nodes, 0, size)
}

/// The proof that the leaf `index` is in the tree of `size` leaves: the siblings
/// on its way up to the root, the lowest first.
pub(crate) fn prove_inclusion(nodes: &mut impl Nodes, index: u64, size: u64) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(Error::argument(format!(
            "leaf {index} is not in a tree of {size} leaves"
        )));
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split_point(end - start);
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves begins with the tree of `old` leaves.
/// From the empty tree, and from a tree to itself, it is empty.
pub(crate) fn prove_consistency(nodes: &mut impl Nodes, old: u64, new: u64) -> Result<Vec<Hash>> {
    if old > new {
        return Err(Error::argument(format!(
            "a tree of {new} leaves cannot contain one of {old}"
        )));
    }
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = start + split_point(end - start);
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // Who checks has the root of the whole old tree, but not of a part of it.
    if start > 0 {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` is the leaf `index` of the tree.
pub(crate) fn check_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for &sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, hash);
            let up = node.trailing_zeros();
            node >>= up;
            last >>= up;
        } else {
            hash = node_hash(hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `new` leaves begins with the tree of
/// `old` leaves.
pub(crate) fn check_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    proof: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && old_root == empty_root();
    }
    let mut proof = proof.iter().copied();
    let up = old.trailing_zeros();
    let (mut node, mut last) = ((old - 1) >> up, (new - 1) >> up);
    // A complete old tree is itself the first subtree.
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        proof.next()
    };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (first, first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(sibling, from_old);
            from_new = node_hash(sibling, from_new);
            let up = node.trailing_zeros();
            node >>= up;
            last = last.checked_shr(up).unwrap_or(0);
        } else {
            from_new = node_hash(from_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == old_root && from_new == new_root
}
