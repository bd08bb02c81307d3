//! The log, with leaves that are no lines.

use super::repair::REBUILT;
use super::*;
use crate::error::Kind;
use crate::proof::merkle::{Tree, leaf_hash};
use crate::proof::note::SigningKey;
use crate::store::storage::Disk;
use std::fs;

struct LogFixture {
    root: tempfile::TempDir,
    key: SigningKey,
}

impl LogFixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(".auditrail")).unwrap();
        Self {
            root,
            key: SigningKey::generate("log").unwrap(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.root.path())
    }

    fn open(&self, last_id: u64) -> Result<Log> {
        let keys = [self.key.verifier().clone()];
        Log::open(Arc::new(Disk), &self.layout(), &keys, last_id)
    }

    fn tlog(&self) -> PathBuf {
        self.layout().hidden_file(TLOG)
    }

    /// All files of the log and what they hold.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut folders, mut out) = (vec![self.tlog()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.tlog()).unwrap().to_owned();
                    out.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        out.sort();
        out
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_le_bytes())
}

fn leaves(range: std::ops::Range<u64>) -> Vec<Hash> {
    range.map(leaf).collect()
}

fn root(size: u64) -> Hash {
    let mut tree = Tree::default();
    (0..size).for_each(|index| tree.push(leaf(index)));
    tree.root()
}

#[test]
fn the_same_log_whatever_the_steps_and_reopenings() {
    let sizes = [0, 1, 2, 255, 256, 257, 511, 512, 513, 70_000];
    let steps = LogFixture::new();
    for (step, size) in sizes.into_iter().enumerate() {
        let mut log = steps.open(size).unwrap();
        assert_eq!(log.size(), if step == 0 { 0 } else { sizes[step - 1] });
        let from = log.size();
        log.append(&leaves(from..size), None).unwrap();
        let signed = log.sign(&steps.key).unwrap();
        assert_eq!((signed.size(), signed.root()), (size, root(size)));
    }
    let mut once = LogFixture::new();
    once.key = SigningKey::parse(&steps.key.to_secret_text()).unwrap();
    let mut log = once.open(70_000).unwrap();
    log.append(&leaves(0..70_000), None).unwrap();
    log.sign(&once.key).unwrap();
    assert_eq!(steps.files(), once.files());
    // What the specification gives as its example.
    let names: Vec<_> = once.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 273 + 1 + 1 + 1 + 1 + 1);
    for name in [
        "tile/0/272",
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ] {
        assert!(names.contains(&PathBuf::from(name)), "{name}");
    }
    assert_eq!(once.open(70_000).unwrap().damaged_tiles().unwrap(), [0; 0]);
}

#[test]
fn leaves_that_were_not_signed_are_ignored() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.append(&leaves(0..300), None).unwrap();
    log.sign(&fixture.key).unwrap();
    log.append(&leaves(300..1000), None).unwrap();
    drop(log);
    // Other events take the ids of those that were never signed.
    let mut log = fixture.open(300).unwrap();
    assert_eq!(log.size(), 300);
    log.append(&leaves(301..1001), None).unwrap();
    let signed = log.sign(&fixture.key).unwrap().clone();
    let mut log = fixture.open(1000).unwrap();
    assert_eq!((log.size(), log.edge.root()), (1000, signed.root()));
    assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
}

#[test]
fn old_checkpoints_keep_their_partial_tiles_until_the_full_one_is_there() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    for size in [10, 20, 256 * 2 + 3] {
        let from = log.size();
        log.append(&leaves(from..size), None).unwrap();
        log.sign(&fixture.key).unwrap();
        let partial = |width: u64| {
            fixture
                .tlog()
                .join(format!("tile/0/000.p/{width}"))
                .exists()
        };
        assert_eq!((partial(10), partial(20)), (size < 256, size == 20));
    }
    let folder = LogFolder::new(Arc::new(Disk), fixture.tlog());
    for size in [10, 20, 256, 515] {
        let edge = TreeEdge::read(&folder, size).unwrap();
        if size.is_multiple_of(256) || size < 256 {
            assert!(
                folder
                    .tile(Tile { level: 0, index: 0 }, size)
                    .unwrap()
                    .is_some()
            );
        }
        if size == 515 {
            assert_eq!(edge.unwrap().root(), root(515));
        }
    }
}

#[test]
fn an_unchanged_log_is_not_signed_again() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.append(&[leaf(0)], None).unwrap();
    log.sign(&fixture.key).unwrap();
    let path = fixture.tlog().join(CHECKPOINT);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    log.sign(&fixture.key).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}

#[test]
fn a_shorter_trail_is_not_opened() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.append(&leaves(0..5), None).unwrap();
    log.sign(&fixture.key).unwrap();
    let error = fixture.open(4).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
    assert!(error.message().contains("ends with event 4"), "{error}");
}

