//! A trail whose newest segment goes on with any bytes, with any state and any
//! index. Opening it neither panics nor hangs; the events before those bytes
//! stay as they are, and what is cut is kept aside; appending goes on, and a
//! second opening finds the same.
//!
//! Parts: a byte of choices, the tail, the state, the index, the journal. A part
//! that is missing leaves the file as the writer left it.

#![no_main]

use auditrail::internals::storage::Storage;
use auditrail::internals::storage::memory::Memory;
use auditrail::{Options, Writer};
use auditrail_fuzz::{ROOT, event, lines, parts, put, segment, segments};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The tail is a segment of its own.
const OWN_SEGMENT: u8 = 1;
/// The trail was closed.
const CLOSED: u8 = 2;
/// The machine was not restarted.
const SAME_BOOT: u8 = 4;
/// The state gets its checksum.
const TRUE_STATE: u8 = 8;
/// What goes on then is another stream.
const OTHER_STREAM: u8 = 16;
/// The second opening follows a kill.
const KILLED: u8 = 32;

const EVENTS: u64 = 5;

fn open(memory: &Memory) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    options.max_segment_bytes(4096)?;
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

/// A trail of five events, all on disk; closed, or not.
fn trail(closed: bool) -> Memory {
    let memory = Memory::new();
    let writer = open(&memory).expect("a new trail can be opened");
    for tag in 0..EVENTS {
        writer.append(event(tag, "a").as_bytes()).expect("an event");
    }
    writer.sync().expect("a sync");
    if closed {
        writer.close().expect("it can be closed");
    } else {
        memory.kill();
    }
    memory
}

static OPEN: LazyLock<Memory> = LazyLock::new(|| trail(false));
static CLOSED_TRAIL: LazyLock<Memory> = LazyLock::new(|| trail(true));

fn hidden(name: &str) -> PathBuf {
    Path::new(ROOT).join(".auditrail").join(name)
}

fuzz_target!(|data: &[u8]| {
    let Some((&bits, data)) = data.split_first() else {
        return;
    };
    let has = |bit| bits & bit != 0;
    let base = if has(CLOSED) { &*CLOSED_TRAIL } else { &*OPEN };
    // A copy on a machine of its own, started again.
    let memory = base.power_loss(1);
    let [tail, state, index, journal] = parts::<4>(data);
    let tail = tail.unwrap_or_default();
    let whole = memory.files(Path::new(ROOT))[&segment("a", 1)].clone();
    assert_eq!(lines(&whole).count() as u64, EVENTS);
    if has(OWN_SEGMENT) {
        put(&memory, &segment("a", 2), tail);
    } else {
        put(&memory, &segment("a", 1), &[&whole, tail].concat());
    }
    let written = &memory.files(Path::new(ROOT))[&hidden("state")];
    let mut state = state.map_or(written.clone(), <[u8]>::to_vec);
    if has(SAME_BOOT) {
        let boot = format!(" {} ", memory.boot().unwrap_or_default());
        let before = base.boot().unwrap_or_default();
        let text = String::from_utf8_lossy(&state).replace(&format!(" {before} "), &boot);
        state = text.into_bytes();
    }
    let mut forged = false;
    if has(TRUE_STATE) || has(SAME_BOOT) {
        let text = String::from_utf8_lossy(&state).trim_end().to_owned();
        let text = text.rsplit_once(' ').map_or(&text[..], |(text, _)| text);
        let mut line = format!("{text} {:08x}", crc32fast::hash(text.as_bytes())).into_bytes();
        line.resize(511, b' ');
        line.push(b'\n');
        forged = line != *written;
        state = line;
    }
    put(&memory, &hidden("state"), &state);
    // A trail that was closed is believed: a tail is only looked at when it is
    // written to, or at an opening that is not so trustful.
    let believed = state.windows(5).any(|word| word == b"clean");
    if let Some(index) = index {
        put(&memory, &Path::new(ROOT).join("index.json"), index);
    }
    if let Some(journal) = journal {
        put(&memory, &hidden("journal"), journal);
    }
    let before = segments(&memory);
    let opened = open(&memory);
    let after = segments(&memory);
    assert!(
        after[&segment("a", 1)].starts_with(&whole),
        "events are gone"
    );
    mended(&memory, &before);
    let Ok(writer) = opened else {
        return;
    };
    let category = if has(OTHER_STREAM) { "b" } else { "a" };
    let Ok(id) = writer.append(event(99, category).as_bytes()) else {
        return;
    };
    // Only a state that says what is not so can make an id be given again.
    assert!(
        id > EVENTS || forged || index.is_some(),
        "the id {id} again"
    );
    let stats = writer.stats().expect("stats");
    assert_eq!(stats.last_id, id);
    let line = format!("{{\"event_id\":{id},{}\n", &event(99, category)[1..]);
    let went_on = segments(&memory);
    assert!(went_on.values().any(|file| file.ends_with(line.as_bytes())));
    assert!(
        went_on[&segment("a", 1)].starts_with(&whole),
        "events are gone"
    );
    let memory = if has(KILLED) {
        memory.kill();
        drop(writer);
        memory.another_process()
    } else {
        writer.close().expect("it can be closed");
        memory
    };
    let writer = open(&memory).expect("what was opened can be opened again");
    let last = writer.stats().expect("stats").last_id;
    assert!(last == id || believed && last > id, "{last} after {id}");
    mended(&memory, &went_on);
    assert!(
        believed || segments(&memory) == went_on,
        "it was not mended at once"
    );
});

/// Segments that were so before are now as they were, but for tails that were
/// cut and kept, and newlines at the end that were missing.
fn mended(memory: &Memory, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let after = segments(memory);
    for (path, old) in before {
        let new = &after[path];
        if new.len() < old.len() {
            assert!(old.starts_with(new), "{} was changed", path.display());
            let cut = &old[new.len()..];
            let files = memory.files(&hidden("torn"));
            assert!(files.values().any(|kept| kept == cut), "a cut is not kept");
        } else {
            let added = new.strip_prefix(&old[..]);
            let added = added.expect("bytes stay as they are");
            assert!(added.is_empty() || added == b"\n", "{added:?}");
        }
    }
}
