//! What a person sees: the command on a terminal of its own.

use super::kit::{Place, event, many, place, told, until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A terminal of so many columns, and what it was sent.
struct Terminal {
    end: File,
    sent: Arc<Mutex<Vec<u8>>>,
}

fn terminal(columns: u16) -> Terminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master)
        .and_then(|()| unlockpt(&master))
        .expect("a terminal");
    let size = Winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).expect("a size");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let end = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("a name"))
        .expect("the other end");
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut from = File::from(master);
    let into = sent.clone();
    // Ends with an error when the last who has the other end lets go.
    std::thread::spawn(move || {
        let mut buf = [0; 4096];
        while let Ok(got @ 1..) = from.read(&mut buf) {
            into.lock()
                .expect("no panic")
                .extend_from_slice(&buf[..got]);
        }
    });
    Terminal { end, sent }
}

impl Terminal {
    fn end(&self) -> Stdio {
        self.end.try_clone().expect("an end").into()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().expect("no panic")).replace("\r\n", "\n")
    }

    /// Runs the command with its output here; what it printed, to the end.
    fn run(&mut self, command: &mut Command) -> (i32, String) {
        let status = command
            .stdin(Stdio::null())
            .stdout(self.end())
            .stderr(self.end())
            .status();
        let code = status.expect("the command").code().unwrap_or(-1);
        self.end.write_all(b"<end>").expect("a write");
        until("the output", || self.text().contains("<end>"));
        (code, self.text().replace("<end>", ""))
    }
}

fn seen(place: &Place, columns: u16, name: &str, arguments: &[&str]) -> String {
    let (code, text) = terminal(columns).run(&mut place.command(name, arguments));
    assert_eq!(code, 0, "{text}");
    text
}

/// The text without its colours.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out += before;
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    out + rest
}

#[test]
fn events_are_a_table_in_colour() {
    let text = seen(&told(), 120, "read", &[]);
    assert!(text.contains("\u{1b}["), "{text}");
    let expected = "\
ID  TIME (UTC)           STREAM         ACTION  RECORD  USER  WHAT
1   2025-11-24 16:00:00  v2/users       create  ada     u-1   +role user, +age 1.10
2   2025-11-24 16:01:00  v2/users       create  bob     u-1   +role user
3   2025-11-24 16:02:00  v2/users       update  ada     u-2   role user → owner, -age, +mail ada@example.org
4   2025-11-24 16:03:00  legacy/groups  create  staff   u-3
5   2025-11-24 16:04:00  v2/users       delete  ada     u-2   -role
6   2025-11-24 16:05:00  v2/users       update  bob     u-1   role user → guest
";
    let lines: Vec<String> = plain(&text)
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    assert_eq!(lines.join("\n") + "\n", expected);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let place = place();
    let wide = "\u{4e2d}\u{6587}".repeat(60);
    place.append(
        &[],
        &event(
            &wide,
            "create",
            &wide,
            5,
            &format!("{{\"after\":{{\"{wide}\":\"{wide}\"}}}}"),
        ),
    );
    for columns in [45, 60, 80, 200] {
        for (name, arguments) in [("read", &[][..]), ("replay", &["v2", "users"])] {
            for line in plain(&seen(&place, columns, name, arguments)).lines() {
                let width = unicode_width::UnicodeWidthStr::width(line);
                assert!(
                    width <= columns.into(),
                    "{name}: {width} columns of {columns}: {line}"
                );
            }
        }
    }
}

#[test]
fn colours_are_off_when_asked() {
    let place = told();
    for command in [
        place.command("read", &["--color", "never"]).env("X", ""),
        place.command("show", &["ada"]).env("NO_COLOR", "1"),
        place.command("stats", &[]).env("TERM", "dumb"),
    ] {
        let (code, text) = terminal(100).run(command);
        assert_eq!(code, 0);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert!(
        place
            .run("read", &["--format", "table", "--color", "always"])
            .out
            .contains('\u{1b}')
    );
    assert!(
        !place
            .run("read", &["--format", "table"])
            .out
            .contains('\u{1b}')
    );
}

#[test]
fn json_can_be_had_on_a_terminal() {
    let text = seen(&told(), 80, "read", &["--format", "json", "-n", "1"]);
    assert!(text.starts_with("{\"event_id\":1,"), "{text}");
}

#[test]
fn an_event_cannot_command_the_terminal() {
    let place = place();
    let evil = "a\\u001b]0;pwned\\u0007\\u009b2J\\u202e";
    place.append(
        &[],
        &event(
            evil,
            "create",
            evil,
            5,
            &format!("{{\"after\":{{\"{evil}\":\"{evil}\"}},\"{evil}\":1}}"),
        ),
    );
    let name = "a\u{1b}]0;pwned\u{7}\u{9b}2J\u{202e}";
    for (command, arguments) in [
        ("read", &["--color", "never"][..]),
        ("show", &[name, "--color", "never"]),
        ("show", &["--full", name, "--color", "never"]),
        ("replay", &["v2", "users", "--color", "never"]),
        ("replay", &["v2", "users", "-r", name, "--color", "never"]),
        ("stats", &["--color", "never"]),
    ] {
        let text = seen(&place, 200, command, arguments);
        let hidden = text
            .chars()
            .find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}');
        assert_eq!(hidden, None, "{command}: {text:?}");
        assert!(
            command == "stats" || text.contains("pwned"),
            "{command}: {text:?}"
        );
    }
}

#[test]
fn long_work_shows_how_far_it_is_and_wipes_it_out() {
    let place = place();
    let screen = terminal(100);
    let mut child = place
        .command("append", &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(screen.end())
        .spawn()
        .expect("the command");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut number = 0;
    until("a line of progress", || {
        number += 1;
        stdin
            .write_all(many(number, 1).as_bytes())
            .expect("a write");
        screen.text().contains("appending: ")
    });
    assert!(screen.text().contains("/s\u{1b}[K"), "{}", screen.text());
    drop(stdin);
    assert!(child.wait().expect("an end").success());
    until("a clean line", || screen.text().ends_with("\r\u{1b}[K"));
}

#[test]
fn nothing_of_progress_goes_into_a_pipe_or_on_a_quiet_terminal() {
    let place = place();
    let screen = terminal(100);
    let mut child = place
        .command("append", &["-q"])
        .stdin(Stdio::piped())
        .stdout(screen.end())
        .stderr(screen.end())
        .spawn()
        .expect("the command");
    let mut stdin = child.stdin.take().expect("a pipe");
    for number in 0..10 {
        stdin
            .write_all(many(number, 1).as_bytes())
            .expect("a write");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(stdin);
    assert!(child.wait().expect("an end").success());
    assert_eq!(screen.text(), "");
}

#[test]
fn an_empty_answer_is_said_to_be_one() {
    let place = told();
    for (name, arguments) in [
        ("read", &["--user", "nobody"][..]),
        ("tail", &["--user", "nobody"]),
    ] {
        assert_eq!(
            seen(&place, 80, name, arguments),
            "auditrail: no event matches\n"
        );
        let quiet = [arguments, &["-q"]].concat();
        assert_eq!(seen(&place, 80, name, &quiet), "");
        let piped = place.run(name, arguments);
        assert_eq!((piped.out.as_str(), piped.err.as_str()), ("", ""), "{name}");
    }
}
