//! Promise: a reader returns every event that passes the filter, exactly once and
//! whole, in the requested order, and nothing else; it reports damage.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{Filter, Kind, Order, Reader};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trees::{CountingStorage, Event, TestRng, TrailBuilder, events, read, trail};

const ORDERS: [Order; 3] = [Order::Stream, Order::OldestFirst, Order::NewestFirst];

/// The lines of the events, in this order.
fn in_order(mut events: Vec<Event>, order: Order) -> Vec<String> {
    match order {
        Order::Stream => events
            .sort_by(|a, b| (&a.domain, &a.category, a.id).cmp(&(&b.domain, &b.category, b.id))),
        Order::OldestFirst => events.sort_by_key(|event| event.id),
        _ => events.sort_by_key(|event| std::cmp::Reverse(event.id)),
    }
    events.iter().map(Event::line).collect()
}

#[test]
fn each_order_gives_every_event_once() {
    for (seed, count, streams, limit) in [
        (1, 0, 1, 1),
        (2, 1, 1, 1),
        (3, 500, 1, 1000),
        (4, 2000, 7, 700),
        (5, 3000, 40, 1 << 20),
        (6, 300, 150, 1),
    ] {
        let events = events(seed, count, streams);
        let folder = trail(&events, limit);
        for order in ORDERS {
            assert_eq!(
                read(folder.path(), Filter::new().order(order)),
                in_order(events.clone(), order),
                "{order:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn filters_pass_exactly_what_matches() {
    let all = events(7, 1000, 9);
    let folder = trail(&all, 4000);
    let mut rng = TestRng::new(7);
    for round in 0..150 {
        let mut filter = Filter::new();
        let mut wanted = all.clone();
        if rng.below(4) == 0 {
            filter.domain("v2").expect("a name");
            wanted.retain(|event| event.domain == "v2");
        }
        if rng.below(4) == 0 {
            filter.category("c3").expect("a name");
            filter.category("c4").expect("a name");
            wanted.retain(|event| ["c3", "c4"].contains(&&*event.category));
        }
        if rng.below(4) == 0 {
            filter.model_name("model-1").model_name("model-5");
            wanted.retain(|event| ["model-1", "model-5"].contains(&&*event.model_name));
        }
        if rng.below(4) == 0 {
            filter.operation("delete");
            wanted.retain(|event| event.operation == "delete");
        }
        if rng.below(4) == 0 {
            filter.user("u-2");
            wanted.retain(|event| event.user == "u-2");
        }
        if rng.below(4) == 0 {
            filter.request_id("r-3");
            wanted.retain(|event| event.request_id.as_deref() == Some("r-3"));
        }
        if rng.below(2) == 0 {
            let min = rng.below(1050);
            let max = min + rng.below(1050 - min);
            filter.event_ids(min, max).expect("a range");
            wanted.retain(|event| (min..=max).contains(&event.id));
        }
        if rng.below(4) == 0 {
            let min = 1_700_000_000 + rng.below(1000) as i64;
            let max = min + rng.below(1000) as i64;
            filter.timestamps(min, max).expect("a range");
            wanted.retain(|event| (min..=max).contains(&event.timestamp));
        }
        let order = *rng.pick(&ORDERS);
        filter.order(order);
        let mut wanted = in_order(wanted, order);
        if rng.below(3) == 0 {
            let limit = rng.below(30);
            filter.limit(limit);
            if limit > 0 {
                wanted.truncate(limit as usize);
            }
        }
        assert_eq!(
            read(folder.path(), &filter),
            wanted,
            "round {round}: {filter:?}"
        );
    }
}

#[test]
fn a_record_tells_all_about_its_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 1);
    tree.append(
        "v2",
        "a.b-c",
        &Event::new(1).line().replace("text", "a.b-c"),
    );
    let line = r#"{"event_id":5,"timestamp":-7,"domain":"v2","category":"a.b-c","model_name":"\u00e9\"","operation":"update","logical_user_id":"","request_id":"\n","payload":{"delta":{"x":{"old":null,"new":1.10}}}}"#;
    let (path, offset) = tree.append("v2", "a.b-c", line);
    let mut reader = Reader::open(
        folder.path(),
        Filter::new().event_ids(2, 9).expect("a range"),
    )
    .expect("a trail");
    let record = reader.next().expect("reading").expect("an event");
    assert_eq!(record.json(), line);
    assert_eq!(record.bytes(), line.as_bytes());
    assert_eq!(record.event_id(), 5);
    assert_eq!(record.timestamp(), -7);
    assert_eq!((record.domain(), record.category()), ("v2", "a.b-c"));
    assert_eq!(record.model_name(), "\u{e9}\"");
    assert_eq!(record.operation(), "update");
    assert_eq!(record.logical_user_id(), "");
    assert_eq!(record.request_id().as_deref(), Some("\n"));
    assert_eq!(
        record.payload(),
        Some(r#"{"delta":{"x":{"old":null,"new":1.10}}}"#)
    );
    assert_eq!((record.path(), record.offset()), (&*path, offset));
    assert!(reader.next().expect("reading").is_none());
    assert!(reader.next().expect("reading").is_none());
}

#[test]
fn lines_in_another_shape_are_events_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 1 << 20);
    let lines = [
        r#"{ "event_id": 1, "timestamp": 5, "domain": "v2", "category": "text", "model_name": "m", "operation": "create", "logical_user_id": "u" }"#,
        r#"{"timestamp":5,"event_id":2,"domain":"v2","category":"text","model_name":"m","operation":"create","logical_user_id":"u","request_id":null,"payload":null}"#,
        "{\"event_id\":3,\"timestamp\":5,\"domain\":\"v2\",\"category\":\"text\",\"model_name\":\"\u{e9}\",\"operation\":\"create\",\"logical_user_id\":\"u\",\"more\":[1]}",
        r#"{"event_id":4,"timestamp":5,"domain":"\u0076\u0032","category":"text","model_name":"m","operation":"create","logical_user_id":"u"}"#,
    ];
    for line in lines {
        tree.append("v2", "text", "");
        tree.append("v2", "text", "  \t\r");
        tree.append("v2", "text", line);
    }
    for order in ORDERS {
        let mut found = read(folder.path(), Filter::new().order(order));
        if order == Order::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, lines, "{order:?}");
        assert_eq!(
            read(
                folder.path(),
                Filter::new().order(order).model_name("\u{e9}")
            ),
            lines[2..3]
        );
        assert_eq!(
            read(
                folder.path(),
                Filter::new().event_ids(2, 2).expect("a range").order(order)
            ),
            lines[1..2]
        );
    }
}

