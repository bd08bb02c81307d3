//! Promise: reading in the order of ids leaves no gap while a buffered writer is in the
//! midst of a batch, which it writes stream by stream; it returns what is held back for
//! that once the batch is whole; and a writer that was killed in one delays it by a
//! second, not for ever.

use auditrail::internals::storage::memory::{Call, Memory, PausedCall};
use auditrail::{Durability, Filter, Options, Order, Reader, Writer};
use std::path::Path;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle, scope};
use std::time::Duration;

const ROOT: &str = "/data/trail";
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(30);
const NONE: [u64; 0] = [];

/// A buffered writer, in a process of its own.
struct Buffered {
    memory: Memory,
    writer: Writer,
}

impl Buffered {
    fn open(machine: &Memory) -> Self {
        let memory = machine.another_process();
        let mut options = Options::default();
        options
            .durability(Durability::Buffered)
            .flush_interval(Duration::ZERO);
        let writer = Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options);
        Self {
            memory,
            writer: writer.expect("a trail"),
        }
    }

    /// Accepts events, of these streams.
    fn accept(&self, categories: &[&str]) {
        for category in categories {
            let event = format!(
                r#"{{"domain":"v2","category":"{category}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
            );
            self.writer.append(event.as_bytes()).expect("room");
        }
    }

    /// Flushes, and stops before the first event is written to the last stream.
    fn flush_until<'s>(
        &'s self,
        last: &str,
        scope: &'s Scope<'s, '_>,
    ) -> (PausedCall, ScopedJoinHandle<'s, auditrail::Result<()>>) {
        let pause = self.memory.pause(Call::Append, &format!("/{last}/"));
        let flushing = scope.spawn(|| self.writer.flush());
        assert!(pause.is_reached());
        (pause, flushing)
    }
}

fn filter(order: Order) -> Filter {
    Filter::new().order(order).clone()
}

fn reader(machine: &Memory, filter: &Filter) -> Reader {
    let memory = machine.another_process();
    Reader::open_on(Arc::new(memory), Path::new(ROOT), filter).expect("a trail")
}

/// The ids that are read to the end.
fn rest(reader: &mut Reader) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(record) = reader.next().expect("reading") {
        ids.push(record.event_id());
    }
    assert_eq!(reader.damage(), []);
    ids
}

/// The ids that are followed until none comes for so long.
fn followed(reader: &mut Reader, timeout: Duration) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(record) = reader.follow(timeout).expect("reading") {
        ids.push(record.event_id());
    }
    assert_eq!(reader.damage(), []);
    ids
}

/// The next ids that are followed.
fn next(reader: &mut Reader, count: usize) -> Vec<u64> {
    let mut next = || {
        reader
            .follow(LONG)
            .expect("reading")
            .expect("in time")
            .event_id()
    };
    (0..count).map(|_| next()).collect()
}

/// Events 1 and 2 are whole; of 3 to 6, those of the stream `a`, 3 and 5, are written and
/// those of `b` are not yet.
fn first_batch(buffered: &Buffered) {
    buffered.accept(&["a", "b"]);
    buffered.writer.flush().expect("room");
    buffered.accept(&["a", "b", "a", "b"]);
}

#[test]
fn reading_to_the_end_waits_for_the_batch() {
    for (order, expected) in [
        (Order::OldestFirst, [1, 2, 3, 4, 5, 6]),
        (Order::NewestFirst, [6, 5, 4, 3, 2, 1]),
    ] {
        let machine = Memory::new();
        let buffered = Buffered::open(&machine);
        first_batch(&buffered);
        scope(|scope| {
            let (pause, flushing) = buffered.flush_until("b", scope);
            let mut reader = reader(&machine, &filter(order));
            let reading = scope.spawn(move || rest(&mut reader));
            // Some time to read what it must not return.
            std::thread::sleep(SHORT);
            drop(pause);
            assert_eq!(reading.join().expect("no panic"), expected, "{order:?}");
            flushing.join().expect("no panic").expect("room");
        });
    }
}

#[test]
fn reading_to_the_end_does_not_wait_for_what_is_not_wanted() {
    let machine = Memory::new();
    let buffered = Buffered::open(&machine);
    first_batch(&buffered);
    scope(|scope| {
        let (pause, flushing) = buffered.flush_until("b", scope);
        let mut range = filter(Order::OldestFirst);
        range.event_ids(1, 2).expect("a range");
        assert_eq!(rest(&mut reader(&machine, &range)), [1, 2]);
        assert_eq!(
            rest(&mut reader(&machine, &filter(Order::Stream))),
            [1, 3, 5, 2]
        );
        drop(pause);
        flushing.join().expect("no panic").expect("room");
    });
}

