//! Promise: following returns every event that is written meanwhile, exactly once and
//! whole, across rotations and new streams, in the order of ids.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{Durability, Filter, Kind, Options, Order, Reader, Writer};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trees::{Event, StopOnDrop, TrailBuilder, events, trail};

const LONG: Duration = Duration::from_secs(30);

fn follower(root: &Path, order: Order) -> Reader {
    Reader::open(root, Filter::new().order(order)).expect("a trail")
}

/// The id of the next event; 0 after the timeout.
fn next(reader: &mut Reader, timeout: Duration) -> u64 {
    let record = reader.follow(timeout).expect("reading");
    record.map_or(0, |record| record.event_id())
}

fn line(id: u64, category: &str) -> String {
    let event = Event {
        category: category.into(),
        ..Event::new(id)
    };
    event.line()
}

#[test]
fn new_events_segments_and_streams_are_found() {
    for order in [Order::Stream, Order::OldestFirst] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tree = TrailBuilder::new(folder.path(), 300);
        let mut reader = follower(folder.path(), order);
        assert_eq!(next(&mut reader, Duration::ZERO), 0);
        for id in 1..=40 {
            let category = format!("c{}", id % 3 + id / 20);
            tree.append("v2", &category, &line(id, &category));
            // `next` does not wait, and stops at the end that it found.
            assert!(reader.next().expect("reading").is_none());
            assert_eq!(next(&mut reader, LONG), id, "{order:?}");
        }
        assert_eq!(next(&mut reader, Duration::from_millis(20)), 0);
        assert_eq!(reader.damage(), []);
    }
}

#[test]
fn existing_events_come_first_in_the_requested_order() {
    let all = events(1, 300, 5);
    let folder = trail(&all, 1000);
    let mut in_order = all.clone();
    in_order.sort_by(|a, b| (&a.domain, &a.category).cmp(&(&b.domain, &b.category)));
    let mut reader = follower(folder.path(), Order::Stream);
    for event in &in_order {
        assert_eq!(next(&mut reader, LONG), event.id);
    }
    let mut reader = follower(folder.path(), Order::OldestFirst);
    for id in 1..=300 {
        assert_eq!(next(&mut reader, LONG), id);
    }
    assert_eq!(next(&mut reader, Duration::ZERO), 0);
}

#[test]
fn a_partial_line_is_returned_once_complete() {
    let folder = trail(&[Event::new(1)], 1 << 20);
    let path = folder.path().join("v2/text/audit-000001.jsonl");
    let mut reader = follower(folder.path(), Order::OldestFirst);
    assert_eq!(next(&mut reader, LONG), 1);
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("a segment");
    let text = line(2, "text") + "\n";
    for piece in text.as_bytes().chunks(20) {
        assert_eq!(next(&mut reader, Duration::from_millis(3)), 0);
        file.write_all(piece).expect("writing");
    }
    assert_eq!(next(&mut reader, LONG), 2);

    // A writer dies within a line; the next one cuts it off and continues there.
    let whole = fs::metadata(&path).expect("a segment").len();
    file.write_all(b"{\"event_id\":3,\"timest")
        .expect("writing");
    assert_eq!(next(&mut reader, Duration::from_millis(3)), 0);
    file.set_len(whole).expect("cutting");
    file.write_all((line(3, "text") + "\n").as_bytes())
        .expect("writing");
    assert_eq!(next(&mut reader, LONG), 3);

    // A failed batch is rolled back after it was read; its ids are free.
    let whole = fs::metadata(&path).expect("a segment").len();
    file.write_all((line(4, "text") + "\n").as_bytes())
        .expect("writing");
    assert_eq!(next(&mut reader, LONG), 4);
    file.set_len(whole).expect("cutting");
    assert_eq!(next(&mut reader, Duration::from_millis(3)), 0);
    file.write_all((line(4, "text") + "\n").as_bytes())
        .expect("writing");
    assert_eq!(next(&mut reader, LONG), 4);
    assert_eq!(reader.damage(), []);
}

#[test]
fn limits_end_a_follower_and_it_cannot_go_backward() {
    let folder = trail(&[Event::new(1), Event::new(2)], 1 << 20);
    let mut reader = Reader::open(folder.path(), Filter::new().limit(1)).expect("a trail");
    assert_eq!(next(&mut reader, LONG), 1);
    let begin = Instant::now();
    assert_eq!(next(&mut reader, LONG), 0);
    assert!(begin.elapsed() < LONG / 2, "it waited for nothing");
    let mut reader = follower(folder.path(), Order::NewestFirst);
    let error = reader.follow(LONG).expect_err("no way");
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

/// Two threads append and rotate, while `read` reads.
fn live(durability: Durability, read: impl FnOnce(&Path, &Writer, &AtomicBool)) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::default();
    options.max_segment_bytes(2000).expect("a size");
    options
        .durability(durability)
        .flush_interval(Duration::from_millis(2));
    let writer = Writer::open(folder.path(), &options).expect("a trail");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stopping = StopOnDrop(&stop);
        for thread in 0..2u64 {
            let (writer, stop) = (&writer, &stop);
            scope.spawn(move || {
                let mut n = thread;
                while !stop.load(Ordering::Relaxed) && n < 200_000 {
                    let event = format!(
                        r#"{{"domain":"v2","category":"c{}","model_name":"m{n}","operation":"create","logical_user_id":"u"}}"#,
                        n * 7 % 13 + n / 1000
                    );
                    writer.append(event.as_bytes()).expect("appending");
                    n += 2;
                }
            });
        }
        read(folder.path(), &writer, &stop);
    });
}

