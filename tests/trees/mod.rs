//! Trails for the tests of reading, written by a small model of the file format, so
//! that these tests do not depend on the writer.

#![allow(dead_code)] // each test program uses a part
#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // small numbers

use auditrail::internals::storage::{DirEntry, Disk, File, Lock, Open, Stat, Storage};
use auditrail::{Filter, Reader};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One event of a model trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub timestamp: i64,
    pub domain: String,
    pub category: String,
    pub model_name: String,
    pub operation: String,
    pub user: String,
    pub request_id: Option<String>,
    pub payload: Option<String>,
}

impl Event {
    pub fn new(id: u64) -> Self {
        Self {
            id,
            timestamp: 1_700_000_000,
            domain: "v2".into(),
            category: "text".into(),
            model_name: "m".into(),
            operation: "create".into(),
            user: "u-1".into(),
            request_id: None,
            payload: None,
        }
    }

    /// Its line, for texts that need no escapes.
    pub fn line(&self) -> String {
        let mut line = format!(
            r#"{{"event_id":{},"timestamp":{},"domain":"{}","category":"{}","model_name":"{}","operation":"{}","logical_user_id":"{}""#,
            self.id,
            self.timestamp,
            self.domain,
            self.category,
            self.model_name,
            self.operation,
            self.user
        );
        if let Some(id) = &self.request_id {
            line += &format!(r#","request_id":"{id}""#);
        }
        if let Some(payload) = &self.payload {
            line += &format!(r#","payload":{payload}"#);
        }
        line + "}"
    }
}

/// A small pseudorandom generator; the same seed gives the same numbers.
pub struct TestRng(u64);

impl TestRng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Events in `streams` streams, with few values in each field.
pub fn events(seed: u64, count: u64, streams: u64) -> Vec<Event> {
    let mut rng = TestRng::new(seed);
    (1..=count)
        .map(|id| {
            let stream = rng.below(streams);
            Event {
                id,
                // Not in order: callers may give any timestamp.
                timestamp: 1_700_000_000 + id as i64 - rng.below(50) as i64,
                domain: ["legacy", "v2"][(stream % 2) as usize].into(),
                category: format!("c{stream}"),
                model_name: format!("model-{}", rng.below(7)),
                operation: (*rng.pick(&["create", "update", "delete"])).into(),
                user: format!("u-{}", rng.below(5)),
                request_id: (rng.below(3) > 0).then(|| format!("r-{}", rng.below(4))),
                payload: (rng.below(4) > 0).then(|| {
                    format!(
                        r#"{{"after":{{"n":{id},"s":"{}"}}}}"#,
                        "x".repeat(rng.below(200) as usize)
                    )
                }),
            }
        })
        .collect()
}

/// Writes events into segments in the format of a trail.
pub struct TrailBuilder {
    root: PathBuf,
    limit: u64,
    ends: BTreeMap<(String, String), (u64, u64)>,
}

impl TrailBuilder {
    pub fn new(root: &Path, limit: u64) -> Self {
        Self {
            root: root.to_owned(),
            limit,
            ends: BTreeMap::new(),
        }
    }

    /// Appends a line; returns its path and offset.
    pub fn append(&mut self, domain: &str, category: &str, line: &str) -> (PathBuf, u64) {
        use std::io::Write;
        let key = (domain.to_owned(), category.to_owned());
        let end = self.ends.entry(key).or_insert((1, 0));
        if end.1 >= self.limit {
            *end = (end.0 + 1, 0);
        }
        let folder = self.root.join(domain).join(category);
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(format!("audit-{:06}.jsonl", end.0));
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("a segment");
        let bytes = format!("{line}\n");
        file.write_all(bytes.as_bytes()).expect("writing");
        let offset = end.1;
        end.1 += bytes.len() as u64;
        (path, offset)
    }

    pub fn append_all(&mut self, events: &[Event]) {
        for event in events {
            self.append(&event.domain, &event.category, &event.line());
        }
    }
}

/// A trail of these events in a temporary folder.
pub fn trail(events: &[Event], limit: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    TrailBuilder::new(folder.path(), limit).append_all(events);
    folder
}

/// All lines that a reader returns.
pub fn read(root: &Path, filter: &Filter) -> Vec<String> {
    let mut reader = Reader::open(root, filter).expect("a trail");
    let mut lines = Vec::new();
    while let Some(record) = reader.next().expect("reading") {
        lines.push(record.json().to_owned());
    }
    assert_eq!(reader.damage(), []);
    lines
}

/// A storage that counts reads and open files.
#[derive(Debug, Default)]
pub struct CountingStorage {
    disk: Disk,
    pub reads: Arc<AtomicU64>,
    pub open: Arc<AtomicU64>,
    pub most_open: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn File>,
    reads: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Storage for CountingStorage {
    fn open(&self, path: &Path, mode: Open) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(path, mode)?;
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(open, Ordering::Relaxed);
        Ok(Arc::new(CountedFile {
            file,
            reads: self.reads.clone(),
            open: self.open.clone(),
        }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.disk.stat(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_all(dir)
    }
    fn boot(&self) -> Option<String> {
        self.disk.boot()
    }
}

impl File for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_at(buf, offset)
    }
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("a reader appends"))
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("a reader writes"))
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("a reader cuts"))
    }
    fn sync(&self) -> io::Result<()> {
        Err(io::Error::other("a reader syncs"))
    }
    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
    fn try_lock(&self, _: Lock) -> io::Result<bool> {
        Err(io::Error::other("a reader locks"))
    }
    fn lock_holder(&self) -> Option<u32> {
        None
    }
    fn unlock(&self) -> io::Result<()> {
        Err(io::Error::other("a reader unlocks"))
    }
    fn descriptor(&self) -> i32 {
        self.file.descriptor()
    }
}

/// Tells threads to stop when it is dropped, even by a panic.
pub struct StopOnDrop<'s>(pub &'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