/// The ids that a reader returns, and the damage it reports, by ascending offset in
/// one file.
fn ids_and_damage(root: &Path, order: Order) -> (Vec<u64>, Vec<(u64, String)>) {
    let mut reader = Reader::open(root, Filter::new().order(order)).expect("a trail");
    let mut ids = Vec::new();
    while let Some(record) = reader.next().expect("reading") {
        ids.push(record.event_id());
    }
    let mut damage: Vec<_> = reader
        .damage()
        .iter()
        .map(|damage| (damage.offset, damage.reason.clone()))
        .collect();
    assert_eq!(reader.damage_count(), damage.len() as u64);
    if order == Order::NewestFirst {
        ids.reverse();
        damage.reverse();
    }
    (ids, damage)
}

#[test]
fn damaged_lines_are_reported_and_not_returned() {
    let good = |id| Event::new(id).line();
    let with = |from: &str, to: &str| {
        let line = good(3).replace(from, to);
        assert_ne!(line, good(3));
        line
    };
    let long = "\0".repeat(600_000);
    let brace = format!("{{{}", "x".repeat(600_000));
    for (bad, reason) in [
        (with("}", ""), ""),
        (with("\"m\"", "m"), ""),
        (with("\"create\"", "\"create\",\"event_id\":3"), "event_id"),
        (with("\"create\"", "\"cre\u{1}ate\""), "control"),
        (
            with("\"category\":\"text\"", "\"category\":\"image\""),
            "belongs to v2/image",
        ),
        (
            with("\"domain\":\"v2\"", "\"domain\":\"legacy\""),
            "belongs to legacy/text",
        ),
        (with("\"event_id\":3", "\"event_id\":1"), "does not rise"),
        (with("\"event_id\":3", "\"event_id\":2"), "does not rise"),
        (with("\"event_id\":3", "\"event_id\":0"), "event_id is 0"),
        (
            with("\"event_id\":3", "\"event_id\":400000"),
            "is followed by 4",
        ),
        (with("\"event_id\":3", "\"event_id\":-3"), ""),
        (with("\"u-1\"}", "\"u-1\",\"payload\":[]}"), "payload"),
        (with("\"u-1\"}", "\"u-1\",\"payload\":{\"a\":}}"), ""),
        (with("\"u-1\"", "\"\\ud800\""), "surrogate"),
        ("null".into(), ""),
        ("{}".into(), "event_id"),
        (long, "long line"),
        (brace, ""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tree = TrailBuilder::new(folder.path(), 1 << 30);
        tree.append("v2", "text", &good(1));
        tree.append("v2", "text", &good(2));
        let (_, offset) = tree.append("v2", "text", &bad);
        tree.append("v2", "text", &good(4));
        tree.append("v2", "text", &good(5));
        for order in ORDERS {
            let shown = &bad[..bad.len().min(200)];
            let (ids, damage) = ids_and_damage(folder.path(), order);
            assert_eq!(ids, [1, 2, 4, 5], "{order:?} {shown}");
            assert_eq!(damage.len(), 1, "{order:?} {shown}: {damage:?}");
            assert_eq!(damage[0].0, offset, "{order:?} {shown}");
            // Backward, an id of 2 is the first of two.
            assert!(
                damage[0].1.contains(reason) || order == Order::NewestFirst,
                "{damage:?}"
            );
        }
    }
}

#[test]
fn one_wrong_id_at_an_edge_hides_nothing_else() {
    // At the end of a segment, and at the beginning of the next one.
    for (limit, place) in [(1 << 30, 0), (450, 2), (450, 3), (450, 5)] {
        for wrong in [0, 1, 7_000_000] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut tree = TrailBuilder::new(folder.path(), limit);
            for id in 11..=22 {
                let id = if id == 11 + place { wrong } else { id };
                tree.append("v2", "text", &Event::new(id).line());
            }
            let right: Vec<u64> = (11..=22).filter(|id| *id != 11 + place).collect();
            for order in ORDERS {
                let (ids, damage) = ids_and_damage(folder.path(), order);
                // The very first line may have any id.
                if place == 0 && wrong == 1 {
                    assert_eq!(ids.len(), 12);
                } else {
                    assert_eq!(ids, right, "{order:?} {limit} {place} {wrong}");
                    assert_eq!(damage.len(), 1, "{order:?} {limit} {place} {wrong}");
                }
            }
        }
    }
}

