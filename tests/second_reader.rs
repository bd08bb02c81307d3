//! Promise: docs/format.md is right and complete. A reader that was written from it,
//! `tests/fixtures/read.py`, comes to the same as the library.
//!
//! `AUDITRAIL_DAMAGED_TREES` says how many damaged trails, `AUDITRAIL_SEED` where to
//! begin.

mod committed;
mod trees;

use auditrail::{Options, Writer};
use committed::recovered_by_oracle;
use committed::{Trail, agrees, expected, expected_segments, files, segments, without};
use std::fs;
use trees::TestRng;

const IMAGE: &str = "legacy/image_generation/audit-000006.jsonl";
const UNENDED: u64 = 313;

const NEWEST: [&str; 4] = [
    IMAGE,
    "v2/team.members-1/audit-000004.jsonl",
    "v2/team.members-1/audit-000005.jsonl",
    "v2/users/audit-000005.jsonl",
];

/// What may stand at the end of a segment.
const ODD_ENDS: [&str; 11] = [
    "\n",
    " \n",
    "\r",
    "\0",
    "no event\n",
    "no\0event\n",
    "no\0event\nno event\n",
    "{\"event_id\":0}\n",
    "{\"event_id\":",
    "{\"a\":1,\"a\":1,\"event_id\":320}\n",
    "{ \"z\" : [1e9] , \"event_id\" : 330 }",
];
/// What there is of the event after it.
const TORN: &str =
    r#"{"event_id":314,"timestamp":1764018840,"domain":"legacy","category":"image_generation"#;

#[test]
fn a_reader_from_the_document_recovers_the_same() {
    let trail = Trail::new("power-loss");
    let all = without(&expected("power-loss"), |_| false);
    let Some(report) = agrees(trail.root(), &all) else {
        return;
    };
    let state = &report["state"];
    assert_eq!(
        (&state["known"], &state["phase"]),
        (&true.into(), &"open".into())
    );
    assert_eq!(
        (&state["written"], &report["index"]),
        (&273.into(), &273.into())
    );
    assert_eq!(
        (&report["last_id"], &report["records"]),
        (&UNENDED.into(), &24.into())
    );
    assert_eq!(report["journal_end"], "a record of another epoch");
    let tail = expected_segments("power-loss")[IMAGE].len();
    let (stream, cut) = (IMAGE.rsplit_once('/').unwrap().0, &report["cut"]);
    assert_eq!(
        (cut.as_array().unwrap().len(), &cut[0]["offset"]),
        (1, &tail.into())
    );
    assert_eq!(
        (&cut[0]["stream"], &cut[0]["bytes"]),
        (&stream.into(), &TORN.into())
    );
    assert_eq!(report["ended"], serde_json::json!([["v2/users", 5]]));
    assert_eq!(
        report["times"],
        serde_json::json!({"entries": 13, "believed": 11})
    );
    assert_eq!(
        (&report["proof"]["size"], &report["proof"]["tiles"]),
        (&300.into(), &5.into())
    );
    assert_eq!(files(trail.root()), trail.files, "read.py has written");
}

/// Does something to a segment.
fn damage(bytes: &mut Vec<u8>, dice: &mut TestRng) {
    let len = bytes.len() as u64;
    let at = usize::try_from(dice.below(len + 1)).unwrap();
    let to = (at + usize::try_from(dice.below(400)).unwrap()).min(bytes.len());
    match dice.below(8) {
        0 => bytes.truncate(at),
        1 => bytes[at..to].fill(0),
        2 => drop(bytes.drain(at..to)),
        3 => bytes.clear(),
        4 => bytes.resize(bytes.len() + to - at, 0),
        5 if at < to => bytes[at] ^= 1 << dice.below(8),
        6 => {
            let id = dice.below(400);
            bytes.extend(format!("{{\"event_id\":{id},\"x\":[]}}").bytes());
        }
        _ => bytes.extend_from_slice(dice.pick(&ODD_ENDS).as_bytes()),
    }
}

