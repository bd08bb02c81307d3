//! Promise: recovery takes away only what a crash has torn. Cases that chance
//! hardly ever meets, each built by hand.

mod ledger;

use auditrail::storage::memory::{Call, Fault, Memory};
use auditrail::{Options, Writer};
use ledger::{End, Fate, Ledger, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROOT: &str = "/trail";

fn open(memory: &Memory) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(500)?;
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

fn lines(tags: std::ops::Range<usize>) -> String {
    tags.map(|tag| json(tag, "v2/a", 40) + "\n").collect()
}

fn segment(number: u64) -> PathBuf {
    Path::new(ROOT).join(format!("v2/a/audit-{number:06}.jsonl"))
}

#[test]
fn a_kill_while_a_batch_is_taken_back_leaves_a_prefix() {
    for failing in 0..4 {
        for call in 1..60 {
            let memory = Memory::new();
            let writer = open(&memory).unwrap();
            let mut ledger = Ledger::default();
            for tag in 0..10 {
                ledger.insert(tag, "v2/a", 40);
            }
            // Ten events fill several segments; one write fails, and the
            // process ends in one of the calls that follow.
            memory.fail(
                Fault::new(libc::ENOSPC)
                    .call(Call::Append)
                    .path(".jsonl")
                    .after(failing)
                    .short(),
            );
            memory.die_at(call, call);
            let answer = writer.append_batch(lines(0..10).as_bytes());
            if !memory.is_dead() {
                assert!(answer.is_err());
                ledger.failed(&(0..10).collect::<Vec<_>>());
            }
            memory.kill();
            drop(writer);
            memory.fail_no_more();
            let memory = memory.another_process();
            let writer = open(&memory).unwrap();
            let last_id = writer.stats().unwrap().last_id;
            let files = memory.files(Path::new(ROOT));
            let none = BTreeSet::new();
            ledger
                .check(
                    &files,
                    Path::new(ROOT),
                    End::Killed,
                    last_id,
                    &none,
                    Fate::Durable,
                )
                .unwrap_or_else(|why| {
                    panic!("write {failing}, call {call}: {why}\n{}", memory.history())
                });
        }
    }
}

/// A trail of three full segments and a last one, synced up to event 3 of 10, as
/// a loss of power may leave it: whole.
fn after_power_loss() -> Memory {
    let memory = Memory::new();
    let writer = open(&memory).unwrap();
    writer.append_batch(lines(0..3).as_bytes()).unwrap();
    writer.sync().unwrap();
    writer.append_batch(lines(3..10).as_bytes()).unwrap();
    memory.kill();
    drop(writer);
    let files = memory.files(Path::new(ROOT));
    let memory = memory.power_loss(2);
    for (path, bytes) in files {
        // Names of segments that were lost are put back too.
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            memory.put_file(&path, &bytes).unwrap();
        }
    }
    memory
}

#[test]
fn an_older_segment_that_lost_only_its_newline_gets_it() {
    let memory = after_power_loss();
    let whole = memory.files(Path::new(ROOT))[&segment(2)].clone();
    memory
        .put_file(&segment(2), &whole[..whole.len() - 1])
        .unwrap();
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!(
        (stats.last_id, stats.missing_ids, stats.torn_tails),
        (10, 0, 0)
    );
    assert_eq!(memory.files(Path::new(ROOT))[&segment(2)], whole);
}

#[test]
fn an_older_segment_that_lost_its_end_is_cut_and_told() {
    let memory = after_power_loss();
    let whole = memory.files(Path::new(ROOT))[&segment(2)].clone();
    memory
        .put_file(&segment(2), &whole[..whole.len() - 7])
        .unwrap();
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!(
        (stats.last_id, stats.missing_ids, stats.torn_tails),
        (10, 1, 1)
    );
    assert!(memory.files(Path::new(ROOT))[&segment(2)].ends_with(b"}\n"));
}

#[test]
fn damage_before_an_event_that_was_on_disk_is_not_cut() {
    let memory = after_power_loss();
    let mut bytes = memory.files(Path::new(ROOT))[&segment(1)].clone();
    // A bad sector in event 2 of 3, all of which were synced.
    let at = bytes.len() / 2;
    bytes[at..at + 5].fill(0);
    memory.put_file(&segment(1), &bytes).unwrap();
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!((stats.last_id, stats.torn_tails), (10, 0));
    assert_eq!(memory.files(Path::new(ROOT))[&segment(1)], bytes);
}
