//! The proof that a writer keeps, through the public interface.

use auditrail::proof::{
    FindingKind, InclusionProof, ProofOptions, Signer, SigningKey, Verification, VerifierKey,
    checkpoint, prove,
};
use auditrail::{Durability, Error, Kind, Options, WarningKind, Writer};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn event(n: u64) -> String {
    format!(
        "{{\"domain\":\"v2\",\"category\":\"c{}\",\"model_name\":\"m{n}\",\"operation\":\"create\",\
         \"logical_user_id\":\"u\"}}",
        n % 3
    )
}

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate("example.com/trail").unwrap())
}

fn with_proof(key: &Arc<SigningKey>) -> Options {
    let mut options = Options::default();
    options.proof(ProofOptions::new(key.clone()));
    options
}

fn append(writer: &Writer, count: u64) {
    for n in 0..count {
        writer.append(event(n).as_bytes()).unwrap();
    }
}

fn signed(root: &Path, key: &SigningKey) -> Option<u64> {
    checkpoint(root, &[key.verifier().clone()])
        .unwrap()
        .map(|signed| signed.size())
}

fn is_intact(root: &Path, key: &SigningKey) -> bool {
    let report = Verification::new(&[key.verifier().clone()]).run(root, |_, _| {});
    report.unwrap().intact
}

#[test]
fn a_sync_and_a_close_are_signed_in_every_durability() {
    for durability in [
        Durability::Buffered,
        Durability::Written,
        Durability::Synced,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (root, key) = (folder.path(), key());
        let mut options = with_proof(&key);
        options.durability(durability);
        let writer = Writer::open(root, &options).unwrap();
        append(&writer, 10);
        assert_eq!(signed(root, &key), Some(0));
        writer.sync().unwrap();
        assert_eq!(signed(root, &key), Some(10));
        append(&writer, 5);
        assert_eq!(signed(root, &key), Some(10));
        assert!(is_intact(root, &key));
        writer.close().unwrap();
        assert_eq!(signed(root, &key), Some(15));
        let line = fs::read_to_string(root.join("v2/c0/audit-000001.jsonl")).unwrap();
        let proof = prove(root, 1, None).unwrap().to_string();
        let proof = InclusionProof::parse(&proof).unwrap();
        let first = line.lines().next().unwrap().as_bytes();
        proof.check(first, &[key.verifier().clone()]).unwrap();
    }
}

#[test]
fn checkpoints_are_made_by_number_of_events_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let mut proof = ProofOptions::new(key.clone());
    proof.every_events(100);
    let mut options = Options::default();
    options.proof(proof.clone());
    let writer = Writer::open(root, &options).unwrap();
    append(&writer, 99);
    assert_eq!(signed(root, &key), Some(0));
    append(&writer, 1);
    assert_eq!(signed(root, &key), Some(100));
    let batch: String = (0..250).map(|n| event(n) + "\n").collect();
    writer.append_batch(batch.as_bytes()).unwrap();
    assert_eq!(signed(root, &key), Some(350));
    writer.close().unwrap();

    proof.every_events(0).every(Duration::from_millis(1));
    options.proof(proof);
    let writer = Writer::open(root, &options).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    append(&writer, 1);
    assert_eq!(signed(root, &key), Some(351));
}

#[test]
fn threads_append_while_checkpoints_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let mut proof = ProofOptions::new(key.clone());
    proof.every_events(37);
    let mut options = Options::default();
    options.proof(proof);
    let writer = Writer::open(root, &options).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| append(&writer, 300));
        }
        for _ in 0..20 {
            writer.sync().unwrap();
            assert!(is_intact(root, &key));
        }
    });
    writer.close().unwrap();
    assert_eq!(signed(root, &key), Some(1200));
    assert!(is_intact(root, &key));
}

