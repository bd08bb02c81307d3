//! The tree against its definition, and proofs of all small trees.

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
fn impossible_sizes_are_refused() {
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
    for index in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[index].0[31] ^= 1;
        out.push(changed);
        let mut shorter = proof.to_vec();
        shorter.remove(index);
        out.push(shorter);
        let mut longer = proof.to_vec();
        longer.insert(index, proof[index]);
        out.push(longer);
    }
    out
}
