//! Committed trails: copied, changed, opened; what they must come to; and what
//! `read.py` says of them.

#![allow(dead_code)] // each test program uses a part

use auditrail::proof::{ProofOptions, SigningKey, Verification, VerifierKey, VerifyReport};
use auditrail::{Durability, Filter, Options, Order, Reader, WarningKind, Writer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

pub const CHECKPOINT: &str = ".auditrail/tlog/checkpoint";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub fn format_1(name: &str) -> PathBuf {
    fixtures().join("format-1").join(name)
}

pub fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files of a folder, by path.
pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut folders, mut found) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A fixture's files, to be changed and opened.
pub struct Trail {
    folder: tempfile::TempDir,
    /// The same, as they are committed.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Trail {
    pub fn new(name: &str) -> Self {
        let files = files(&format_1(name));
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self { folder, files }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Changes one bit of a file, in the first place that holds `text`.
    pub fn flip(&self, name: &str, text: &str) {
        let mut bytes = self.bytes(name);
        let place = bytes.windows(text.len()).position(|b| b == text.as_bytes());
        bytes[place.unwrap_or_else(|| panic!("{name} holds no {text}"))] ^= 1;
        fs::write(self.root().join(name), bytes).unwrap();
    }

    /// Opens it as its last writer did, and says what that warned of.
    pub fn open(&self, proof: bool) -> auditrail::Result<(Writer, Vec<WarningKind>)> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let told = warnings.clone();
        let mut options = Options::default();
        options.max_segment_bytes(4096)?;
        options.durability(Durability::Synced);
        options.on_warning(move |warning| told.lock().unwrap().push(warning.kind));
        if proof {
            let key = SigningKey::parse(&text(format_1("keys/log.TEST-ONLY.key")))?;
            options.proof(ProofOptions::new(Arc::new(key)));
        }
        let writer = Writer::open(self.root(), &options)?;
        let warnings = std::mem::take(&mut *warnings.lock().unwrap());
        Ok((writer, warnings))
    }

    /// The lines of its events in the order of their ids.
    pub fn read(&self) -> Vec<String> {
        let mut filter = Filter::new();
        filter.order(Order::OldestFirst);
        read(self.root(), &filter)
    }

    pub fn verify(&self, witnesses: usize) -> VerifyReport {
        let keys = ["keys/log.vkey", "keys/witness.vkey"]
            .map(|name| VerifierKey::parse(text(format_1(name)).trim()).unwrap());
        Verification::new(&keys)
            .witnesses(witnesses)
            .checkpoint(&text(format_1("power-loss").join(CHECKPOINT)))
            .unwrap()
            .run(self.root(), |_, _| {})
            .unwrap()
    }
}

pub fn read(root: &Path, filter: &Filter) -> Vec<String> {
    let mut reader = Reader::open(root, filter).unwrap();
    let mut lines = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        lines.push(record.json().to_owned());
    }
    lines
}

/// The number that stands in a line behind a key. (A line may hold numbers that no
/// JSON value of serde_json can.)
pub fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(line: &str, key: &str) -> T {
    let (_, rest) = line.split_once(key).expect("the key");
    rest.split(',').next().unwrap_or_default().parse().unwrap()
}

/// The lines that a fixture must come to, by id.
pub fn expected(name: &str) -> BTreeMap<u64, String> {
    let lines = text(format_1("expected").join(format!("{name}.jsonl")));
    lines
        .lines()
        .map(|line| (number(line, "{\"event_id\":"), line.to_owned()))
        .collect()
}

pub fn without(lines: &BTreeMap<u64, String>, left_out: impl Fn(u64) -> bool) -> Vec<String> {
    let kept = lines.iter().filter(|(id, _)| !left_out(**id));
    kept.map(|(_, line)| line.clone()).collect()
}

/// The segments that a fixture must come to.
pub fn expected_segments(name: &str) -> BTreeMap<String, Vec<u8>> {
    let lines = expected(name);
    let table = text(format_1("expected").join(format!("{name}.segments")));
    let segment = |row: &str| {
        let row: Vec<&str> = row.split(' ').collect();
        let (first, last): (u64, u64) = (row[1].parse().unwrap(), row[2].parse().unwrap());
        let [domain, category, _] = row[0].split('/').collect::<Vec<_>>()[..] else {
            panic!("{} is no segment", row[0])
        };
        let home = format!(r#""domain":"{domain}","category":"{category}","#);
        let its = lines.range(first..=last).map(|(_, line)| line);
        let bytes = its
            .filter(|line| line.contains(&home))
            .flat_map(|line| [line.as_bytes(), b"\n"].concat());
        (row[0].to_owned(), bytes.collect())
    };
    table.lines().map(segment).collect()
}

pub fn segments(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(root);
    files.retain(|name, _| name != "index.json" && !name.starts_with(".auditrail"));
    files
}

/// What `read.py` says of a trail; `None`, and a word about it, without Python.
fn oracle(root: &Path, more: &[&str]) -> Option<Output> {
    let program = fixtures().join("read.py");
    let mut python = Command::new("python3");
    match python.arg("-B").arg(program).args(more).arg(root).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Past the capture of test output: it must be seen.
            let _ = writeln!(io::stderr(), "not run: tests/fixtures/read.py (no python3)");
            None
        }
        Err(error) => panic!("python3: {error}"),
    }
}

/// `read.py` must come to these lines. Gives its report.
pub fn agrees(root: &Path, lines: &[String]) -> Option<Value> {
    let said = |output: Output| {
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && problem.is_empty(), "{problem}");
        String::from_utf8(output.stdout).unwrap()
    };
    let read = said(oracle(root, &[])?);
    assert!(read.lines().eq(lines), "read.py has read:\n{read}");
    let report = said(oracle(root, &["--report"])?);
    Some(serde_json::from_str(&report).unwrap())
}

/// The last id, and the segments that `read.py` makes of a trail, however damaged.
pub fn recovered_by_oracle(root: &Path) -> Option<(u64, BTreeMap<String, Vec<u8>>)> {
    let output = oracle(root, &["--recover"])?;
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && problem.is_empty(), "{problem}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = |text: &Value| {
        let text = text.as_str().unwrap().chars();
        text.map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    };
    let segments = found["segments"].as_object().unwrap().iter();
    let segments = segments.map(|(name, text)| (name.clone(), bytes(text)));
    Some((found["last_id"].as_u64().unwrap(), segments.collect()))
}

/// `read.py` must refuse the trail for this reason.
pub fn refuses(root: &Path, why: &str) {
    if let Some(output) = oracle(root, &[]) {
        let problem = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{problem}");
        assert!(problem.contains(why), "{problem}");
    }
}
