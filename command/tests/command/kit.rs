//! Running the command.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long to wait for what must come: never the measure of anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for one trail.
pub struct Place {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The command, with nothing from the environment that changes what it prints.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditrail"));
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

pub fn place() -> Place {
    Place {
        folder: tempfile::tempdir().expect("a folder"),
    }
}

/// A place with the trail of [`story`].
pub fn told() -> Place {
    let place = place();
    let ran = place.append(&[], &story());
    assert_eq!(ran.code, 0, "{ran:?}");
    place
}

impl Place {
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    /// `auditrail COMMAND ROOT ARGUMENTS…`
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = command();
        command.arg(name).arg(self.root()).args(arguments);
        command
    }

    pub fn run(&self, name: &str, arguments: &[&str]) -> Ran {
        finish(self.command(name, arguments).stdin(Stdio::null()))
    }

    pub fn append(&self, arguments: &[&str], lines: &str) -> Ran {
        let mut child = start(self.command("append", arguments).stdin(Stdio::piped()));
        let mut stdin = child.stdin.take().expect("a pipe");
        let lines = lines.to_owned();
        // One that stops early does not read all of it.
        let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let ran = ended(child);
        let _ = feeder.join().expect("no panic");
        ran
    }

    /// The path of a segment of the only stream of [`story`]'s v2 users.
    pub fn users(&self, number: u32) -> PathBuf {
        self.root()
            .join(format!("v2/users/audit-{number:06}.jsonl"))
    }
}

pub fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command")
}

pub fn finish(command: &mut Command) -> Ran {
    ended(start(command))
}

pub fn ended(child: Child) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("an end");
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).expect("UTF-8"),
        err: String::from_utf8(stderr).expect("UTF-8"),
    }
}

/// Waits until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn event(model: &str, operation: &str, user: &str, timestamp: u64, payload: &str) -> String {
    format!(
        "{{\"domain\":\"v2\",\"category\":\"users\",\"model_name\":\"{model}\",\
         \"operation\":\"{operation}\",\"logical_user_id\":\"{user}\",\
         \"timestamp\":{timestamp},\"payload\":{payload}}}\n"
    )
}

/// Six events in two streams: ada comes, becomes an owner, and goes; bob stays.
pub fn story() -> String {
    let mut lines = String::new();
    lines += &event(
        "ada",
        "create",
        "u-1",
        1_764_000_000,
        r#"{"after":{"role":"user","age":1.10}}"#,
    );
    lines += &event(
        "bob",
        "create",
        "u-1",
        1_764_000_060,
        r#"{"after":{"role":"user"}}"#,
    );
    lines += &event(
        "ada",
        "update",
        "u-2",
        1_764_000_120,
        r#"{"delta":{"role":{"old":"user","new":"owner"},"age":{"old":1.10,"new":null},"mail":{"old":null,"new":"ada@example.org"}}}"#,
    );
    lines += "{\"domain\":\"legacy\",\"category\":\"groups\",\"model_name\":\"staff\",\
              \"operation\":\"create\",\"logical_user_id\":\"u-3\",\"request_id\":\"r-9\",\
              \"timestamp\":1764000180}\n";
    lines += &event(
        "ada",
        "delete",
        "u-2",
        1_764_000_240,
        r#"{"before":{"role":"owner"}}"#,
    );
    lines += &event(
        "bob",
        "update",
        "u-1",
        1_764_000_300,
        r#"{"delta":{"role":{"old":"user","new":"guest"}}}"#,
    );
    lines
}

/// Many small events of one stream, with model names `first` and on.
pub fn many(first: u64, count: u64) -> String {
    let mut lines = String::new();
    for number in first..first + count {
        write!(
            lines,
            "{}",
            event(
                &format!("m{number}"),
                "create",
                "u",
                1_764_000_000 + number,
                "{}"
            )
        )
        .expect("a string");
    }
    lines
}

/// The ids of JSON lines.
pub fn ids(lines: &str) -> Vec<u64> {
    lines
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect(line);
            value["event_id"].as_u64().expect("an id")
        })
        .collect()
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect(text)
}

pub fn put(path: &Path, bytes: &[u8]) {
    use std::fs::OpenOptions;
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .expect("a write");
}
