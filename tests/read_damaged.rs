//! Promise: whatever random damage the files have, reading and checking terminate,
//! every line is accounted for, and no event is made up.
//!
//! `AUDITRAIL_DAMAGED_TREES` sets how many trails, `AUDITRAIL_SEED` the first seed.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

mod trees;

use auditrail::{Filter, Order, Reader, check, history, replay};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use trees::{TestRng, events, trail};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The segments of a trail, in order: stream, number, path.
fn segments(root: &Path) -> Vec<(String, u64, PathBuf)> {
    let mut found = Vec::new();
    for domain in fs::read_dir(root).expect("the root").flatten() {
        for category in fs::read_dir(domain.path()).expect("a domain").flatten() {
            for file in fs::read_dir(category.path()).expect("a category").flatten() {
                let name = file.file_name().into_string().expect("a name");
                let number = name
                    .strip_prefix("audit-")
                    .and_then(|name| name.strip_suffix(".jsonl"))
                    .and_then(|number| number.parse().ok())
                    .expect("a segment");
                let stream = category.path().display().to_string();
                found.push((stream, number, file.path()));
            }
        }
    }
    found.sort();
    found
}

/// Applies one random damage to a file.
fn damage(bytes: &mut Vec<u8>, rng: &mut TestRng) {
    let len = bytes.len() as u64;
    let at = rng.below(len + 1) as usize;
    let to = (at + rng.below(300) as usize).min(bytes.len());
    match rng.below(11) {
        0 => bytes.truncate(at),
        1 => bytes[at..to].fill(0),
        2 => {
            bytes.drain(at..to);
        }
        3 => {
            let copy = bytes[at..to].to_vec();
            let elsewhere = rng.below(len + 1) as usize;
            bytes.splice(elsewhere..elsewhere, copy);
        }
        4 => bytes.extend(vec![0; rng.below(10_000) as usize]),
        5 => bytes.extend_from_slice(b"{\"event_id\":77,"),
        6 => bytes.clear(),
        7 => {
            // Another digit, so that ids and numbers change.
            if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                bytes[at + digit] = b'0' + rng.below(10) as u8;
            }
        }
        8 => {
            // A whole line repeated, or removed.
            let mut lines: Vec<Vec<u8>> = bytes
                .split_inclusive(|&b| b == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            if !lines.is_empty() {
                let line = rng.below(lines.len() as u64) as usize;
                if rng.below(2) == 0 {
                    let copy = lines[line].clone();
                    let place = rng.below(lines.len() as u64) as usize;
                    lines.insert(place, copy);
                } else {
                    lines.remove(line);
                }
            }
            *bytes = lines.concat();
        }
        9 => bytes.splice(at..at, *b"\n").for_each(drop),
        _ => {
            if at < bytes.len() {
                bytes[at] ^= 1 << rng.below(8);
            }
        }
    }
}

fn damage_tree(root: &Path, rng: &mut TestRng) {
    for _ in 0..=rng.below(6) {
        let segments = segments(root);
        if segments.is_empty() {
            return;
        }
        let (_, number, path) = rng.pick(&segments);
        match rng.below(12) {
            0 => fs::remove_file(path).expect("removing"),
            1 => {
                let other =
                    path.with_file_name(format!("audit-{:06}.jsonl", number + rng.below(3)));
                fs::rename(path, other).expect("renaming");
            }
            2 => {
                let (_, _, other) = rng.pick(&segments);
                let bytes = fs::read(path).expect("a segment");
                fs::write(other, bytes).expect("writing");
            }
            _ => {
                let mut bytes = fs::read(path).expect("a segment");
                damage(&mut bytes, rng);
                fs::write(path, bytes).expect("writing");
            }
        }
    }
}