#[test]
fn shared_writers_sign_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let mut options = with_proof(&key);
    options.shared(true);
    let writers: Vec<_> = (0..3)
        .map(|_| Writer::open(root, &options).unwrap())
        .collect();
    for round in 1..=5 {
        for (n, writer) in writers.iter().enumerate() {
            append(writer, 7);
            if n == round % 3 {
                writer.sync().unwrap();
            }
        }
        assert!(is_intact(root, &key));
    }
    for writer in writers {
        writer.close().unwrap();
    }
    assert_eq!(signed(root, &key), Some(105));
    assert!(is_intact(root, &key));
}

#[test]
fn an_existing_trail_is_hashed_with_progress() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &Options::default()).unwrap();
    append(&writer, 1000);
    writer.close().unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let mut proof = ProofOptions::new(key.clone());
    proof.adopt(true);
    let teller = told.clone();
    proof.progress(Arc::new(move |done, all| {
        assert!(done <= all && all == 1000);
        teller.store(done, Ordering::Relaxed);
    }));
    let mut options = Options::default();
    options.proof(proof);
    let writer = Writer::open(root, &options).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 1000);
    writer.close().unwrap();
    assert_eq!(signed(root, &key), Some(1000));
    assert!(is_intact(root, &key));
}

#[test]
fn a_writer_without_proof_leaves_the_log_for_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    for (options, total) in [
        (with_proof(&key), 300),
        (Options::default(), 600),
        (with_proof(&key), 900),
    ] {
        let writer = Writer::open(root, &options).unwrap();
        append(&writer, 300);
        writer.close().unwrap();
        assert!(is_intact(root, &key), "{total}");
    }
    assert_eq!(signed(root, &key), Some(900));
}

#[test]
fn a_trail_that_contradicts_its_checkpoint_is_not_opened() {
    let key = key();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(folder.path(), &with_proof(&key)).unwrap();
        append(&writer, 20);
        writer.close().unwrap();
        folder
    };
    let open = |root: &Path, key: &Arc<SigningKey>| Writer::open(root, &with_proof(key)).map(drop);

    // Cut: the last line of each stream, and the files that would reveal it.
    let folder = make();
    for category in 0..3 {
        let path = folder
            .path()
            .join(format!("v2/c{category}/audit-000001.jsonl"));
        let text = fs::read_to_string(&path).unwrap();
        let end = text.trim_end().rfind('\n').unwrap() + 1;
        fs::write(&path, &text[..end]).unwrap();
    }
    fs::remove_file(folder.path().join("index.json")).unwrap();
    fs::remove_file(folder.path().join(".auditrail/state")).unwrap();
    let error = open(folder.path(), &key).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");

    // Changed, and the tiles removed.
    let folder = make();
    let path = folder.path().join("v2/c1/audit-000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("create", "delete", 1)).unwrap();
    fs::remove_dir_all(folder.path().join(".auditrail/tlog/tile")).unwrap();
    let error = open(folder.path(), &key).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");

    // Signed by someone else.
    let other = Arc::new(SigningKey::generate("example.com/trail").unwrap());
    let folder = make();
    let error = open(folder.path(), &other).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    let mut proof = ProofOptions::new(other.clone());
    proof.earlier_key(key.verifier().clone());
    let mut options = Options::default();
    options.proof(proof);
    Writer::open(folder.path(), &options)
        .unwrap()
        .close()
        .unwrap();
    assert_eq!(signed(folder.path(), &other), Some(20));
}

/// A signer whose device can be unavailable.
struct Device {
    key: SigningKey,
    away: AtomicBool,
}

impl Signer for Device {
    fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::signer("the device is away"));
        }
        self.key.sign(message)
    }
}

