//! Promise: what a MAPPED writer has acknowledged outlives its process, and is in the
//! segments after the next opening, once, with its id.

mod ledger;

use auditrail::internals::storage::Storage;
use auditrail::internals::storage::memory::Memory;
use auditrail::{Durability, Kind, Options, WarningKind, Writer};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROOT: &str = "/data/trail";

type Warnings = Arc<Mutex<Vec<(WarningKind, String)>>>;

fn mapped(durability: Durability) -> (Options, Warnings) {
    let warnings = Warnings::default();
    let mut options = Options::default();
    let told = warnings.clone();
    options
        .durability(durability)
        .flush_interval(Duration::ZERO)
        .on_warning(move |warning| {
            let warning = (warning.kind, warning.message.clone());
            told.lock().unwrap().push(warning);
        });
    (options, warnings)
}

fn open(memory: &Memory, options: &Options) -> Writer {
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), options).unwrap()
}

/// A machine on which a MAPPED writer was killed after these events.
fn killed_after(streams: &[&str]) -> Memory {
    let memory = Memory::new();
    let writer = open(&memory, &mapped(Durability::Mapped).0);
    for (tag, stream) in streams.iter().enumerate() {
        let id = writer.append(ledger::json(tag, stream, 30).as_bytes());
        assert_eq!(id.unwrap(), tag as u64 + 1);
    }
    memory.kill();
    drop(writer);
    memory.another_process()
}

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

/// The ids in a segment.
fn ids(memory: &Memory, stream: &str) -> Vec<u64> {
    let segment = memory
        .files(Path::new("/data"))
        .remove(&path(&format!("{stream}/audit-000001.jsonl")));
    let text = String::from_utf8(segment.unwrap_or_default()).unwrap();
    text.lines()
        .map(|line| {
            let digits = line.strip_prefix("{\"event_id\":").unwrap();
            digits.split_once(',').unwrap().0.parse().unwrap()
        })
        .collect()
}

#[test]
fn the_next_opening_writes_what_a_killed_writer_accepted() {
    for next in [Durability::Written, Durability::Synced, Durability::Mapped] {
        let memory = killed_after(&["v2/a", "v2/b", "v2/a"]);
        assert!(ids(&memory, "v2/a").is_empty());
        let (options, warnings) = mapped(next);
        let writer = open(&memory, &options);
        assert_eq!(ids(&memory, "v2/a"), [1, 3]);
        assert_eq!(ids(&memory, "v2/b"), [2]);
        let told = std::mem::take(&mut *warnings.lock().unwrap());
        assert!(matches!(&told[..], [(WarningKind::Redone, text)] if text.starts_with("3 events")));
        let id = writer.append(ledger::json(3, "v2/a", 30).as_bytes());
        assert_eq!(id.unwrap(), 4);
        writer.close().unwrap();
        assert_eq!(ids(&memory, "v2/a"), [1, 3, 4]);
        let left = memory.files(Path::new("/data"));
        assert!(
            left.keys()
                .all(|path| !path.to_str().unwrap().contains("buffer-"))
        );
        // And not again.
        open(&memory, &options).close().unwrap();
        assert_eq!(ids(&memory, "v2/a"), [1, 3, 4]);
        assert_eq!(warnings.lock().unwrap().len(), 0);
    }
}

#[test]
fn ids_that_others_have_given_meanwhile_are_not_given_twice() {
    let memory = killed_after(&["v2/a", "v2/b"]);
    let foreign = ledger::json(50, "v2/a", 30).replacen('{', "{\"event_id\":1,", 1) + "\n";
    for folder in ["v2", "v2/a"] {
        memory.create_dir(&path(folder)).unwrap();
    }
    memory
        .put_file(&path("v2/a/audit-000001.jsonl"), foreign.as_bytes())
        .unwrap();
    let (options, warnings) = mapped(Durability::Written);
    let writer = open(&memory, &options);
    assert_eq!(ids(&memory, "v2/a"), [1, 2]);
    assert_eq!(ids(&memory, "v2/b"), [3]);
    let told = warnings.lock().unwrap();
    assert!(told[0].1.contains("theirs are 2 to 3"), "{told:?}");
    drop(writer);
}

#[test]
fn a_damaged_record_is_kept_aside_and_hides_none_before_it() {
    let memory = killed_after(&["v2/a", "v2/a", "v2/a"]);
    let buffer = path(".auditrail/buffer-1");
    let mut bytes = memory.files(Path::new("/data")).remove(&buffer).unwrap();
    let counted = u64::from_le_bytes(bytes[512..520].try_into().unwrap()) as usize;
    bytes[4096 + counted / 2] ^= 1;
    memory.put_file(&buffer, &bytes).unwrap();
    let (options, warnings) = mapped(Durability::Written);
    drop(open(&memory, &options));
    assert_eq!(ids(&memory, "v2/a"), [1]);
    let told = warnings.lock().unwrap();
    assert_eq!(told[0].0, WarningKind::TornTail);
    let files = memory.files(Path::new("/data"));
    let kept = files
        .iter()
        .find(|(path, _)| path.to_str().unwrap().contains("/torn/"));
    let kept = kept.unwrap().1;
    assert_eq!(kept[..], bytes[4096 + counted - kept.len()..4096 + counted]);
}

