//! Appending.

use super::kit::{ended, event, ids, json, many, place, start, story, told, until};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn what_was_appended_is_summed_up() {
    let place = place();
    let ran = place.append(&[], &story());
    assert_eq!(ran.code, 0, "{ran:?}");
    let sum = r#"{"appended":6,"skipped":0,"first_event_id":1,"last_event_id":6}"#;
    assert_eq!(ran.out.trim_end(), sum);
    let ran = place.append(&["--format", "table"], &story());
    assert_eq!(ran.out, "6 events appended, #7 to #12\n");
    let ran = place.append(&["-q"], &story());
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
}

#[test]
fn a_last_line_without_newline_and_blank_lines_are_fine() {
    let place = place();
    let text = format!("\n  \n{}\n", story());
    let ran = place.append(&["--ids"], text.trim_end());
    assert_eq!((ran.code, ran.out.as_str()), (0, "1\n2\n3\n4\n5\n6\n"));
    let nothing = place.append(&[], "\n\n");
    assert_eq!(nothing.code, 0, "{nothing:?}");
    assert_eq!(json(&nothing.out)["appended"], 0);
}

#[test]
fn the_first_bad_line_stops_it_and_is_named() {
    let place = place();
    let bad = event("x", "create", "u", 1, "{\"after\":1}");
    let ran = place.append(&[], &(many(1, 4) + "\n" + &bad + &many(5, 4)));
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.err.contains("line 6: payload.after"), "{}", ran.err);
    assert!(ran.err.contains("(byte "), "{}", ran.err);
    assert_eq!(json(&ran.out)["appended"], 4);
    assert_eq!(ids(&place.run("read", &[]).out), [1, 2, 3, 4]);
}

#[test]
fn bad_lines_can_be_skipped() {
    let place = place();
    let text = many(1, 2) + "not json\n" + &many(3, 2) + "[]\n" + &many(5, 1);
    let ran = place.append(&["--skip-bad"], &text);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("line 3:") && ran.err.contains("line 6:"),
        "{}",
        ran.err
    );
    assert_eq!(json(&ran.out)["appended"], 5);
    assert_eq!(json(&ran.out)["skipped"], 2);
    assert_eq!(ids(&place.run("read", &[]).out), [1, 2, 3, 4, 5]);
}

#[test]
fn a_line_that_never_ends_is_one_bad_line() {
    let place = place();
    let endless = "x".repeat(5_000_000) + "\n";
    let text = many(1, 1) + &endless + &many(2, 1);
    let ran = place.append(&["--skip-bad", "--max-event-size", "64K"], &text);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("line 2: 5000001 bytes"), "{}", ran.err);
    assert_eq!(json(&ran.out)["appended"], 2);
}

#[test]
fn names_and_segments_are_as_the_options_say() {
    let place = place();
    let other = many(1, 30)
        .replace("\"v2\"", "\"shop\"")
        .replace("\"create\"", "\"sell\"");
    assert_eq!(place.append(&[], &other).code, 7);
    let ran = place.append(
        &[
            "--domains",
            "shop,v2",
            "--operations",
            "any",
            "--segment-size",
            "1K",
        ],
        &other,
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let segments = std::fs::read_dir(place.root().join("shop/users")).expect("a folder");
    assert!(segments.count() > 3);
    assert_eq!(
        place
            .append(&["--domains", "any"], &other.replace("sell", "update"))
            .code,
        0
    );
}

#[test]
fn every_durability_keeps_what_was_appended() {
    for durability in ["buffered", "written", "synced"] {
        let place = place();
        let ran = place.append(&["--durability", durability], &many(1, 3000));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(
            ids(&place.run("read", &[]).out),
            (1..=3000).collect::<Vec<_>>()
        );
    }
}

#[test]
fn an_event_is_in_the_trail_before_the_next_is_given() {
    let place = place();
    let mut child = start(place.command("append", &["--ids"]).stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut ids_out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for number in 1..=3 {
        stdin
            .write_all(many(number, 1).as_bytes())
            .expect("a write");
        assert_eq!(
            ids_out.next().expect("an id").expect("a line"),
            number.to_string()
        );
        assert_eq!(ids(&place.run("read", &[]).out).len() as u64, number);
    }
    drop(stdin);
    assert_eq!(ended(child).code, 0);
}

#[test]
fn events_are_kept_though_nobody_reads_their_ids() {
    let place = place();
    let mut child = start(place.command("append", &["--ids"]).stdin(Stdio::piped()));
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(many(1, 1).as_bytes()).expect("a write");
    until("the first event", || place.users(1).exists());
    stdin.write_all(many(2, 500).as_bytes()).expect("a write");
    drop(stdin);
    let ran = ended(child);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ids(&place.run("read", &[]).out).len(), 501);
}

#[test]
fn shared_writers_take_turns() {
    let place = place();
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut child = start(place.command("append", &["--shared"]).stdin(Stdio::piped()));
            let mut stdin = child.stdin.take().expect("a pipe");
            std::thread::spawn(move || {
                for part in 0..20 {
                    stdin
                        .write_all(many(part * 5, 5).as_bytes())
                        .expect("a write");
                }
                drop(stdin);
                ended(child)
            })
        })
        .collect();
    for child in children {
        let ran = child.join().expect("no panic");
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(
        ids(&place.run("read", &[]).out),
        (1..=300).collect::<Vec<_>>()
    );
}

#[test]
fn what_opening_repaired_is_told() {
    let place = told();
    super::kit::put(&place.users(1), b"{\"event_id\":7,\"time");
    std::fs::remove_file(place.root().join(".auditrail/state")).expect("a state");
    let ran = place.append(&[], &many(1, 1));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("auditrail: warning:"), "{}", ran.err);
    assert_eq!(json(&ran.out)["first_event_id"], 7);
}
