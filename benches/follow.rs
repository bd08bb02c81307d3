//! What following costs: the processor time of a reader that waits for events that do
//! not come, and of one that gets a hundred a second, and how long an event takes from
//! its append to its reader.
//!
//! `cargo bench -p auditrail-benches --bench follow`; `AUDITRAIL_FOLLOW_SECONDS` says
//! how long each is measured (default 20).

#![allow(clippy::cast_precision_loss)] // Figures for people.

use auditrail::{Filter, Options, Order, Reader, Writer};
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The processor time of the calling thread, in nanoseconds.
fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split(' ').next().expect("a figure");
    first.parse().expect("a number")
}

/// One event that says when it was appended, in nanoseconds since the beginning.
fn append(writer: &Writer, stream: usize, begin: Instant) {
    let event = format!(
        r#"{{"domain":"v2","category":"c{stream}","model_name":"{}","operation":"create","logical_user_id":"u"}}"#,
        begin.elapsed().as_nanos()
    );
    writer.append(event.as_bytes()).expect("appending");
}

/// A trail with one event in each of so many streams.
fn trail(streams: usize) -> (tempfile::TempDir, Writer) {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &Options::default()).expect("a trail");
    let begin = Instant::now();
    for stream in 0..streams {
        append(&writer, stream, begin);
    }
    (folder, writer)
}

/// A reader that has read what there is, and has waited once.
fn follower(root: &Path) -> Reader {
    let filter = Filter::new().order(Order::OldestFirst).clone();
    let mut reader = Reader::open(root, &filter).expect("a trail");
    let settled = Duration::from_secs(1);
    while reader.follow(settled).expect("reading").is_some() {}
    reader
}

/// Followers of a trail in which nothing happens: percent of a processor, all
/// together.
fn idle(streams: usize, followers: usize, seconds: u64) -> f64 {
    let (folder, _writer) = trail(streams);
    let ready = Barrier::new(followers);
    let used: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..followers)
            .map(|_| {
                scope.spawn(|| {
                    let mut reader = follower(folder.path());
                    ready.wait();
                    let before = cpu();
                    let found = reader.follow(Duration::from_secs(seconds));
                    assert!(found.expect("reading").is_none(), "an event out of nowhere");
                    cpu() - before
                })
            })
            .collect();
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().expect("a figure")).sum()
    });
    used as f64 / (seconds as f64 * 1e7)
}

/// A follower while events come into one stream: percent of a processor, and how long
/// they took, sorted.
fn busy(streams: usize, rate: u32, seconds: u64) -> (f64, Vec<Duration>) {
    let (folder, writer) = trail(streams);
    let mut reader = follower(folder.path());
    let begin = Instant::now();
    let pause = Duration::from_secs(1) / rate;
    let events = seconds * u64::from(rate);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..events {
                thread::sleep(pause);
                append(&writer, streams / 2, begin);
            }
        });
        let before = cpu();
        let mut late = Vec::new();
        for _ in 0..events {
            let record = reader.follow(Duration::from_secs(10)).expect("reading");
            let record = record.expect("an event");
            let now = begin.elapsed();
            let appended = record.model_name().parse().expect("a number");
            late.push(now.saturating_sub(Duration::from_nanos(appended)));
        }
        let used = cpu() - before;
        late.sort();
        (used as f64 / (begin.elapsed().as_secs_f64() * 1e7), late)
    })
}

fn main() {
    let seconds = std::env::var("AUDITRAIL_FOLLOW_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    for (streams, followers) in [(2000, 1), (40, 50)] {
        let percent = idle(streams, followers, seconds);
        println!("{followers} followers of {streams} streams, nothing happens: {percent:.3} %");
    }
    for (streams, rate) in [(2000, 100), (40, 100), (40, 5000)] {
        let (percent, late) = busy(streams, rate, seconds);
        let at = |part: usize| late[(late.len() - 1) * part / 1000].as_secs_f64() * 1e3;
        println!(
            "1 follower of {streams} streams, {rate} events a second in one: {percent:.2} %; \
             an event takes {:.3} ms (median), {:.3} ms (p99), {:.3} ms (most)",
            at(500),
            at(990),
            at(1000)
        );
    }
}
