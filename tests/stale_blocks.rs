//! Promise: what a power loss leaves is told by check sums. Stale blocks in the place
//! of synced events are kept aside and the events put back; a state or a journal
//! header that was torn while it was written costs nothing that was acknowledged; and
//! someone else's events are never overwritten.
//!
//! `AUDITRAIL_CRASH_STATES` sets how many disks are opened.

mod ledger;

use auditrail::internals::storage::memory::{Memory, Random};
use auditrail::{Durability, Options, Writer};
use ledger::{json, read_trail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROOT: &str = "/trail";
const SECTOR: usize = 512;

fn open(memory: &Memory, segment: u64) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(segment)?;
    options
        .durability(Durability::Synced)
        .journal_bytes(4096 + 8000);
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

fn states() -> u64 {
    std::env::var("AUDITRAIL_CRASH_STATES").map_or(1000, |n| n.parse().expect("a number"))
}

fn is_segment(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "jsonl")
}

/// Appends some events, and ends without closing. The kernel's view of the files.
fn live(random: &mut Random, memory: &Memory) -> (usize, BTreeMap<PathBuf, Vec<u8>>) {
    let limit = [700, 3000, 1 << 20][random.below(3) as usize];
    let mut writer = open(memory, limit).unwrap();
    let events = 1 + random.below(60) as usize;
    for tag in 0..events {
        let stream = ["v2/a", "v2/b"][random.below(2) as usize];
        let text = json(tag, stream, random.below(300) as usize);
        assert_eq!(writer.append(text.as_bytes()).unwrap(), tag as u64 + 1);
        if tag == 0 {
            // The first one is old: it is in its segment, durably.
            writer.close().unwrap();
            writer = open(memory, limit).unwrap();
        }
    }
    memory.kill();
    drop(writer);
    (events, memory.files(Path::new(ROOT)))
}

/// What a sector may hold that was never written to since the file has it.
fn stale(random: &mut Random, old_line: &str) -> Vec<u8> {
    let text = match random.below(4) {
        0 => return (0..SECTOR).map(|_| random.below(256) as u8).collect(),
        // Lines of a log that was deleted, and parts of them.
        1 => "{\"level\":\"info\",\"text\":\"a log that was deleted\"}\n".repeat(20),
        // An older event.
        2 => format!("{old_line}\n").repeat(20),
        _ => format!("{}\n", "x".repeat(90)).repeat(20),
    };
    let from = random.below(100) as usize;
    text.as_bytes()
        .iter()
        .cycle()
        .skip(from)
        .take(SECTOR)
        .copied()
        .collect()
}

