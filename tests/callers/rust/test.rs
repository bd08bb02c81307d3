//! The events of a corpus in every way that Rust has: test CORPUS SCRATCH
//!
//! What else the crate promises is tested in tests/. Fields come from a first
//! trail, which is read back.

use auditrail::{Event, Filter, Options, Order, Reader, Writer};
use std::path::Path;

fn open(root: &Path) -> Writer {
    let mut options = Options::default();
    options.max_segment_bytes(2048).unwrap();
    Writer::open(root, &options).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, corpus, scratch] = &arguments[..] else {
        panic!("usage: test CORPUS SCRATCH");
    };
    let (corpus, scratch) = (std::fs::read_to_string(corpus).unwrap(), Path::new(scratch));
    let lines: Vec<&str> = corpus.lines().collect();
    assert!(!lines.is_empty() && lines.len() % 5 == 0);

    let first = open(&scratch.join("fields"));
    first.append_batch(corpus.as_bytes()).unwrap();
    first.close().unwrap();
    let mut reader = Reader::open(
        scratch.join("fields"),
        Filter::new().order(Order::OldestFirst),
    )
    .unwrap();

    let writer = open(&scratch.join("same"));
    for (five, id) in lines.chunks(5).zip((1..).step_by(5)) {
        assert_eq!(writer.append(five[0].as_bytes()).unwrap(), id);
        for _ in 0..5 {
            let record = reader.next().unwrap().unwrap();
            if record.event_id() == id + 1 {
                let request_id = record.request_id();
                let event = Event {
                    timestamp: record.timestamp(),
                    domain: record.domain(),
                    category: record.category(),
                    model_name: &record.model_name(),
                    operation: &record.operation(),
                    logical_user_id: &record.logical_user_id(),
                    request_id: request_id.as_deref(),
                    payload: record.payload().map(str::as_bytes),
                };
                assert_eq!(writer.append_event(&event).unwrap(), id + 1);
            }
        }
        let line = writer.append_returning(five[2].as_bytes()).unwrap();
        assert!(line.starts_with(format!("{{\"event_id\":{},", id + 2).as_bytes()));
        let two = [five[3], five[4]].join("\n");
        assert_eq!(writer.append_batch(two.as_bytes()).unwrap(), (id + 3, 2));
    }
    writer.close().unwrap();
}
