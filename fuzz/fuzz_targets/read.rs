//! Any bytes as segments, index and hints. Reading them in every order and
//! checking them neither panics nor hangs; whatever is returned is a whole line
//! of the file that it is said to be in; every order returns the same events,
//! unless their ids do not rise; and a check counts no more events than are read.
//!
//! Parts: a byte of choices, two segments of `v2/a`, one of `v2/b`, the index,
//! the hints on times.

#![no_main]

use auditrail::internals::check_on;
use auditrail::internals::storage::memory::Memory;
use auditrail::{Damage, DamageKind, Filter, Order, Reader};
use auditrail_fuzz::{ROOT, parts, put, segment, segments};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Only some ids.
const IDS: u8 = 1;
/// Only some times.
const TIMES: u8 = 2;
/// Only one user.
const USER: u8 = 4;
/// A check even where it has to wait for a line that seems to be being written.
const PATIENT: u8 = 0xf8;

fuzz_target!(|data: &[u8]| {
    let Some((&bits, data)) = data.split_first() else {
        return;
    };
    let memory = Memory::new();
    let [first, second, other, index, times] = parts::<5>(data);
    put(&memory, &segment("a", 1), first.unwrap_or_default());
    for (path, bytes) in [
        (segment("a", 2), second),
        (segment("b", 1), other),
        (Path::new(ROOT).join("index.json"), index),
        (Path::new(ROOT).join(".auditrail/times"), times),
    ] {
        if let Some(bytes) = bytes {
            put(&memory, &path, bytes);
        }
    }
    let files = segments(&memory);
    let mut filter = Filter::default();
    if bits & IDS != 0 {
        filter.event_ids(2, 5).expect("a range");
    }
    if bits & TIMES != 0 {
        filter
            .timestamps(1_699_999_999, 1_700_000_001)
            .expect("a range");
    }
    if bits & USER != 0 {
        filter.user("1");
    }
    let by_stream = read(&memory, filter.order(Order::Stream), &files);
    let oldest_first = read(&memory, filter.order(Order::OldestFirst), &files);
    let newest_first = read(&memory, filter.order(Order::NewestFirst), &files);
    // Hints and ids that do not rise may lead a search astray, not a walk; and
    // which of two ids is the one out of order is another question backward.
    if bits & (IDS | TIMES) == 0 {
        assert!(oldest_first.events == by_stream.events);
        let order = [&by_stream, &newest_first].iter().all(|read| read.in_order);
        assert!(newest_first.events == by_stream.events || !order);
    }
    let ended = |file: &Vec<u8>| file.last().is_none_or(|&byte| byte == b'\n');
    if bits & PATIENT == PATIENT || files.values().all(ended) {
        let report = check_on(Arc::new(memory.clone()), ROOT, |_| {});
        let report = report.expect("memory can be read");
        report.to_json();
        if bits & (IDS | TIMES | USER) == 0 {
            assert!(report.events <= by_stream.events.len() as u64);
        }
    }
    assert_eq!(segments(&memory), files, "reading writes");
});

/// What a reader has returned.
struct Read {
    /// By file and offset.
    events: BTreeMap<(PathBuf, usize), Vec<u8>>,
    /// No event was left out because of its id. The largest id there is comes
    /// before the first one backward.
    in_order: bool,
}

fn read(memory: &Memory, filter: &Filter, files: &BTreeMap<PathBuf, Vec<u8>>) -> Read {
    let mut events = BTreeMap::new();
    let mut in_order = true;
    let mut reader =
        Reader::open_on(Arc::new(memory.clone()), ROOT, filter).expect("the trail is there");
    while let Some(record) = reader.next().expect("memory can be read") {
        let (file, from) = (&files[record.path()], record.offset() as usize);
        let line = record.bytes();
        assert!(from == 0 || file[from - 1] == b'\n');
        assert_eq!(&file[from..][..line.len()], line);
        // Where a newer segment shows that nobody is writing here any more, the
        // last line may lack its newline.
        let at_rest = record.path() == segment("a", 1) && files.contains_key(&segment("a", 2));
        let end = file.get(from + line.len());
        assert!(end == Some(&b'\n') || end.is_none() && at_rest);
        assert!(!line.contains(&b'\n'));
        // Whatever can be asked of it has an answer.
        let texts = [
            record.model_name(),
            record.operation(),
            record.logical_user_id(),
        ];
        assert!(texts.iter().all(|text| text.len() <= line.len()));
        let _ = (record.json(), record.request_id(), record.payload());
        let _ = record.timestamp();
        in_order &= record.event_id() < u64::MAX;
        assert_eq!(record.domain(), "v2");
        let before = events.insert((record.path().to_owned(), from), line.to_vec());
        assert!(before.is_none(), "returned twice");
    }
    let disordered = |damage: &Damage| damage.kind == DamageKind::Disordered;
    in_order &= !reader.damage().iter().any(disordered);
    Read { events, in_order }
}
