//! What stands where files of a trail and its log should be, and is none of theirs:
//! links, folders, pipes and devices.

#![cfg(unix)]

use auditrail::proof::{
    FindingKind, ProofOptions, Signer, SigningKey, Verification, VerifyReport, export,
};
use auditrail::{Kind, Options, Writer};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const EVENT: &str = "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\
                     \"operation\":\"create\",\"logical_user_id\":\"u\"}\n";

struct Trail {
    folder: tempfile::TempDir,
    key: Arc<SigningKey>,
}

impl Trail {
    fn new(events: usize) -> Self {
        let trail = Self {
            folder: tempfile::tempdir().unwrap(),
            key: Arc::new(SigningKey::generate("example.com/trail").unwrap()),
        };
        trail.append(events).unwrap();
        trail
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    fn segment(&self) -> PathBuf {
        self.root().join("v2/c/audit-000001.jsonl")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.root().join(".auditrail/tlog").join(name)
    }

    fn append(&self, events: usize) -> auditrail::Result<()> {
        let mut options = Options::default();
        options.proof(ProofOptions::new(self.key.clone()));
        let writer = Writer::open(self.root(), &options)?;
        if events > 0 {
            writer.append_batch(EVENT.repeat(events).as_bytes())?;
        }
        writer.close()
    }

    /// Verifies within bounded time.
    fn verify(&self) -> VerifyReport {
        let (done, report) = mpsc::channel();
        let (root, key) = (self.root(), self.key.verifier().clone());
        std::thread::spawn(move || {
            let report = Verification::new(&[key]).run(&root, |_, _| {});
            drop(done.send(report));
        });
        let report = report.recv_timeout(Duration::from_mins(1));
        report.expect("verification ends").unwrap()
    }

    fn export(&self, out: &Path) -> auditrail::Result<()> {
        let keys = [self.key.verifier().clone()];
        export(&self.root(), out, &keys, |_, _| {}).map(drop)
    }
}

fn kinds(report: &VerifyReport) -> Vec<FindingKind> {
    report.findings.iter().map(|f| f.kind).collect()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Puts a folder, a pipe and a device where a file was, and then the file again.
fn in_place_of(path: &Path, mut check: impl FnMut(&str)) {
    let kept = path.with_extension("kept");
    fs::rename(path, &kept).unwrap();
    fs::create_dir(path).unwrap();
    check("folder");
    fs::remove_dir(path).unwrap();
    pipe(path);
    check("pipe");
    fs::remove_file(path).unwrap();
    symlink("/dev/zero", path).unwrap();
    check("device");
    fs::remove_file(path).unwrap();
    fs::rename(&kept, path).unwrap();
}

#[test]
fn a_segment_that_is_no_regular_file_is_a_finding() {
    let trail = Trail::new(300);
    in_place_of(&trail.segment(), |what| {
        let report = trail.verify();
        assert!(!report.intact, "{what}");
        assert!(
            kinds(&report).contains(&FindingKind::Segment),
            "{what}: {report:#?}"
        );
    });
    assert!(trail.verify().intact);
}

#[test]
fn a_tile_or_checkpoint_that_is_no_regular_file_is_a_finding() {
    let trail = Trail::new(600);
    for (name, kind) in [
        ("tile/0/000", FindingKind::Tile),
        ("tile/0/002.p/88", FindingKind::Tile),
        ("checkpoint", FindingKind::Checkpoint),
    ] {
        in_place_of(&trail.log(name), |what| {
            let report = trail.verify();
            assert_eq!(kinds(&report), [kind], "{name}, {what}: {report:#?}");
        });
    }
    assert!(trail.verify().intact);
}

#[test]
fn a_link_in_the_log_is_not_written_through() {
    let trail = Trail::new(300);
    let victim = trail.folder.path().join("victim");
    for is_hard in [false, true] {
        fs::write(&victim, "precious").unwrap();
        if is_hard {
            fs::hard_link(&victim, trail.log("new")).unwrap();
        } else {
            symlink(&victim, trail.log("new")).unwrap();
        }
        trail.append(1).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
    // A folder that is a link.
    let victims = trail.folder.path().join("victims");
    fs::rename(trail.log("tile/0"), &victims).unwrap();
    let count = || fs::read_dir(&victims).unwrap().count();
    let before = count();
    symlink(&victims, trail.log("tile/0")).unwrap();
    let error = trail.append(300).unwrap_err();
    assert!(error.message().contains("link"), "{error}");
    assert_eq!(count(), before);
    // The folder in which a tree is made again, because tiles are lost.
    let victims = trail.folder.path().join("others");
    fs::create_dir(&victims).unwrap();
    fs::remove_dir_all(trail.log("tile")).unwrap();
    symlink(&victims, trail.log("rebuilt")).unwrap();
    let error = trail.append(1).unwrap_err();
    assert!(error.message().contains("link"), "{error}");
    assert_eq!(fs::read_dir(&victims).unwrap().count(), 0);
}

#[test]
fn a_link_in_the_folder_of_an_export_is_not_written_through() {
    let trail = Trail::new(300);
    let (out, victim) = (
        trail.folder.path().join("out"),
        trail.folder.path().join("victim"),
    );
    fs::create_dir(&out).unwrap();
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, out.join("new")).unwrap();
    symlink(&victim, out.join("checkpoint")).unwrap();
    trail.export(&out).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(
        fs::symlink_metadata(out.join("checkpoint"))
            .unwrap()
            .is_file()
    );

    let (out, victims) = (
        trail.folder.path().join("out2"),
        trail.folder.path().join("victims"),
    );
    fs::create_dir(&out).unwrap();
    fs::create_dir(&victims).unwrap();
    symlink(&victims, out.join("tile")).unwrap();
    assert!(trail.export(&out).unwrap_err().message().contains("link"));
    assert_eq!(fs::read_dir(&victims).unwrap().count(), 0);
}

#[test]
fn an_export_is_what_the_signed_root_covers() {
    let trail = Trail::new(600);
    let good = trail.folder.path().join("good");
    trail.export(&good).unwrap();

    // An event and its leaf, changed together.
    let (segment, tile) = (trail.segment(), trail.log("tile/0/001"));
    let (lines, hashes) = (fs::read(&segment).unwrap(), fs::read(&tile).unwrap());
    let text = String::from_utf8(lines.clone()).unwrap();
    let line = text.lines().nth(299).unwrap();
    let forged = line.replace("create", "delete");
    fs::write(&segment, text.replace(line, &forged)).unwrap();
    let mut changed = hashes.clone();
    let at = 32 * (299 - 256);
    changed[at..at + 32].copy_from_slice(&auditrail::proof::leaf_hash(forged.as_bytes()).0);
    fs::write(&tile, changed).unwrap();
    let error = trail.export(&trail.folder.path().join("bad")).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    assert!(error.message().contains("tile/0/001"), "{error}");
    assert!(!trail.folder.path().join("bad/checkpoint").exists());
    fs::write(&segment, lines).unwrap();
    fs::write(&tile, hashes).unwrap();

    // A tile above.
    let above = trail.log("tile/1/000.p/2");
    let hashes = fs::read(&above).unwrap();
    fs::write(&above, vec![7; 64]).unwrap();
    let error = trail.export(&trail.folder.path().join("bad")).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    assert!(error.message().contains("tile"), "{error}");
    fs::write(&above, hashes).unwrap();

    // What is in the folder already, and of the same length, is no proof of anything.
    for name in ["tile/0/000", "tile/1/000.p/2", "tile/entries/001"] {
        let exported = good.join(name);
        let before = fs::read(&exported).unwrap();
        let mut bytes = before.clone();
        bytes[40] ^= 1;
        fs::write(&exported, bytes).unwrap();
        trail.export(&good).unwrap();
        assert_eq!(fs::read(&exported).unwrap(), before, "{name}");
    }
}

#[test]
fn folders_of_partial_tiles_that_a_kill_left_are_removed() {
    let trail = Trail::new(10);
    let kept = fs::read(trail.log("tile/0/000.p/10")).unwrap();
    trail.append(600).unwrap();
    // As if it had been killed between the checkpoint and the removal.
    fs::create_dir(trail.log("tile/0/000.p")).unwrap();
    fs::write(trail.log("tile/0/000.p/10"), kept).unwrap();
    trail.append(1).unwrap();
    assert!(!trail.log("tile/0/000.p").exists());
    assert!(trail.log("tile/0/002.p").exists() && trail.verify().intact);
}
