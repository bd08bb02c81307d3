//! Promise: a folder, a pipe, a socket or a device with the name of a segment is
//! reported, and ends or blocks neither writer nor reader; no event is lost to it.

#![cfg(unix)]

use auditrail::proof::{FindingKind, ProofOptions, Signer, SigningKey, Verification};
use auditrail::{
    DamageKind, Durability, Filter, Options, Order, Reader, Writer, check, history, replay,
    segments,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

type Make = fn(&Path);

/// What can stand in a segment's place, and who puts it there.
const KINDS: [(&str, Make); 5] = [
    ("folder", |path| fs::create_dir(path).unwrap()),
    ("pipe", |path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
    ("socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("endless device", |path| symlink("/dev/zero", path).unwrap()),
    ("empty device", |path| symlink("/dev/null", path).unwrap()),
];

/// Fails if it does not end: what blocks would otherwise block the whole run.
fn in_bounded_time(what: &str, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_mins(1)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: it does not end"),
        _ => thread.join().unwrap_or_else(|_| panic!("{what}")),
    }
}

/// Three events fill a segment.
fn options() -> Options {
    let mut options = Options::default();
    options.max_segment_bytes(300).unwrap();
    options
}

fn append(writer: &Writer, count: u64) {
    for _ in 0..count {
        let event = r#"{"domain":"v2","category":"a","model_name":"m","operation":"create","logical_user_id":"u"}"#;
        writer.append(event.as_bytes()).unwrap();
    }
}

fn segment(root: &Path, number: u64) -> PathBuf {
    root.join(format!("v2/a/audit-{number:06}.jsonl"))
}

/// Reads in each order: the ids are 1 to `last`, and each of the numbers is damage, once.
fn reads(root: &Path, last: u64, irregular: &[u64]) {
    for order in [Order::Stream, Order::OldestFirst, Order::NewestFirst] {
        let mut reader = Reader::open(root, Filter::new().order(order)).unwrap();
        let mut ids = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            ids.push(record.event_id());
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=last).collect::<Vec<_>>(), "{order:?}");
        let damage: Vec<_> = (reader.damage().iter())
            .map(|damage| (damage.kind, damage.path.clone()))
            .collect();
        let expected: Vec<_> = (irregular.iter())
            .map(|&number| (DamageKind::Irregular, segment(root, number)))
            .collect();
        assert_eq!(damage, expected, "{order:?}");
    }
    let all = Filter::new();
    let count = irregular.len() as u64;
    assert_eq!(replay(root, "v2", "a", &all).unwrap().damage_count(), count);
    let history = history(root, "v2", "a", "m", &all).unwrap();
    assert_eq!(history.entries().len() as u64, last);
    assert_eq!(history.damage_count(), count);
}

/// The check names what is in the way, and the numbers that are no segments; nothing
/// else is wrong.
fn checks(root: &Path, last: u64, irregular: &[u64]) {
    let report = check(root).unwrap();
    let paths: Vec<_> = (irregular.iter())
        .map(|&number| segment(root, number).display().to_string())
        .collect();
    assert_eq!(report.foreign_files.first, paths);
    assert_eq!((report.events, report.ok), (last, false), "{report:?}");
    assert_eq!(report.damaged_lines.count + report.missing_ids.count, 0);
    let listed = segments(root).unwrap();
    assert!(listed.iter().all(|file| !irregular.contains(&file.number)));
}

#[test]
fn a_writer_passes_over_it_and_says_so() {
    for (what, make) in KINDS {
        for durability in [
            Durability::Written,
            Durability::Synced,
            Durability::Buffered,
        ] {
            for shared in [false, true] {
                if shared && durability == Durability::Buffered {
                    continue;
                }
                let name = format!("{what}, {durability:?}, shared: {shared}");
                in_bounded_time(&name, move || writes_past(make, durability, shared));
            }
        }
    }
}