#[test]
fn a_signer_that_fails_costs_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let device = Arc::new(Device {
        key: SigningKey::generate("hsm").unwrap(),
        away: AtomicBool::new(true),
    });
    let mut proof = ProofOptions::new(device.clone());
    proof.every_events(10);
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = warnings.clone();
    let mut options = Options::default();
    options.proof(proof).on_warning(move |warning| {
        heard
            .lock()
            .unwrap()
            .push((warning.kind, warning.message.clone()));
    });
    let writer = Writer::open(root, &options).unwrap();
    append(&writer, 15);
    let heard: Vec<_> = warnings.lock().unwrap().drain(..).collect();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].0, WarningKind::ProofFailed);
    assert!(heard[0].1.contains("the device is away"));
    assert!(writer.sync().unwrap_err().message().contains("away"));
    assert_eq!(writer.stats().unwrap().synced_id, 15);
    device.away.store(false, Ordering::Relaxed);
    writer.sync().unwrap();
    append(&writer, 1);
    device.away.store(true, Ordering::Relaxed);
    assert!(writer.close().is_err());
    assert_eq!(signed(root, &device.key), Some(15));
    let report = Verification::new(&[device.key.verifier().clone()]);
    let report = report.run(root, |_, _| {}).unwrap();
    assert_eq!((report.intact, report.verified_events), (true, 15));
    assert_eq!(report.unsigned_events, 1);
}

#[test]
fn an_invalid_signature_is_not_written() {
    struct Liar(SigningKey);
    impl Signer for Liar {
        fn verifier(&self) -> &VerifierKey {
            self.0.verifier()
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], Error> {
            self.0.sign(b"something else")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let liar = Arc::new(Liar(SigningKey::generate("liar").unwrap()));
    let mut options = Options::default();
    options.proof(ProofOptions::new(liar.clone()));
    let writer = Writer::open(folder.path(), &options).unwrap();
    append(&writer, 1);
    assert_eq!(writer.sync().unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(signed(folder.path(), &liar.0), None);
}

#[test]
fn one_changed_letter_is_located() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &with_proof(&key)).unwrap();
    append(&writer, 300);
    writer.close().unwrap();
    let path = root.join("v2/c2/audit-000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find("\"model_name\":\"m149\"").unwrap();
    let line = text[..at].rfind('\n').unwrap() + 1;
    fs::write(&path, text.replacen("m149", "m148", 1)).unwrap();
    let report = Verification::new(&[key.verifier().clone()]);
    let report = report.run(root, |_, _| {}).unwrap();
    let finding = &report.findings[0];
    assert_eq!(
        (report.findings.len(), finding.kind),
        (1, FindingKind::Changed)
    );
    assert_eq!(finding.first_id, Some(150));
    assert_eq!(finding.path.as_deref(), path.to_str());
    assert_eq!(finding.offset, Some(line as u64));
}

#[test]
fn the_index_of_a_closed_trail_holds_the_last_id() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &with_proof(&key)).unwrap();
    append(&writer, 3);
    writer.sync().unwrap();
    let index = root.join("index.json");
    let verify = || {
        Verification::new(&[key.verifier().clone()])
            .run(root, |_, _| {})
            .unwrap()
    };
    // While the trail is being written, the index is stale.
    assert!(verify().intact);
    writer.close().unwrap();
    assert!(verify().intact && verify().notes.is_empty());
    for text in ["{\"last_event_id\":2}", "{\"last_event_id\":4}", "{}"] {
        fs::write(&index, text).unwrap();
        assert_eq!(verify().findings[0].kind, FindingKind::Index, "{text}");
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(verify().findings[0].kind, FindingKind::Index);
}

