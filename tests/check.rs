//! Promise: a check passes an intact trail, live or not, and reports every fault of a
//! damaged one.

mod trees;

use auditrail::check::{CheckOptions, CheckReport, IndexState};
use auditrail::{Kind, Options, Writer, check};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use trees::{Event, TrailBuilder, events, trail};

fn report(root: &Path) -> CheckReport {
    let report = check(root).expect("a report");
    // The JSON report says the same.
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("JSON");
    assert_eq!(json["ok"], report.ok);
    assert_eq!(json["missing_ids"]["count"], report.missing_ids.count);
    report
}

#[test]
fn an_intact_trail_passes() {
    let all = events(1, 5000, 6);
    let folder = trail(&all, 20_000);
    fs::write(
        folder.path().join("index.json"),
        r#"{"last_event_id":5000}"#,
    )
    .expect("writing");
    fs::create_dir(folder.path().join(".auditrail")).expect("a folder");
    let report = report(folder.path());
    assert!(report.ok, "{report:?}");
    assert_eq!((report.events, report.streams), (5000, 6));
    assert_eq!(report.last_event_id, Some(5000));
    assert_eq!(report.index.state, IndexState::Equal);
    let bytes: usize = all.iter().map(|event| event.line().len() + 1).sum();
    assert_eq!(report.bytes, bytes as u64);
    assert!(report.segments > 20);
}

#[test]
fn an_empty_trail_passes_and_a_missing_one_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = report(folder.path());
    assert!(found.ok, "{found:?}");
    assert_eq!((found.events, found.last_event_id), (0, None));
    let error = check(folder.path().join("none")).expect_err("no trail");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn what_the_writer_writes_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &Options::default()).expect("a trail");
    for event in events(2, 300, 5) {
        let line = event.line();
        let (_, rest) = line.split_once(',').expect("an id");
        writer
            .append(format!("{{{rest}").as_bytes())
            .expect("appending");
    }
    let found = report(folder.path());
    assert!(found.ok && found.events == 300, "{found:?}");
    writer.close().expect("closing");
    let found = report(folder.path());
    assert!(found.ok, "{found:?}");
    assert_eq!(found.index.state, IndexState::Equal);
}

/// Checks a trail of ten events after a change to its files.
fn changed(change: impl FnOnce(&Path)) -> CheckReport {
    let mut all = events(3, 10, 1);
    for event in &mut all {
        event.domain = "v2".into();
        event.category = "text".into();
        event.payload = None;
    }
    let folder = trail(&all, 400);
    fs::write(folder.path().join("index.json"), r#"{"last_event_id":10}"#).expect("writing");
    change(folder.path());
    let report = report(folder.path());
    // No fault is reported twice.
    let faults = report.missing_ids.count
        + report.doubled_ids.count
        + report.damaged_lines.count
        + report.misplaced_events.count
        + report.disordered_events.count
        + report.foreign_lines.count
        + report.torn_tails.count
        + report.missing_segments.count
        + report.foreign_files.count;
    let index = matches!(
        report.index.state,
        IndexState::Ahead | IndexState::Unreadable
    );
    assert_eq!(report.ok, faults == 0 && !index);
    report
}

fn edit(root: &Path, segment: u64, from: &str, to: &str) {
    let path = root.join(format!("v2/text/audit-{segment:06}.jsonl"));
    let text = fs::read_to_string(&path).expect("a segment");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).expect("writing");
}

