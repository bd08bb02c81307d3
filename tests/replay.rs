//! Promise: replay returns the records as the events left them, and history what each
//! event did; also for the real events, if they are available.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{
    Filter, Kind, Options, Order, Reader, RecordHistory, Writer, history, record_history, replay,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use trees::{Event, TrailBuilder};

/// The folder of the real events; `None`, with a message, if it is missing.
fn reference(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("AUDITRAIL_REFERENCE_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/model-reference"),
        PathBuf::from,
    );
    if folder.join("events.jsonl").exists() {
        return Some(folder);
    }
    eprintln!("{test}: skipped, for there is no {}", folder.display());
    None
}

/// A value without null members of objects.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[test]
fn no_real_event_is_lost_and_replay_gives_the_real_records() {
    let Some(folder) = reference("replay of the real events") else {
        return;
    };
    let events = fs::read_to_string(folder.join("events.jsonl")).expect("the events");
    let root = tempfile::tempdir().expect("a folder");
    let mut options = Options::default();
    options.max_segment_bytes(65536).expect("a size");
    let writer = Writer::open(root.path(), &options).expect("a trail");
    for event in events.lines() {
        writer.append(event.as_bytes()).expect("appending");
    }
    writer.close().expect("closing");

    for order in [Order::Stream, Order::OldestFirst, Order::NewestFirst] {
        let mut reader = Reader::open(root.path(), Filter::new().order(order)).expect("a trail");
        let mut found = BTreeMap::new();
        while let Some(record) = reader.next().expect("reading") {
            let mut event: Value = serde_json::from_str(record.json()).expect("JSON");
            let id = event.as_object_mut().expect("an object").remove("event_id");
            assert_eq!(id, Some(json!(record.event_id())));
            assert_eq!(found.insert(record.event_id(), event), None);
        }
        assert_eq!(reader.damage(), []);
        assert_eq!(found.len(), events.lines().count());
        for (event, (id, found)) in events.lines().zip(&found) {
            let event: Value = serde_json::from_str(event).expect("JSON");
            assert_eq!(&event, found, "event {id}");
        }
    }

    let state = fs::read_to_string(folder.join("state.json")).expect("the records");
    let state: BTreeMap<String, Value> = serde_json::from_str(&state).expect("JSON");
    for (category, records) in &state {
        let replay = replay(root.path(), "legacy", category, &Filter::new()).expect("a replay");
        let result: Value = serde_json::from_str(&replay.to_json()).expect("JSON");
        assert_eq!(
            without_nulls(&result["state"]),
            without_nulls(records),
            "{category}"
        );
        assert_eq!((replay.damage_count(), replay.unfounded_updates()), (0, 0));
    }
}

/// A trail with these payloads, all about `name`.
fn record(events: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 300);
    for (id, (name, operation, payload)) in (1u64..).zip(events) {
        let event = Event {
            model_name: (*name).into(),
            operation: (*operation).into(),
            payload: (!payload.is_empty()).then(|| (*payload).into()),
            timestamp: 100 + id as i64,
            user: format!("u-{id}"),
            request_id: id.is_multiple_of(2).then(|| format!("r-{id}")),
            ..Event::new(id)
        };
        tree.append("v2", "text", &event.line());
    }
    folder
}

fn state(folder: &tempfile::TempDir, filter: &Filter) -> String {
    replay(folder.path(), "v2", "text", filter)
        .expect("a replay")
        .to_json()
}

