//! Promise: recovery removes only what a crash has torn. Cases that random tests
//! rarely hit, each built by hand.

mod ledger;

use auditrail::internals::storage::memory::{Call, InjectedFault, Memory};
use auditrail::{Durability, Options, Writer};
use ledger::{Crash, EventStatus, Ledger, json};
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
fn a_kill_during_a_rollback_leaves_a_prefix() {
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
                InjectedFault::new(libc::ENOSPC)
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
                    Crash::Killed,
                    last_id,
                    &none,
                    EventStatus::Durable,
                )
                .unwrap_or_else(|why| {
                    panic!("write {failing}, call {call}: {why}\n{}", memory.history())
                });
        }
    }
}

/// Which state file the disk has: the kernel writes it back at any time, so a power
/// loss can lose the newer one.
#[derive(Clone, Copy)]
enum StateOnDisk {
    BeforeSync,
    AfterSync,
}

/// A trail of three full segments and a last one, synced up to event 3 of 10, after a
/// power loss that left it whole.
fn after_power_loss(state: StateOnDisk) -> Memory {
    let state_path = Path::new(ROOT).join(".auditrail/state");
    let state_of = |memory: &Memory| memory.files(Path::new(ROOT))[&state_path].clone();
    let memory = Memory::new();
    let writer = open(&memory).unwrap();
    let before = state_of(&memory);
    writer.append_batch(lines(0..3).as_bytes()).unwrap();
    writer.sync().unwrap();
    let after = state_of(&memory);
    assert_ne!(before, after);
    writer.append_batch(lines(3..10).as_bytes()).unwrap();
    memory.kill();
    drop(writer);
    let files = memory.files(Path::new(ROOT));
    let memory = memory.power_loss(1);
    for (path, bytes) in files {
        // Lost names of segments are restored too.
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            memory.put_file(&path, &bytes).unwrap();
        }
    }
    let state = match state {
        StateOnDisk::BeforeSync => before,
        StateOnDisk::AfterSync => after,
    };
    memory.put_file(&state_path, &state).unwrap();
    memory
}

