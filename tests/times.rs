//! Promise: segments are skipped only if their time range excludes them.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{Filter, Options, Order, Reader, Writer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trees::{CountingStorage, Event, TestRng, events};

/// Writes the events, reopening the writer after every `reopen_every`.
fn write(root: &Path, events: &[Event], reopen_every: usize) {
    let mut options = Options::default();
    options.max_segment_bytes(3000).expect("a size");
    for part in events.chunks(reopen_every) {
        let writer = Writer::open(root, &options).expect("a trail");
        for event in part {
            let line = event.line();
            let (_, rest) = line.split_once(',').expect("an id");
            let id = writer
                .append(format!("{{{rest}").as_bytes())
                .expect("appending");
            assert_eq!(id, event.id);
        }
        writer.close().expect("closing");
    }
}

/// The ids that pass the filter, and how many reads that took.
fn read(root: &Path, min: i64, max: i64, order: Order) -> (Vec<u64>, u64) {
    let mut filter = Filter::new();
    filter.timestamps(min, max).expect("a range").order(order);
    let storage = Arc::new(CountingStorage::default());
    let mut reader = Reader::open_on(storage.clone(), root, &filter).expect("a trail");
    let mut ids = Vec::new();
    while let Some(record) = reader.next().expect("reading") {
        ids.push(record.event_id());
    }
    assert_eq!(reader.damage(), []);
    ids.sort_unstable();
    (ids, storage.reads.load(Ordering::Relaxed))
}

fn between(events: &[Event], min: i64, max: i64) -> Vec<u64> {
    let inside = |event: &&Event| (min..=max).contains(&event.timestamp);
    events.iter().filter(inside).map(|event| event.id).collect()
}

const START: i64 = 1_700_000_000;

#[test]
fn a_time_is_found_without_reading_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = events(1, 4000, 2);
    write(folder.path(), &all, 4000);
    for order in [Order::Stream, Order::OldestFirst, Order::NewestFirst] {
        let (ids, everything) = read(folder.path(), START - 100, START + 5000, order);
        assert_eq!(ids.len(), 4000);
        for min in [START + 10, START + 2000, START + 3900] {
            let (ids, reads) = read(folder.path(), min, min + 50, order);
            assert_eq!(ids, between(&all, min, min + 50), "{order:?}");
            assert!(
                reads * 2 < everything,
                "{reads} reads, not far from {everything}"
            );
        }
    }
}

#[test]
fn damaged_time_ranges_hide_no_event() {
    let mut rng = TestRng::new(2);
    for round in 0..40 {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let mut all = events(round + 10, 600, 1 + round % 4);
        for event in &mut all {
            if rng.below(20) == 0 {
                event.timestamp = START + rng.below(600) as i64;
            }
        }
        write(root, &all, 1 + rng.below(400) as usize);
        let times = root.join(".auditrail/times");
        let mut recorded = fs::read(&times).unwrap_or_default();
        for _ in 0..rng.below(4) {
            let at = rng.below(recorded.len() as u64 + 1) as usize;
            match rng.below(4) {
                0 => recorded.truncate(at),
                1 => recorded.insert(at, b'\n'),
                2 if at < recorded.len() => recorded[at] = b'0' + rng.below(10) as u8,
                _ => recorded.extend_from_slice(b"v2/c1 1 3000 7"),
            }
        }
        fs::write(&times, &recorded).expect("writing");
        for _ in 0..10 {
            let min = START + rng.below(650) as i64 - 30;
            let max = min + rng.below(60) as i64;
            let order = *rng.pick(&[Order::Stream, Order::OldestFirst, Order::NewestFirst]);
            let (ids, _) = read(root, min, max, order);
            assert_eq!(ids, between(&all, min, max), "round {round}");
        }
    }
}

#[test]
fn time_ranges_of_other_events_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let mut all: Vec<Event> = (1..=100).map(Event::new).collect();
    write(root, &all, 100);
    assert!(
        fs::read_to_string(root.join(".auditrail/times"))
            .expect("the times")
            .contains("v2/text 2 ")
    );
    // The same ids and length with other times: as after a power loss.
    let path = root.join("v2/text/audit-000002.jsonl");
    let text = fs::read_to_string(&path).expect("a segment");
    fs::write(&path, text.replace("1700000000", "1800000000")).expect("writing");
    for event in &mut all {
        if text.contains(&format!("\"event_id\":{},", event.id)) {
            event.timestamp = 1_800_000_000;
        }
    }
    let wanted = between(&all, 1_800_000_000, 1_800_000_000);
    assert!(wanted.len() > 10);
    let (ids, _) = read(root, 1_800_000_000, 1_800_000_000, Order::Stream);
    assert_eq!(ids, wanted);
}

#[test]
fn a_recorded_range_that_hides_events_is_found_and_can_be_done_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = events(1, 400, 2);
    write(folder.path(), &all, 400);
    let honest = auditrail::check(folder.path()).expect("checking");
    assert!(honest.ok && honest.false_times.count == 0);
    // As someone who knows the format does it: the checksums are right.
    let path = folder.path().join(".auditrail/times");
    let text = fs::read_to_string(&path).expect("reading");
    let mut segments = 0;
    let mut forged = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        segments += 1;
        let words: Vec<&str> = line.split(' ').take(5).collect();
        let text = format!("{} 1 1", words.join(" "));
        forged += &format!("\n{text} {:08x}\n", crc32fast::hash(text.as_bytes()));
    }
    assert!(segments > 5, "{text}");
    fs::write(&path, forged).expect("writing");

    let report = auditrail::check(folder.path()).expect("checking");
    assert!(!report.ok);
    assert_eq!(report.false_times.count, segments);
    assert!(report.false_times.first[0].path.contains("audit-"));

    let ids = |use_hints: bool| {
        let mut filter = Filter::new();
        filter
            .timestamps(START - 100, START + 100_000)
            .expect("a range")
            .use_hints(use_hints);
        let mut reader = Reader::open(folder.path(), &filter).expect("a trail");
        let mut count = 0;
        while reader.next().expect("reading").is_some() {
            count += 1;
        }
        count
    };
    assert!(ids(true) < all.len(), "the forgery works");
    assert_eq!(ids(false), all.len());
}