#[test]
fn one_wrong_id_does_not_mislead_a_search() {
    let ids = 101..=140u64;
    for place in ids.clone() {
        for wrong in [1, 50, 103, 138, 500, u64::MAX] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut tree = TrailBuilder::new(folder.path(), 450);
            for id in ids.clone() {
                let id = if id == place { wrong } else { id };
                tree.append("v2", "text", &Event::new(id).line());
            }
            for order in ORDERS {
                for (min, max) in [(place - 1, place + 1), (102, 139), (139, 200), (0, 102)] {
                    let mut filter = Filter::new();
                    filter.event_ids(min, max).expect("a range").order(order);
                    let mut reader = Reader::open(folder.path(), &filter).expect("a trail");
                    let mut found = Vec::new();
                    while let Some(record) = reader.next().expect("reading") {
                        found.push(record.event_id());
                    }
                    for id in ids
                        .clone()
                        .filter(|id| *id != place && (min..=max).contains(id))
                    {
                        assert!(
                            found.contains(&id),
                            "{id} at {place} {wrong} {order:?} {min} {max}: {found:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_pipe_in_place_of_a_segment_does_not_block() {
    let folder = trail(&[Event::new(1), Event::new(2)], 1);
    let path = folder.path().join("v2/text/audit-000001.jsonl");
    fs::remove_file(&path).expect("removing");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped, for there is no mkfifo");
        return;
    }
    for order in ORDERS {
        let (ids, damage) = ids_and_damage(folder.path(), order);
        assert_eq!((ids, damage.len()), (vec![2], 1), "{order:?}");
        assert!(damage[0].1.contains("no regular file"), "{damage:?}");
    }
}

#[test]
fn an_unfinished_last_line_is_neither_event_nor_damage() {
    let whole = Event::new(3).line();
    for tail in [
        &whole[..40],
        &whole[..],
        "\0\0\0",
        "{",
        &"\0".repeat(700_000),
    ] {
        let folder = trail(&[Event::new(1), Event::new(2)], 1 << 30);
        let path = folder.path().join("v2/text/audit-000001.jsonl");
        let mut bytes = fs::read(&path).expect("a segment");
        bytes.extend_from_slice(tail.as_bytes());
        fs::write(&path, &bytes).expect("writing");
        for order in ORDERS {
            assert_eq!(ids_and_damage(folder.path(), order), (vec![1, 2], vec![]));
        }
        // In a segment that is not the newest, it is final.
        fs::write(
            folder.path().join("v2/text/audit-000002.jsonl"),
            Event::new(4).line() + "\n",
        )
        .expect("writing");
        for order in ORDERS {
            let (ids, damage) = ids_and_damage(folder.path(), order);
            if tail == whole {
                assert_eq!((ids, damage.len()), (vec![1, 2, 3, 4], 0));
            } else {
                assert_eq!((ids, damage.len()), (vec![1, 2, 4], 1), "{order:?}");
            }
        }
    }
}

#[test]
fn opening_what_is_no_trail_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none");
    let error = Reader::open(&missing, &Filter::new()).expect_err("no trail");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().contains("none"), "{error}");
    fs::write(&missing, "").expect("writing");
    let error = Reader::open(&missing, &Filter::new()).expect_err("no trail");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn foreign_files_are_skipped() {
    let folder = trail(&[Event::new(1)], 1 << 20);
    let root = folder.path();
    fs::create_dir_all(root.join(".auditrail/torn")).expect("a folder");
    fs::create_dir_all(root.join("bad name/text")).expect("a folder");
    fs::write(root.join("index.json"), "{}").expect("writing");
    fs::write(root.join("v2/README"), "x\n").expect("writing");
    fs::write(root.join("v2/text/audit-2.jsonl"), "x\n").expect("writing");
    fs::write(root.join("v2/text/audit-000002.jsonl.gz"), "x\n").expect("writing");
    fs::create_dir(root.join("v2/empty")).expect("a folder");
    for order in ORDERS {
        assert_eq!(ids_and_damage(root, order), (vec![1], vec![]));
    }
    // What has the name of a segment is told.
    fs::create_dir(root.join("v2/text/audit-000009.jsonl")).expect("a folder");
    for order in ORDERS {
        let (ids, damage) = ids_and_damage(root, order);
        assert_eq!((ids, damage.len()), (vec![1], 1), "{order:?}");
    }
}

#[test]
fn a_segment_number_is_a_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = folder.path().join("v2/text");
    fs::create_dir_all(&stream).expect("a folder");
    for (number, id) in [(999_998, 1), (999_999, 2), (1_000_000, 3), (1_000_001, 4)] {
        fs::write(
            stream.join(format!("audit-{number:06}.jsonl")),
            Event::new(id).line() + "\n",
        )
        .expect("writing");
    }
    for order in ORDERS {
        assert_eq!(ids_and_damage(folder.path(), order).0, [1, 2, 3, 4]);
    }
}

#[test]
fn the_number_of_open_files_is_bounded() {
    let events = events(9, 6000, 300);
    let folder = trail(&events, 2000);
    for order in ORDERS {
        let storage = Arc::new(CountingStorage::default());
        let mut reader =
            Reader::open_on(storage.clone(), folder.path(), Filter::new().order(order))
                .expect("a trail");
        let mut count = 0;
        while reader.next().expect("reading").is_some() {
            count += 1;
        }
        assert_eq!(count, 6000);
        // One more, for probing another segment.
        assert!(storage.most_open.load(Ordering::Relaxed) <= 65);
        drop(reader);
        assert_eq!(storage.open.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn one_id_is_found_with_few_reads() {
    let all = events(10, 60_000, 4);
    let folder = trail(&all, 200_000);
    let mut rng = TestRng::new(10);
    let mut worst = 0;
    for _ in 0..60 {
        let id = 1 + rng.below(60_000);
        for order in ORDERS {
            let storage = Arc::new(CountingStorage::default());
            let mut filter = Filter::new();
            filter.event_ids(id, id).expect("a range").order(order);
            let mut reader =
                Reader::open_on(storage.clone(), folder.path(), &filter).expect("a trail");
            let record = reader.next().expect("reading").expect("the event");
            assert_eq!(record.json(), all[id as usize - 1].line());
            assert!(reader.next().expect("reading").is_none());
            worst = worst.max(storage.reads.load(Ordering::Relaxed));
        }
    }
    println!("at most {worst} reads for one id among 60,000 in 4 streams");
    assert!(worst < 60, "{worst} reads");
}