fn writes_past(make: Make, durability: Durability, shared: bool) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("v2/a")).unwrap();
    // The first of all, two in a row, and the next one when the trail is opened again.
    for number in [1, 3, 4] {
        make(&segment(root, number));
    }
    let warned = Arc::new(Mutex::new(String::new()));
    let mut options = options();
    let heard = warned.clone();
    options
        .durability(durability)
        .shared(shared)
        .on_warning(move |warning| *heard.lock().unwrap() += &warning.message);
    let writer = Writer::open(root, &options).unwrap();
    append(&writer, 2);
    let other = shared.then(|| Writer::open(root, &options).unwrap());
    append(&writer, 4);
    if let Some(other) = &other {
        append(other, 2);
        append(&writer, 1);
    } else {
        append(&writer, 3);
    }
    writer.sync().unwrap();
    // 2, 5 and 6 are full.
    let made = [2, 5, 6].map(|number| segment(root, number).exists());
    assert_eq!(made, [true; 3]);
    make(&segment(root, 7));
    append(&writer, 3);
    writer.close().unwrap();
    drop(other);
    for number in [1, 3, 4, 7] {
        let path = segment(root, number).display().to_string();
        assert!(warned.lock().unwrap().contains(&path), "{path}: {warned:?}");
    }
    reads(root, 12, &[1, 3, 4, 7]);
    checks(root, 12, &[1, 3, 4, 7]);

    // Recovery does not stumble either, whatever it must look at.
    for name in ["index.json", ".auditrail/state"] {
        // A shared writer leaves no index.
        let _ = fs::remove_file(root.join(name));
        let writer = Writer::open(root, &options).unwrap();
        append(&writer, 1);
        writer.close().unwrap();
    }
    reads(root, 14, &[1, 3, 4, 7]);
}

#[test]
fn a_failed_batch_is_undone_on_both_sides_of_it() {
    for (what, make) in KINDS {
        in_bounded_time(what, move || {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let writer = Writer::open(root, &options()).unwrap();
            append(&writer, 1);
            make(&segment(root, 2));
            // The stream that comes second cannot be created.
            fs::write(root.join("v2/b"), "").unwrap();
            let line = |category: &str| {
                format!(
                    "{{\"domain\":\"v2\",\"category\":\"{category}\",\"model_name\":\"m\",\
                     \"operation\":\"create\",\"logical_user_id\":\"u\"}}\n"
                )
            };
            let batch = line("a").repeat(5) + &line("b");
            assert!(writer.append_batch(batch.as_bytes()).is_err());
            fs::remove_file(root.join("v2/b")).unwrap();
            append(&writer, 3);
            writer.close().unwrap();
            reads(root, 4, &[2]);
        });
    }
}

#[test]
fn a_follower_goes_on_past_it() {
    for (what, make) in KINDS {
        in_bounded_time(what, move || {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let writer = Writer::open(root, &options()).unwrap();
            append(&writer, 1);
            let mut reader = Reader::open(root, &Filter::new()).unwrap();
            let wait = Duration::from_secs(30);
            assert_eq!(reader.follow(wait).unwrap().unwrap().event_id(), 1);
            make(&segment(root, 2));
            append(&writer, 9);
            for id in 2..=10 {
                assert_eq!(reader.follow(wait).unwrap().unwrap().event_id(), id);
            }
            assert!(reader.follow(Duration::from_millis(20)).unwrap().is_none());
            assert_eq!(reader.damage_count(), 1);
            assert_eq!(reader.damage()[0].kind, DamageKind::Irregular);
        });
    }
}

