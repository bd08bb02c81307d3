//! Promise: outside interference is detected and reported, and nothing is overwritten
//! or dropped: a full or read-only file system, files that someone else deletes,
//! replaces, cuts or appends to, torn tails, a fork. On the real disk; a test that
//! needs a mount reports it if it may not mount.

mod ledger;

use auditrail::{Durability, Kind, Options, WarningKind, Writer};
use ledger::{Crash, EventStatus, Ledger, files_on_disk, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn append(writer: &Writer, tag: usize) -> auditrail::Result<u64> {
    writer.append(json(tag, "v2/a", 30).as_bytes())
}

fn segment(root: &Path) -> PathBuf {
    root.join("v2/a/audit-000001.jsonl")
}

/// A closed trail of three events.
fn small_trail() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &Options::default()).expect("opens");
    for tag in 0..3 {
        append(&writer, tag).expect("appends");
    }
    writer.close().expect("closes");
    folder
}

/// Sleeps longer than a writer's interval between checks of its file.
fn wait_for_the_check_interval() {
    std::thread::sleep(Duration::from_millis(40));
}

#[test]
fn a_segment_that_was_changed_from_outside_is_detected() {
    type Touch = fn(&Path);
    let touches: [(&str, Touch); 4] = [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("replaced", |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        }),
        ("cut", |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(10).unwrap();
        }),
        ("written to", |path| {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            file.write_all(b"{}\n").unwrap();
        }),
    ];
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
        Durability::Mapped,
    ] {
        for (what, touch) in touches {
            let folder = small_trail();
            let mut options = Options::default();
            options
                .durability(durability)
                .flush_interval(Duration::ZERO);
            let writer = Writer::open(folder.path(), &options).unwrap();
            append(&writer, 3).unwrap();
            writer.flush().unwrap();
            touch(&segment(folder.path()));
            let found = fs::read(segment(folder.path())).unwrap_or_default();
            wait_for_the_check_interval();
            let error = append(&writer, 4).and_then(|_| writer.flush()).unwrap_err();
            assert_eq!(error.kind(), Kind::Failed, "{what}: {error}");
            let expected = format!("was {what}");
            assert!(error.message().contains(&expected), "{what}: {error}");
            assert!(error.message().contains("audit-000001.jsonl"), "{error}");
            assert_eq!(append(&writer, 5).unwrap_err().kind(), Kind::Failed);
            // The writer changed nothing in the file.
            let now = fs::read(segment(folder.path())).unwrap_or_default();
            assert_eq!(now, found, "{what}");
            assert!(writer.close().is_err(), "{what}");
            // A new writer continues, with ids that were not assigned.
            let writer = Writer::open(folder.path(), &options).unwrap();
            let id = append(&writer, 6).unwrap();
            assert!(id >= 4, "{what}: {id}");
        }
    }
}

#[test]
fn a_sync_detects_it_too() {
    let folder = small_trail();
    let writer = Writer::open(folder.path(), &Options::default()).unwrap();
    append(&writer, 3).unwrap();
    fs::remove_file(segment(folder.path())).unwrap();
    let error = writer.sync().unwrap_err();
    assert!(error.message().contains("was deleted"), "{error}");
}

