//! Proofs of both kinds, made and checked.

use super::inclusion::HEADER;
use super::*;
use crate::proof::checkpoint::SignedCheckpoint;
use crate::proof::log::Log;
use crate::proof::merkle::leaf_hash;
use crate::proof::note::{Signer, SigningKey, VerifierKey};
use std::fs;

fn line(id: u64) -> Vec<u8> {
    format!("{{\"event_id\":{id},\"timestamp\":1}}").into_bytes()
}

struct ProvenLog {
    root: tempfile::TempDir,
    key: SigningKey,
    checkpoints: Vec<String>,
}

impl ProvenLog {
    fn new(sizes: &[u64]) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(".auditrail")).unwrap();
        let key = SigningKey::generate("log").unwrap();
        let keys = [key.verifier().clone()];
        let layout = Layout::new(root.path());
        let mut log = Log::open(Arc::new(Disk), &layout, &keys, 0).unwrap();
        let mut checkpoints = Vec::new();
        for &size in sizes {
            let from = log.size();
            log.append(
                &(from..size)
                    .map(|index| leaf_hash(&line(index + 1)))
                    .collect::<Vec<_>>(),
                None,
            )
            .unwrap();
            checkpoints.push(log.sign(&key).unwrap().text().to_owned());
        }
        Self {
            root,
            key,
            checkpoints,
        }
    }

    fn keys(&self) -> [VerifierKey; 1] {
        [self.key.verifier().clone()]
    }
}

#[test]
fn an_events_proof_needs_only_the_line_and_the_key() {
    for size in [1, 2, 3, 255, 256, 257, 600] {
        let fixture = ProvenLog::new(&[size]);
        for id in [1, 2, 128, 255, 256, 257, 512, 513, size] {
            if id > size {
                assert!(prove(fixture.root.path(), id, None).is_err());
                continue;
            }
            let text = prove(fixture.root.path(), id, None).unwrap().to_string();
            let proof = InclusionProof::parse(&text).unwrap();
            assert_eq!((proof.event_id(), proof.to_string()), (id, text));
            let signed = proof.check(&line(id), &fixture.keys()).unwrap();
            assert_eq!(signed.size(), size);
            let mut with_newline = line(id);
            with_newline.push(b'\n');
            proof.check(&with_newline, &fixture.keys()).unwrap();
            assert_eq!(
                proof
                    .check(&line(id + 1), &fixture.keys())
                    .unwrap_err()
                    .kind(),
                Kind::Tampered
            );
            let stranger = SigningKey::generate("log").unwrap();
            assert!(
                proof
                    .check(&line(id), &[stranger.verifier().clone()])
                    .is_err()
            );
        }
    }
}

#[test]
fn any_changed_character_of_a_proof_is_noticed() {
    let fixture = ProvenLog::new(&[5]);
    let text = prove(fixture.root.path(), 3, None).unwrap().to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let held = InclusionProof::parse(&changed)
            .and_then(|proof| proof.check(&line(3), &fixture.keys()));
        assert!(held.is_err(), "byte {at}: {changed}");
    }
}

#[test]
fn extra_data_passes_and_is_kept() {
    let fixture = ProvenLog::new(&[5]);
    let text = prove(fixture.root.path(), 3, None).unwrap().to_string();
    let text = text.replace("\nindex", "\nextra AAEC\nindex");
    let proof = InclusionProof::parse(&text).unwrap();
    assert_eq!(proof.extra.as_deref(), Some(&[0, 1, 2][..]));
    assert_eq!(proof.to_string(), text);
    proof.check(&line(3), &fixture.keys()).unwrap();
}

#[test]
fn each_checkpoint_goes_on_from_those_before_it() {
    let fixture = ProvenLog::new(&[0, 1, 2, 255, 256, 257, 700]);
    let (path, keys) = (fixture.root.path(), fixture.keys());
    for (i, old) in fixture.checkpoints.iter().enumerate() {
        for new in &fixture.checkpoints[i..] {
            let size = SignedCheckpoint::open(old, &keys).unwrap().size();
            let text = prove_consistency(path, size, Some(new))
                .unwrap()
                .to_string();
            let proof = ConsistencyProof::parse(&text).unwrap();
            assert_eq!((proof.old_size(), proof.to_string()), (size, text));
            assert_eq!(proof.check(old, &keys).unwrap().text(), new);
            // An earlier event is provable under each of them.
            if new != &fixture.checkpoints[0] {
                let proof = prove(path, 1, Some(new)).unwrap();
                assert_eq!(proof.check(&line(1), &keys).unwrap().text(), new);
            }
        }
    }
    assert!(prove_consistency(path, 701, None).is_err());
}

#[test]
fn a_fork_of_the_log_does_not_go_on_from_it() {
    let fixture = ProvenLog::new(&[2, 7]);
    let keys = fixture.keys();
    let root = leaf_hash(b"another history");
    let fork = SignedCheckpoint::sign(2, root, &fixture.key).unwrap();
    let proof = prove_consistency(fixture.root.path(), 2, None).unwrap();
    proof.check(&fixture.checkpoints[0], &keys).unwrap();
    let error = proof.check(fork.text(), &keys).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
    let error = proof.check(&fixture.checkpoints[1], &keys).unwrap_err();
    assert!(error.message().contains("has 7"), "{error}");
    let error = prove_consistency(fixture.root.path(), 1, Some(fork.text())).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
}

#[test]
fn tiles_that_were_changed_give_no_proof() {
    let fixture = ProvenLog::new(&[300]);
    let tile = fixture.root.path().join(".auditrail/tlog/tile/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[32 * 40] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    let prove = |id| prove(fixture.root.path(), id, None);
    assert_eq!(prove(41).unwrap_err().kind(), Kind::Tampered);
    assert_eq!(prove(42).unwrap_err().kind(), Kind::Tampered);
    prove(257).unwrap();
    fs::write(&tile, &bytes[..100]).unwrap();
    assert_eq!(prove(41).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_trail_without_a_checkpoint_says_so() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(
        prove(root.path(), 1, None).unwrap_err().kind(),
        Kind::NotFound
    );
}

#[test]
fn malformed_proofs_are_refused() {
    let fixture = ProvenLog::new(&[3]);
    let good = prove(fixture.root.path(), 1, None).unwrap().to_string();
    for (from, to) in [
        ("c2sp.org", "c3sp.org"),
        ("index 0", "index 00"),
        ("index 0", "index -1"),
        ("index 0\n", ""),
        ("index", "extra !\nindex"),
        ("\n\n", "\nAAAA\n\n"),
    ] {
        assert!(
            InclusionProof::parse(&good.replacen(from, to, 1)).is_err(),
            "{from}"
        );
    }
    assert!(InclusionProof::parse("").is_err());
    assert!(InclusionProof::parse(HEADER).is_err());
    let hash = leaf_hash(b"").to_base64();
    let many = format!(
        "old 1\n{}\n{}",
        format!("{hash}\n").repeat(66),
        fixture.checkpoints[0]
    );
    assert!(ConsistencyProof::parse(&many).is_err());
}
