//! How fast a trail is read and checked, in one run with the bare limits:
//! splitting the same files into lines with memchr, and serde_json's check of
//! the same lines. And how many reads it takes to find one id among many.
//!
//! `cargo bench -p auditrail-benches --bench read`; `AUDITRAIL_READ_BYTES` says
//! how large the trail is (default 1 GiB), `AUDITRAIL_READ_IDS` among how many
//! ids one is looked for (default 10 million), `AUDITRAIL_READ_ROUNDS` how often
//! (default 5). With `AUDITRAIL_READ_TRAIL`, a trail is only read, for a profiler.

#![allow(clippy::cast_precision_loss)] // Figures for people.

use auditrail::internals::storage::{DirEntry, Disk, File, Lock, Open, Stat, Storage};
use auditrail::{Filter, Order, Reader, check};
use serde::de::IgnoredAny;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// As many streams as a real trail of this kind has.
const STREAMS: u64 = 8;

const SEGMENT: u64 = 5 * 1024 * 1024;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Makes a trail of at least so many bytes and events; says how much it is.
fn make(root: &Path, bytes: u64, events: u64, text: usize) -> (u64, u64) {
    let mut streams: Vec<(String, u64, u64, Option<io::BufWriter<fs::File>>)> = (0..STREAMS)
        .map(|n| (format!("c{n}"), 0, SEGMENT, None))
        .collect();
    let (mut made, mut id, mut random) = (0, 0, 1u64);
    let mut line = String::new();
    while made < bytes || id < events {
        id += 1;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let dice = random >> 33;
        let stream = &mut streams[(dice % STREAMS) as usize];
        if stream.2 >= SEGMENT {
            stream.1 += 1;
            stream.2 = 0;
            let folder = root.join("v2").join(&stream.0);
            fs::create_dir_all(&folder).expect("a folder");
            let path = folder.join(format!("audit-{:06}.jsonl", stream.1));
            let file = fs::File::create(path).expect("a segment");
            stream.3 = Some(io::BufWriter::with_capacity(1 << 18, file));
        }
        line.clear();
        write!(
            line,
            "{{\"event_id\":{id},\"timestamp\":{},\"domain\":\"v2\",\"category\":\"{}\",\
             \"model_name\":\"model {}\",\"operation\":\"update\",\"logical_user_id\":\"u-{}\"",
            1_700_000_000 + id / 100,
            stream.0,
            dice % 1000,
            dice / 8 % 1000
        )
        .expect("a text");
        if text > 0 {
            write!(
                line,
                ",\"request_id\":\"{dice:012x}\",\"payload\":{{\"delta\":{{\"description\":\
                 {{\"old\":null,\"new\":\"{}\"}},\"size\":{{\"old\":{dice},\"new\":{}.5}},\
                 \"nsfw\":{{\"old\":false,\"new\":true}}}}}}",
                &"Some words on it, \\u00e9 and \\\"so\\\" on. ".repeat(20)[..text],
                dice / 3
            )
            .expect("a text");
        }
        line.push_str("}\n");
        let file = stream.3.as_mut().expect("a segment");
        file.write_all(line.as_bytes()).expect("writing");
        stream.2 += line.len() as u64;
        made += line.len() as u64;
    }
    for stream in &mut streams {
        if let Some(file) = &mut stream.3 {
            file.flush().expect("writing");
        }
    }
    (made, id)
}

fn segments(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for domain in fs::read_dir(root).expect("the root").flatten() {
        for category in fs::read_dir(domain.path()).expect("a domain").flatten() {
            for file in fs::read_dir(category.path()).expect("a category").flatten() {
                found.push(file.path());
            }
        }
    }
    found.sort();
    found
}

/// Hands every line to `each`, by the shortest way.
fn lines(root: &Path, mut each: impl FnMut(&[u8])) -> u64 {
    let mut block = vec![0; 256 * 1024 + 65536];
    let mut count = 0;
    for path in segments(root) {
        let mut file = fs::File::open(path).expect("a segment");
        let mut kept = 0;
        loop {
            let read = file.read(&mut block[kept..]).expect("reading");
            if read == 0 {
                break;
            }
            let end = kept + read;
            let mut start = 0;
            for newline in memchr::memchr_iter(b'\n', &block[..end]) {
                each(&block[start..newline]);
                count += 1;
                start = newline + 1;
            }
            block.copy_within(start..end, 0);
            kept = end - start;
        }
    }
    count
}

fn read(root: &Path, filter: &Filter) -> u64 {
    let mut reader = Reader::open(root, filter).expect("a trail");
    let mut count = 0;
    while let Some(record) = reader.next().expect("reading") {
        std::hint::black_box(record.bytes());
        count += 1;
    }
    assert_eq!(reader.damage_count(), 0);
    count
}

/// The most memory that the process had, in MB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

type Work<'w> = (&'w str, &'w str, Box<dyn Fn() -> u64 + 'w>);