#[test]
fn torn_tails_are_repaired_and_quarantined() {
    let torn = br#"{"event_id":4,"timestamp":17"#;
    let whole = format!("{{\"event_id\":4{}", &json(3, "v2/a", 30)[1..]).replacen("4\"", "4,\"", 1);
    let cases: [(&str, Vec<u8>, u64, usize); 5] = [
        ("torn", torn.to_vec(), 4, torn.len()),
        ("zeros", vec![0; 5000], 4, 5000),
        (
            "torn, then zeros",
            [&torn[..], &[0; 100]].concat(),
            4,
            torn.len() + 100,
        ),
        ("no newline", whole.clone().into_bytes(), 5, 0),
        (
            "whole, then torn",
            [whole.as_bytes(), b"\n", torn].concat(),
            5,
            torn.len(),
        ),
    ];
    for (what, tail, next, cut) in cases {
        let folder = small_trail();
        // A cleanly closed trail is not recovered: make it an unclosed one.
        fs::remove_file(folder.path().join("index.json")).unwrap();
        let path = segment(folder.path());
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        file.write_all(&tail).unwrap();
        let before = fs::read(&path).unwrap();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let mut options = Options::default();
        let sink = warnings.clone();
        options.on_warning(move |warning| sink.lock().unwrap().push(warning.kind));
        let writer = Writer::open(folder.path(), &options).unwrap();
        let stats = writer.stats().unwrap();
        assert_eq!(stats.torn_tails, u64::from(cut > 0), "{what}");
        assert_eq!(stats.torn_bytes, cut as u64, "{what}");
        let told = warnings.lock().unwrap().contains(&WarningKind::TornTail);
        assert_eq!(told, cut > 0, "{what}");
        assert_eq!(append(&writer, 9).unwrap(), next, "{what}");
        let after = fs::read(&path).unwrap();
        let kept = before.len() - cut;
        assert_eq!(after[..kept], before[..kept], "{what}");
        let aside: Vec<Vec<u8>> = fs::read_dir(folder.path().join(".auditrail/torn"))
            .into_iter()
            .flatten()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        let expected = if cut > 0 {
            vec![before[kept..].to_vec()]
        } else {
            Vec::new()
        };
        assert_eq!(aside, expected, "{what}");
        for line in after.split_inclusive(|&b| b == b'\n') {
            assert!(line.ends_with(b"}\n"), "{what}");
        }
    }
}

#[test]
fn an_unreadable_index_costs_no_id() {
    for text in [
        "",
        "{",
        "[]",
        "{\"last_event_id\":-1}",
        "{\"last_event_id\":\"3\"}",
    ] {
        let folder = small_trail();
        fs::write(folder.path().join("index.json"), text).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let mut options = Options::default();
        options.on_warning(move |warning| sink.lock().unwrap().push(warning.kind));
        let writer = Writer::open(folder.path(), &options).unwrap();
        assert_eq!(append(&writer, 3).unwrap(), 4, "{text}");
        assert_eq!(*told.lock().unwrap(), [WarningKind::IndexRebuilt], "{text}");
    }
}

/// A small file system, if the test may mount one.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|out| out.status.success()) {
            return Some(Self(folder));
        }
        println!("not run: nothing may be mounted here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_really_full_disk_that_gets_room_again() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
        Durability::Mapped,
    ] {
        let Some(mount) = Mount::new() else { return };
        let root = mount.0.path().join("trail");
        let mut options = Options::default();
        options
            .durability(durability)
            .journal_bytes(64 * 1024)
            .flush_interval(Duration::ZERO);
        options.buffer_bytes(50_000).unwrap();
        let writer = Writer::open(&root, &options).unwrap();
        fs::write(mount.0.path().join("filler"), vec![1; 500_000]).unwrap();
        let mut ledger = Ledger::default();
        let mut next = 1;
        let error = loop {
            let tag = ledger.add("v2/a", 900);
            match writer.append(ledger.json(tag).as_bytes()) {
                Ok(id) => {
                    assert_eq!(id, next);
                    ledger.acknowledged(tag, id, EventStatus::Written);
                    next += 1;
                }
                Err(error) => {
                    ledger.failed(&[tag]);
                    break error;
                }
            }
        };
        let kind = match durability {
            Durability::Buffered | Durability::Mapped => Kind::BufferFull,
            _ => Kind::NoSpace,
        };
        assert_eq!(
            (error.kind(), error.errno()),
            (kind, Some(libc::ENOSPC)),
            "{error}"
        );
        fs::remove_file(mount.0.path().join("filler")).unwrap();
        for _ in 0..50 {
            let tag = ledger.add("v2/a", 900);
            let id = writer
                .append(ledger.json(tag).as_bytes())
                .expect("there is room again");
            assert_eq!(id, next);
            ledger.acknowledged(tag, id, EventStatus::Written);
            next += 1;
        }
        writer.close().expect("closes");
        let files = files_on_disk(&root);
        let none = BTreeSet::new();
        ledger
            .check(
                &files,
                &root,
                Crash::Killed,
                next - 1,
                &none,
                EventStatus::Durable,
            )
            .expect("all is there");
    }
}

