//! Any damage to the journal that a synced writer has left when the power went.
//! Opening the trail does not panic; no event is invented: every line that is
//! read back is one that was appended; what is whole in the segments stays, and
//! an undamaged journal gives all events back.
//!
//! Bytes: which power loss, choices, then edits: two bytes of place (the upper
//! bit: among the records), one of length (0: cut there), the new bytes. With
//! true checksums, what the edits make is a journal that some writer may have
//! written: it must not panic or take anything away, but says what it says.

#![no_main]

use auditrail::internals::storage::memory::Memory;
use auditrail::{Durability, Filter, Options, Reader, Writer};
use auditrail_fuzz::{ROOT, event, lines, segments};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The checksums are made true again.
const TRUE_SUMS: u8 = 1;

const EVENTS: u64 = 8;
const START: usize = 4096;
const HEAD: usize = 32;

fn open(memory: &Memory) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(400)?;
    options
        .durability(Durability::Synced)
        .journal_bytes(START as u64 + 3000);
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

struct Base {
    memory: Memory,
    journal: Vec<u8>,
    appended: BTreeSet<Vec<u8>>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let memory = Memory::new();
    let writer = open(&memory).expect("a new trail can be opened");
    let texts = (0..EVENTS).map(|tag| event(tag, if tag % 3 == 0 { "b" } else { "a" }));
    let texts: Vec<_> = texts.collect();
    for text in &texts[..4] {
        writer.append(text.as_bytes()).expect("an event");
    }
    writer
        .append_batch(texts[4..].join("\n").as_bytes())
        .expect("a batch");
    memory.kill();
    drop(writer);
    let files = segments(&memory);
    let lines = files.values().flat_map(|file| lines(file));
    Base {
        journal: memory.files(Path::new(ROOT))[&path()].clone(),
        appended: lines.map(<[u8]>::to_vec).collect(),
        memory,
    }
});

fn path() -> PathBuf {
    Path::new(ROOT).join(".auditrail/journal")
}

fn edit(journal: &mut Vec<u8>, mut edits: &[u8]) {
    let size = journal.len();
    while let [low, high, len, rest @ ..] = edits {
        let place = usize::from(u16::from_le_bytes([*low, high & 0x7f]));
        let place = if high & 0x80 == 0 {
            place % HEAD
        } else {
            START + place % (size - START)
        };
        let (new, rest) = rest.split_at(rest.len().min((*len).into()));
        if *len == 0 {
            journal.truncate(place);
        }
        for (old, new) in journal.iter_mut().skip(place).zip(new) {
            *old = *new;
        }
        edits = rest;
    }
}

/// Goes through the records, as the format is told in `src/journal.rs`, making
/// their checksums true if that is wanted. Says whether there is one with a true
/// checksum that no writer has written: that is forgery, not damage.
fn is_forged(journal: &mut [u8], make_true: bool) -> bool {
    let original = &BASE.journal;
    if journal.len() < 20 {
        return false;
    }
    if make_true {
        let sum = crc32fast::hash(&journal[..16]);
        journal[16..20].copy_from_slice(&sum.to_le_bytes());
    }
    let mut at = START;
    while let Some(head) = journal.get(at..at + HEAD) {
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(record) = journal.get_mut(at..at + HEAD + len) else {
            break;
        };
        let sum = crc32fast::hash(&record[4..]).to_le_bytes();
        if make_true {
            record[..4].copy_from_slice(&sum);
        } else if record[..4] != sum {
            break;
        }
        if original.get(at..at + HEAD + len) != Some(record) {
            return true;
        }
        at += HEAD + len;
    }
    // Another epoch, and so other records: none of ours is believed.
    journal[..20] != original[..20]
        && journal[16..20] == crc32fast::hash(&journal[..16]).to_le_bytes()
}

fuzz_target!(|data: &[u8]| {
    let [seed, bits, edits @ ..] = data else {
        return;
    };
    let base = &*BASE;
    let memory = base.memory.power_loss((*seed).into());
    let mut journal = base.journal.clone();
    edit(&mut journal, edits);
    let forged = is_forged(&mut journal, bits & TRUE_SUMS != 0);
    let damaged = journal != base.journal;
    memory
        .put_file(&path(), &journal)
        .expect("its folder is there");
    let before = segments(&memory);
    let opened = open(&memory);
    let after = segments(&memory);
    for (path, old) in &before {
        // Up to the first line that was not appended, nothing may be touched.
        let known = old.split_inclusive(|&byte| byte == b'\n');
        let known = known.take_while(|line| {
            let line = line.strip_suffix(b"\n");
            line.is_some_and(|line| base.appended.contains(line))
        });
        let len = known.map(<[u8]>::len).sum::<usize>();
        assert!(
            after[path].starts_with(&old[..len]),
            "{} was changed",
            path.display()
        );
    }
    let writer = match opened {
        Ok(writer) => writer,
        Err(error) => {
            assert!(damaged, "an undamaged journal: {error}");
            return;
        }
    };
    let mut read = BTreeSet::new();
    let mut reader = Reader::open_on(Arc::new(memory.clone()), ROOT, &Filter::default())
        .expect("the trail is there");
    while let Some(record) = reader.next().expect("memory can be read") {
        let known = base.appended.contains(record.bytes());
        assert!(known || forged, "invented: {}", record.json());
        read.insert(record.bytes().to_vec());
    }
    if !damaged {
        assert_eq!(read, base.appended, "synced events are gone");
    }
    let Ok(id) = writer.append(event(99, "a").as_bytes()) else {
        assert!(forged, "appending does not go on");
        return;
    };
    assert!(id > read.len() as u64 || forged, "the id {id} again");
    writer.close().expect("it can be closed");
    let went_on = segments(&memory);
    let writer = open(&memory).expect("what was opened can be opened again");
    assert_eq!(writer.stats().expect("stats").last_id, id);
    assert_eq!(segments(&memory), went_on);
});