#[test]
fn after_another_boot_the_events_are_kept_aside() {
    let memory = killed_after(&["v2/a"]);
    // The disk happened to have all of it.
    let files = memory.files(Path::new("/data"));
    let memory = memory.power_loss(1);
    let name = ".auditrail/buffer-1";
    for folder in ["", ".auditrail"] {
        let _ = memory.create_dir(&path(folder));
    }
    memory.put_file(&path(name), &files[&path(name)]).unwrap();
    let (options, warnings) = mapped(Durability::Written);
    let writer = open(&memory, &options);
    assert_eq!(writer.stats().unwrap().last_id, 0);
    let told = warnings.lock().unwrap();
    assert!(
        told[0].1.contains("before the machine was restarted"),
        "{told:?}"
    );
    let files = memory.files(Path::new("/data"));
    let is_kept = |path: &PathBuf| path.to_str().unwrap().contains("/torn/");
    assert!(files.keys().any(is_kept));
}

#[test]
fn where_the_boot_is_unknown_accepted_events_are_not_touched() {
    for next in [Durability::Written, Durability::Mapped] {
        let memory = killed_after(&["v2/a"]);
        memory.hide_boot(true);
        let (options, _) = mapped(next);
        let storage = Arc::new(memory.clone());
        let error = Writer::open_on(storage, Path::new(ROOT), &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.message().contains("buffer-1"), "{error}");
        memory.hide_boot(false);
        drop(open(&memory, &options));
        assert_eq!(ids(&memory, "v2/a"), [1]);
    }
}

#[test]
fn a_copy_with_an_older_buffer_repeats_nothing() {
    let memory = killed_after(&["v2/a", "v2/b", "v2/a"]);
    let before = memory.files(Path::new("/data"));
    let (options, warnings) = mapped(Durability::Written);
    open(&memory, &options).close().unwrap();
    for name in ["state", "buffer-1", "buffer-2"] {
        let name = path(".auditrail").join(name);
        memory.put_file(&name, &before[&name]).unwrap();
    }
    warnings.lock().unwrap().clear();
    let writer = open(&memory, &options);
    assert_eq!(writer.stats().unwrap().last_id, 3);
    assert_eq!(ids(&memory, "v2/a"), [1, 3]);
    assert_eq!(ids(&memory, "v2/b"), [2]);
    assert_eq!(warnings.lock().unwrap().len(), 0);
}

#[test]
fn what_was_moved_away_since_is_not_written_again() {
    let memory = killed_after(&["v2/a", "v2/a", "v2/a"]);
    let newest = ledger::json(2, "v2/a", 30).replacen('{', "{\"event_id\":3,", 1) + "\n";
    for folder in ["v2", "v2/a"] {
        memory.create_dir(&path(folder)).unwrap();
    }
    let segment = path("v2/a/audit-000002.jsonl");
    memory.put_file(&segment, newest.as_bytes()).unwrap();
    let writer = open(&memory, &mapped(Durability::Written).0);
    assert_eq!(writer.stats().unwrap().last_id, 3);
    assert!(ids(&memory, "v2/a").is_empty());
    assert_eq!(
        memory.files(Path::new("/data"))[&segment],
        newest.as_bytes()
    );
}

#[test]
fn files_are_private_and_go_at_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let (mut options, _) = mapped(Durability::Mapped);
    options.flush_interval(Duration::from_millis(1));
    let writer = Writer::open(folder.path(), &options).unwrap();
    let text = ledger::json(0, "v2/a", 30);
    assert_eq!(writer.append(text.as_bytes()).unwrap(), 1);
    for name in ["buffer-1", "buffer-2"] {
        let file = std::fs::metadata(folder.path().join(".auditrail").join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    // Readers see it after the flush interval.
    let segment = folder.path().join("v2/a/audit-000001.jsonl");
    let flushed = (0..10_000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        std::fs::read(&segment).is_ok_and(|bytes| bytes.ends_with(b"\n"))
    });
    assert!(flushed);
    writer.close().unwrap();
    assert!(!folder.path().join(".auditrail/buffer-1").exists());
    options.shared(true);
    let error = Writer::open(folder.path(), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn what_is_larger_than_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut options, _) = mapped(Durability::Mapped);
    options.buffer_bytes(4096).unwrap();
    let writer = Writer::open(folder.path(), &options).unwrap();
    let error = writer
        .append(ledger::json(0, "v2/a", 3700).as_bytes())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    assert_eq!(
        writer
            .append(ledger::json(1, "v2/a", 2000).as_bytes())
            .unwrap(),
        1
    );
    writer.close().unwrap();
}