#[test]
fn a_read_only_root_is_an_error_with_its_path() {
    let Some(mount) = Mount::new() else { return };
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(mount.0.path())
        .output()
        .expect("mount");
    assert!(remounted.status.success(), "{remounted:?}");
    let root = mount.0.path().join("trail");
    let error = Writer::open(&root, &Options::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.errno()),
        (Kind::Io, Some(libc::EROFS)),
        "{error}"
    );
    assert!(error.message().contains(root.to_str().unwrap()), "{error}");
}

const FORKING: &str = "AUDITRAIL_TEST_FORKING";
const RAW: &str = "AUDITRAIL_TEST_RAW_CLONE";

/// In a child process: opens the trail, forks, and prints its child's pid.
#[test]
#[allow(unsafe_code)]
fn forking_child() {
    let Ok(root) = std::env::var(FORKING) else {
        return;
    };
    // More than fit into one block of the table of lock files.
    let more: Vec<Writer> = (0..300)
        .map(|n| Writer::open(format!("{root}/more/{n}"), &Options::default()).expect("opens"))
        .collect();
    let writer = Writer::open(&root, &Options::default()).expect("opens");
    append(&writer, 0).expect("appends");
    let raw = std::env::var(RAW).is_ok();
    // SAFETY: the child calls the library, sleeps and ends.
    let pid = unsafe {
        if raw {
            // As fork, but without the C library, and so without its handlers.
            libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
        } else {
            libc::fork().into()
        }
    };
    match pid {
        0 => {
            let refused = append(&writer, 1).is_err_and(|e| e.kind() == Kind::Forked)
                && writer.sync().is_err_and(|e| e.kind() == Kind::Forked)
                && writer.stats().is_err_and(|e| e.kind() == Kind::Forked);
            if raw {
                // Its first opening is what notices.
                let own = Writer::open(format!("{root}/own"), &Options::default());
                assert_eq!(append(&own.expect("opens"), 0).expect("appends"), 1);
            }
            let refused = refused && append(&writer, 1).is_err_and(|e| e.kind() == Kind::Forked);
            println!("@refused {refused}");
            std::thread::sleep(Duration::from_secs(20));
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        pid => {
            println!("@forked {pid}");
            std::thread::sleep(Duration::from_secs(20));
            drop(more);
        }
    }
}

#[test]
fn a_forked_child_is_refused_and_keeps_no_lock() {
    forked_child_is_refused(false);
}

#[test]
fn a_child_of_a_raw_clone_is_refused_and_keeps_no_lock() {
    forked_child_is_refused(true);
}

#[allow(unsafe_code)]
fn forked_child_is_refused(raw: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "forking_child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FORKING, folder.path())
        .envs(raw.then_some((RAW, "1")))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(parent.stdout.take().unwrap());
    let (mut forked, mut refused) = (None, None);
    while forked.is_none() || refused.is_none() {
        let mut line = String::new();
        let n = std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        assert!(n > 0, "the parent has ended: {forked:?} {refused:?}");
        let words: Vec<&str> = line.trim().rsplit('@').next().unwrap().split(' ').collect();
        match words[..] {
            ["forked", pid] => forked = pid.parse::<i32>().ok(),
            ["refused", answer] => refused = Some(answer == "true"),
            _ => {}
        }
    }
    let held = Writer::open(folder.path(), &Options::default());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let freed = Writer::open(folder.path(), &Options::default());
    let still_held = (0..300)
        .filter(|n| {
            let root = folder.path().join(format!("more/{n}"));
            Writer::open(root, &Options::default()).is_err()
        })
        .count();
    let child = forked.unwrap();
    // SAFETY: signal 0 only tests, 9 kills; the pid is that of our child's child.
    let alive = unsafe { libc::kill(child, 0) } == 0;
    // SAFETY: as above.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(
        refused,
        Some(true),
        "the forked child may use its parent's writer"
    );
    assert_eq!(
        held.unwrap_err().kind(),
        Kind::Busy,
        "the child's end freed the trail"
    );
    assert!(alive, "the child has ended before its time");
    assert_eq!(still_held, 0, "locks that the child kept");
    let writer = freed.expect("the lock went with the parent");
    assert_eq!(append(&writer, 1).unwrap(), 2);
}