#[test]
fn a_batch_after_the_one_that_was_waited_for_is_left_out() {
    for (order, expected) in [
        (Order::OldestFirst, [1, 2, 3, 4, 5, 6]),
        (Order::NewestFirst, [6, 5, 4, 3, 2, 1]),
    ] {
        let machine = Memory::new();
        let buffered = Buffered::open(&machine);
        first_batch(&buffered);
        scope(|scope| {
            let (pause, flushing) = buffered.flush_until("b", scope);
            let mut reader = reader(&machine, &filter(order));
            let first_look = machine.pause(Call::Open, ".auditrail/state");
            let reading = scope.spawn(move || rest(&mut reader));
            assert!(first_look.is_reached());
            let next_look = machine.pause(Call::Open, ".auditrail/state");
            drop(first_look);
            assert!(next_look.is_reached());
            // Now it waits. What it sees next is in the midst of the next batch.
            drop(pause);
            flushing.join().expect("no panic").expect("room");
            buffered.accept(&["a", "b"]);
            let (pause, flushing) = buffered.flush_until("b", scope);
            drop(next_look);
            let ids = reading.join().expect("no panic");
            drop(pause);
            flushing.join().expect("no panic").expect("room");
            assert_eq!(ids, expected, "{order:?}");
        });
    }
}

#[test]
fn a_follower_gets_the_batch_once_it_is_whole() {
    let machine = Memory::new();
    let buffered = Buffered::open(&machine);
    first_batch(&buffered);
    let mut reader = reader(&machine, &filter(Order::OldestFirst));
    scope(|scope| {
        let (pause, flushing) = buffered.flush_until("b", scope);
        assert_eq!(followed(&mut reader, Duration::ZERO), [1, 2]);
        assert_eq!(followed(&mut reader, SHORT), NONE);
        drop(pause);
        assert_eq!(next(&mut reader, 4), [3, 4, 5, 6]);
        flushing.join().expect("no panic").expect("room");
        // And the next one, which it is at the end before.
        buffered.accept(&["c", "a", "b", "c"]);
        let (pause, flushing) = buffered.flush_until("b", scope);
        assert_eq!(followed(&mut reader, SHORT), NONE);
        drop(pause);
        assert_eq!(next(&mut reader, 4), [7, 8, 9, 10]);
        flushing.join().expect("no panic").expect("room");
    });
}

#[test]
fn a_range_is_not_at_its_end_before_the_batch_is() {
    let machine = Memory::new();
    let buffered = Buffered::open(&machine);
    first_batch(&buffered);
    let mut range = filter(Order::OldestFirst);
    range.event_ids(1, 4).expect("a range");
    let mut reader = reader(&machine, &range);
    scope(|scope| {
        // 5, past the end of the range, is there before 4.
        let (pause, flushing) = buffered.flush_until("b", scope);
        assert_eq!(followed(&mut reader, SHORT), [1, 2]);
        assert!(!reader.is_exhausted());
        drop(pause);
        assert_eq!(followed(&mut reader, LONG), [3, 4]);
        assert!(reader.is_exhausted());
        flushing.join().expect("no panic").expect("room");
    });
}

#[test]
fn what_a_killed_writer_left_of_a_batch_is_read() {
    let machine = Memory::new();
    let buffered = Buffered::open(&machine);
    first_batch(&buffered);
    scope(|scope| {
        let (pause, flushing) = buffered.flush_until("b", scope);
        buffered.memory.kill();
        drop(pause);
        flushing
            .join()
            .expect("no panic")
            .expect_err("it was killed");
    });
    let mut follower = reader(&machine, &filter(Order::OldestFirst));
    assert_eq!(followed(&mut follower, Duration::ZERO), [1, 2]);
    assert_eq!(next(&mut follower, 2), [3, 5]);
    for (order, expected) in [
        (Order::OldestFirst, [1, 2, 3, 5]),
        (Order::NewestFirst, [5, 3, 2, 1]),
    ] {
        assert_eq!(rest(&mut reader(&machine, &filter(order))), expected);
    }
    // What the next writer leaves unfinished is held back again.
    let next_writer = Buffered::open(&machine);
    next_writer.accept(&["a", "b", "a", "b"]);
    scope(|scope| {
        let (pause, flushing) = next_writer.flush_until("b", scope);
        assert_eq!(followed(&mut follower, SHORT), NONE);
        drop(pause);
        assert_eq!(next(&mut follower, 4), [6, 7, 8, 9]);
        flushing.join().expect("no panic").expect("room");
    });
}
