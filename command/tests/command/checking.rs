//! Checking a trail.

use super::kit::{json, place, put, told};

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
