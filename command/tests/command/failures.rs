//! What it says, and with which code it ends, when it cannot do what it should.

use super::kit::{command, ended, finish, many, place, put, start, told};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const READERS: [(&str, &[&str]); 5] = [
    ("read", &[]),
    ("tail", &[]),
    ("show", &["ada"]),
    ("replay", &["v2", "users"]),
    ("stats", &[]),
];

#[test]
fn a_missing_trail_is_3() {
    let place = place();
    for (name, arguments) in READERS {
        let ran = place.run(name, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{name}: {ran:?}");
        assert!(
            ran.err.contains("there is no trail at"),
            "{name}: {}",
            ran.err
        );
    }
    // A folder that holds something else is no trail either.
    std::fs::create_dir(place.root()).expect("a folder");
    put(&place.root().join("notes.txt"), b"hello");
    for (name, arguments) in READERS {
        let ran = place.run(name, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{name}: {ran:?}");
    }
    let told = told();
    let ran = told.run("replay", &["v2", "nothing"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("v2/nothing"), "{}", ran.err);
}

#[test]
fn a_closed_output_is_an_error() {
    let place = told();
    for (name, arguments) in READERS {
        let mut shell = std::process::Command::new("sh");
        shell
            .args([
                "-c",
                r#""$@" >&-"#,
                "sh",
                env!("CARGO_BIN_EXE_auditrail"),
                name,
            ])
            .arg(place.root())
            .args(arguments);
        let ran = finish(&mut shell);
        assert_eq!(ran.code, 6, "{name}: {ran:?}");
        assert!(ran.err.contains("write the output"), "{name}: {}", ran.err);
        shell = std::process::Command::new("sh");
        shell
            .args([
                "-c",
                r#""$@" >/dev/null"#,
                "sh",
                env!("CARGO_BIN_EXE_auditrail"),
                name,
            ])
            .arg(place.root())
            .args(arguments);
        let ran = finish(&mut shell);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}: {ran:?}");
    }
}

#[test]
fn wrong_arguments_are_2() {
    let place = told();
    for (name, arguments) in [
        ("read", &["--since", "yesterday"][..]),
        ("read", &["--since", "20250101"]),
        ("read", &["--until", "1764000000000"]),
        ("read", &["--from-id", "5", "--to-id", "4"]),
        ("read", &["--domain", "../x"]),
        ("read", &["--limit", "0"]),
        ("read", &["-f", "--order", "newest"]),
        ("append", &["--segment-size", "0"]),
        ("append", &["--shared", "--durability", "buffered"]),
        ("replay", &["v2"]),
        ("nonsense", &[]),
    ] {
        let ran = place.run(name, arguments);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (2, ""),
            "{name} {arguments:?}: {ran:?}"
        );
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn a_locked_trail_is_4_and_names_the_holder() {
    let place = place();
    let mut child = start(place.command("append", &["--ids"]).stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(many(1, 1).as_bytes()).expect("a write");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut String::new()).expect("an id");

    let ran = place.append(&[], &many(2, 1));
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(
        ran.err.contains(&format!("process {}", child.id())),
        "{}",
        ran.err
    );
    // Reading needs no lock.
    assert_eq!(place.run("read", &[]).code, 0);
    drop(stdin);
    assert_eq!(ended(child).code, 0);
    assert_eq!(place.append(&[], &many(2, 1)).code, 0);
}

#[test]
fn damage_is_5_and_the_rest_is_printed() {
    let place = told();
    let at = std::fs::metadata(place.users(1)).expect("a segment").len();
    put(&place.users(1), b"garbage\n");
    let ran = place.run("read", &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (5, 6), "{ran:?}");
    assert!(
        ran.err
            .contains(&format!("audit-000001.jsonl, byte {at}: ")),
        "{}",
        ran.err
    );
    for (name, arguments) in READERS {
        let ran = place.run(name, arguments);
        assert_eq!(ran.code, 5, "{name}: {ran:?}");
        assert!(!ran.out.is_empty(), "{name}");
    }
}

#[test]
fn what_the_system_refuses_is_6() {
    let place = place();
    put(&place.root(), b"a file");
    let ran = place.append(&[], &many(1, 1));
    assert_eq!(ran.code, 6, "{ran:?}");
    let told = told();
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let child = told
        .command("read", &[])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let ran = ended(child);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.err.contains("cannot write the output"), "{}", ran.err);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = place();
    place.append(&[], &many(1, 20_000));
    for name in ["read", "tail"] {
        let mut child = start(&mut place.command(name, &["-n", "20000"]));
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut String::new()).expect("a line");
        drop(out);
        let ran = ended(child);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn help_names_every_subcommand_and_code() {
    let ran = finish(command().arg("--help"));
    assert_eq!(ran.code, 0);
    for word in [
        "append",
        "read",
        "tail",
        "show",
        "replay",
        "check",
        "stats",
        "Exit codes:",
        "  7  ",
    ] {
        assert!(ran.out.contains(word), "{word}");
    }
    assert!(
        finish(command().arg("--version"))
            .out
            .starts_with("auditrail ")
    );
}

#[test]
fn man_pages_and_completions_are_made() {
    let place = place();
    let ran = place.run("generate", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let page = std::fs::read_to_string(place.root().join("man/auditrail-read.1")).expect("a page");
    for part in [".TH", "\\-\\-since", "EXIT STATUS"] {
        assert!(page.contains(part), "{part}");
    }
    for name in ["auditrail.bash", "_auditrail", "auditrail.fish"] {
        let text =
            std::fs::read_to_string(place.root().join("completions").join(name)).expect(name);
        assert!(text.contains("replay"), "{name}");
    }
}