#[test]
fn replay_folds_as_the_predecessor_means_it() {
    let folder = record(&[
        ("a", "create", r#"{"after":{"z":1.10,"y":{"q":null}}}"#),
        ("b", "create", r#"{"before":{"only":"before"}}"#),
        ("c", "create", ""),
        (
            "a",
            "update",
            r#"{"delta":{"z":{"old":1.10,"new":1E400},"x":{"old":null,"new":[]}}}"#,
        ),
        (
            "b",
            "update",
            r#"{"after":{"k":"\u00e9"},"delta":{"k":{"old":0,"new":0}}}"#,
        ),
        (
            "c",
            "update",
            r#"{"after":{},"delta":{"n":{"old":null,"new":0}}}"#,
        ),
        ("a", "update", r#"{"delta":{"x":{"old":[]}}}"#),
        ("b", "delete", r#"{"before":{"k":1}}"#),
        (
            "\\u00e9\\\"",
            "update",
            r#"{"delta":{"f":{"old":null,"new":1}}}"#,
        ),
        ("gone", "delete", ""),
    ]);
    assert_eq!(
        state(&folder, &Filter::new()),
        r#"{"state":{"a":{"z":1E400,"y":{"q":null},"x":null},"c":{"n":0},"\u00e9\"":{"f":1}},"last_event_id":10,"applied_events":10,"unfounded_updates":1}"#
    );
    assert_eq!(
        state(&folder, Filter::new().event_ids(0, 5).expect("a range")),
        r#"{"state":{"a":{"z":1E400,"y":{"q":null},"x":[]},"b":{"k":"\u00e9"},"c":{}},"last_event_id":5,"applied_events":5}"#
    );
    assert_eq!(
        state(&folder, Filter::new().timestamps(0, 102).expect("a range")),
        r#"{"state":{"a":{"z":1.10,"y":{"q":null}},"b":{"only":"before"}},"last_event_id":2,"applied_events":2}"#
    );
    assert_eq!(
        state(&folder, Filter::new().model_name("c")),
        r#"{"state":{"c":{"n":0}},"last_event_id":6,"applied_events":2}"#
    );
    assert_eq!(
        state(&folder, Filter::new().model_name("none")),
        r#"{"state":{},"last_event_id":null,"applied_events":0}"#
    );
    let replay = replay(folder.path(), "v2", "text", &Filter::new()).expect("a replay");
    assert_eq!(replay.names().collect::<Vec<_>>(), ["a", "c", "\u{e9}\""]);
    assert_eq!(replay.record("c").as_deref(), Some(r#"{"n":0}"#));
    assert_eq!((replay.record("b"), replay.len()), (None, 3));
}

#[test]
fn what_makes_a_replay_doubtful_is_reported() {
    let folder = record(&[
        ("a", "create", r#"{"after":{"n":1}}"#),
        ("a", "update", r#"{"after":5}"#),
    ]);
    let path = folder.path().join("v2/text/audit-000001.jsonl");
    let mut text = fs::read_to_string(&path).expect("a segment");
    text += "broken\n";
    fs::write(&path, text).expect("writing");
    let replay = replay(folder.path(), "v2", "text", &Filter::new()).expect("a replay");
    assert_eq!(replay.damage_count(), 2);
    assert!(replay.damage()[0].reason.contains("payload.after"));
    assert_eq!(
        replay.to_json(),
        r#"{"state":{"a":{"n":1}},"last_event_id":2,"applied_events":1,"damaged_lines":2}"#
    );
}

#[test]
fn a_missing_stream_has_no_records_and_a_missing_trail_is_an_error() {
    let folder = record(&[("a", "create", "")]);
    let replay_of = |domain, category| replay(folder.path(), domain, category, &Filter::new());
    assert!(replay_of("v2", "image").expect("a replay").is_empty());
    assert!(replay_of("legacy", "text").expect("a replay").is_empty());
    let error = replay_of("v2", "../v2/text").expect_err("a bad name");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    let missing = folder.path().join("missing");
    let error = replay(&missing, "v2", "text", &Filter::new()).expect_err("no trail");
    assert_eq!(error.kind(), Kind::NotFound);
    let error = history(&missing, "v2", "text", "a", &Filter::new()).expect_err("no trail");
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn history_tells_who_when_and_what_changed() {
    let folder = record(&[
        ("a", "create", r#"{"after":{"n":1,"gone":"x"}}"#),
        ("b", "create", r#"{"after":{"n":7}}"#),
        (
            "a",
            "update",
            r#"{"delta":{"n":{"old":1,"new":2.50},"\u00e9":{"old":null,"new":0}}}"#,
        ),
        ("a", "update", r#"{"after":{"n":2.50,"m":null}}"#),
        ("a", "update", r#"{"before":{"n":9},"after":{"n":8}}"#),
        ("a", "delete", ""),
        ("a", "create", ""),
        ("a", "delete", r#"{"before":{"k":true}}"#),
    ]);
    let of = |filter: &Filter| {
        history(folder.path(), "v2", "text", "a", filter)
            .expect("a history")
            .to_json()
    };
    let entry = |id: u64, operation: &str, changes: &str| {
        let request = if id.is_multiple_of(2) {
            format!(r#","request_id":"r-{id}""#)
        } else {
            String::new()
        };
        format!(
            r#"{{"event_id":{id},"timestamp":{},"operation":"{operation}","logical_user_id":"u-{id}"{request},"changes":{{{changes}}}}}"#,
            100 + id
        )
    };
    let all = [
        entry(1, "create", r#""n":{"new":1},"gone":{"new":"x"}"#),
        entry(
            3,
            "update",
            r#""n":{"old":1,"new":2.50},"\u00e9":{"old":null,"new":0}"#,
        ),
        entry(
            4,
            "update",
            r#""gone":{"old":"x"},"\u00e9":{"old":0},"m":{"new":null}"#,
        ),
        entry(5, "update", r#""n":{"old":9,"new":8}"#),
        entry(6, "delete", r#""n":{"old":8}"#),
        entry(7, "create", ""),
        entry(8, "delete", r#""k":{"old":true}"#),
    ];
    assert_eq!(of(&Filter::new()), format!("[{}]", all.join(",")));
    // Earlier events count, although they are not shown.
    assert_eq!(
        of(Filter::new().event_ids(4, 5).expect("a range")),
        format!("[{},{}]", all[2], all[3])
    );
    assert_eq!(of(Filter::new().user("u-6")), format!("[{}]", all[4]));
    assert_eq!(
        of(Filter::new().order(Order::NewestFirst).limit(2)),
        format!("[{},{}]", all[6], all[5])
    );
    assert_eq!(of(Filter::new().limit(1)), format!("[{}]", all[0]));
    assert_eq!(of(Filter::new().user("nobody")), "[]");
    let entries = history(folder.path(), "v2", "text", "a", &Filter::new()).expect("a history");
    assert_eq!(entries.entries()[0].to_json(), all[0]);
}

#[test]
fn the_history_of_a_name_is_one_pass_over_all_streams_merged_by_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::open(folder.path(), &Options::default()).expect("a trail");
    // Records of one name in three streams; each stream has its own state.
    for n in 1..=30u64 {
        let category = ["a", "b", "c"][n as usize % 3];
        let name = if n % 5 == 0 { "other" } else { "ada" };
        let event = format!(
            r#"{{"domain":"v2","category":"{category}","model_name":"{name}","operation":"update","logical_user_id":"u-{}","payload":{{"after":{{"n":{n}}}}}}}"#,
            n % 2
        );
        assert_eq!(writer.append(event.as_bytes()).expect("appends"), n);
    }
    writer.close().expect("closes");
    let all = |filter: &Filter| record_history(folder.path(), "ada", filter).expect("a history");
    let ids = |history: &RecordHistory| -> Vec<u64> {
        history
            .entries()
            .iter()
            .map(|found| found.entry.event_id)
            .collect()
    };
    let expected: Vec<u64> = (1..=30).filter(|n| n % 5 != 0).collect();
    let found = all(&Filter::new());
    assert_eq!(ids(&found), expected);
    // Each entry is that of its stream's own history.
    for category in ["a", "b", "c"] {
        let own = history(folder.path(), "v2", category, "ada", &Filter::new()).expect("one");
        let of_stream: Vec<_> = found
            .entries()
            .iter()
            .filter(|found| found.category == category)
            .map(|found| found.entry.clone())
            .collect();
        assert_eq!(of_stream, own.entries());
    }
    let mut filter = Filter::new();
    filter.user("u-1").category("b").expect("a name");
    let expected: Vec<u64> = (1..=30)
        .filter(|n| n % 5 != 0 && n % 3 == 1 && n % 2 == 1)
        .collect();
    assert_eq!(ids(&all(&filter)), expected);
    let mut newest = Filter::new();
    newest.order(Order::NewestFirst).limit(3);
    assert_eq!(ids(&all(&newest)), [29, 28, 27]);
}
