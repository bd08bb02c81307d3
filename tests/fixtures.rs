//! Promise: a trail in an older format of the files stays readable, recoverable
//! and provable, to the byte.
//!
//! The trails are committed (`tests/fixtures/`, where README.md says how they were
//! made), and so is what they must come to, by a model that shares nothing with the
//! library. `read.py`, written from docs/format.md, must come to the same.

mod committed;

use auditrail::proof::FindingKind;
use auditrail::{DamageKind, Filter, Kind, Order, Reader, WarningKind, check, replay};
use committed::{
    CHECKPOINT, Trail, agrees, expected, expected_segments, files, format_1, number, read, refuses,
    segments, text, without,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Events that the power loss has taken out of the segments: the journal has them.
const JOURNALED: [u64; 9] = [302, 303, 304, 305, 306, 307, 308, 309, 312];
/// The event that lacks its newline, the last that is in the trail.
const UNENDED: u64 = 313;
/// What there is of the event after it.
const TORN: &str =
    r#"{"event_id":314,"timestamp":1764018840,"domain":"legacy","category":"image_generation"#;
/// The event that an earlier crash took, signed as an empty entry.
const HOLE: u64 = 271;

const USERS: &str = "v2/users/audit-000005.jsonl";
const IMAGE: &str = "legacy/image_generation/audit-000006.jsonl";
const STATE: &str = ".auditrail/state";
const JOURNAL: &str = ".auditrail/journal";

#[test]
fn after_a_power_loss_it_is_read_as_it_lies() {
    let trail = Trail::new("power-loss");
    let all = expected("power-loss");
    assert_eq!(all.keys().copied().max(), Some(UNENDED));
    assert_eq!(all.len() as u64, UNENDED - 1);
    let readable = without(&all, |id| JOURNALED.contains(&id) || id == UNENDED);
    assert_eq!(trail.read(), readable);

    // The hole is damage, the unfinished lines are not.
    let mut reader = Reader::open(trail.root(), &Filter::new()).unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.damage_count(), 1);
    let damage = &reader.damage()[0];
    let before = expected_segments("power-loss").remove(USERS).unwrap();
    let start = String::from_utf8(before).unwrap();
    let start = start.find("{\"event_id\":305,").unwrap() as u64;
    assert_eq!((damage.kind, damage.offset), (DamageKind::NoEvent, start));
    assert_eq!(damage.path, trail.root().join(USERS));

    let report = check(trail.root()).unwrap();
    assert_eq!(report.missing_ids.ranges, [(HOLE, HOLE), (302, 309)]);
    let counts = [
        report.damaged_lines.count,
        report.torn_tails.count,
        report.doubled_ids.count,
        report.misplaced_events.count,
        report.disordered_events.count,
        report.missing_segments.count,
        report.foreign_files.count,
    ];
    assert_eq!(counts, [1, 2, 0, 0, 0, 0, 0]);
    assert_eq!(report.index.last_event_id, Some(273));

    // All that was signed is there, and the witness has seen it.
    let report = trail.verify(1);
    assert!(report.intact, "{report:#?}");
    assert_eq!(report.verified_events, 299);
    let covered = report.checkpoint.unwrap();
    assert_eq!(covered.size, 300);
    assert_eq!(covered.witnesses[0].time, 1_764_100_000);

    assert_eq!(files(trail.root()), trail.files, "reading has written");
}

/// By the times of full segments, some of which are noted in `times`.
#[test]
fn times_that_are_noted_hide_no_event() {
    let trail = Trail::new("power-loss");
    let all = trail.read();
    let time = |line: &String| number::<i64>(line, ",\"timestamp\":");
    let mut times: Vec<i64> = all.iter().map(time).collect();
    times.sort_unstable();
    for pair in times.windows(7).step_by(5) {
        let (min, max) = (pair[0], pair[6]);
        let mut filter = Filter::new();
        filter.timestamps(min, max).unwrap();
        filter.order(Order::OldestFirst);
        let within: Vec<_> = all
            .iter()
            .filter(|line| (min..=max).contains(&time(line)))
            .cloned()
            .collect();
        assert_eq!(read(trail.root(), &filter), within, "{min} to {max}");
    }
}