fn damage_trail(trail: &Trail, dice: &mut TestRng, boot: &str) {
    let names: Vec<String> = segments(trail.root()).into_keys().collect();
    for _ in 0..dice.below(5) {
        // The newest segments more often than others.
        let mut name = dice.pick(&names).as_str();
        if dice.below(2) == 0 {
            name = *dice.pick(&NEWEST);
        }
        let path = trail.root().join(name);
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        if dice.below(12) == 0 {
            fs::remove_file(path).unwrap();
        } else {
            damage(&mut bytes, dice);
            fs::write(path, bytes).unwrap();
        }
    }
    let path = trail.root().join(".auditrail/state");
    let state = dice.below(4);
    if state == 0 {
        fs::remove_file(path).unwrap();
    } else if state > 1 {
        let written = dice.below(330);
        let words = format!(
            "auditrail-state 1 {} {written} {} {} {}",
            dice.pick(&["clean", "open", "busy"]),
            dice.below(written + 1),
            dice.pick(&["-", "x", boot]),
            dice.pick(&["good", "doubtful"]),
        );
        let line = format!("{words} {:08x}", crc32fast::hash(words.as_bytes()));
        fs::write(path, format!("{line:<511}\n")).unwrap();
    }
    let path = trail.root().join(".auditrail/journal");
    let mut journal = fs::read(&path).unwrap();
    if dice.below(3) == 0 {
        let at = match dice.below(4) {
            0 => dice.below(20),
            _ => 4096 + dice.below(10_869),
        };
        journal[usize::try_from(at).unwrap()] ^= 1 << dice.below(8);
        fs::write(path, journal).unwrap();
    }
    let index = [
        "",
        "{",
        "{\"last_event_id\":350}",
        "{\"last_event_id\":-1}",
        " {\"x\":0, \"last_event_id\" : 273 }\n",
        "{\"last_event_id\":9,\"last_event_id\":1}",
    ];
    if dice.below(3) == 0 {
        fs::write(trail.root().join("index.json"), dice.pick(&index)).unwrap();
    }
}

/// The library and `read.py` come to the same segments and last id; `false` without
/// Python.
fn recovered_to_the_same(trail: &Trail, what: &str) -> bool {
    let Some((last_id, recovered)) = recovered_by_oracle(trail.root()) else {
        return false;
    };
    let writer = Writer::open(trail.root(), &Options::default());
    let writer = writer.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(writer.stats().unwrap().last_id, last_id, "{what}");
    let found = segments(trail.root());
    assert!(
        found.keys().eq(recovered.keys()),
        "{what}: {:?}",
        found.keys()
    );
    for (name, library) in found {
        let document = &recovered[&name];
        assert!(
            library == *document,
            "{what}: {name}\n{}\n\n{}",
            library.escape_ascii(),
            document.escape_ascii()
        );
    }
    true
}

/// What recovery cuts ends with the file; what stands before another line stays.
#[test]
fn a_line_that_was_not_torn_protects_what_is_before_it() {
    let trail = Trail::new("power-loss");
    // Nothing says that the power was lost.
    fs::remove_file(trail.root().join(".auditrail/state")).unwrap();
    let name = NEWEST[3];
    let mut bytes = trail.bytes(name);
    bytes.extend_from_slice(b"\nno\0event\nno event\n");
    fs::write(trail.root().join(name), &bytes).unwrap();
    recovered_to_the_same(&trail, name);
    assert!(trail.bytes(name).ends_with(b"\nno\0event\nno event\n"));
}

#[test]
fn damaged_trails_are_recovered_to_the_same() {
    let number = |name: &str, default| {
        let text = std::env::var(name).ok();
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    // The running machine's, as the library knows it.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let boot = boot.map_or("x".to_owned(), |boot| boot.trim().to_owned());
    let first = number("AUDITRAIL_SEED", 1);
    for seed in first..first + number("AUDITRAIL_DAMAGED_TREES", 40) {
        let trail = Trail::new("power-loss");
        damage_trail(&trail, &mut TestRng::new(seed), &boot);
        if !recovered_to_the_same(&trail, &format!("seed {seed}")) {
            return;
        }
    }
}
