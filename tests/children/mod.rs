//! Child processes that append until they are killed, and say what they were told.
//!
//! A child is this test binary again, running one test, [`child_main`]'s, with
//! its orders in the environment. It writes a line for each event that the
//! writer acknowledged: the thread, the event's number in it, and its id.

#![allow(dead_code)] // Each test binary uses a part of it.

use super::ledger::{Fate, Ledger, json};
use auditrail::{Durability, Options, Writer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ORDERS: &str = "AUDITRAIL_TEST_CHILD";

/// Events of one thread of one child.
const PER_THREAD: usize = 100_000;

/// What a child is to do.
#[derive(Clone, Debug)]
pub struct Orders {
    pub root: String,
    pub durability: Durability,
    pub shared: bool,
    pub threads: usize,
    /// Tags of its events start here.
    pub first_tag: usize,
    /// Events of each thread at most.
    pub events: usize,
}

/// Tags that one child can use.
pub fn tags_of(threads: usize) -> usize {
    threads * PER_THREAD
}

pub fn stream_of(tag: usize) -> String {
    format!("v2/s{}", tag % 5)
}

pub fn pad_of(tag: usize) -> usize {
    tag % 97
}

pub fn options(durability: Durability, shared: bool) -> Options {
    let mut options = Options::default();
    options
        .durability(durability)
        .shared(shared)
        .journal_bytes(64 * 1024)
        .flush_interval(Duration::from_millis(3));
    options.max_segment_bytes(20_000).expect("a good size");
    options.max_open_files(3).expect("a good number");
    options
}

/// In a child: does what it was ordered to. Elsewhere: nothing.
pub fn child_main() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let words: Vec<&str> = orders.split('|').collect();
    let number = |at: usize| -> usize { words[at].parse().expect("a number") };
    let durability = match words[1] {
        "Buffered" => Durability::Buffered,
        "Written" => Durability::Written,
        _ => Durability::Synced,
    };
    let options = options(durability, words[2] == "true");
    let writer = Writer::open(words[0], &options).expect("the child opens the trail");
    say("@open");
    std::thread::scope(|scope| {
        for thread in 0..number(3) {
            let (writer, first, events) = (&writer, number(4), number(5));
            scope.spawn(move || {
                for event in 0..events {
                    let tag = first + thread * PER_THREAD + event;
                    let text = json(tag, &stream_of(tag), pad_of(tag));
                    let id = writer.append(text.as_bytes()).expect("it appends");
                    say(&format!("@{thread} {event} {id}"));
                    if durability == Durability::Buffered && event % 50 == 49 {
                        writer.flush().expect("it flushes");
                        say(&format!("@flush {thread} {event}"));
                    }
                }
            });
        }
    });
    writer.close().expect("it closes");
    say("@closed");
}

fn say(line: &str) {
    // One write, so that a kill cannot tear it apart from another thread's.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .expect("a pipe");
    out.flush().expect("a pipe");
}

/// Starts a child; `test` is the name of the test that calls [`child_main`].
pub fn start(test: &str, orders: &Orders) -> Child {
    let line = format!(
        "{}|{:?}|{}|{}|{}|{}",
        orders.root,
        orders.durability,
        orders.shared,
        orders.threads,
        orders.first_tag,
        orders.events
    );
    Command::new(std::env::current_exe().expect("a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDERS, line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Waits for the end of a child, and enters what it said into the ledger. Says
/// whether it closed the trail; an error is what it complained of.
pub fn enter(child: Child, orders: &Orders, ledger: &mut Ledger) -> Result<bool, String> {
    let mut child = child;
    let out = child.stdout.take().expect("a pipe");
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    let mut closed = false;
    let fate = match orders.durability {
        Durability::Buffered => Fate::Accepted,
        Durability::Written => Fate::Written,
        Durability::Synced => Fate::Durable,
    };
    let tag_of = |thread: usize, event: usize| orders.first_tag + thread * PER_THREAD + event;
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let Some((_, line)) = line.split_once('@') else {
            continue;
        };
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().expect("a number");
        match words[..] {
            ["open"] => next.extend((0..orders.threads).map(|thread| (thread, 0))),
            ["closed"] => closed = true,
            ["flush", _, _] => {
                for event in 0..=number(2) {
                    let tag = tag_of(number(1), event);
                    let event = ledger.events.get_mut(&tag).expect("it was appended");
                    if event.fate == Fate::Accepted {
                        event.fate = Fate::Written;
                    }
                }
            }
            [_, _, _] => {
                let tag = tag_of(number(0), number(1));
                ledger.insert(tag, &stream_of(tag), pad_of(tag));
                ledger.told(tag, number(2) as u64, fate);
                next.insert(number(0), number(1) + 1);
            }
            _ => {}
        }
    }
    let mut complaint = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = errors.read_to_string(&mut complaint);
    }
    child.wait().map_err(|e| e.to_string())?;
    if complaint.contains("panicked") {
        return Err(complaint);
    }
    // The one that each thread was at.
    for (thread, event) in next {
        if event < orders.events {
            let tag = tag_of(thread, event);
            ledger.insert(tag, &stream_of(tag), pad_of(tag));
        }
    }
    Ok(closed)
}

pub fn path(orders: &Orders) -> &Path {
    Path::new(&orders.root)
}
