//! Promise: a trail that was closed cleanly is opened without reading its streams,
//! however many there are.

use auditrail::internals::storage::memory::Memory;
use auditrail::{Options, Writer};
use std::path::Path;
use std::sync::Arc;

/// How many calls the opening of a closed trail with this many streams makes.
fn calls_to_open(streams: usize) -> u64 {
    let root = Path::new("/trail");
    let memory = Memory::new();
    let options = Options::default();
    let writer = Writer::open_on(Arc::new(memory.clone()), root, &options).expect("opens");
    let mut lines = String::new();
    for stream in 0..streams {
        lines += &format!(
            "{{\"domain\":\"v2\",\"category\":\"s{stream}\",\"model_name\":\"m\",\
             \"operation\":\"create\",\"logical_user_id\":\"u\"}}\n"
        );
    }
    writer.append_batch(lines.as_bytes()).expect("appends");
    writer.close().expect("closes");
    let before = memory.calls();
    let writer = Writer::open_on(Arc::new(memory.clone()), root, &options).expect("opens");
    let calls = memory.calls() - before;
    assert_eq!(writer.stats().expect("stats").last_id, streams as u64);
    calls
}

#[test]
fn a_closed_trail_of_ten_thousand_streams_is_opened_without_a_scan() {
    let one = calls_to_open(1);
    assert_eq!(calls_to_open(10_000), one);
    println!("{one} calls, for 1 stream and for 10,000");
}
