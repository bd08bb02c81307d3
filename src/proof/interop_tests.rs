//! Trails that programs of others verify (`tests/outsiders`), and all steps from append
//! to proof.
//!
//! With `AUDITRAIL_OUTSIDERS` set to a folder, the trails are written there: one a
//! size in `AUDITRAIL_OUTSIDERS_SIZES`, with the public key, an earlier
//! checkpoint, proofs of some events, and a proof of consistency.

#![cfg(test)]

use super::checkpoint_file::{add_cosignatures, checkpoint};
use super::log_writer::{LogWriter, UnsyncedData};
use super::note::tests::{cosign, witness};
use super::note::{Signer, SigningKey, VerifierKey};
use super::proof_options::ProofOptions;
use super::prove::{prove, prove_consistency};
use super::prover::Prover;
use super::verify::Verification;
use crate::store::layout::Layout;
use crate::store::lock_file::Waiting;
use crate::store::storage::{Disk, Storage};
use crate::{Options, Writer};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Appends events with proof, and gives the checkpoint's text.
fn append(root: &Path, key: &Arc<SigningKey>, from: u64, to: u64) -> String {
    let mut options = Options::default();
    options.max_segment_bytes(1024 * 1024).unwrap();
    options.proof(ProofOptions::new(key.clone()));
    let writer = Writer::open(root, &options).unwrap();
    for start in (from..to).step_by(1000) {
        let mut events = String::new();
        for n in start..to.min(start + 1000) {
            let domain = ["legacy", "v2"][(n % 2) as usize];
            let category = ["text", "image", "video"][(n * n % 3) as usize];
            writeln!(
                events,
                "{{\"domain\":\"{domain}\",\"category\":\"{category}\",\"model_name\":\"M\u{f6}del {n}\",\
                 \"operation\":\"create\",\"logical_user_id\":\"u{}\",\"timestamp\":{},\
                 \"payload\":{{\"after\":{{\"n\":{n},\"text\":\"{}\"}}}}}}",
                n % 97,
                1_700_000_000 + n,
                "z".repeat((n * 31 % 300) as usize)
            )
            .unwrap();
        }
        writer.append_batch(events.as_bytes()).unwrap();
    }
    writer.close().unwrap();
    let signed = checkpoint(root, &[key.verifier().clone()]).unwrap();
    signed.unwrap().text().to_owned()
}

fn make(folder: &Path, size: u64) {
    let root = folder.join("trail");
    let key = Arc::new(SigningKey::generate("example.com/audit/trail").unwrap());
    let someone = SigningKey::generate("witness.example/w1").unwrap();
    let keys: [VerifierKey; 2] = [key.verifier().clone(), witness(&someone)];
    let half = size / 2;
    let old = append(&root, &key, 0, half);
    let new = append(&root, &key, half, size);
    let cosigned = cosign(&new, &someone, 1_700_000_000);
    let line = cosigned.strip_prefix(&new).unwrap();
    let signed = add_cosignatures(&root, line, &keys).unwrap();
    assert_eq!(signed.text(), cosigned);
    assert_eq!(add_cosignatures(&root, line, &keys).unwrap(), signed);
    assert_eq!(checkpoint(&root, &keys).unwrap().unwrap(), signed);

    fs::write(folder.join("log.vkey"), keys[0].to_string()).unwrap();
    fs::write(folder.join("witness.vkey"), keys[1].to_string()).unwrap();
    fs::write(folder.join("old-checkpoint"), &old).unwrap();
    let consistency = prove_consistency(&root, half, None).unwrap();
    assert_eq!(consistency.check(&old, &keys).unwrap().size(), size);
    fs::write(folder.join("consistency"), consistency.to_string()).unwrap();
    let proofs = folder.join("proofs");
    fs::create_dir(&proofs).unwrap();
    for id in [1, 2, 3, 255, 256, 257, 65_536, 65_537, half, size] {
        if (1..=size).contains(&id) {
            let proof = prove(&root, id, None).unwrap().to_string();
            fs::write(proofs.join(format!("{id}.tlog-proof")), proof).unwrap();
        }
    }

    let how = Verification::new(&keys)
        .witnesses(1)
        .checkpoint(&old)
        .unwrap();
    let report = how.run(&root, |_, _| {}).unwrap();
    assert!(report.intact, "{report:#?}");
    assert_eq!((report.verified_events, report.notes.len()), (size, 0));
}

#[test]
fn from_append_to_proof() {
    let kept = std::env::var("AUDITRAIL_OUTSIDERS");
    let sizes = std::env::var("AUDITRAIL_OUTSIDERS_SIZES");
    let sizes = sizes.unwrap_or("0 1 2 255 256 257 1000".into());
    for size in sizes.split_whitespace() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = match &kept {
            Ok(folder) => Path::new(folder).join(size),
            Err(_) => temporary.path().join(size),
        };
        fs::create_dir_all(&folder).unwrap();
        make(&folder, size.parse().unwrap());
    }
}

#[test]
fn a_writers_checkpoints_follow_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let key = Arc::new(SigningKey::generate("log").unwrap());
    append(root, &key, 0, 300);
    fs::remove_dir_all(Layout::new(root).hidden_file("tlog")).unwrap();
    fs::remove_file(Layout::new(root).hidden_file("tlog-begun")).unwrap();
    let (storage, layout) = (Arc::new(Disk) as Arc<dyn Storage>, Layout::new(root));
    let mut options = ProofOptions::new(key.clone());
    options.every_events(50).adopt(true);
    let open = |last| {
        LogWriter::open(
            &storage,
            &layout,
            &options,
            last,
            UnsyncedData::MaybeLost,
            true,
            Waiting::at_most(Duration::ZERO),
        )
    };
    let mut one = open(300).unwrap();
    let mut two = open(300).unwrap();
    // Shared writers go on from each other's checkpoints.
    for (turn, size) in [40, 120, 200, 260, 300].into_iter().enumerate() {
        let log_writer = if turn % 2 == 0 { &mut one } else { &mut two };
        log_writer
            .checkpoint(size, Waiting::at_most(Duration::ZERO), &|sync| sync())
            .unwrap();
        assert_eq!(log_writer.signed().unwrap().size(), size);
    }
    // One that is behind signs nothing older.
    two.checkpoint(260, Waiting::at_most(Duration::ZERO), &|sync| sync())
        .unwrap();
    assert_eq!(two.signed().unwrap().size(), 300);
    let prover = Prover::new(two);
    assert!(!prover.is_due(349) && prover.is_due(350));
    let report = Verification::new(&[key.verifier().clone()]);
    assert!(report.run(root, |_, _| {}).unwrap().intact);
}
