//! Promise: whatever is damaged in a trail's files, opening it neither panics nor
//! drops a byte of a segment, and ids of whole lines are not assigned again. Random
//! damage, seeded; `AUDITRAIL_DAMAGES` sets how often.

mod ledger;

use auditrail::internals::storage::memory::{Memory, Random};
use auditrail::{Durability, Options, Writer};
use ledger::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROOT: &str = "/trail";

fn open(memory: &Memory, durability: Durability) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(900)?;
    options.durability(durability).journal_bytes(4096 + 4000);
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len() as u64;
    let at = random.below(len) as usize;
    let end = (at + 1 + random.below(40) as usize).min(bytes.len());
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => bytes[at..end].fill(0),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.extend((0..random.below(30)).map(|byte| (byte * 7) as u8)),
        _ if at < end => bytes[at] ^= 1 << random.below(8),
        _ => {}
    }
}

/// The whole lines that are events, with their ids.
fn events(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<Vec<u8>, u64> {
    let segments = files.iter().filter(|(path, _)| path.ends_with_jsonl());
    let lines = segments.flat_map(|(_, bytes)| bytes.split(|&byte| byte == b'\n'));
    let id = |line: &[u8]| {
        let event: serde_json::Value = serde_json::from_slice(line).ok()?;
        event.get("event_id")?.as_u64()
    };
    lines
        .filter_map(|line| Some((line.to_vec(), id(line)?)))
        .collect()
}

trait Jsonl {
    fn ends_with_jsonl(&self) -> bool;
}

impl Jsonl for PathBuf {
    fn ends_with_jsonl(&self) -> bool {
        self.extension()
            .is_some_and(|extension| extension == "jsonl")
    }
}

/// Where a segment was overwritten with something else. Zeros may be, from the journal;
/// other bytes only after they were kept.
fn overwritten(old: &[u8], new: &[u8], after: &BTreeMap<PathBuf, Vec<u8>>) -> Option<usize> {
    let shared = old.len().min(new.len());
    let at = (0..shared).find(|&at| old[at] != new[at] && old[at] != 0)?;
    let end = (at..shared).find(|&at| old[at] == new[at]);
    let lost = &old[at..end.unwrap_or(shared)];
    let kept = after.iter().any(|(aside, bytes)| {
        aside.to_string_lossy().contains("/torn/")
            && bytes.windows(lost.len()).any(|run| run == lost)
    });
    (!kept).then_some(at)
}

#[test]
fn no_damage_makes_open_panic_or_lose_bytes() {
    let damages: u64 = std::env::var("AUDITRAIL_DAMAGES")
        .map_or(3000, |n| n.parse().expect("AUDITRAIL_DAMAGES is a number"));
    for seed in 0..damages {
        let random = &mut Random::new(seed);
        let durability = [Durability::Written, Durability::Synced][random.below(2) as usize];
        let memory = Memory::new();
        let writer = open(&memory, durability).unwrap();
        for tag in 0..12 {
            let stream = ["v2/a", "v2/b"][random.below(2) as usize];
            writer.append(json(tag, stream, 60).as_bytes()).unwrap();
        }
        let killed = random.one_in(2);
        if killed {
            memory.kill();
        }
        drop(writer);
        let memory = match random.below(2) {
            0 => memory.another_process(),
            _ => memory.power_loss(seed),
        };
        let mut before = memory.files(Path::new(ROOT));
        let original = events(&before);
        for _ in 0..=random.below(3) {
            let place = random.below(before.len() as u64) as usize;
            if let Some((path, bytes)) = before.iter_mut().nth(place) {
                damage(bytes, random);
                memory.put_file(path, bytes).unwrap();
            }
        }
        let left = events(&before);
        let writer = match open(&memory, durability) {
            Ok(writer) => writer,
            Err(error) => {
                assert!(error.message().contains(ROOT), "seed {seed}: {error}");
                continue;
            }
        };
        let after = memory.files(Path::new(ROOT));
        for (path, old) in before.iter().filter(|(path, _)| path.ends_with_jsonl()) {
            let new = &after[path];
            let shared = old.len().min(new.len());
            if let Some(at) = overwritten(old, new, &after) {
                panic!("seed {seed}: {} changed at {at}", path.display());
            }
            let kept = after.iter().any(|(aside, bytes)| {
                aside.to_string_lossy().contains("/torn/") && bytes.len() >= old.len() - shared
            });
            assert!(
                shared == old.len() || kept,
                "seed {seed}: {} lost bytes",
                path.display()
            );
        }
        // A cleanly closed trail is not recovered, and damage that leaves a line an
        // event is not detected.
        let honest = killed && left.keys().all(|line| original.contains_key(line));
        if let (Ok(id), true) = (writer.append(json(99, "v2/c", 1).as_bytes()), honest) {
            let largest = left.values().max().copied().unwrap_or(0);
            assert!(
                id > largest,
                "seed {seed}: {id} after {largest}\n{}{:?}",
                memory.history(),
                before.keys()
            );
        }
    }
    println!("{damages} damaged trails were opened");
}