#[test]
fn each_fault_has_its_kind() {
    assert!(changed(|_| {}).ok);

    let found = changed(|root| edit(root, 2, "\"timestamp\":1", "\"timestamp\":x"));
    assert_eq!(found.damaged_lines.count, 1);
    assert_eq!(found.damaged_lines.first[0].offset, 0);
    assert_eq!(found.missing_ids.ranges, [(4, 4)]);

    let found = changed(|root| edit(root, 1, "\"category\":\"text\"", "\"category\":\"image\""));
    assert_eq!(found.misplaced_events.count, 1);
    assert_eq!(found.misplaced_events.first[0].event_id, Some(1));
    assert_eq!((found.missing_ids.count, found.events), (0, 9));

    let found = changed(|root| edit(root, 1, "\"event_id\":2,", "\"event_id\":1,"));
    assert_eq!(found.disordered_events.count, 1);
    assert_eq!(found.doubled_ids.ranges, [(1, 1)]);
    assert_eq!(found.missing_ids.ranges, [(2, 2)]);

    let found = changed(|root| edit(root, 1, "\"event_id\":2,", "\"event_id\":2000,"));
    assert_eq!(found.disordered_events.count, 1);
    assert_eq!(found.missing_ids.ranges, [(2, 2)]);

    let found = changed(|root| {
        fs::remove_file(root.join("v2/text/audit-000002.jsonl")).expect("removing");
    });
    assert_eq!(found.missing_segments.count, 1);
    let gap = &found.missing_segments.first[0];
    assert_eq!((gap.first, gap.last), (2, 2));
    assert_eq!(found.missing_ids.ranges, [(4, 6)]);

    let found = changed(|root| {
        fs::create_dir_all(root.join("v2/other")).expect("a folder");
        fs::write(
            root.join("v2/other/audit-000001.jsonl"),
            Event {
                category: "other".into(),
                ..Event::new(7)
            }
            .line()
                + "\n",
        )
        .expect("writing");
    });
    assert_eq!(found.doubled_ids.ranges, [(7, 7)]);
    assert_eq!((found.streams, found.events), (2, 11));

    for tail in ["{\"event_id\":11", "\0\0\0\0", "x", &Event::new(11).line()] {
        let found = changed(|root| {
            let path = root.join("v2/text/audit-000004.jsonl");
            let text = fs::read_to_string(&path).expect("a segment");
            fs::write(&path, text + tail).expect("writing");
        });
        assert_eq!(found.torn_tails.count, 1, "{tail}");
        assert_eq!(found.torn_tails.first[0].bytes, tail.len() as u64);
        assert_eq!((found.events, found.damaged_lines.count), (10, 0));
    }

    let found = changed(|root| {
        fs::create_dir_all(root.join("bad name/text")).expect("a folder");
        fs::create_dir_all(root.join("v2/text/audit-000077.jsonl")).expect("a folder");
        fs::write(root.join("v2/text/audit-5.jsonl"), "").expect("writing");
        fs::write(root.join("notes"), "").expect("writing");
        fs::write(root.join("v2/notes"), "").expect("writing");
    });
    assert_eq!(found.foreign_files.count, 5, "{found:?}");

    let index =
        |text: &str| changed(|root| fs::write(root.join("index.json"), text).expect("writing"));
    assert_eq!(
        index(r#"{"last_event_id":9}"#).index.state,
        IndexState::Behind
    );
    assert_eq!(
        index(r#"{"last_event_id":12}"#).index.state,
        IndexState::Ahead
    );
    assert_eq!(index("{").index.state, IndexState::Unreadable);
    let found = changed(|root| fs::remove_file(root.join("index.json")).expect("removing"));
    assert_eq!((found.index.state, found.ok), (IndexState::Missing, true));
}

#[test]
fn many_faults_are_counted_and_some_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 1 << 20);
    for id in 1..=3000 {
        tree.append("v2", "text", &Event::new(2 * id).line());
        tree.append("v2", "text", "{}");
    }
    let found = report(folder.path());
    assert_eq!(found.damaged_lines.count, 3000);
    assert_eq!(found.damaged_lines.first.len(), 1000);
    assert_eq!(found.missing_ids.count, 3000);
    assert_eq!(found.missing_ids.ranges.len(), 1000);
    assert_eq!(found.events, 3000);
}

