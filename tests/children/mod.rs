//! Child processes that append until they are killed, and print what was acknowledged.
//!
//! A child is this test binary again, running only the test that calls
//! [`child_main`], with its task in the environment. It prints a line for each
//! acknowledged event: the thread, the event's number in the thread, and its id.

#![allow(dead_code)] // Each test binary uses a part of it.

use super::ledger::{EventStatus, Ledger, json};
use auditrail::{Durability, Options, Writer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TASK_VAR: &str = "AUDITRAIL_TEST_CHILD";

/// Events of one thread of one child.
const EVENTS_PER_THREAD: usize = 100_000;

/// What a child does.
#[derive(Clone, Debug)]
pub struct ChildTask {
    pub root: String,
    pub durability: Durability,
    pub shared: bool,
    pub threads: usize,
    /// Tags of its events start here.
    pub first_tag: usize,
    /// Events of each thread at most.
    pub events: usize,
}

/// How many tags a child can use.
pub fn tag_count(threads: usize) -> usize {
    threads * EVENTS_PER_THREAD
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

/// In a child: runs its task. Elsewhere: does nothing.
pub fn child_main() {
    let Ok(task) = std::env::var(TASK_VAR) else {
        return;
    };
    let words: Vec<&str> = task.split('|').collect();
    let field = |at: usize| -> usize { words[at].parse().expect("a number") };
    let durability = match words[1] {
        "Buffered" => Durability::Buffered,
        "Mapped" => Durability::Mapped,
        "Written" => Durability::Written,
        _ => Durability::Synced,
    };
    let options = options(durability, words[2] == "true");
    let writer = Writer::open(words[0], &options).expect("the child opens the trail");
    print_line("@open");
    std::thread::scope(|scope| {
        for thread in 0..field(3) {
            let (writer, first, events) = (&writer, field(4), field(5));
            scope.spawn(move || {
                for event in 0..events {
                    let tag = first + thread * EVENTS_PER_THREAD + event;
                    let text = json(tag, &stream_of(tag), pad_of(tag));
                    let id = writer.append(text.as_bytes()).expect("it appends");
                    print_line(&format!("@{thread} {event} {id}"));
                    if matches!(durability, Durability::Buffered | Durability::Mapped)
                        && event % 50 == 49
                    {
                        writer.flush().expect("it flushes");
                        print_line(&format!("@flush {thread} {event}"));
                    }
                }
            });
        }
    });
    writer.close().expect("it closes");
    print_line("@closed");
}

fn print_line(line: &str) {
    // One write, so that a kill cannot leave a partial line.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .expect("a pipe");
    out.flush().expect("a pipe");
}

/// Starts a child; `test` is the name of the test that calls [`child_main`].
pub fn spawn(test: &str, task: &ChildTask) -> Child {
    let line = format!(
        "{}|{:?}|{}|{}|{}|{}",
        task.root, task.durability, task.shared, task.threads, task.first_tag, task.events
    );
    Command::new(std::env::current_exe().expect("a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(TASK_VAR, line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Waits for a child to end, and records its output in the ledger. Returns whether it
/// closed the trail; the error is its panic message.
pub fn record_output(child: Child, task: &ChildTask, ledger: &mut Ledger) -> Result<bool, String> {
    let mut child = child;
    let out = child.stdout.take().expect("a pipe");
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    let mut closed = false;
    let status = match task.durability {
        Durability::Buffered => EventStatus::Accepted,
        Durability::Mapped | Durability::Written => EventStatus::Written,
        Durability::Synced => EventStatus::Durable,
    };
    let tag_of = |thread: usize, event: usize| task.first_tag + thread * EVENTS_PER_THREAD + event;
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let Some((_, line)) = line.split_once('@') else {
            continue;
        };
        let words: Vec<&str> = line.split(' ').collect();
        let field = |at: usize| words[at].parse::<usize>().expect("a number");
        match words[..] {
            ["open"] => next.extend((0..task.threads).map(|thread| (thread, 0))),
            ["closed"] => closed = true,
            ["flush", _, _] => {
                for event in 0..=field(2) {
                    let tag = tag_of(field(1), event);
                    let event = ledger.events.get_mut(&tag).expect("it was appended");
                    if event.status == EventStatus::Accepted {
                        event.status = EventStatus::Written;
                    }
                }
            }
            [_, _, _] => {
                let tag = tag_of(field(0), field(1));
                ledger.insert(tag, &stream_of(tag), pad_of(tag));
                ledger.acknowledged(tag, field(2) as u64, status);
                next.insert(field(0), field(1) + 1);
            }
            _ => {}
        }
    }
    let mut errors_text = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = errors.read_to_string(&mut errors_text);
    }
    child.wait().map_err(|e| e.to_string())?;
    if errors_text.contains("panicked") {
        return Err(errors_text);
    }
    // The event that each thread was appending.
    for (thread, event) in next {
        if event < task.events {
            let tag = tag_of(thread, event);
            ledger.insert(tag, &stream_of(tag), pad_of(tag));
        }
    }
    Ok(closed)
}

pub fn path(task: &ChildTask) -> &Path {
    Path::new(&task.root)
}
