//! Lines that the reader passes over: never an event that they are not, nor an
//! empty entry.

#![cfg(test)]

use super::*;
use crate::limits::MAX_LINE_BYTES;
use std::os::unix::fs::FileExt;

/// More than any block has.
const LONG: usize = 200_000;

/// A line that is longer than a block and has a hole of NULs in it.
fn line_with_hole(id: u64) -> String {
    line(id).replace("\"n\":\"", &format!("\"n\":\"{}", "\0".repeat(LONG)))
}

/// Writes a segment with one line that begins as that of event `id` does, and is
/// longer than any event; it takes no room on the disk.
fn write_oversized(trail: &TamperedTrail, id: u64) -> PathBuf {
    let path = trail.layout().segment("v2/zzz", 1);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(&path).unwrap();
    let start = line(id).replace("v2", "zzz");
    let start = start.split("\"model_name\"").next().unwrap();
    file.write_all_at(start.as_bytes(), 0).unwrap();
    file.write_all_at(b"}\n", MAX_LINE_BYTES as u64).unwrap();
    path
}

#[test]
fn a_line_with_a_hole_is_a_changed_event() {
    let trail = TamperedTrail::signed(30);
    let before = trail.find(13);
    let (path, start, end) = before;
    TamperedTrail::edit(&path, |bytes| {
        bytes.splice(start..end, line_with_hole(13).into_bytes());
    });
    let report = trail.verify();
    assert_eq!(short(&report), [(FindingKind::Changed, 13, 13)]);
    let finding = &report.findings[0];
    assert_eq!(finding.path, Some(path.display().to_string()));
    assert_eq!(finding.offset, Some(start as u64));
    assert_eq!(report.verified_events, 29);
}

#[test]
fn a_line_that_was_signed_with_a_hole_is_verified_with_it() {
    let trail = TamperedTrail::unsigned(30);
    let (path, start, end) = trail.find(13);
    TamperedTrail::edit(&path, |bytes| {
        bytes.splice(start..end, line_with_hole(13).into_bytes());
    });
    trail.sign(30);
    let report = trail.verify();
    assert_eq!((short(&report), report.verified_events), (vec![], 30));
    // The hole is a part of what was signed.
    TamperedTrail::edit(&path, |bytes| bytes[start + LONG] = 1);
    assert_eq!(short(&trail.verify()), [(FindingKind::Changed, 13, 13)]);
}

#[test]
fn long_lines_without_an_id_are_added_ones() {
    let trail = TamperedTrail::signed(30);
    let (path, start, _) = trail.find(13);
    for text in ["\0", "x"] {
        let added = text.repeat(LONG) + "\n";
        TamperedTrail::edit(&path, |bytes| {
            bytes.splice(start..start, added.bytes());
        });
        let report = trail.verify();
        assert_eq!(short(&report), [(FindingKind::Added, 0, 0)]);
        assert_eq!(report.findings[0].offset, Some(start as u64));
        assert_eq!(report.verified_events, 30);
        // They do not keep a log from being built.
        fs::remove_dir_all(trail.tlog()).unwrap();
        trail.sign(30);
        TamperedTrail::edit(&path, |bytes| {
            bytes.drain(start..start + added.len());
        });
        assert!(trail.verify().intact);
    }
}

#[test]
fn an_oversized_line_is_no_event_and_no_empty_entry() {
    let trail = TamperedTrail::unsigned(30);
    trail.remove(13);
    trail.sign(30);
    assert!(trail.verify().intact);
    // Of an id that was signed as empty, and of one after the last signed.
    for id in [13, 31] {
        let path = write_oversized(&trail, id);
        let report = trail.verify();
        assert_eq!(short(&report), [(FindingKind::Added, id, id)]);
        let finding = &report.findings[0];
        assert_eq!(finding.message, "the line is no event");
        assert_eq!(finding.path, Some(path.display().to_string()));
        assert_eq!(finding.offset, Some(0));
        assert_eq!((report.verified_events, report.unsigned_events), (29, 0));
    }
}

#[test]
fn no_log_is_built_over_an_oversized_line() {
    let trail = TamperedTrail::unsigned(30);
    trail.remove(13);
    let path = write_oversized(&trail, 13);
    let mut log = trail.log(30).unwrap();
    let (storage, layout) = (&trail.storage, trail.layout());
    let error = catch_up(&mut log, storage, &layout, 30, &mut None, |_| {}).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (Kind::Corrupt, Some(0)));
    assert!(
        error.message().contains(&path.display().to_string()),
        "{error}"
    );
}
