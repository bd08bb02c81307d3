//! Checking a trail.

use super::kit::{ids, json, many, place, put, told};
use std::process::Command;

#[test]
fn a_missing_trail_is_3() {
    let ran = place().run("check", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{ran:?}");
}

#[test]
fn a_check_finds_what_is_wrong_and_says_it() {
    let place = told();
    let ran = place.run("check", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(json(&ran.out)["ok"], true);
    assert_eq!(json(&ran.out)["events"], 6);
    let ran = place.run("check", &["--format", "table"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("all is well"), "{}", ran.out);

    // An event is taken out, a line is broken, a stranger moves in.
    let text = std::fs::read_to_string(place.users(1)).expect("a segment");
    let lines: Vec<&str> = text.lines().collect();
    let broken = format!(
        "{}\n{}\n{{\"broken\":\n{}\n",
        lines[0],
        lines[1],
        lines[3..].join("\n")
    );
    std::fs::write(place.users(1), broken).expect("a write");
    put(&place.root().join("v2/users/notes.txt"), b"hello");
    let ran = place.run("check", &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = json(&ran.out);
    assert_eq!(report["ok"], false);
    assert_eq!(report["missing_ids"]["count"], 1);
    let ran = place.run("check", &["--format", "table"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [
        "1 id is missing",
        "3",
        "1 damaged line",
        "audit-000001.jsonl, byte ",
        "notes.txt",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn an_end_that_was_removed_is_named() {
    let place = told();
    let path = place.users(1);
    let text = std::fs::read_to_string(&path).expect("reading");
    let lines = text.lines().count();
    let kept: String = text.split_inclusive('\n').take(lines - 1).collect();
    std::fs::write(&path, kept).expect("writing");
    std::fs::remove_file(place.root().join("index.json")).expect("removing");
    let ran = place.run("check", &["--format", "table"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("removed from the end"), "{}", ran.out);
    let json = place.run("check", &["--format", "json"]);
    assert!(
        json.out.contains("\"removed_ids\":{\"count\":1"),
        "{}",
        json.out
    );
}

#[test]
fn a_pipe_and_a_device_with_the_names_of_segments_are_told_and_passed_over() {
    let place = place();
    let append = |from| {
        let ran = place.append(&["--segment-size", "300"], &many(from, 6));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    };
    append(1);
    let next = (1..100).find(|&number| !place.users(number).exists());
    let next = next.expect("a number");
    let made = Command::new("mkfifo").arg(place.users(next)).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    std::os::unix::fs::symlink("/dev/zero", place.users(next + 1)).expect("a link");
    let ran = append(7);
    let names = [next, next + 1].map(|number| format!("audit-{number:06}.jsonl"));
    for name in &names {
        assert!(ran.err.contains(name), "{name}: {ran:?}");
    }
    for (command, arguments) in [("read", vec![]), ("tail", vec!["-n", "12"])] {
        let ran = place.run(command, &arguments);
        assert_eq!(ids(&ran.out), (1..=12).collect::<Vec<_>>(), "{ran:?}");
        assert_eq!(ran.code, 5, "{ran:?}");
        for name in &names {
            assert!(ran.err.contains(name), "{command}, {name}: {ran:?}");
        }
        assert!(ran.err.contains("2 files were left out"), "{ran:?}");
    }
    let ran = place.run("replay", &["v2", "users"]);
    assert_eq!(
        (ran.code, ran.out.lines().count() > 0),
        (5, true),
        "{ran:?}"
    );
    let ran = place.run("check", &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(json(&ran.out)["foreign_files"]["count"], 2);
    assert_eq!(json(&ran.out)["events"], 12);
}

#[test]
fn a_pruned_trail_passes_with_its_bound_and_only_so() {
    let place = place();
    let ran = place.append(&["--segment-size", "300"], &many(1, 30));
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = std::fs::read_to_string(place.users(3)).expect("a segment");
    let bound = ids(&text).last().expect("an id") + 1;
    for number in 1..=3 {
        std::fs::remove_file(place.users(number)).expect("removing");
    }
    assert_eq!(place.run("check", &[]).code, 1);
    let bound = bound.to_string();
    let ran = place.run("check", &["--pruned-before", &bound]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = json(&ran.out);
    assert_eq!(report["ok"], true);
    assert_eq!(report["pruned_events"].as_u64(), ids(&text).last().copied());
    let ran = place.run("check", &["--pruned-before", &bound, "--format", "table"]);
    assert!(
        ran.out.contains("pruned") && ran.out.contains("all is well"),
        "{ran:?}"
    );
    std::fs::remove_file(place.users(5)).expect("removing");
    let ran = place.run("check", &["--pruned-before", &bound]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(json(&ran.out)["missing_segments"]["count"], 1);
}

#[test]
fn lines_that_no_writer_writes_so_are_told_and_read() {
    let place = told();
    let text = std::fs::read_to_string(place.users(1)).expect("a segment");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    lines[1] = lines[1].replace('\n', "\r\n");
    lines[2] = lines[2].replacen("{\"event_id\"", "{\"by\":\"me\",\"event_id\"", 1);
    lines.push("\n".to_owned());
    std::fs::write(place.users(1), lines.concat()).expect("a write");
    let ran = place.run("check", &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = json(&ran.out);
    assert_eq!(report["foreign_lines"]["count"], 3);
    assert_eq!(report["events"], 6);
    assert_eq!(report["damaged_lines"]["count"], 0);
    let ran = place.run("check", &["--format", "table"]);
    for part in [
        "3 lines that no writer writes so",
        "a carriage return ends it",
        "the key \"by\" is none of an event's",
        "it is blank",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let ran = place.run("read", &[]);
    assert_eq!((ran.code, ids(&ran.out).len()), (0, 6), "{ran:?}");
}

#[test]
fn an_id_that_stands_twice_is_named_with_both_places() {
    let place = told();
    let groups = place.root().join("legacy/groups/audit-000001.jsonl");
    let users = std::fs::read_to_string(place.users(1)).expect("a segment");
    let second: Vec<&str> = users.split_inclusive('\n').collect();
    let copy = second[1].replace(
        "\"domain\":\"v2\",\"category\":\"users\"",
        "\"domain\":\"legacy\",\"category\":\"groups\"",
    );
    assert_ne!(copy, second[1]);
    let text = std::fs::read_to_string(&groups).expect("a segment");
    std::fs::write(&groups, copy + &text).expect("a write");
    let ran = place.run("check", &["--format", "table"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = format!(
        "    #2: legacy/groups/audit-000001.jsonl, byte 0; v2/users/audit-000001.jsonl, byte {}",
        second[0].len()
    );
    assert!(ran.out.contains(&expected), "{expected}\n{}", ran.out);
    let report = json(&place.run("check", &[]).out);
    assert_eq!(
        report["doubled_events"][0]["places"][1]["offset"].as_u64(),
        Some(second[0].len() as u64)
    );
}

#[test]
fn a_duplicate_and_a_disorder_are_named_as_that() {
    for (from, to, what) in [
        (1, 2, "a duplicate: event_id 2"),
        (0, 2, "out of order: event_id 1"),
    ] {
        let place = told();
        let text = std::fs::read_to_string(place.users(1)).expect("a segment");
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.insert(to, lines[from]);
        std::fs::write(place.users(1), lines.concat()).expect("a write");
        let ran = place.run("read", &[]);
        assert_eq!((ran.code, ids(&ran.out).len()), (5, 6), "{ran:?}");
        assert!(ran.err.contains(what), "{what}: {ran:?}");
        assert!(
            ran.err
                .contains("1 line was left out, being out of order or a duplicate"),
            "{ran:?}"
        );
        assert!(!ran.err.contains("no event"), "{ran:?}");
    }
}