#[test]
fn stale_blocks_in_place_of_synced_events_are_recognised() {
    let mut blocks = 0;
    for seed in 0..states() {
        let random = &mut Random::new(seed);
        let memory = Memory::new();
        let (events, before) = live(random, &memory);
        let memory = memory.power_loss(random.number());
        let mut disk = memory.files(Path::new(ROOT));
        let old_line = before
            .values()
            .find_map(|bytes| bytes.strip_prefix(b"{\"event_id\":1,"))
            .map(|rest| rest.split(|&byte| byte == b'\n').next().unwrap())
            .map(|rest| format!("{{\"event_id\":1,{}", String::from_utf8_lossy(rest)))
            .unwrap();
        for (path, bytes) in disk.iter_mut().filter(|(path, _)| is_segment(path)) {
            for at in (0..bytes.len()).step_by(SECTOR) {
                let end = bytes.len().min(at + SECTOR);
                // A sector that was never written to: it reads as zeros here.
                if bytes[at..end].iter().all(|&byte| byte == 0) && random.one_in(2) {
                    let stale = stale(random, &old_line);
                    bytes[at..end].copy_from_slice(&stale[..end - at]);
                    blocks += 1;
                }
            }
            memory.put_file(path, bytes).unwrap();
        }
        let writer = open(&memory, 3000).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let after = memory.files(Path::new(ROOT));
        let found =
            read_trail(&after, Path::new(ROOT)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let mut tags: Vec<usize> = found.iter().map(|event| event.tag).collect();
        tags.sort_unstable();
        assert!(
            tags.iter().copied().eq(0..events),
            "seed {seed}: {tags:?} of {events}"
        );
        assert!(
            found.iter().all(|e| e.id == e.tag as u64 + 1),
            "seed {seed}"
        );
        kept(&disk, &after).unwrap_or_else(|path| panic!("seed {seed}: {path:?} lost bytes"));
        assert_eq!(
            writer.append(json(events, "v2/c", 1).as_bytes()).unwrap(),
            events as u64 + 1,
            "seed {seed}"
        );
    }
    assert!(blocks > states() / 10, "only {blocks} stale blocks");
    println!("{blocks} stale blocks");
}

/// Whether each run of bytes that a segment has lost is under `torn`; zeros need not be.
fn kept(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), PathBuf> {
    for (path, old) in before.iter().filter(|(path, _)| is_segment(path)) {
        let new = &after[path];
        let lost = |at: usize| old[at] != 0 && new.get(at) != Some(&old[at]);
        let mut at = 0;
        while at < old.len() {
            let end = (at..old.len()).find(|&at| !lost(at)).unwrap_or(old.len());
            let run = &old[at..end];
            let aside = |(path, bytes): (&PathBuf, &Vec<u8>)| {
                path.to_string_lossy().contains("/torn/")
                    && bytes.windows(run.len()).any(|window| window == run)
            };
            if !run.is_empty() && !after.iter().any(aside) {
                return Err(path.clone());
            }
            at = end + 1;
        }
    }
    Ok(())
}

#[test]
fn events_that_someone_else_wrote_after_a_power_loss_are_not_overwritten() {
    for torn in ["", "{\"event_id\":2,\"timest"] {
        let memory = Memory::new();
        let writer = open(&memory, 1 << 20).unwrap();
        for tag in 0..4 {
            writer.append(json(tag, "v2/a", 40).as_bytes()).unwrap();
        }
        memory.kill();
        drop(writer);
        let path = Path::new(ROOT).join("v2/a/audit-000001.jsonl");
        let whole = memory.files(Path::new(ROOT))[&path].clone();
        let memory = memory.power_loss(1);
        let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut bytes = whole[..first].to_vec();
        bytes.extend_from_slice(torn.as_bytes());
        // The predecessor, say, which knows nothing of a journal: it goes on from
        // event 1, behind whatever it finds.
        for (id, tag) in [(2, 90), (3, 91), (4, 92)] {
            let line = json(tag, "v2/a", 11).replacen('{', &format!("{{\"event_id\":{id},"), 1);
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        // The memory may have lost the folder's name.
        for folder in ["v2", "v2/a"] {
            let _ = auditrail::internals::storage::Storage::create_dir(
                &memory,
                &Path::new(ROOT).join(folder),
            );
        }
        memory.put_file(&path, &bytes).unwrap();
        let writer = open(&memory, 1 << 20).unwrap();
        let after = memory.files(Path::new(ROOT));
        assert_eq!(after[&path], bytes, "torn: {torn:?}");
        // What was synced is not lost either.
        let aside: Vec<u8> = after
            .iter()
            .filter(|(path, _)| path.to_string_lossy().contains("/torn/"))
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        assert!(aside.ends_with(&whole[first..]), "torn: {torn:?}");
        assert_eq!(writer.append(json(5, "v2/b", 1).as_bytes()).unwrap(), 5);
    }
}

#[test]
fn a_state_or_header_that_is_torn_within_its_sector_costs_nothing() {
    for seed in 0..states() {
        let random = &mut Random::new(seed);
        let memory = Memory::new();
        let (events, _) = live(random, &memory);
        // A header is written when the journal has nothing that the segments lack:
        // at an opening, after what it had was put back.
        let opened = open(&memory.another_process(), 3000);
        let memory = memory.power_loss(random.number());
        drop(opened);
        let file = ["state", "journal"][random.below(2) as usize];
        let path = Path::new(ROOT).join(".auditrail").join(file);
        let mut bytes = memory.files(Path::new(ROOT))[&path].clone();
        let torn = 1 + random.below(SECTOR as u64) as usize;
        for byte in &mut bytes[..torn.min(SECTOR)] {
            *byte = match seed % 3 {
                0 => 0,
                1 => 0xff,
                _ => random.below(256) as u8,
            };
        }
        memory.put_file(&path, &bytes).unwrap();
        let writer = open(&memory, 3000).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let after = memory.files(Path::new(ROOT));
        let found = read_trail(&after, Path::new(ROOT))
            .unwrap_or_else(|e| panic!("seed {seed}, {file}: {e}"));
        assert_eq!(found.len(), events, "seed {seed}, {file}");
        assert_eq!(
            writer.append(json(events, "v2/c", 1).as_bytes()).unwrap(),
            events as u64 + 1,
            "seed {seed}, {file}"
        );
    }
}
