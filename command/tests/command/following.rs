//! Following a trail that is being written.

use super::kit::{ended, ids, many, place, start, told, until};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};

fn reader(child: &mut Child) -> BufReader<ChildStdout> {
    BufReader::new(child.stdout.take().expect("a pipe"))
}

fn lines(out: &mut impl BufRead, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        assert!(
            out.read_line(&mut text).expect("a line") > 0,
            "the end after {text}"
        );
    }
    text
}

#[test]
fn nothing_is_lost_or_doubled_across_rotations() {
    let place = place();
    place.append(&["--segment-size", "400"], &many(1, 10));
    let mut child = start(&mut place.command("read", &["-f", "-n", "210"]));
    let mut out = reader(&mut child);
    assert_eq!(ids(&lines(&mut out, 10)), (1..=10).collect::<Vec<_>>());
    for part in 0..10 {
        let ran = place.append(&["--segment-size", "400"], &many(11 + 20 * part, 20));
        assert_eq!(ran.code, 0, "{ran:?}");
        let expected: Vec<u64> = (11 + 20 * part..31 + 20 * part).collect();
        assert_eq!(ids(&lines(&mut out, 20)), expected);
    }
    assert!(place.users(50).exists(), "there were rotations");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the end");
    assert_eq!(rest, "", "the limit is the end");
    assert_eq!(ended(child).code, 0);
}

#[test]
fn tail_begins_with_the_last_and_goes_on_with_the_next() {
    let place = told();
    let mut child = start(&mut place.command("tail", &["-f", "-n", "2"]));
    let mut out = reader(&mut child);
    assert_eq!(ids(&lines(&mut out, 2)), [5, 6]);
    place.append(&[], &many(1, 3));
    assert_eq!(ids(&lines(&mut out, 3)), [7, 8, 9]);
    child.kill().expect("a kill");
    ended(child);
}

#[test]
fn tail_of_none_shows_only_what_comes_and_passes_the_filter() {
    let place = told();
    let mut child = start(&mut place.command("tail", &["-f", "-n", "0", "-r", "m2"]));
    let mut out = reader(&mut child);
    // It has looked where the end is when it has opened all streams; to be
    // sure that it has, wait until it shows something that comes after.
    let mut number = 0;
    let printed = std::thread::spawn(move || {
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        line
    });
    until("an event", || {
        number += 1;
        place.append(&[], &many(1, 3));
        printed.is_finished() || number > 200
    });
    let line = printed.join().expect("no panic");
    assert!(
        line.contains("\"model_name\":\"m2\"") && ids(&line)[0] > 6,
        "{line}"
    );
    child.kill().expect("a kill");
    ended(child);
}

#[test]
fn a_folder_may_yet_become_a_trail() {
    let place = place();
    std::fs::create_dir(place.root()).expect("a folder");
    let mut child = start(&mut place.command("read", &["-f", "-n", "3"]));
    let mut out = reader(&mut child);
    place.append(&[], &many(1, 3));
    assert_eq!(ids(&lines(&mut out, 3)), [1, 2, 3]);
    assert_eq!(ended(child).code, 0);
}

#[test]
fn following_ends_when_nobody_reads_any_more() {
    for (name, arguments) in [("read", &["-f"][..]), ("tail", &["-f", "-n", "6"])] {
        let place = told();
        let mut child = start(&mut place.command(name, arguments));
        let mut out = reader(&mut child);
        lines(&mut out, 6);
        drop(out);
        // No event comes any more, and yet it must notice.
        until("the end", || child.try_wait().expect("a child").is_some());
        let ran = ended(child);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn following_a_range_ends_with_it() {
    let place = told();
    for (name, arguments, expected) in [
        ("read", &["-f", "--to-id", "3"][..], vec![1, 2, 3]),
        ("read", &["-f", "--id", "2"], vec![2]),
        ("read", &["-f", "--to-id", "3", "-u", "nobody"], vec![]),
        ("tail", &["-f", "--to-id", "4"], vec![1, 2, 3, 4]),
        ("tail", &["-f", "-n", "2", "--to-id", "4"], vec![3, 4]),
        ("tail", &["-f", "--id", "5"], vec![5]),
        ("tail", &["-f", "--id", "5", "-u", "nobody"], vec![]),
    ] {
        let ran = ended(start(&mut place.command(name, arguments)));
        assert_eq!(ran.code, 0, "{name} {arguments:?}: {ran:?}");
        assert_eq!(ids(&ran.out), expected, "{name} {arguments:?}");
    }
    // One that ends later goes on until then.
    let mut child = start(&mut place.command("tail", &["-f", "--to-id", "8"]));
    let mut out = reader(&mut child);
    assert_eq!(ids(&lines(&mut out, 6)), [1, 2, 3, 4, 5, 6]);
    place.append(&[], &many(1, 4));
    assert_eq!(ids(&lines(&mut out, 2)), [7, 8]);
    assert_eq!(ended(child).code, 0);
}

#[test]
fn following_goes_past_a_pipe_with_the_name_of_a_segment() {
    let place = place();
    place.append(&["--segment-size", "300"], &many(1, 6));
    let mut child = start(&mut place.command("tail", &["-f", "-n", "6"]));
    let mut out = reader(&mut child);
    assert_eq!(ids(&lines(&mut out, 6)), (1..=6).collect::<Vec<_>>());
    let next = (1..100).find(|&number| !place.users(number).exists());
    let path = place.users(next.expect("a number"));
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    for part in 0..3 {
        place.append(&["--segment-size", "300"], &many(7 + 4 * part, 4));
        let expected: Vec<u64> = (7 + 4 * part..11 + 4 * part).collect();
        assert_eq!(ids(&lines(&mut out, 4)), expected);
    }
    child.kill().expect("a kill");
    let ran = ended(child);
    let name = path.file_name().expect("a name").to_string_lossy();
    assert_eq!(ran.err.matches(&*name).count(), 1, "{ran:?}");
}
