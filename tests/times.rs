//! Segments are passed over where their times rule them out, and only there.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{Filter, Options, Order, Reader, Writer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trees::{Counting, Dice, Event, events};

/// Writes the events, by a writer that is opened anew now and then.
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

/// The ids that pass, and how many reads that took.
fn read(root: &Path, min: i64, max: i64, order: Order) -> (Vec<u64>, u64) {
    let mut filter = Filter::new();
    filter.timestamps(min, max).expect("a range").order(order);
    let storage = Arc::new(Counting::default());
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
fn whatever_is_noted_nothing_is_missed() {
    let mut dice = Dice::new(2);
    for round in 0..40 {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let mut all = events(round + 10, 600, 1 + round % 4);
        for event in &mut all {
            if dice.below(20) == 0 {
                event.timestamp = START + dice.below(600) as i64;
            }
        }
        write(root, &all, 1 + dice.below(400) as usize);
        let times = root.join(".auditrail/times");
        let mut noted = fs::read(&times).unwrap_or_default();
        for _ in 0..dice.below(4) {
            let at = dice.below(noted.len() as u64 + 1) as usize;
            match dice.below(4) {
                0 => noted.truncate(at),
                1 => noted.insert(at, b'\n'),
                2 if at < noted.len() => noted[at] = b'0' + dice.below(10) as u8,
                _ => noted.extend_from_slice(b"v2/c1 1 3000 7"),
            }
        }
        fs::write(&times, &noted).expect("writing");
        for _ in 0..10 {
            let min = START + dice.below(650) as i64 - 30;
            let max = min + dice.below(60) as i64;
            let order = *dice.pick(&[Order::Stream, Order::OldestFirst, Order::NewestFirst]);
            let (ids, _) = read(root, min, max, order);
            assert_eq!(ids, between(&all, min, max), "round {round}");
        }
    }
}

#[test]
fn what_was_noted_of_other_events_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let mut all: Vec<Event> = (1..=100).map(Event::new).collect();
    write(root, &all, 100);
    assert!(
        fs::read_to_string(root.join(".auditrail/times"))
            .expect("the times")
            .contains("v2/text 2 ")
    );
    // The same ids in as many bytes, at another time: as after a loss of power.
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
