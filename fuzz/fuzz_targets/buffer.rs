//! Any damage to the file in which a killed MAPPED writer has left its events. Opening the
//! trail does not panic, and invents no event unless a record was forged; what is in the
//! segments stays; every line of the trail can be read; undamaged records are all written.
//!
//! Bytes: choices, then edits: two bytes of place (the upper bit: among the records), one
//! of length (0: cut there), the new bytes.

#![no_main]

use auditrail::internals::storage::memory::Memory;
use auditrail::{Durability, Filter, Options, Reader, Writer};
use auditrail_fuzz::{ROOT, event, segments};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The checksums of the records are made true again.
const TRUE_SUMS: u8 = 1;
const EVENTS: u64 = 6;
const RECORDS_AT: usize = 4096;
const HEAD: usize = 22;

fn open(memory: &Memory, durability: Durability) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(400)?;
    options.durability(durability).flush_interval(Duration::ZERO);
    options.buffer_bytes(4096)?;
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

fn path() -> PathBuf {
    Path::new(ROOT).join(".auditrail/buffer-1")
}

/// The trail of a killed writer: its folders, a segment, its state and its buffer.
fn killed() -> Memory {
    let memory = Memory::new();
    let writer = open(&memory, Durability::Mapped).expect("a new trail can be opened");
    for tag in 0..EVENTS {
        let text = event(tag, if tag % 3 == 0 { "b" } else { "a" });
        writer.append(text.as_bytes()).expect("an event");
    }
    memory.kill();
    drop(writer);
    memory.another_process()
}

struct Base {
    buffer: Vec<u8>,
    lines: BTreeSet<Vec<u8>>,
}

fn lines_of(memory: &Memory) -> BTreeSet<Vec<u8>> {
    let mut read = BTreeSet::new();
    let mut reader = Reader::open_on(Arc::new(memory.clone()), ROOT, &Filter::default())
        .expect("the trail is there");
    while let Some(record) = reader.next().expect("memory can be read") {
        read.insert(record.bytes().to_vec());
    }
    assert_eq!(reader.damage_count(), 0, "a line that is no event");
    read
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let memory = killed();
    let buffer = memory.files(Path::new(ROOT))[&path()].clone();
    drop(open(&memory, Durability::Written).expect("it can be opened"));
    Base {
        buffer,
        lines: lines_of(&memory),
    }
});

fn edit(buffer: &mut Vec<u8>, mut edits: &[u8]) {
    let size = buffer.len();
    while let [low, high, len, rest @ ..] = edits {
        let place = usize::from(u16::from_le_bytes([*low, high & 0x7f]));
        let place = if high & 0x80 == 0 {
            place % RECORDS_AT
        } else {
            RECORDS_AT + place % (size - RECORDS_AT)
        };
        let (new, rest) = rest.split_at(rest.len().min((*len).into()));
        if *len == 0 {
            buffer.truncate(place);
        }
        for (old, new) in buffer.iter_mut().skip(place).zip(new) {
            *old = *new;
        }
        edits = rest;
    }
}

/// Makes the checksums of the records true, as the format is told in
/// `src/store/buffer_file.rs`.
fn make_true(buffer: &mut [u8]) {
    let mut at = RECORDS_AT;
    while let Some(head) = buffer.get(at..at + HEAD) {
        let body = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let name = usize::from(u16::from_le_bytes([head[20], head[21]]));
        let end = at + HEAD + name + body;
        let Some(record) = buffer.get_mut(at..end) else {
            break;
        };
        let sum = crc32fast::hash(&record[HEAD + name..]);
        record[4..8].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32fast::hash(&record[4..HEAD + name]);
        record[..4].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

fuzz_target!(|data: &[u8]| {
    let [bits, edits @ ..] = data else {
        return;
    };
    let base = &*BASE;
    let memory = killed();
    let mut buffer = base.buffer.clone();
    edit(&mut buffer, edits);
    let forged = bits & TRUE_SUMS != 0;
    if forged {
        make_true(&mut buffer);
    }
    let damaged = buffer != base.buffer;
    memory
        .put_file(&path(), &buffer)
        .expect("its folder is there");
    let Ok(writer) = open(&memory, Durability::Written) else {
        assert!(forged, "the trail cannot be opened");
        return;
    };
    let read = lines_of(&memory);
    if !forged {
        assert!(read.is_subset(&base.lines), "invented");
    }
    if !damaged {
        assert_eq!(read, base.lines, "accepted events are gone");
    }
    let id = writer.append(event(99, "a").as_bytes());
    assert!(id.is_ok() || forged, "appending does not go on");
    if writer.close().is_ok() {
        let went_on = segments(&memory);
        drop(open(&memory, Durability::Written).expect("it can be opened again"));
        assert_eq!(segments(&memory), went_on);
    }
});