/// All nonblank lines, except a partial one at the end of a stream: stream and text.
fn lines(root: &Path) -> Vec<(String, Vec<u8>)> {
    let segments = segments(root);
    let mut found = Vec::new();
    for (index, (stream, _, path)) in segments.iter().enumerate() {
        let newest = segments.get(index + 1).is_none_or(|next| next.0 != *stream);
        let bytes = fs::read(path).expect("a segment");
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let whole = line.ends_with(b"\n");
            if (whole || !newest) && !line.iter().all(u8::is_ascii_whitespace) {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                found.push((stream.clone(), text.to_vec()));
            }
        }
    }
    found
}

/// Checks by another parser whether a line is an event; returns its id.
fn is_event(stream: &str, line: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(line).ok()?;
    let place = format!(
        "/{}/{}",
        event["domain"].as_str()?,
        event["category"].as_str()?
    );
    for key in ["model_name", "operation", "logical_user_id"] {
        event[key].as_str()?;
    }
    event["timestamp"].as_i64()?;
    stream
        .ends_with(&place)
        .then_some(event["event_id"].as_u64()?)
}

fn one_tree(seed: u64) {
    let mut rng = TestRng::new(seed);
    let (count, streams) = (1 + rng.below(120), 1 + rng.below(4));
    let all = events(seed, count, streams);
    let folder = trail(&all, 1 + rng.below(4000));
    let root = folder.path();
    damage_tree(root, &mut rng);

    let lines = lines(root);
    let there: BTreeSet<&[u8]> = lines.iter().map(|(_, text)| &**text).collect();
    let mut ids = Vec::new();
    for order in [Order::Stream, Order::OldestFirst, Order::NewestFirst] {
        let mut reader = Reader::open(root, Filter::new().order(order)).expect("a trail");
        let mut returned = 0;
        let mut last = 0;
        while let Some(record) = reader.next().expect("reading") {
            returned += 1;
            assert!(
                there.contains(record.bytes()),
                "invented: {}",
                record.json()
            );
            let stream = record.path().parent().expect("a folder").display();
            let id = is_event(&stream.to_string(), record.json());
            assert_eq!(id, Some(record.event_id()), "{}", record.json());
            if order == Order::Stream {
                ids.push(record.event_id());
            }
            if order == Order::OldestFirst {
                assert!(record.event_id() >= last);
                last = record.event_id();
            }
        }
        let gone = returned + reader.damage_count();
        assert_eq!(gone, lines.len() as u64, "{order:?}: {:?}", reader.damage());

        // With a filter, exactly the matching events are returned.
        let (from, to) = (rng.below(count), rng.below(count));
        let mut filter = Filter::new();
        filter
            .event_ids(from.min(to), from.max(to))
            .expect("a range");
        let mut reader = Reader::open(root, filter.order(order)).expect("a trail");
        while let Some(record) = reader.next().expect("reading") {
            assert!(there.contains(record.bytes()));
            assert!((from.min(to)..=from.max(to)).contains(&record.event_id()));
        }
    }

    let report = check(root).expect("a report");
    assert_eq!(report.events, ids.len() as u64, "{report:?}");
    let faults =
        report.damaged_lines.count + report.misplaced_events.count + report.disordered_events.count;
    assert_eq!(report.events + faults, lines.len() as u64, "{report:?}");
    if report.ok {
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(1..=ids.len() as u64), "{report:?}");
    }

    for domain in ["legacy", "v2"] {
        for category in ["c0", "c1"] {
            let replay = replay(root, domain, category, &Filter::new()).expect("a replay");
            let json: Value = serde_json::from_str(&replay.to_json()).expect("JSON");
            assert!(json["state"].is_object());
            let history =
                history(root, domain, category, "model-1", &Filter::new()).expect("a history");
            let json: Value = serde_json::from_str(&history.to_json()).expect("JSON");
            assert!(json.is_array());
        }
    }
}

#[test]
fn every_line_is_accounted_for() {
    let first = number("AUDITRAIL_SEED", 1);
    for seed in first..first + number("AUDITRAIL_DAMAGED_TREES", 300) {
        let result = std::panic::catch_unwind(|| one_tree(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
