//! Promise: a trail that was opened by a relative path stays that trail when the
//! process changes its working directory, also where the new one has a trail of the
//! same name. In a file of its own, for the working directory is the process's.

use auditrail::{Filter, Options, Reader, Writer, check};
use std::path::Path;

const EVENT: &[u8] = br#"{"domain":"v2","category":"a","model_name":"m","operation":"create","logical_user_id":"u"}"#;

fn small(root: &Path) -> Options {
    std::fs::create_dir_all(root).unwrap();
    let mut options = Options::default();
    // Each event in a segment of its own: files are opened after the change too.
    options.max_segment_bytes(1).unwrap();
    options
}

#[test]
fn an_open_trail_does_not_follow_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let options = small(&here);
    small(&there);
    std::env::set_current_dir(&there).unwrap();
    let other = Writer::open("audit", &options).unwrap();
    other.append(EVENT).unwrap();

    std::env::set_current_dir(&here).unwrap();
    let writer = Writer::open("audit", &options).unwrap();
    assert_eq!(writer.append(EVENT).unwrap(), 1);
    let mut reader = Reader::open("audit", &Filter::new()).unwrap();

    std::env::set_current_dir(&there).unwrap();
    assert_eq!(writer.append(EVENT).unwrap(), 2);
    assert_eq!(writer.append(EVENT).unwrap(), 3);
    writer.sync().unwrap();
    let mut ids = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        ids.push(record.event_id());
        // Named as the caller named the trail.
        assert!(record.path().starts_with("audit"), "{:?}", record.path());
    }
    assert_eq!(ids, [1, 2, 3]);
    writer.close().unwrap();
    other.close().unwrap();

    for (root, events) in [(here, 3), (there, 1)] {
        let report = check(root.join("audit")).unwrap();
        assert!(report.ok, "{report:?}");
        assert_eq!(report.events, events);
    }
}