#[test]
fn a_log_signed_by_another_key_is_not_opened() {
    let mut fixture = LogFixture::new();
    fixture.open(0).unwrap().sign(&fixture.key).unwrap();
    let old = std::mem::replace(&mut fixture.key, SigningKey::generate("log").unwrap());
    assert_eq!(fixture.open(0).unwrap_err().kind(), Kind::Tampered);
    // Unless it is named as one of before.
    let keys = [fixture.key.verifier().clone(), old.verifier().clone()];
    let mut log = Log::open(Arc::new(Disk), &fixture.layout(), &keys, 0).unwrap();
    log.sign(&fixture.key).unwrap();
    assert_eq!(fixture.open(0).unwrap().size(), 0);
    assert!(log.sign(&SigningKey::generate("other").unwrap()).is_err());
}

#[test]
fn a_checkpoint_that_someone_replaced_is_not_overwritten() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.sign(&fixture.key).unwrap();
    let mut other = fixture.open(1).unwrap();
    other.append(&[leaf(7)], None).unwrap();
    other.sign(&fixture.key).unwrap();
    log.append(&[leaf(8)], None).unwrap();
    assert_eq!(log.sign(&fixture.key).unwrap_err().kind(), Kind::Failed);
    assert_eq!(
        log.append(&[leaf(9)], None).unwrap_err().kind(),
        Kind::Failed
    );
    assert_eq!(fixture.open(1).unwrap().signed.unwrap().root(), leaf(7));
}

#[test]
fn lost_edges_are_rebuilt_and_compared() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.append(&leaves(0..70_000), None).unwrap();
    log.sign(&fixture.key).unwrap();
    let before = fixture.files();
    for lost in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"] {
        let path = fixture.tlog().join(lost);
        let mut bytes = fs::read(&path).unwrap();
        if lost.contains("273") {
            fs::remove_file(&path).unwrap();
        } else {
            bytes[5] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let mut log = fixture.open(70_001).unwrap();
        assert!(log.is_behind() && log.size() == 0, "{lost}");
        assert!(log.sign(&fixture.key).is_err());
        log.append(&leaves(0..69_999), None).unwrap();
        assert!(log.is_behind());
        log.append(&[leaf(69_999)], None).unwrap();
        assert!(!log.is_behind());
        let aside = fixture.tlog().join("replaced-1");
        fs::remove_dir_all(&aside).unwrap();
        fs::remove_dir_all(fixture.tlog().join(REBUILT)).unwrap();
        assert_eq!(fixture.files(), before, "{lost}");
        log.append(&[leaf(70_000)], None).unwrap();
        log.sign(&fixture.key).unwrap();
        // Back to where it was, for the next round.
        fs::remove_dir_all(fixture.tlog()).unwrap();
        let mut log = fixture.open(0).unwrap();
        log.append(&leaves(0..70_000), None).unwrap();
        log.sign(&fixture.key).unwrap();
    }
    fs::remove_dir_all(fixture.tlog().join("tile")).unwrap();
    let mut log = fixture.open(70_000).unwrap();
    let error = log
        .append(&[&[leaf(1)], &leaves(1..70_000)[..]].concat(), None)
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
    assert_eq!(log.sign(&fixture.key).unwrap_err().kind(), Kind::Failed);
    assert!(!fixture.tlog().join("tile").exists());
}

#[test]
fn lost_full_tiles_are_found_and_repaired() {
    let fixture = LogFixture::new();
    let mut log = fixture.open(0).unwrap();
    log.append(&leaves(0..70_000), None).unwrap();
    log.sign(&fixture.key).unwrap();
    let before = fixture.files();
    let tile = |index: u64| fixture.tlog().join(format!("tile/0/{index:03}"));
    fs::remove_file(tile(0)).unwrap();
    fs::write(tile(7), []).unwrap();
    fs::write(tile(255), vec![0; 8192]).unwrap();
    fs::write(tile(272), vec![1; 9000]).unwrap();
    let mut log = fixture.open(70_000).unwrap();
    let damaged = log.damaged_tiles().unwrap();
    assert_eq!(damaged, [0, 7, 255, 272]);
    let wrong: Vec<_> = (0..256).map(|index| leaf(index + 1)).collect();
    let error = log.repair_tile(0, &wrong).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
    assert!(error.message().contains("events 1 to 256"), "{error}");
    for index in damaged {
        let leaves: Vec<_> = (index * 256..(index + 1) * 256).map(leaf).collect();
        log.repair_tile(index, &leaves).unwrap();
    }
    assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
    assert_eq!(fixture.files(), before);
    // Above level 0 nothing is lost by a crash: everything is made again.
    fs::write(fixture.tlog().join("tile/1/000"), vec![0; 8192]).unwrap();
    let mut log = fixture.open(70_000).unwrap();
    assert_eq!(log.size(), 70_000);
    assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
    assert!(log.is_behind());
    log.append(&leaves(0..70_000), None).unwrap();
    assert_eq!(log.damaged_tiles().unwrap(), [0; 0]);
    assert!(!log.is_behind());
}
