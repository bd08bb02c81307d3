//! The Merkle tree of RFC 6962: its hashes, its proofs, their checks.
//!
//! A leaf's hash is SHA-256(0x00 ‖ entry), a node's SHA-256(0x01 ‖ left ‖ right),
//! the empty tree's SHA-256 of nothing. A tree of any size has one root, and all
//! trees that grow from it contain it: that is what a consistency proof shows.
//!
//! [`Tree`] computes a root while leaves come, in memory of O(log n). Proofs are
//! made from [`Nodes`], whatever holds the hashes of complete subtrees (see
//! `tile`); their checks need only the proof. The checks follow RFC 9162,
//! section 2.1, which is about the same tree and says how to check step by step.

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

    /// The hash that a base64 text of 44 characters stands for.
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

/// A growing tree, of which only the complete subtrees on its right edge are
/// kept: one for each bit of its size.
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

    /// Adds a complete subtree of `2^level` leaves. The size must be a multiple
    /// of that; this is the caller's to see to.
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
        fold(&self.peaks)
    }
}

/// The root over complete subtrees, the largest first.
pub(crate) fn fold(peaks: &[Hash]) -> Hash {
    peaks
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(left, right))
        .unwrap_or_else(empty_root)
}

/// Where the hashes of complete subtrees can be had.
pub(crate) trait Nodes {
    /// The hash over the leaves from `index << level` to `(index + 1) << level`.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash>;
}

/// The root over the leaves `start..end`, where `start` is a multiple of a power
/// of two that is not less than `end - start`.
fn range(nodes: &mut impl Nodes, start: u64, end: u64) -> Result<Hash> {
    let mut peaks = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        peaks.push(nodes.node(level, at >> level)?);
        at += 1 << level;
    }
    Ok(fold(&peaks))
}

/// Where a tree over `count` leaves, at least 2, is split: the largest power of
/// two below `count`.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the tree of the first `size` leaves.
pub(crate) fn root(nodes: &mut impl Nodes, size: u64) -> Result<Hash> {
    range(nodes, 0, size)
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
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
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
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    // The whole old tree is known to who checks; a part of it is not.
    if start > 0 {
        proof.push(range(nodes, start, end)?);
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
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for &sibling in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, hash);
            let up = place.trailing_zeros();
            place >>= up;
            last >>= up;
        } else {
            hash = node_hash(hash, sibling);
        }
        place >>= 1;
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
    let (mut place, mut last) = ((old - 1) >> up, (new - 1) >> up);
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
        if place & 1 == 1 || place == last {
            from_old = node_hash(sibling, from_old);
            from_new = node_hash(sibling, from_new);
            let up = place.trailing_zeros();
            place >>= up;
            last = last.checked_shr(up).unwrap_or(0);
        } else {
            from_new = node_hash(from_new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == old_root && from_new == new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The tree's definition, taken literally.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(naive(&leaves[..k]), naive(&leaves[k..]))
            }
        }
    }

    struct All<'a>(&'a [Hash]);

    impl Nodes for All<'_> {
        fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
            let (from, to) = ((index << level) as usize, ((index + 1) << level) as usize);
            Ok(naive(&self.0[from..to]))
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    fn hex(hash: Hash) -> String {
        hash.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The reference tree of Certificate Transparency's own tests: these eight
    /// leaves, and the roots of their first one to eight.
    #[test]
    fn known_roots() {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex(tree.root()), roots[0]);
        for (entry, root) in entries.iter().zip(&roots[1..]) {
            tree.push(leaf_hash(entry));
            assert_eq!(hex(tree.root()), *root);
        }
    }

    #[test]
    fn the_growing_root_is_the_defined_one() {
        let all = leaves(600);
        let mut tree = Tree::default();
        for size in 0..=all.len() {
            assert_eq!(tree.root(), naive(&all[..size]), "size {size}");
            assert_eq!(
                root(&mut All(&all), size as u64).unwrap(),
                tree.root(),
                "size {size}"
            );
            if let Some(&leaf) = all.get(size) {
                tree.push(leaf);
            }
        }
    }

    #[test]
    fn complete_subtrees_can_be_added_whole() {
        let all = leaves(600);
        let mut tree = Tree::default();
        tree.push_complete(8, complete_hash(&all[..256]));
        tree.push_complete(8, complete_hash(&all[256..512]));
        for leaf in &all[512..] {
            tree.push(*leaf);
        }
        assert_eq!((tree.size(), tree.root()), (600, naive(&all)));
    }

    #[test]
    fn every_inclusion_proof_holds_and_no_other() {
        let all = leaves(64);
        for size in 1..=64 {
            let root = naive(&all[..size as usize]);
            for index in 0..size {
                let leaf = all[index as usize];
                let proof = prove_inclusion(&mut All(&all), index, size).unwrap();
                assert!(check_inclusion(leaf, index, size, root, &proof));
                let wrong = leaf_hash(b"another");
                assert!(!check_inclusion(wrong, index, size, root, &proof));
                assert!(!check_inclusion(leaf, index, size, wrong, &proof));
                for other in 0..size + 2 {
                    let holds = check_inclusion(leaf, other, size, root, &proof);
                    assert_eq!(holds, other == index, "{index} as {other} of {size}");
                }
                for changed in tampered(&proof) {
                    assert!(!check_inclusion(leaf, index, size, root, &changed));
                }
            }
        }
    }

    #[test]
    fn every_consistency_proof_holds_and_no_other() {
        let all = leaves(64);
        for new in 0..=64 {
            let new_root = naive(&all[..new as usize]);
            for old in 0..=new {
                let old_root = naive(&all[..old as usize]);
                let proof = prove_consistency(&mut All(&all), old, new).unwrap();
                assert!(
                    check_consistency(old, old_root, new, new_root, &proof),
                    "{old} in {new}"
                );
                let wrong = leaf_hash(b"another");
                assert!(!check_consistency(old, wrong, new, new_root, &proof));
                if old > 0 {
                    assert!(!check_consistency(old, old_root, new, wrong, &proof));
                }
                for changed in tampered(&proof) {
                    assert!(!check_consistency(old, old_root, new, new_root, &changed));
                }
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let all = leaves(8);
        assert!(prove_inclusion(&mut All(&all), 8, 8).is_err());
        assert!(prove_consistency(&mut All(&all), 8, 7).is_err());
        let root = naive(&all);
        assert!(!check_inclusion(all[0], 0, 0, root, &[]));
        assert!(!check_consistency(8, root, 7, root, &[]));
        assert!(!check_inclusion(
            all[0],
            u64::MAX - 1,
            u64::MAX,
            root,
            &[root; 70]
        ));
        assert!(!check_consistency(1, root, u64::MAX, root, &[root; 70]));
    }

    /// The proof with each hash changed, left out or doubled.
    fn tampered(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut out = vec![[proof, &[leaf_hash(b"one more")]].concat()];
        for place in 0..proof.len() {
            let mut changed = proof.to_vec();
            changed[place].0[31] ^= 1;
            out.push(changed);
            let mut shorter = proof.to_vec();
            shorter.remove(place);
            out.push(shorter);
            let mut longer = proof.to_vec();
            longer.insert(place, proof[place]);
            out.push(longer);
        }
        out
    }
}