#[test]
fn after_a_power_loss_it_is_recovered_and_goes_on() {
    let trail = Trail::new("power-loss");
    let (writer, warnings) = trail.open(true).unwrap();
    assert_eq!(warnings, [WarningKind::Redone, WarningKind::TornTail]);
    let tail = expected_segments("power-loss")[IMAGE].len();
    let torn = TORN.as_bytes();
    let stats = writer.stats().unwrap();
    assert_eq!((stats.last_id, stats.missing_ids), (UNENDED, 0));
    assert_eq!((stats.torn_tails, stats.torn_bytes), (1, torn.len() as u64));

    // Journaled events are back, the torn tail is cut, all else is as it was.
    assert_eq!(segments(trail.root()), expected_segments("power-loss"));
    let all = expected("power-loss");
    assert_eq!(trail.read(), without(&all, |_| false));
    let mut kept = files(&trail.root().join(".auditrail/torn"));
    let name = IMAGE.replace('/', "-") + &format!("-at-{tail}");
    assert_eq!(kept.remove(&name).as_deref(), Some(torn));
    let earlier = br#"{"event_id":271,"timestamp":1764016260,""#.to_vec();
    let name = "v2-users-audit-000005.jsonl-at-1393".to_owned();
    assert_eq!(kept, BTreeMap::from([(name, earlier)]));
    let index = text(trail.root().join("index.json"));
    assert_eq!(index, r#"{"last_event_id":313}"#);

    // The records of v2/users, as they were after the last event of the fixture.
    let replayed = replay(trail.root(), "v2", "users", &Filter::new()).unwrap();
    let state: Value = serde_json::from_str(&replayed.to_json()).unwrap();
    let users = text(format_1("expected/power-loss.users.json"));
    assert_eq!(state, serde_json::from_str::<Value>(&users).unwrap());

    // It goes on.
    let event = br#"{"domain":"v2","category":"Z_9","model_name":"\u00e9","operation":"delete","logical_user_id":"u","timestamp":1764018840}"#;
    let line = r#"{"event_id":314,"timestamp":1764018840,"domain":"v2","category":"Z_9","model_name":"\u00e9","operation":"delete","logical_user_id":"u"}"#;
    assert_eq!(
        writer.append_returning(event).unwrap(),
        format!("{line}\n").into_bytes()
    );
    writer.close().unwrap();
    let mut lines = without(&all, |_| false);
    lines.push(line.to_owned());
    assert_eq!(trail.read(), lines);
    let report = check(trail.root()).unwrap();
    assert_eq!(report.missing_ids.ranges, [(HOLE, HOLE)]);
    assert_eq!(
        (
            report.events,
            report.damaged_lines.count,
            report.torn_tails.count
        ),
        (313, 0, 0)
    );
    let report = trail.verify(0);
    assert!(report.intact && report.notes.is_empty(), "{report:#?}");
    assert_eq!((report.verified_events, report.unsigned_events), (313, 0));
    if let Some(report) = agrees(trail.root(), &lines) {
        assert_eq!(
            (&report["path"], &report["records"]),
            (&"clean".into(), &0.into())
        );
        assert_eq!(report["proof"]["size"], 314);
    }
    let (writer, warnings) = trail.open(true).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(writer.append(event).unwrap(), 315);
}

#[test]
fn a_closed_trail_is_opened_without_a_word_and_goes_on() {
    let trail = Trail::new("closed");
    let all = without(&expected("closed"), |_| false);
    assert_eq!(trail.read(), all);
    assert_eq!(segments(trail.root()), expected_segments("closed"));
    assert!(check(trail.root()).unwrap().ok);
    if let Some(report) = agrees(trail.root(), &all) {
        assert_eq!(
            (&report["path"], &report["last_id"]),
            (&"clean".into(), &12.into())
        );
        // What is in the journal is left over from an older epoch.
        assert_eq!(report["journal_end"], "a record of another epoch");
    }
    assert_eq!(files(trail.root()), trail.files, "reading has written");
    let (writer, warnings) = trail.open(false).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(segments(trail.root()), expected_segments("closed"));
    let event = br#"{"domain":"v2","category":"users","model_name":"m","operation":"create","logical_user_id":"u"}"#;
    assert_eq!(writer.append(event).unwrap(), 13);
    writer.close().unwrap();
    let report = check(trail.root()).unwrap();
    assert!(report.ok && report.events == 13, "{report:#?}");
}

/// What is left of the trail where the journal ends before event `first`.
fn recovered_without_records(trail: &Trail, first: u64, missing: &[(u64, u64)]) {
    let lost: BTreeSet<u64> = missing.iter().flat_map(|(a, b)| *a..=*b).collect();
    let lines = without(&expected("power-loss"), |id| lost.contains(&id));
    let said = agrees(trail.root(), &lines);
    let (writer, warnings) = trail.open(true).unwrap();
    assert!(warnings.contains(&WarningKind::MissingIds), "{warnings:?}");
    assert_eq!(
        warnings.contains(&WarningKind::Redone),
        JOURNALED[0] < first,
        "{warnings:?}"
    );
    let stats = writer.stats().unwrap();
    assert_eq!(
        (stats.last_id, stats.missing_ids),
        (UNENDED, lost.len() as u64)
    );
    assert_eq!(trail.read(), lines);
    if let Some(said) = said {
        assert_eq!(said["missing"], serde_json::json!(missing));
        assert_eq!(said["last_id"], UNENDED);
    }
}

#[test]
fn a_record_whose_checksum_is_wrong_ends_the_journal() {
    let trail = Trail::new("power-loss");
    trail.flip(JOURNAL, "\"event_id\":306,");
    // 305 to 308 are one record, and those after it count no more.
    recovered_without_records(&trail, 305, &[(305, 310), (312, 313)]);
}

#[test]
fn a_journal_without_a_header_is_empty() {
    let trail = Trail::new("power-loss");
    trail.flip(JOURNAL, "ATRJRNL1");
    recovered_without_records(&trail, 274, &[(302, 310), (312, 313)]);

    // Nor is one of a later version known.
    let trail = Trail::new("power-loss");
    let mut journal = trail.bytes(JOURNAL);
    journal[7] = b'2';
    let crc = crc32fast::hash(&journal[..16]);
    journal[16..20].copy_from_slice(&crc.to_le_bytes());
    fs::write(trail.root().join(JOURNAL), journal).unwrap();
    recovered_without_records(&trail, 274, &[(302, 310), (312, 313)]);
}

/// Records of an older epoch stand behind those that count, whole and with the
/// numbers that would come next.
#[test]
fn records_of_an_older_epoch_are_not_redone() {
    let trail = Trail::new("power-loss");
    let mut left = expected_segments("power-loss");
    for stream in ["legacy/image_generation", "v2/team.members-1", "v2/users"] {
        // As pruning does: what redoes them would make these files again.
        let name = format!("{stream}/audit-000001.jsonl");
        fs::remove_file(trail.root().join(&name)).unwrap();
        left.remove(&name).unwrap();
    }
    let (_, warnings) = trail.open(true).unwrap();
    assert_eq!(warnings, [WarningKind::Redone, WarningKind::TornTail]);
    assert_eq!(segments(trail.root()), left);
}

#[test]
fn a_state_whose_checksum_is_wrong_says_nothing() {
    let trail = Trail::new("power-loss");
    trail.flip(JOURNAL, "ATRJRNL1");
    trail.flip(STATE, "273 273");
    // Nobody knows any more that the earlier hole was told.
    let missing = [(HOLE, HOLE), (302, 310), (312, 313)];
    recovered_without_records(&trail, 274, &missing);

    // Nor does one of a later version.
    let trail = Trail::new("power-loss");
    trail.flip(JOURNAL, "ATRJRNL1");
    let state = String::from_utf8(trail.bytes(STATE)).unwrap();
    let (words, _) = state.trim_end().rsplit_once(' ').unwrap();
    let words = words.replacen("-state 1 ", "-state 2 ", 1);
    let line = format!("{words} {:08x}", crc32fast::hash(words.as_bytes()));
    fs::write(trail.root().join(STATE), format!("{line:<511}\n")).unwrap();
    recovered_without_records(&trail, 274, &missing);
}

#[test]
fn tiles_are_checked_and_made_again() {
    for (tile, replaced) in [("0/000", false), ("0/001.p/44", true), ("1/000.p/1", true)] {
        let trail = Trail::new("power-loss");
        let name = format!(".auditrail/tlog/tile/{tile}");
        let mut bytes = trail.bytes(&name);
        bytes[31] ^= 1;
        fs::write(trail.root().join(&name), bytes).unwrap();
        let report = trail.verify(1);
        let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Tile], "{tile}");
        refuses(trail.root(), tile);

        let (writer, warnings) = trail.open(true).unwrap();
        assert_eq!(warnings, [WarningKind::Redone, WarningKind::TornTail]);
        writer.close().unwrap();
        assert!(trail.verify(0).intact);
        let kept = trail.root().join(".auditrail/tlog/replaced-1");
        assert_eq!(kept.exists(), replaced, "{tile}");
        if !replaced {
            assert_eq!(trail.bytes(&name), trail.files[&name]);
        }
        agrees(trail.root(), &without(&expected("power-loss"), |_| false));
    }
}

#[test]
fn a_changed_line_or_checkpoint_is_found() {
    let trail = Trail::new("power-loss");
    trail.flip("v2/users/audit-000002.jsonl", "u-1\"");
    let report = trail.verify(1);
    assert_eq!(report.findings[0].kind, FindingKind::Changed);
    refuses(trail.root(), "the lines do not come to the root");

    let trail = Trail::new("power-loss");
    trail.flip(CHECKPOINT, "300\n");
    let report = trail.verify(1);
    assert_eq!(report.findings[0].kind, FindingKind::Checkpoint);
    let error = trail.open(true).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered, "{error}");
    refuses(trail.root(), "the lines do not come to the root");
}