#[test]
fn a_live_trail_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::default();
    options.max_segment_bytes(3000).expect("a size");
    let writer = Writer::open(folder.path(), &options).expect("a trail");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopping = trees::StopOnDrop(&stop);
        for thread in 0..2 {
            let (writer, stop) = (&writer, &stop);
            scope.spawn(move || {
                for n in 0..200_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let event = format!(
                        r#"{{"domain":"v2","category":"c{}","model_name":"m","operation":"create","logical_user_id":"u"}}"#,
                        (n * 7 + thread) % 40 + n / 300
                    );
                    writer.append(event.as_bytes()).expect("appending");
                }
            });
        }
        let mut last = 0;
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 1500 || last < 2 {
            let found = report(folder.path());
            assert!(found.ok, "{found:?}");
            assert!(found.last_event_id.unwrap_or(0) >= last);
            last = found.last_event_id.unwrap_or(0);
        }
        drop(stopping);
        println!("{last} events were written meanwhile");
    });
    let last = writer.stats().expect("figures").last_id;
    let found = report(folder.path());
    assert!(found.ok, "{found:?}");
    assert_eq!(found.last_event_id, Some(last));
}

#[test]
fn an_end_that_was_removed_is_found_by_the_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &Options::default()).expect("a trail");
    for n in 0..10 {
        let event = format!(
            r#"{{"domain":"v2","category":"a","model_name":"m{n}","operation":"create","logical_user_id":"u"}}"#
        );
        writer.append(event.as_bytes()).expect("appends");
    }
    writer.close().expect("closes");
    assert!(check(folder.path()).expect("checking").ok);
    // The last two events, and an index that knows nothing of them.
    let path = folder.path().join("v2/a/audit-000001.jsonl");
    let text = fs::read_to_string(&path).expect("reading");
    let kept: String = text.split_inclusive('\n').take(8).collect();
    fs::write(&path, kept).expect("writing");
    for index in [Some("{\"last_event_id\":8}"), None] {
        let path = folder.path().join("index.json");
        match index {
            Some(text) => fs::write(path, text).expect("writing"),
            None => fs::remove_file(path).expect("removing"),
        }
        let report = check(folder.path()).expect("checking");
        assert!(!report.ok, "{report:?}");
        assert_eq!(report.removed_ids.ranges, [(9, 10)]);
    }
}

/// Writes so many events, each third to the stream `b`, and closes the trail; three fill
/// a segment.
fn write_two_streams(root: &Path, count: u64, shared: bool) {
    write_segments_of(root, 300, count, shared);
}

fn write_segments_of(root: &Path, bytes: u64, count: u64, shared: bool) {
    let mut options = Options::default();
    options
        .max_segment_bytes(bytes)
        .expect("a size")
        .shared(shared);
    let writer = Writer::open(root, &options).expect("a trail");
    for n in 1..=count {
        let category = if n % 3 == 0 { "b" } else { "a" };
        let event = format!(
            r#"{{"domain":"v2","category":"{category}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
        );
        assert_eq!(writer.append(event.as_bytes()).expect("appends"), n);
    }
    writer.close().expect("closes");
}

fn path_of(root: &Path, category: &str, number: u64) -> std::path::PathBuf {
    root.join(format!("v2/{category}/audit-{number:06}.jsonl"))
}

/// Removes the full segments of a stream that hold nothing from `bound` on.
fn prune(root: &Path, category: &str, bound: u64) -> u64 {
    let mut events = 0;
    for number in 1.. {
        let text = fs::read_to_string(path_of(root, category, number)).expect("a segment");
        let last: serde_json::Value =
            serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        let is_newest = !path_of(root, category, number + 1).exists();
        if is_newest || last["event_id"].as_u64().expect("an id") >= bound {
            break;
        }
        events += text.lines().count() as u64;
        fs::remove_file(path_of(root, category, number)).expect("removing");
    }
    events
}

fn pruned(root: &Path, bound: u64) -> CheckReport {
    let options = CheckOptions::new().pruned_before(bound);
    options.run(root, |_| {}).expect("a report")
}

