//! Promise: however the threads of one writer interleave, each gets its own id, none
//! sleeps forever, and a failed batch fails for all its threads.
//!
//! Run under shuttle, which schedules the threads itself and detects deadlocks:
//! `RUSTFLAGS="--cfg auditrail_model" cargo test -p auditrail --features internals,model --test model`.
//! `AUDITRAIL_SCHEDULES` sets how many schedules are tried.
#![cfg(auditrail_model)]

mod ledger;

use auditrail::internals::storage::Storage;
use auditrail::internals::storage::memory::{Call, InjectedFault, Memory};
use auditrail::{Durability, Kind, Options, WarningKind, Writer};
use ledger::{Crash, EventStatus, Ledger, json};
use shuttle::rand::Rng;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROOT: &str = "/trail";
const STREAMS: [&str; 2] = ["v2/a", "v2/b"];

/// Three threads append, one of them a batch; a fourth flushes, syncs or reads the
/// stats; then the trail is closed and checked. The first append to each stream
/// finds a torn tail, so that the threads also deliver warnings. All of these take
/// the trail lock from the appending threads, and must wake the next leader.
fn scenario(durability: Durability, fault: Option<InjectedFault>) {
    let memory = Memory::new();
    let storage = Arc::new(memory.clone());
    let empty = Writer::open_on(storage.clone(), Path::new(ROOT), &Options::default()).unwrap();
    empty.close().unwrap();
    storage.create_dir(&Path::new(ROOT).join("v2")).unwrap();
    for stream in STREAMS {
        let folder = Path::new(ROOT).join(stream);
        storage.create_dir(&folder).unwrap();
        let segment = folder.join("audit-000001.jsonl");
        memory.put_file(&segment, b"{\"event_id\":").unwrap();
    }
    let told_of = Arc::new(AtomicUsize::new(0));
    let mut options = Options::default();
    let count = told_of.clone();
    options
        .on_warning(move |warning| {
            if warning.kind == WarningKind::TornTail {
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
        .durability(durability)
        .journal_bytes(4096 + 1000)
        .flush_interval(Duration::ZERO);
    options.max_segment_bytes(400).unwrap();
    let writer = Arc::new(Writer::open_on(storage, Path::new(ROOT), &options).unwrap());
    assert_eq!(told_of.load(Ordering::SeqCst), 0);
    let may_fail = fault.is_some();
    if let Some(fault) = fault {
        memory.fail(fault);
    }
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let writer = writer.clone();
            shuttle::thread::spawn(move || {
                let mut told = Vec::new();
                for event in 0..2 {
                    let tag = thread * 10 + event * 2;
                    let count = if thread == 2 { 2 } else { 1 };
                    let text: String = (tag..tag + count)
                        .map(|tag| json(tag, STREAMS[tag % 2], 40) + "\n")
                        .collect();
                    let answer = match writer.append_batch(text.as_bytes()) {
                        Ok((first, n)) => {
                            assert_eq!(n, count);
                            Some(first)
                        }
                        Err(error) => {
                            assert!(may_fail, "{error}");
                            assert_ne!(error.kind(), Kind::Panic, "{error}");
                            None
                        }
                    };
                    told.push((tag, count, answer));
                }
                told
            })
        })
        .collect();
    let other_caller = {
        let writer = writer.clone();
        shuttle::thread::spawn(move || {
            // In random order, because a call that wakes the waiting threads hides
            // an earlier one that failed to.
            for _ in 0..2 {
                match shuttle::rand::thread_rng().gen_range(0..3) {
                    0 => assert!(writer.flush().is_ok() || may_fail),
                    1 => assert!(writer.stats().is_ok()),
                    _ => assert!(writer.sync().is_ok() || may_fail),
                }
            }
        })
    };
    let mut ledger = Ledger::default();
    for thread in threads {
        for (tag, count, answer) in thread.join().unwrap() {
            for tag in tag..tag + count {
                ledger.insert(tag, STREAMS[tag % 2], 40);
            }
            let tags: Vec<usize> = (tag..tag + count).collect();
            match answer {
                Some(first) => (first..)
                    .zip(tags)
                    .for_each(|(id, tag)| ledger.acknowledged(tag, id, EventStatus::Durable)),
                None => ledger.failed(&tags),
            }
        }
    }
    other_caller.join().unwrap();
    // A fault that was not triggered yet must not hit the close.
    memory.fail_no_more();
    let last_id = writer.stats().unwrap().last_id;
    Arc::into_inner(writer).unwrap().close().unwrap();
    assert_eq!(told_of.load(Ordering::SeqCst), STREAMS.len());
    let files = memory.files(Path::new(ROOT));
    let none = BTreeSet::new();
    ledger
        .check(
            &files,
            Path::new(ROOT),
            Crash::Killed,
            last_id,
            &none,
            EventStatus::Durable,
        )
        .unwrap_or_else(|why| panic!("{why}\n{}", memory.history()));
}

fn schedules() -> usize {
    std::env::var("AUDITRAIL_SCHEDULES").map_or(2000, |n| {
        n.parse().expect("AUDITRAIL_SCHEDULES is a number")
    })
}

#[test]
fn threads_may_interleave_as_they_like() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
        Durability::Mapped,
    ] {
        shuttle::check_random(move || scenario(durability, None), schedules());
        shuttle::check_pct(move || scenario(durability, None), schedules(), 3);
    }
}

#[test]
fn a_failed_batch_fails_for_all_its_threads() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
        Durability::Mapped,
    ] {
        for skip in 0..3 {
            let fault = InjectedFault::new(libc::ENOSPC)
                .call(Call::Append)
                .path("/v2/")
                .after(skip)
                .short();
            shuttle::check_random(
                move || scenario(durability, Some(fault.clone())),
                schedules() / 3,
            );
        }
    }
}