/// A trail of 20 events with a log, and one of these events changed.
fn tampered(key: &Arc<SigningKey>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(folder.path(), &with_proof(key)).unwrap();
    append(&writer, 20);
    writer.close().unwrap();
    let path = folder.path().join("v2/c1/audit-000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("create", "delete", 1)).unwrap();
    folder
}

fn adopting(key: &Arc<SigningKey>, adopt: bool) -> Options {
    let mut proof = ProofOptions::new(key.clone());
    proof.adopt(adopt);
    let mut options = Options::default();
    options.proof(proof);
    options
}

#[test]
fn a_log_that_was_removed_is_not_begun_again_over_changed_events() {
    let key = key();
    for removed in ["tlog", "tlog/checkpoint"] {
        let folder = tampered(&key);
        let path = folder.path().join(".auditrail").join(removed);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        for adopt in [false, true] {
            let opened = Writer::open(folder.path(), &adopting(&key, adopt));
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), Kind::Tampered, "{removed} {adopt}: {error}");
        }
        assert_eq!(signed(folder.path(), &key), None);
    }
}

#[test]
fn a_log_begins_over_events_only_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &Options::default()).unwrap();
    append(&writer, 20);
    writer.close().unwrap();
    let error = Writer::open(root, &adopting(&key, false)).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    assert!(error.message().contains("20 events and no proof log"));
    let adopted = Writer::open(root, &adopting(&key, true)).unwrap();
    adopted.close().unwrap();
    assert_eq!(signed(root, &key), Some(20));
    // From now on it has one.
    Writer::open(root, &adopting(&key, false)).unwrap();
}

#[test]
fn a_killed_writer_of_a_new_trail_leaves_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &with_proof(&key)).unwrap();
    append(&writer, 3);
    // Killed: a copy of what is there is opened.
    let copy = folder.path().join("copy");
    copy_folder(root, &copy);
    let writer = Writer::open(&copy, &with_proof(&key)).unwrap();
    writer.close().unwrap();
    assert_eq!(signed(&copy, &key), Some(3));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to_) = (entry.path(), to.join(entry.file_name()));
        if from == to {
            continue;
        }
        if from.is_dir() {
            copy_folder(&from, &to_);
        } else {
            fs::copy(&from, &to_).unwrap();
        }
    }
}

#[test]
fn a_writer_opens_only_what_goes_on_from_the_checkpoint_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let writer = Writer::open(root, &with_proof(&key)).unwrap();
    append(&writer, 10);
    writer.sync().unwrap();
    let keys = [key.verifier().clone()];
    let kept = checkpoint(root, &keys).unwrap().unwrap();
    append(&writer, 300);
    writer.close().unwrap();
    let newest = checkpoint(root, &keys).unwrap().unwrap();
    let open = |root: &Path, checkpoints: &[&str]| {
        let mut proof = ProofOptions::new(key.clone());
        proof.adopt(true);
        for text in checkpoints {
            proof.goes_on_from(text);
        }
        let mut options = Options::default();
        options.proof(proof);
        Writer::open(root, &options).map(drop)
    };
    open(root, &[kept.text(), newest.text()]).unwrap();

    // Another history, or an older one, of the same key; and none.
    let other = tempfile::tempdir().unwrap();
    for events in [310, 305, 0] {
        let root = other.path().join(events.to_string());
        let writer = Writer::open(&root, &with_proof(&key)).unwrap();
        if events > 0 {
            writer.append(event(7).as_bytes()).unwrap();
            append(&writer, events - 1);
        }
        writer.close().unwrap();
        for text in [kept.text(), newest.text()] {
            let error = open(&root, &[text]).unwrap_err();
            assert_eq!(error.kind(), Kind::Tampered, "{error}");
        }
        assert_eq!(signed(&root, &key), Some(events));
    }
    let error = open(&other.path().join("new"), &[kept.text()]).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    assert_eq!(signed(&other.path().join("new"), &key), None);

    // A checkpoint of someone else.
    let stranger = Arc::new(SigningKey::generate("example.com/trail").unwrap());
    let root_of_stranger = other.path().join("stranger");
    let writer = Writer::open(&root_of_stranger, &with_proof(&stranger)).unwrap();
    writer.close().unwrap();
    let text = auditrail::proof::checkpoint_text(&root_of_stranger).unwrap();
    assert_eq!(open(root, &[&text]).unwrap_err().kind(), Kind::Tampered);
}