#[test]
fn what_was_pruned_before_the_bound_is_no_fault() {
    for shared in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        write_two_streams(root, 60, shared);
        assert!(pruned(root, 1_000).ok);
        let events = prune(root, "a", 31) + prune(root, "b", 31);
        assert!(events > 20);
        // Both now begin above 1.
        assert!(!path_of(root, "a", 1).exists() && !path_of(root, "b", 1).exists());
        let found = report(root);
        assert!(!found.ok && found.missing_segments.count == 2, "{found:?}");
        assert_eq!((found.missing_ids.count, found.pruned_events), (events, 0));
        let found = pruned(root, 31);
        assert!(found.ok, "{found:?}");
        assert_eq!((found.events, found.pruned_events), (60 - events, events));
        assert_eq!(found.missing_ids.count, 0);
        // The same where writing goes on.
        let mut options = Options::default();
        options
            .max_segment_bytes(300)
            .expect("a size")
            .shared(shared);
        let writer = Writer::open(root, &options).expect("a trail");
        let event = br#"{"domain":"v2","category":"a","model_name":"m","operation":"create","logical_user_id":"u"}"#;
        assert_eq!(writer.append(event).expect("appends"), 61);
        assert!(pruned(root, 31).ok);
        writer.close().expect("closes");
        // What is there is checked, whatever its id.
        edit_line(&path_of(root, "a", 7), "\"timestamp\"", "\"timesteps\"");
        let found = pruned(root, 1_000);
        assert_eq!((found.damaged_lines.count, found.ok), (1, false));
    }
}

fn edit_line(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("a segment");
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).expect("writing");
}

#[test]
fn what_is_missing_from_the_bound_on_is_a_fault_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write_two_streams(root, 60, false);
    prune(root, "a", 31);
    prune(root, "b", 31);
    // Segments of the middle: of the one, all ids are before the bound.
    fs::rename(path_of(root, "a", 12), root.join("kept")).expect("moving");
    let found = pruned(root, 31);
    assert!(!found.ok, "{found:?}");
    assert_eq!(found.missing_segments.count, 1);
    assert_eq!(found.missing_segments.first[0].first, 12);
    assert!(found.missing_ids.count > 0 && found.missing_ids.ranges[0].0 >= 31);
    let after = found.missing_ids.ranges.last().expect("a range").1 + 1;
    fs::remove_file(root.join("kept")).expect("removing");
    assert!(pruned(root, after).ok, "{:?}", pruned(root, after));
    // One event more than was allowed.
    let found = pruned(root, after - 1);
    assert_eq!(found.missing_ids.ranges, [(after - 1, after - 1)]);
    assert_eq!(found.missing_segments.count, 1);
    // The end is no part of it.
    fs::remove_file(path_of(root, "b", 7)).expect("removing");
    let found = pruned(root, after);
    assert!(!found.ok, "{found:?}");
}

#[test]
fn whole_streams_and_a_whole_trail_can_have_been_pruned() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write_two_streams(root, 60, false);
    for number in 1..=7 {
        fs::remove_file(path_of(root, "b", number)).expect("removing");
    }
    // Its last event is the trail's too.
    let found = pruned(root, 61);
    assert!(found.ok, "{found:?}");
    assert_eq!((found.streams, found.pruned_events), (2, 20));
    assert_eq!(found.index.state, IndexState::Equal);
    let found = pruned(root, 60);
    assert_eq!((found.index.state, found.ok), (IndexState::Ahead, false));
    assert_eq!(found.removed_ids.ranges, [(60, 60)]);
    fs::remove_dir(root.join("v2/b")).expect("removing");
    assert!(pruned(root, 61).ok);
    fs::remove_dir_all(root.join("v2")).expect("removing");
    let found = pruned(root, 61);
    assert!(found.ok, "{found:?}");
    assert_eq!((found.events, found.pruned_events), (0, 60));
    assert_eq!(found.last_event_id, None);
    assert!(!pruned(root, 0).ok && !pruned(root, 1).ok && !pruned(root, 60).ok);
    assert!(pruned(root, u64::MAX).ok);
}

#[test]
fn pruning_while_it_is_checked_is_no_fault_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write_segments_of(root, 30_000, 6300, false);
    for bound in [6301, 1] {
        let mut done = false;
        // It reports progress first in the stream `a`.
        let options = CheckOptions::new().pruned_before(bound);
        let number = if bound == 1 { 5 } else { 4 };
        let found = options
            .run(root, |_| {
                if !done {
                    fs::remove_file(path_of(root, "b", number)).expect("removing");
                }
                done = true;
            })
            .expect("a report");
        assert_eq!(found.ok, bound == 6301, "{:?}", found.damaged_lines);
        assert_eq!(found.damaged_lines.count, u64::from(bound == 1));
    }
}