#[test]
fn a_segment_that_was_replaced_by_it_is_missed_and_the_others_are_read() {
    for (what, make) in KINDS {
        in_bounded_time(what, move || {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let writer = Writer::open(root, &options()).unwrap();
            append(&writer, 9);
            writer.close().unwrap();
            fs::remove_file(segment(root, 2)).unwrap();
            make(&segment(root, 2));
            let report = check(root).unwrap();
            assert_eq!(report.missing_ids.ranges, [(4, 6)]);
            assert_eq!(report.foreign_files.count, 1);
            assert_eq!(report.missing_segments.count, 1);
            let mut reader = Reader::open(root, &Filter::new()).unwrap();
            let mut ids = Vec::new();
            while let Some(record) = reader.next().unwrap() {
                ids.push(record.event_id());
            }
            assert_eq!(ids, [1, 2, 3, 7, 8, 9]);
            assert_eq!(reader.damage_count(), 1);
            // The ids that it took away are not given again.
            let writer = Writer::open(root, &options()).unwrap();
            append(&writer, 1);
            assert_eq!(writer.stats().unwrap().last_id, 10);
        });
    }
}

#[test]
fn a_log_covers_the_events_on_both_sides_of_it_and_signs_no_gap_in_its_place() {
    for (what, make) in KINDS {
        in_bounded_time(what, move || {
            let folder = tempfile::tempdir().unwrap();
            let root = &folder.path().join("trail");
            let key = Arc::new(SigningKey::generate("example.com/trail").unwrap());
            let mut options = options();
            options.proof(ProofOptions::new(key.clone()));
            let writer = Writer::open(root, &options).unwrap();
            append(&writer, 2);
            make(&segment(root, 2));
            append(&writer, 4);
            writer.close().unwrap();
            let writer = Writer::open(root, &options).unwrap();
            append(&writer, 3);
            writer.close().unwrap();
            let verify = Verification::new(&[key.verifier().clone()]);
            let report = verify.run(root, |_, _| {}).unwrap();
            assert_eq!(report.verified_events, 9);
            let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
            assert_eq!(kinds, [FindingKind::Segment], "{report:?}");

            // Events that may have stood there are not signed as none.
            let plain = Writer::open(folder.path().join("other"), &self::options()).unwrap();
            append(&plain, 9);
            plain.close().unwrap();
            let root = &folder.path().join("other");
            fs::remove_file(segment(root, 2)).unwrap();
            make(&segment(root, 2));
            let mut proof = ProofOptions::new(key.clone());
            proof.adopt(true);
            let mut options = self::options();
            options.proof(proof);
            let error = Writer::open(root, &options).and_then(Writer::close);
            let message = error.expect_err("a gap").to_string();
            assert!(message.contains("no regular file"), "{message}");
        });
    }
}

#[test]
fn what_the_journal_would_put_there_is_kept_aside() {
    for (what, make) in KINDS {
        in_bounded_time(what, move || {
            let folder = tempfile::tempdir().unwrap();
            let root = &folder.path().join("trail");
            let mut options = options();
            options.durability(Durability::Synced);
            let writer = Writer::open(root, &options).unwrap();
            append(&writer, 5);
            // As after a kill: the journal still holds all of them.
            let copy = &folder.path().join("copy");
            let copied = Command::new("cp").arg("-r").args([root, copy]).status();
            assert!(copied.unwrap().success());
            fs::remove_file(segment(copy, 1)).unwrap();
            make(&segment(copy, 1));
            let warned = Arc::new(Mutex::new(String::new()));
            let heard = warned.clone();
            options.on_warning(move |warning| *heard.lock().unwrap() += &warning.message);
            let writer = Writer::open(copy, &options).unwrap();
            append(&writer, 1);
            writer.close().unwrap();
            let told = warned.lock().unwrap().clone();
            assert!(told.contains("are kept in"), "{told}");
            let kept = fs::read_dir(copy.join(".auditrail/torn")).unwrap().count();
            assert!(kept > 0);
            let mut reader = Reader::open(copy, &Filter::new()).unwrap();
            let mut ids = Vec::new();
            while let Some(record) = reader.next().unwrap() {
                ids.push(record.event_id());
            }
            assert_eq!(ids, [4, 5, 6]);
        });
    }
}