#[test]
fn a_torn_tail_of_the_longest_names_is_kept_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.domains(auditrail::Names::Any);
    let (domain, category) = ("d".repeat(128), "c".repeat(128));
    let event = |category: &str| {
        format!(
            r#"{{"domain":"{domain}","category":"{category}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
        )
    };
    let other = format!("{}x", &category[1..]);
    let writer = Writer::open(folder.path(), &options).unwrap();
    for category in [&category, &other] {
        writer.append(event(category).as_bytes()).unwrap();
    }
    writer.close().unwrap();
    for category in [&category, &other] {
        let path = folder
            .path()
            .join(&domain)
            .join(category)
            .join("audit-000001.jsonl");
        let mut file = fs::File::options().append(true).open(path).unwrap();
        file.write_all(b"{\"torn").unwrap();
    }
    // As a crash leaves it: not closed.
    fs::remove_file(folder.path().join(".auditrail/state")).unwrap();
    let writer = Writer::open(folder.path(), &options).unwrap();
    assert_eq!(writer.stats().unwrap().torn_tails, 2);
    assert_eq!(writer.append(event(&category).as_bytes()).unwrap(), 3);
    writer.close().unwrap();
    let kept: Vec<_> = fs::read_dir(folder.path().join(".auditrail/torn"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    assert_eq!(kept.len(), 2, "one file for each stream");
    for entry in kept {
        assert!(entry.file_name().len() <= 255);
        assert_eq!(fs::read(entry.path()).unwrap(), b"{\"torn");
    }
}

#[test]
fn a_full_segment_that_was_moved_away_is_a_warning_and_no_failure() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
        Durability::Mapped,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let into = warnings.clone();
        let mut options = Options::default();
        options
            .durability(durability)
            .flush_interval(Duration::ZERO)
            .max_segment_bytes(300)
            .unwrap()
            .on_warning(move |warning| into.lock().unwrap().push(warning.clone()));
        let writer = Writer::open(folder.path(), &options).unwrap();
        for tag in 0..20 {
            append(&writer, tag).unwrap();
        }
        writer.flush().unwrap();
        // Retention by hand: one moved, one deleted.
        let path = |number| folder.path().join(format!("v2/a/audit-{number:06}.jsonl"));
        fs::rename(path(1), folder.path().join("elsewhere")).unwrap();
        fs::remove_file(path(2)).unwrap();
        writer.sync().unwrap();
        assert_eq!(append(&writer, 20).unwrap(), 21);
        writer.close().unwrap();
        let gone: Vec<String> = std::mem::take(&mut *warnings.lock().unwrap())
            .into_iter()
            .filter(|warning| warning.kind == WarningKind::SegmentGone)
            .map(|warning| warning.message)
            .collect();
        assert_eq!(gone.len(), 2, "{durability:?}: {gone:?}");
        for (message, number) in gone.iter().zip(1..) {
            assert!(
                message.contains(&*path(number).to_string_lossy()),
                "{message}"
            );
        }
        let index = fs::read_to_string(folder.path().join("index.json")).unwrap();
        assert_eq!(index, "{\"last_event_id\":21}");
        let writer = Writer::open(folder.path(), &options).unwrap();
        assert_eq!(append(&writer, 21).unwrap(), 22);
        writer.close().unwrap();
    }
}