/// A trail of one stream whose lines are these, with and without the newline.
fn trail_of(lines: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("v2/text")).expect("a folder");
    let path = folder.path().join("v2/text/audit-000001.jsonl");
    fs::write(path, lines.concat()).expect("writing");
    folder
}

#[test]
fn a_line_that_no_writer_writes_so_is_found_and_still_read() {
    let plain: Vec<String> = (1..=5).map(|id| Event::new(id).line() + "\n").collect();
    assert!(report(trail_of(&plain).path()).ok);
    let line = plain[2].clone();
    let payload = Event {
        payload: Some(r#"{"after":{"a":"\u00e9 \"x\"","b":1.10}}"#.into()),
        ..Event::new(3)
    };
    let payload = payload.line() + "\n";
    let mut with_payload = plain.clone();
    with_payload[2].clone_from(&payload);
    assert!(report(trail_of(&with_payload).path()).ok, "{payload}");
    for (changed, reason) in [
        (line.replace('\n', "\r\n"), "carriage return"),
        (
            line.replacen("\"event_id\":", "\"event_id\": ", 1),
            "a blank at byte 12",
        ),
        (line.replace('\n', " \n"), "a blank"),
        (format!(" {line}"), "a blank at byte 0"),
        (line.replace("}\n", ",\"by\":\"me\"}\n"), "\"by\" is none"),
        (
            line.replacen("{\"event_id\":3,", "{", 1)
                .replace("}\n", ",\"event_id\":3}\n"),
            "not in its place",
        ),
        (
            line.replacen("\"model_name\":\"", "\"model_name\":\"\\u0041", 1),
            "escapes",
        ),
        (
            line.replacen("\"model_name\":\"", "\"model_name\":\"\u{e9}", 1),
            "escapes",
        ),
        (payload.replace("\"b\":", "\"b\" :"), "a blank"),
        (payload.replace("\\u00e9", "\\u00E9"), "escapes"),
        (payload.replace("\\u00e9", "\u{e9}"), "escapes"),
        (payload.replace("\\u00e9", "\\/"), "escapes"),
    ] {
        assert!(changed != line && changed != payload, "{reason}");
        let mut lines = plain.clone();
        lines[2].clone_from(&changed);
        let folder = trail_of(&lines);
        let found = report(folder.path());
        assert_eq!(
            (found.foreign_lines.count, found.ok),
            (1, false),
            "{changed}{found:?}"
        );
        let fault = &found.foreign_lines.first[0];
        assert!(
            fault.reason.contains(reason),
            "{reason}: {changed}{fault:?}"
        );
        assert_eq!(fault.event_id, Some(3));
        assert_eq!(fault.offset, (plain[0].len() + plain[1].len()) as u64);
        // Nothing else is wrong with it.
        assert_eq!(found.events, 5, "{changed}");
        assert_eq!(found.missing_ids.count + found.damaged_lines.count, 0);
        assert_eq!(
            auditrail::replay(folder.path(), "v2", "text", &auditrail::Filter::new())
                .expect("reading")
                .damage_count(),
            0
        );
    }
}

#[test]
fn a_blank_line_is_foreign_and_a_damaged_one_is_damaged_only() {
    let plain: Vec<String> = (1..=5).map(|id| Event::new(id).line() + "\n").collect();
    for blank in ["\n", "  \n", "\r\n", "\t\n"] {
        for place in 0..5 {
            let mut lines = plain.clone();
            lines.insert(place, blank.to_owned());
            let found = report(trail_of(&lines).path());
            assert_eq!((found.foreign_lines.count, found.ok), (1, false), "{place}");
            assert_eq!(found.foreign_lines.first[0].reason, "it is blank");
            assert_eq!(found.events, 5);
        }
    }
    // One that is damaged too is told once, as damage.
    let mut lines = plain.clone();
    lines[2] = plain[2].replace("\"timestamp\":", "\"timestamp\": x");
    let found = report(trail_of(&lines).path());
    assert_eq!(
        (found.foreign_lines.count, found.damaged_lines.count),
        (0, 1)
    );
}

#[test]
fn foreign_lines_are_counted_and_some_listed_in_any_segment() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 20_000);
    for id in 1..=3000 {
        tree.append("v2", "text", &(Event::new(id).line() + "\r"));
    }
    // Its last line lacks the newline, and is not the last of the stream.
    let path = folder.path().join("v2/text/audit-000001.jsonl");
    let text = fs::read_to_string(&path).expect("a segment");
    fs::write(&path, text.trim_end()).expect("writing");
    let found = report(folder.path());
    assert_eq!((found.events, found.foreign_lines.count), (3000, 3000));
    assert_eq!(found.foreign_lines.first.len(), 1000);
    let newline = |fault: &&auditrail::check::Fault| fault.reason.contains("newline");
    assert_eq!(found.foreign_lines.first.iter().filter(newline).count(), 1);
}