#[test]
fn a_live_trail_is_followed_without_gap() {
    follow_live_trail(Durability::Written);
}

#[test]
fn a_live_buffered_trail_is_followed_without_gap() {
    follow_live_trail(Durability::Buffered);
}

fn follow_live_trail(durability: Durability) {
    live(durability, |root, writer, stop| {
        let mut reader = follower(root, Order::OldestFirst);
        let begin = Instant::now();
        let mut last = 0;
        // A fast machine writes all that there will be within that time.
        while (begin.elapsed() < Duration::from_millis(1200) || last < 100) && last < 150_000 {
            let id = next(&mut reader, LONG);
            assert_eq!(id, last + 1);
            last = id;
        }
        stop.store(true, Ordering::Relaxed);
        loop {
            let id = next(&mut reader, Duration::from_millis(300));
            if id == 0 {
                break;
            }
            assert_eq!(id, last + 1);
            last = id;
        }
        assert_eq!(last, writer.stats().expect("figures").last_id);
        assert_eq!(reader.damage(), []);
        println!("followed {last} events");
    });
}

#[test]
fn a_live_trail_is_read_to_an_end_without_gap() {
    live(Durability::Written, |root, writer, _| {
        let begin = Instant::now();
        let mut rounds = 0;
        while begin.elapsed() < Duration::from_millis(1200) || rounds < 3 {
            let order = [Order::OldestFirst, Order::NewestFirst][rounds % 2];
            let known = writer.stats().expect("figures").written_id;
            let mut reader = follower(root, order);
            let mut ids = Vec::new();
            while let Some(record) = reader.next().expect("reading") {
                ids.push(record.event_id());
            }
            assert_eq!(reader.damage(), []);
            if order == Order::NewestFirst {
                ids.reverse();
            }
            assert!(ids.len() as u64 >= known, "{} of {known}", ids.len());
            assert!(ids.iter().copied().eq(1..=ids.len() as u64), "{order:?}");
            rounds += 1;
        }
        println!("read it {rounds} times");
    });
}

#[test]
fn a_follower_ends_where_its_range_ends() {
    let folder = trail(&[Event::new(1), Event::new(2)], 1 << 20);
    let options = {
        let mut options = Options::default();
        options.max_segment_bytes(200).expect("a size");
        options
    };
    let range = |to| {
        let mut filter = Filter::new();
        filter
            .order(Order::OldestFirst)
            .event_ids(1, to)
            .expect("a range");
        filter
    };
    // The last event of the range is there, or passes no filter, or is in a stream that
    // is not read.
    let mut other_user = range(2);
    other_user.user("nobody");
    let mut other_stream = range(2);
    other_stream.category("elsewhere").expect("a name");
    for (filter, expected) in [(range(2), 2), (other_user, 0), (other_stream, 0)] {
        let mut reader = Reader::open(folder.path(), &filter).expect("a trail");
        let begin = Instant::now();
        for id in 1..=expected {
            assert_eq!(next(&mut reader, LONG), id);
        }
        assert_eq!(next(&mut reader, LONG), 0);
        assert!(reader.is_exhausted());
        assert!(begin.elapsed() < LONG / 2, "it waited for nothing");
    }
    // A range that ends later is waited for, and what comes after is not returned.
    let mut reader = Reader::open(folder.path(), &range(4)).expect("a trail");
    assert_eq!((next(&mut reader, LONG), next(&mut reader, LONG)), (1, 2));
    assert_eq!(next(&mut reader, Duration::from_millis(20)), 0);
    assert!(!reader.is_exhausted(), "it may still come");
    let writer = Writer::open(folder.path(), &options).expect("a writer");
    for id in 3..=6 {
        let category = if id % 2 == 0 { "even" } else { "odd" };
        let event = format!(
            r#"{{"domain":"v2","category":"{category}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
        );
        assert_eq!(writer.append(event.as_bytes()).expect("appends"), id);
    }
    assert_eq!((next(&mut reader, LONG), next(&mut reader, LONG)), (3, 4));
    assert_eq!(next(&mut reader, LONG), 0);
    assert!(reader.is_exhausted());
}