fn main() {
    if let Some(root) = std::env::var_os("AUDITRAIL_READ_TRAIL") {
        // For a profiler: one user, again and again, in a trail that is there.
        let mut user = Filter::new();
        user.user("u-7");
        for _ in 0..number("AUDITRAIL_READ_ROUNDS", 5) {
            let begin = Instant::now();
            let found = read(Path::new(&root), &user);
            println!("{found} events in {:?}", begin.elapsed());
        }
        return;
    }
    rates();
    one_id();
}

#[allow(clippy::too_many_lines)] // a list of what is measured
fn rates() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let (bytes, events) = make(root, number("AUDITRAIL_READ_BYTES", 1 << 30), 0, 130);
    println!("{events} events, {bytes} bytes, {STREAMS} streams\n");

    let mut user = Filter::new();
    user.user("u-7");
    let mut merged = Filter::new();
    merged.order(Order::OldestFirst);
    let mut backward = Filter::new();
    backward.order(Order::NewestFirst);
    let work: Vec<Work<'_>> = vec![
        (
            "split with memchr",
            "",
            Box::new(|| {
                lines(root, |line| {
                    std::hint::black_box(line);
                })
            }),
        ),
        (
            "one user",
            "split with memchr",
            Box::new(|| {
                read(root, &user);
                events
            }),
        ),
        (
            "serde_json checks",
            "",
            Box::new(|| {
                lines(root, |line| {
                    serde_json::from_slice::<IgnoredAny>(line).expect("JSON");
                })
            }),
        ),
        (
            "auditrail_check",
            "serde_json checks",
            Box::new(|| {
                let report = check(root).expect("a report");
                assert!(report.ok, "{report:?}");
                report.events
            }),
        ),
        (
            "every event",
            "serde_json checks",
            Box::new(|| read(root, &Filter::new())),
        ),
        (
            "every event, oldest first",
            "serde_json checks",
            Box::new(|| read(root, &merged)),
        ),
        (
            "every event, newest first",
            "serde_json checks",
            Box::new(|| read(root, &backward)),
        ),
    ];
    let mut best = vec![f64::MAX; work.len()];
    for _ in 0..number("AUDITRAIL_READ_ROUNDS", 5) {
        for ((_, _, run), best) in work.iter().zip(&mut best) {
            let begin = Instant::now();
            assert_eq!(run(), events);
            *best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    println!("| work | ns an event | GB/s | of |");
    println!("| --- | ---: | ---: | --- |");
    for ((name, base, _), time) in work.iter().zip(&best) {
        let ratio = work
            .iter()
            .position(|(other, _, _)| other == base)
            .map_or_else(String::new, |base_at| {
                format!("{:.2} of {base}", best[base_at] / time)
            });
        println!(
            "| {name} | {:.0} | {:.2} | {ratio} |",
            time * 1e9 / events as f64,
            bytes as f64 / time / 1e9
        );
    }
    println!("\npeak memory {} MB", peak());
}

fn one_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, events) = make(
        folder.path(),
        0,
        number("AUDITRAIL_READ_IDS", 10_000_000),
        0,
    );
    let mut counts = Vec::new();
    let begin = Instant::now();
    for step in 0..200 {
        let id = 1 + events / 200 * step + step;
        let mut filter = Filter::new();
        filter
            .event_ids(id, id)
            .expect("a range")
            .order(match step % 3 {
                0 => Order::Stream,
                1 => Order::OldestFirst,
                _ => Order::NewestFirst,
            });
        let reads = Arc::new(AtomicU64::new(0));
        let storage = Arc::new(Counting(reads.clone()));
        let mut reader = Reader::open_on(storage, folder.path(), &filter).expect("a trail");
        assert!(reader.next().expect("reading").is_some());
        assert!(reader.next().expect("reading").is_none());
        counts.push(reads.load(Ordering::Relaxed));
    }
    let time = begin.elapsed();
    counts.sort_unstable();
    println!(
        "\none id among {events} in {bytes} bytes: {} reads in the median, {} at most; {:?} each",
        counts[100],
        counts[199],
        time / 200
    );
}

/// The disk, counting reads.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

#[derive(Debug)]
struct CountedFile(Arc<dyn File>, Arc<AtomicU64>);

impl Storage for Counting {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(CountedFile(Disk.open(path, how)?, self.0.clone())))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Disk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        Disk.list(dir)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Disk.stat(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_all(dir)
    }
    fn boot(&self) -> Option<String> {
        Disk.boot()
    }
}

impl File for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(buf, offset)
    }
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn stat(&self) -> io::Result<Stat> {
        self.0.stat()
    }
    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        self.0.try_lock(lock)
    }
    fn lock_holder(&self) -> Option<u32> {
        self.0.lock_holder()
    }
    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
    fn descriptor(&self) -> i32 {
        self.0.descriptor()
    }
}