#[test]
fn the_places_of_doubled_ids_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write_two_streams(root, 60, false);
    assert_eq!(report(root).doubled_events, []);
    // An event of the one stream comes to stand in the other too, in the last of its
    // segments and in its first; and one is doubled within its segment.
    let line_of = |path: &Path, index: usize| {
        let text = fs::read_to_string(path).expect("a segment");
        text.split_inclusive('\n')
            .nth(index)
            .expect("a line")
            .to_owned()
    };
    let a = path_of(root, "a", 2);
    let copied = line_of(&a, 1);
    let moved = copied.replace("\"category\":\"a\"", "\"category\":\"b\"");
    let b = path_of(root, "b", 1);
    let text = fs::read_to_string(&b).expect("a segment");
    fs::write(&b, text.clone() + &moved).expect("writing");
    let other = path_of(root, "a", 5);
    let whole = fs::read_to_string(&other).expect("a segment");
    let twice = line_of(&other, 0);
    fs::write(&other, twice.clone() + &whole).expect("writing");
    let found = report(root);
    let id = |line: &str| -> u64 {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        value["event_id"].as_u64().expect("an id")
    };
    assert_eq!(found.doubled_ids.count, 2, "{found:?}");
    let places: Vec<_> = (found.doubled_events.iter())
        .map(|event| {
            let places: Vec<_> = (event.places.iter())
                .map(|place| (std::path::PathBuf::from(&place.path), place.offset))
                .collect();
            (event.event_id, event.count, places)
        })
        .collect();
    let first = line_of(&a, 0).len() as u64;
    let expected = [
        (
            id(&copied),
            2,
            vec![(a.clone(), first), (b.clone(), text.len() as u64)],
        ),
        (
            id(&twice),
            2,
            vec![(other.clone(), 0), (other.clone(), twice.len() as u64)],
        ),
    ];
    assert_eq!(places, expected);
    // The second one of these is named as what it is.
    let faults = &found.disordered_events.first;
    assert!(
        faults
            .iter()
            .any(|fault| fault.reason.contains("duplicate")),
        "{faults:?}"
    );
    assert_eq!(found.damaged_lines.count, 0);
}

#[test]
fn of_many_doubled_ids_some_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 1 << 16);
    for id in 1..=3000 {
        for category in ["a", "b"] {
            let event = Event {
                category: category.into(),
                ..Event::new(id)
            };
            tree.append("v2", category, &event.line());
        }
    }
    for _ in 0..40 {
        tree.append(
            "v2",
            "b",
            &Event {
                category: "b".into(),
                ..Event::new(7)
            }
            .line(),
        );
    }
    let found = report(folder.path());
    assert_eq!(found.doubled_ids.count, 3040);
    assert_eq!(found.doubled_events.len(), 1000);
    let seven = &found.doubled_events[6];
    assert_eq!(
        (seven.event_id, seven.count, seven.places.len()),
        (7, 42, 16)
    );
    assert!(
        found
            .doubled_events
            .iter()
            .all(|event| event.places.len() >= 2)
    );
}