#[test]
fn an_older_segment_that_lost_only_its_newline_gets_it() {
    let memory = after_power_loss(StateOnDisk::AfterSync);
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
fn an_older_segment_that_lost_its_end_is_cut_and_reported() {
    let memory = after_power_loss(StateOnDisk::AfterSync);
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

/// Puts a bad sector into event 2 of 3, all of which were synced; returns the bytes of
/// the segment.
fn spoil_the_first_segment(memory: &Memory) -> Vec<u8> {
    let mut bytes = memory.files(Path::new(ROOT))[&segment(1)].clone();
    let at = bytes.len() / 2;
    bytes[at..at + 5].fill(0);
    memory.put_file(&segment(1), &bytes).unwrap();
    bytes
}

#[test]
fn damage_before_a_synced_event_is_not_cut() {
    let memory = after_power_loss(StateOnDisk::AfterSync);
    let bytes = spoil_the_first_segment(&memory);
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!((stats.last_id, stats.torn_tails), (10, 0));
    assert_eq!(memory.files(Path::new(ROOT))[&segment(1)], bytes);
}

#[test]
fn whatever_a_power_loss_leaves_one_bad_sector_of_synced_events_is_not_cut() {
    for durability in [Durability::Written, Durability::Synced] {
        for seed in 0..40 {
            let memory = Memory::new();
            let mut options = Options::default();
            // The journal of SYNCED is recycled now and then, and says less after that.
            options.durability(durability).journal_bytes(4096 + 2000);
            let open = |memory: &Memory| {
                Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options).unwrap()
            };
            let writer = open(&memory);
            for tag in 0..30 {
                writer.append(json(tag, "v2/a", 40).as_bytes()).unwrap();
            }
            if durability == Durability::Written {
                writer.sync().unwrap();
            }
            let memory = memory.power_loss(seed);
            let bytes = spoil_the_first_segment(&memory);
            let writer = open(&memory);
            let stats = writer.stats().unwrap();
            assert_eq!(
                (stats.last_id, stats.torn_tails),
                (30, 0),
                "{durability:?}, seed {seed}"
            );
            let files = memory.files(Path::new(ROOT));
            // What is in the journal may have been healed from it.
            let found = &files[&segment(1)];
            let kept = bytes
                .iter()
                .zip(found)
                .all(|(was, is)| was == is || *was == 0);
            assert!(kept && found.len() >= bytes.len(), "seed {seed}");
        }
    }
}

#[test]
fn damage_after_the_last_synced_event_is_quarantined() {
    // This damage cannot be told from the hole that a power loss leaves.
    let memory = after_power_loss(StateOnDisk::BeforeSync);
    let bytes = spoil_the_first_segment(&memory);
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!(
        (stats.last_id, stats.missing_ids, stats.torn_tails),
        (10, 2, 1)
    );
    let files = memory.files(Path::new(ROOT));
    let kept = files[&segment(1)].clone();
    assert_eq!(kept, bytes[..kept.len()]);
    assert!(kept.ends_with(b"}\n"));
    let aside = Path::new(ROOT).join(format!(
        ".auditrail/torn/v2-a-audit-000001.jsonl-at-{}",
        kept.len()
    ));
    assert_eq!(files[&aside], bytes[kept.len()..]);
    // The ids of the events that were cut are not reused.
    assert_eq!(writer.append(json(10, "v2/a", 40).as_bytes()).unwrap(), 11);
}

#[test]
fn after_the_largest_possible_id_appends_are_refused() {
    let memory = after_power_loss(StateOnDisk::AfterSync);
    let mut bytes = memory.files(Path::new(ROOT))[&segment(3)].clone();
    let event = json(99, "v2/a", 1);
    bytes.extend(format!("{{\"event_id\":{},{}\n", u64::MAX, &event[1..]).bytes());
    memory.put_file(&segment(3), &bytes).unwrap();
    let writer = open(&memory).unwrap();
    let stats = writer.stats().unwrap();
    assert_eq!(
        (stats.last_id, stats.missing_ids),
        (u64::MAX, u64::MAX - 1 - 10)
    );
    assert!(writer.append(event.as_bytes()).is_err());
}

#[test]
fn the_largest_possible_epoch_has_a_successor() {
    let memory = Memory::new();
    let mut options = Options::default();
    options.durability(Durability::Synced).journal_bytes(8192);
    let open =
        |memory: &Memory| Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options);
    open(&memory).unwrap().close().unwrap();
    let path = Path::new(ROOT).join(".auditrail/journal");
    let mut journal = memory.files(Path::new(ROOT))[&path].clone();
    journal[8..16].fill(0xff);
    let sum = crc32fast::hash(&journal[..16]);
    journal[16..20].copy_from_slice(&sum.to_le_bytes());
    memory.put_file(&path, &journal).unwrap();
    let writer = open(&memory).unwrap();
    writer.append(json(0, "v2/a", 1).as_bytes()).unwrap();
    let epoch = memory.files(Path::new(ROOT))[&path][8..16].to_vec();
    assert!(epoch != [0xff; 8] && epoch != [0; 8], "{epoch:?}");
    let memory = memory.power_loss(1);
    assert_eq!(open(&memory).unwrap().stats().unwrap().last_id, 1);
}

#[test]
fn a_batch_that_exhausts_the_ids_is_refused_as_a_whole() {
    for durability in [Durability::Buffered, Durability::Written] {
        let memory = Memory::new();
        let mut options = Options::default();
        options.durability(durability);
        let open = || Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options).unwrap();
        open().close().unwrap();
        let index = format!("{{\"last_event_id\":{}}}", u64::MAX - 1);
        let path = Path::new(ROOT).join("index.json");
        memory.put_file(&path, index.as_bytes()).unwrap();
        let writer = open();
        assert!(writer.append_batch(lines(0..2).as_bytes()).is_err());
        let id = writer.append(json(2, "v2/a", 1).as_bytes()).unwrap();
        assert_eq!(id, u64::MAX, "{durability:?}");
        writer.close().unwrap();
    }
}

#[test]
fn a_line_with_the_id_0_does_not_hide_the_events_before_it() {
    for line in ["{\"event_id\":0}\n", "{ \"event_id\": 0 }\n"] {
        let memory = after_power_loss(StateOnDisk::AfterSync);
        memory.put_file(&segment(5), line.as_bytes()).unwrap();
        // Only the segments are left to recover from.
        let state = Path::new(ROOT).join(".auditrail/state");
        memory.put_file(&state, b"nothing").unwrap();
        memory
            .remove_file(&Path::new(ROOT).join("index.json"))
            .unwrap_or_default();
        let writer = open(&memory).unwrap();
        assert_eq!(writer.append(json(10, "v2/b", 40).as_bytes()).unwrap(), 11);
        assert_eq!(
            memory.files(Path::new(ROOT))[&segment(5)],
            line.as_bytes(),
            "it is left as it is"
        );
    }
}
