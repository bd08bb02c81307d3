//! Promise: any number of threads on one writer lose, repeat and misorder no id, and
//! each gets its own.

mod children;
mod ledger;

use auditrail::{Durability, Writer};
use children::{pad_of, stream_of};
use ledger::{Crash, EventStatus, Ledger, files_on_disk, json};
use std::collections::BTreeSet;
use std::sync::Barrier;

fn sixty_four_threads(durability: Durability) {
    const THREADS: usize = 64;
    const EVENTS: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &children::options(durability, false)).expect("opens");
    let start = Barrier::new(THREADS);
    let told: Vec<(usize, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (writer, start) = (&writer, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut told = Vec::new();
                    let mut last = 0;
                    while told.len() < EVENTS {
                        let tag = thread * EVENTS + told.len();
                        // Every eighth is a batch of four.
                        let count = if tag.is_multiple_of(8) {
                            4.min(EVENTS - told.len())
                        } else {
                            1
                        };
                        let text: String = (tag..tag + count)
                            .map(|tag| json(tag, &stream_of(tag), pad_of(tag)) + "\n")
                            .collect();
                        let (first, n) = writer.append_batch(text.as_bytes()).expect("appends");
                        assert_eq!(n, count);
                        assert!(first > last, "{first} after {last} in one thread");
                        last = first + n as u64 - 1;
                        told.extend((tag..tag + count).zip(first..));
                        if tag.is_multiple_of(40) {
                            writer.sync().expect("syncs");
                        }
                    }
                    told
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it ends well"))
            .collect()
    });
    let mut ledger = Ledger::default();
    for (tag, id) in told {
        ledger.insert(tag, &stream_of(tag), pad_of(tag));
        ledger.acknowledged(tag, id, EventStatus::Durable);
    }
    let stats = writer.stats().expect("stats");
    assert_eq!(stats.last_id, (THREADS * EVENTS) as u64, "{stats:?}");
    writer.close().expect("closes");
    let files = files_on_disk(folder.path());
    let none = BTreeSet::new();
    let root = folder.path();
    ledger
        .check(
            &files,
            root,
            Crash::Killed,
            stats.last_id,
            &none,
            EventStatus::Durable,
        )
        .expect("all is there, once, in order");
    println!(
        "{durability:?}: {} events in {} batches",
        stats.last_id, stats.batches
    );
}

#[test]
fn sixty_four_threads_in_written_mode() {
    sixty_four_threads(Durability::Written);
}

#[test]
fn sixty_four_threads_in_synced_mode() {
    sixty_four_threads(Durability::Synced);
}

#[test]
fn sixty_four_threads_in_mapped_mode() {
    sixty_four_threads(Durability::Mapped);
}

#[test]
fn sixty_four_threads_in_buffered_mode() {
    sixty_four_threads(Durability::Buffered);
}
