//! Promise: a trail of very many streams is written, closed, opened again after a close
//! and after a kill, read in both orders and checked in memory and with open files that
//! are bounded; no event is lost.
//!
//! Each step is a process of its own, which says what it took. `AUDITRAIL_STREAMS` sets
//! how many streams there are; `make test-large` has 100,000.

use auditrail::{Durability, Filter, Options, Order, Reader, Writer, check};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const STEP_VAR: &str = "AUDITRAIL_TEST_CHILD";

/// Events of a batch.
const BATCH: usize = 1000;

/// What a step may use besides its streams.
const BASE_BYTES: u64 = 64 << 20;

/// What a stream may cost in memory: its name, its place in the tables, and in a merge
/// a block of its file and its next event.
const BYTES_PER_STREAM: u64 = 8 << 10;

fn streams() -> usize {
    std::env::var("AUDITRAIL_STREAMS").map_or(3000, |n| n.parse().expect("AUDITRAIL_STREAMS"))
}

fn options() -> Options {
    let mut options = Options::default();
    options.max_open_files(64).expect("a good number");
    options
}

/// Appends an event to each stream; returns the last id.
fn append_to_each(writer: &Writer) -> u64 {
    let mut last = 0;
    for from in (0..streams()).step_by(BATCH) {
        let mut lines = String::new();
        for stream in from..streams().min(from + BATCH) {
            writeln!(
                lines,
                "{{\"domain\":\"v2\",\"category\":\"s{stream}\",\"model_name\":\"m\",\
                 \"operation\":\"create\",\"logical_user_id\":\"u\"}}"
            )
            .expect("a text");
        }
        let (first, count) = writer.append_batch(lines.as_bytes()).expect("it appends");
        last = first + count as u64 - 1;
    }
    last
}

fn read(root: &Path, order: Order) -> u64 {
    let mut filter = Filter::new();
    filter.order(order);
    let mut reader = Reader::open(root, &filter).expect("it opens");
    let (mut events, mut sum) = (0_u64, 0_u64);
    while let Some(record) = reader.next().expect("it reads") {
        events += 1;
        sum += record.event_id();
        assert!(order == Order::Stream || record.event_id() == events);
        if events == 1 || events % 10_000 == 0 {
            see_files();
        }
    }
    assert_eq!(sum, events * (events + 1) / 2, "each id once");
    events
}

static MOST_FILES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn see_files() {
    let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    MOST_FILES.fetch_max(files, std::sync::atomic::Ordering::Relaxed);
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.and_then(|text| text.trim().strip_suffix(" kB"));
    kib.and_then(|text| text.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[test]
fn step() {
    let Ok(task) = std::env::var(STEP_VAR) else {
        return;
    };
    let (step, root) = task.split_once('|').expect("a step and a folder");
    let root = Path::new(root);
    let start = Instant::now();
    let n = streams() as u64;
    let open = |durability| {
        let mut options = options();
        options.durability(durability);
        Writer::open(root, &options).expect("it opens")
    };
    match step {
        "write and close" => {
            let writer = open(Durability::Written);
            assert_eq!(append_to_each(&writer), n);
            see_files();
            writer.close().expect("it closes");
        }
        "write again and be killed" => {
            let writer = open(Durability::Written);
            assert_eq!(append_to_each(&writer), 2 * n);
            see_files();
            std::mem::forget(writer);
        }
        "write synced and be killed" => {
            let writer = open(Durability::Synced);
            assert_eq!(append_to_each(&writer), 3 * n);
            see_files();
            std::mem::forget(writer);
        }
        "open after a close" | "open after a kill" => {
            let writer = open(Durability::Written);
            let stats = writer.stats().expect("stats");
            assert!(stats.last_id.is_multiple_of(n), "{stats:?}");
            assert_eq!(stats.missing_ids, 0);
            see_files();
            writer.close().expect("it closes");
        }
        "read in stream order" => assert_eq!(read(root, Order::Stream), 3 * n),
        "read in order of ids" => assert_eq!(read(root, Order::OldestFirst), 3 * n),
        "check" => {
            let report = check::check(root).expect("it checks");
            assert!(report.ok && report.events == 3 * n, "{}", report.to_json());
        }
        _ => panic!("{step} is no step"),
    }
    println!(
        "@{step}: {} ms, {} MiB at most, {} files open",
        start.elapsed().as_millis(),
        peak_memory() >> 20,
        MOST_FILES.load(std::sync::atomic::Ordering::Relaxed)
    );
    let files = MOST_FILES.load(std::sync::atomic::Ordering::Relaxed);
    assert!(files < 600, "{files} files");
    let memory = peak_memory();
    let most = BASE_BYTES + n * BYTES_PER_STREAM;
    assert!(memory <= most, "{memory} bytes, for {most}");
}

#[test]
fn a_trail_of_very_many_streams() {
    let folder = tempfile::tempdir().expect("a folder");
    for step in [
        "write and close",
        "open after a close",
        "write again and be killed",
        "open after a kill",
        "write synced and be killed",
        "open after a kill",
        "open after a close",
        "read in stream order",
        "read in order of ids",
        "check",
    ] {
        let output = Command::new(std::env::current_exe().expect("a path"))
            .args(["step", "--exact", "--nocapture", "--test-threads=1"])
            .env(STEP_VAR, format!("{step}|{}", folder.path().display()))
            .output()
            .expect("a child");
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{step}: {out}{error}");
        let said = out.lines().find_map(|line| line.split_once('@'));
        println!("{}", said.map_or("", |(_, said)| said));
    }
}