/// Opens with a new key, and the old one as an earlier one.
fn rotated(new: &Arc<SigningKey>, old: VerifierKey) -> Options {
    let mut proof = ProofOptions::new(new.clone());
    proof.earlier_key(old);
    let mut options = Options::default();
    options.proof(proof);
    options
}

#[test]
fn an_earlier_key_is_good_up_to_the_size_at_which_it_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (old, new) = (key(), key());
    let writer = Writer::open(root, &with_proof(&old)).unwrap();
    append(&writer, 20);
    writer.close().unwrap();
    let writer = Writer::open(root, &rotated(&new, old.verifier().clone())).unwrap();
    append(&writer, 20);
    writer.close().unwrap();
    let public = |key: &SigningKey| key.verifier().clone();
    let both = [public(&new), public(&old)];
    let verify = |keys: &[VerifierKey]| Verification::new(keys).run(root, |_, _| {}).unwrap();
    let report = verify(&both);
    assert!(report.intact && report.notes.is_empty(), "{report:#?}");

    // The thief of the old key makes another trail, longer, and signs it.
    let trail = |name: &str, events| {
        let root = root.join(name);
        let writer = Writer::open(&root, &with_proof(&old)).unwrap();
        writer.append(event(7).as_bytes()).unwrap();
        append(&writer, events);
        writer.close().unwrap();
        root
    };
    let forged = trail("forged", 40);
    let record = format!(".auditrail/tlog/earlier-{:08x}", public(&old).id());
    let told = VerifierKey::parse(&format!("{} until 20", public(&old))).unwrap();
    assert_eq!(told.limit(), Some(20));
    for recorded in [true, false] {
        if recorded {
            fs::copy(root.join(&record), forged.join(&record)).unwrap();
        } else {
            fs::remove_file(forged.join(&record)).unwrap();
        }
        let keys = [public(&new), told.clone()];
        let report = Verification::new(&keys).run(&forged, |_, _| {}).unwrap();
        assert!(!report.intact);
        assert!(
            report.findings[0].message.contains("until 20"),
            "{report:#?}"
        );
        let error = Writer::open(&forged, &rotated(&new, told.clone())).unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered, "{error}");
        // Who is not told the size goes by the record, and is warned without it.
        let report = Verification::new(&both).run(&forged, |_, _| {}).unwrap();
        assert_eq!(report.intact, !recorded);
        assert_eq!(report.notes.len(), usize::from(!recorded), "{report:#?}");
        if recorded {
            let error = Writer::open(&forged, &rotated(&new, public(&old))).unwrap_err();
            assert_eq!(error.kind(), Kind::Tampered, "{error}");
        }
    }
    // An old key cannot limit a newer one.
    let text = fs::read_to_string(root.join(".auditrail/tlog/checkpoint")).unwrap();
    let limit = format!(".auditrail/tlog/earlier-{:08x}", public(&new).id());
    fs::write(root.join(limit), text).unwrap();
    assert!(verify(&both).intact);
    assert!(VerifierKey::parse(&format!("{} until x", public(&old))).is_err());
}

#[test]
fn shared_writers_open_while_others_sign() {
    let folder = tempfile::tempdir().unwrap();
    let (root, key) = (folder.path(), key());
    let mut options = with_proof(&key);
    options.shared(true);
    Writer::open(root, &options).unwrap().close().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let writer = Writer::open(root, &options).unwrap();
                while !done.load(Ordering::Relaxed) {
                    append(&writer, 1);
                    writer.sync().unwrap();
                }
            });
        }
        let opened: Vec<_> = (0..60)
            .map(|_| Writer::open(root, &options).map(|writer| append(&writer, 1)))
            .collect();
        done.store(true, Ordering::Relaxed);
        for opened in opened {
            opened.unwrap();
        }
    });
    assert!(is_intact(root, &key));
}
