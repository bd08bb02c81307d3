//! Promise: a follower is told which streams have changed and looks at no others, and
//! nothing escapes it: not where folders appear, are replaced or taken away, where more
//! happens than the kernel keeps, where it grants no watches, or where it tells nothing.

#![cfg(target_os = "linux")]

mod trees;

use auditrail::internals::storage::{
    DirEntry, Disk, File, FolderChange, FolderWatcher, Open, Stat, Storage, WatchFor, WatchId,
};
use auditrail::{Filter, Names, Options, Order, Reader, Writer};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trees::{Event, TrailBuilder};

/// Shorter than the half minute after which all folders are listed unasked.
const LONG: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(20);

/// What becomes of what the kernel tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// There are so many watches and no more.
    WatchLimit(usize),
    /// All is said to be lost.
    Lost,
    /// Nothing is told.
    Silence,
    /// Each time, all folders are said to have changed; so often.
    Ceaseless(usize),
}

/// What a follower has done.
#[derive(Debug, Default)]
struct Counts {
    stats: AtomicUsize,
    watchers_made: AtomicUsize,
    watchers: AtomicUsize,
    watched: Mutex<Vec<PathBuf>>,
    ceaseless_left: AtomicUsize,
}

impl Counts {
    fn stats(&self) -> usize {
        self.stats.load(Ordering::Relaxed)
    }

    /// How many watchers there are, and how many there have been.
    fn watchers(&self) -> (usize, usize) {
        let made = self.watchers_made.load(Ordering::Relaxed);
        (self.watchers.load(Ordering::Relaxed), made)
    }
}

/// The disk, which counts, and whose watchers have a fault.
#[derive(Debug, Default)]
struct WatchedDisk {
    disk: Disk,
    fault: Fault,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct FaultyWatcher {
    watcher: Box<dyn FolderWatcher>,
    fault: Fault,
    left: usize,
    ids: Vec<WatchId>,
    counts: Arc<Counts>,
}

impl Storage for WatchedDisk {
    fn open(&self, path: &Path, mode: Open) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, mode)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.counts.stats.fetch_add(1, Ordering::Relaxed);
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
    fn watcher(&self) -> io::Result<Box<dyn FolderWatcher>> {
        let watcher = self.disk.watcher()?;
        self.counts.watchers_made.fetch_add(1, Ordering::Relaxed);
        self.counts.watchers.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(FaultyWatcher {
            watcher,
            fault: self.fault,
            left: match self.fault {
                Fault::WatchLimit(limit) => limit,
                _ => usize::MAX,
            },
            ids: Vec::new(),
            counts: self.counts.clone(),
        }))
    }
}

impl FolderWatcher for FaultyWatcher {
    fn watch(&mut self, folder: &Path, what: WatchFor) -> io::Result<WatchId> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        let mut watched = self.counts.watched.lock().expect("no panic");
        watched.push(folder.to_owned());
        let id = self.watcher.watch(folder, what)?;
        self.ids.push(id);
        Ok(id)
    }
    fn unwatch(&mut self, id: WatchId) {
        self.watcher.unwatch(id);
    }
    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.watcher.wait(timeout)
    }
    fn take(&mut self, pass_on: &mut dyn FnMut(FolderChange<'_>)) -> io::Result<()> {
        if let Fault::Ceaseless(times) = &mut self.fault
            && *times > 0
        {
            *times -= 1;
            self.counts.ceaseless_left.store(*times, Ordering::Relaxed);
            for id in &self.ids {
                pass_on(FolderChange::Entry(*id, "audit-000001.jsonl"));
            }
        }
        let fault = self.fault;
        self.watcher.take(&mut |change| match fault {
            Fault::Silence => {}
            Fault::Lost => pass_on(FolderChange::Lost),
            _ => pass_on(change),
        })
    }
}

impl Drop for FaultyWatcher {
    fn drop(&mut self) {
        self.counts.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A follower that has read all there is and waits.
fn follower(root: &Path, fault: Fault, filter: &mut Filter) -> (Reader, Arc<Counts>) {
    let storage = WatchedDisk {
        fault,
        ..WatchedDisk::default()
    };
    let counts = storage.counts.clone();
    let filter = filter.order(Order::OldestFirst);
    let mut reader = Reader::open_on(Arc::new(storage), root, filter).expect("a trail");
    while next(&mut reader, SHORT) != 0 {}
    (reader, counts)
}

/// The id of the next event; 0 after the timeout.
fn next(reader: &mut Reader, timeout: Duration) -> u64 {
    let record = reader.follow(timeout).expect("reading");
    record.map_or(0, |record| record.event_id())
}

fn append(tree: &mut TrailBuilder, domain: &str, category: &str, id: u64) {
    let event = Event {
        domain: domain.into(),
        category: category.into(),
        ..Event::new(id)
    };
    tree.append(domain, category, &event.line());
}

fn json(domain: &str, category: &str) -> String {
    format!(
        r#"{{"domain":"{domain}","category":"{category}","model_name":"m","operation":"create","logical_user_id":"u"}}"#
    )
}

/// A trail with one event in each of so many streams of the domain `v2`.
fn trail(streams: u64) -> (tempfile::TempDir, TrailBuilder) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = TrailBuilder::new(folder.path(), 1 << 20);
    for id in 1..=streams {
        append(&mut tree, "v2", &format!("c{id}"), id);
    }
    (folder, tree)
}

const ROOT_VAR: &str = "AUDITRAIL_TEST_WATCHING";

/// Runs one of the tests below in a process of its own, with its task in the
/// environment.
fn alone(test: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROOT_VAR, root);
    command
}

/// The root, in such a process.
fn root_of_task() -> Option<PathBuf> {
    std::env::var_os(ROOT_VAR).map(PathBuf::from)
}

/// A process that appends what it is told.
struct WriterProcess {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl WriterProcess {
    fn start(root: &Path) -> Self {
        let mut child = alone("writing_process", root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        Self {
            to: child.stdin.take().expect("a pipe"),
            from: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Appends an event to each of these streams; returns the last id.
    fn append(&mut self, streams: &[(&str, &str)]) -> u64 {
        let mut last = 0;
        for (domain, category) in streams {
            writeln!(self.to, "{domain} {category}").expect("a pipe");
            last = loop {
                let mut line = String::new();
                let read = self.from.read_line(&mut line).expect("a pipe");
                assert!(read > 0, "the child has ended");
                if let Some((_, id)) = line.trim().split_once('@') {
                    break id.parse().expect("an id");
                }
            };
        }
        last
    }
}

impl Drop for WriterProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a process of its own: appends to the streams that it reads of, and prints ids.
#[test]
fn writing_process() {
    let Some(root) = root_of_task() else {
        return;
    };
    let mut options = Options::default();
    options.max_segment_bytes(300).expect("a size");
    options.domains(Names::Any);
    let writer = Writer::open(root, &options).expect("a trail");
    for line in io::stdin().lines() {
        let line = line.expect("a pipe");
        let (domain, category) = line.split_once(' ').expect("two words");
        let id = writer.append(json(domain, category).as_bytes());
        println!("@{}", id.expect("appending"));
    }
}

#[test]
fn only_what_has_changed_is_looked_at() {
    let streams = 400;
    let (folder, tree) = trail(streams);
    drop(tree);
    let mut writer = WriterProcess::start(folder.path());
    let first = writer.append(&[("v2", "c7")]);
    let (mut reader, counts) = follower(folder.path(), Fault::None, &mut Filter::new());
    assert_eq!(counts.watchers(), (1, 1));
    // A check of a few streams may fall into it; polling looks at each twice.
    let few = streams as usize;
    let before = counts.stats();
    assert_eq!(next(&mut reader, Duration::from_millis(300)), 0);
    let idle = counts.stats() - before;
    assert!(idle < few, "{idle} files looked at while nothing happened");
    let before = counts.stats();
    assert_eq!(writer.append(&[("v2", "c9")]), first + 1);
    assert_eq!(next(&mut reader, LONG), first + 1);
    let looked = counts.stats() - before;
    assert!(looked < few, "{looked} files looked at for one event");
    assert_eq!(counts.watchers(), (1, 1));
}

#[test]
fn what_another_process_makes_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reader, counts) = follower(folder.path(), Fault::None, &mut Filter::new());
    let mut writer = WriterProcess::start(folder.path());
    let mut last = 0;
    for round in 0..12 {
        // Segments of two events; a new stream each third time, a new domain once.
        let category = format!("c{}", round / 3);
        let domain = if round < 9 { "v2" } else { "other" };
        let streams = [(domain, &*category), ("v2", "c0"), (domain, &*category)];
        let appended = writer.append(&streams);
        while last < appended {
            last += 1;
            assert_eq!(next(&mut reader, LONG), last);
        }
    }
    assert!(folder.path().join("v2/c0/audit-000003.jsonl").exists());
    assert_eq!(next(&mut reader, SHORT), 0);
    assert_eq!(reader.damage(), []);
    assert_eq!(counts.watchers(), (1, 1), "all of it was told");
}

#[test]
fn folders_may_be_taken_away_and_replaced() {
    let (folder, mut tree) = trail(3);
    let root = folder.path();
    let (mut reader, counts) = follower(root, Fault::None, &mut Filter::new());
    // A stream's folder, which goes on with its next segment.
    fs::rename(root.join("v2/c1"), root.join(".gone")).expect("a rename");
    assert_eq!(next(&mut reader, SHORT), 0);
    let next_segment = root.join("v2/c1/audit-000002.jsonl");
    fs::create_dir(root.join("v2/c1")).expect("a folder");
    let event = Event {
        category: "c1".into(),
        ..Event::new(4)
    };
    fs::write(&next_segment, event.line() + "\n").expect("writing");
    assert_eq!(next(&mut reader, LONG), 4);
    fs::remove_dir_all(root.join("v2/c2")).expect("removing");
    assert_eq!(next(&mut reader, SHORT), 0);
    // A domain's.
    fs::rename(root.join("v2"), root.join(".old")).expect("a rename");
    append(&mut tree, "v2", "new", 5);
    assert_eq!(next(&mut reader, LONG), 5);
    append(&mut tree, "v2", "new", 6);
    assert_eq!(next(&mut reader, LONG), 6);
    assert_eq!(counts.watchers(), (1, 1), "all of it was told");
}

#[test]
fn the_root_may_be_taken_away_and_replaced() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    let (root, link) = (at("root"), at("link"));
    fs::create_dir(&root).expect("a folder");
    std::os::unix::fs::symlink(&root, &link).expect("a link");
    append(&mut TrailBuilder::new(&root, 1000), "v2", "a", 1);
    for seen_as in [&root, &link] {
        let (mut reader, _) = follower(seen_as, Fault::None, &mut Filter::new());
        fs::rename(&root, at("old")).expect("a rename");
        assert_eq!(next(&mut reader, SHORT), 0);
        fs::create_dir(&root).expect("a folder");
        assert_eq!(next(&mut reader, SHORT), 0);
        for id in 2..=3 {
            append(&mut TrailBuilder::new(&root, 1000), "v2", "b", id);
            assert_eq!(next(&mut reader, LONG), id);
        }
        fs::remove_dir_all(&root).expect("removing");
        fs::rename(at("old"), &root).expect("a rename");
    }
    // The link leads elsewhere, from a trail without streams too.
    let empty = at("empty");
    fs::create_dir(&empty).expect("a folder");
    std::os::unix::fs::symlink(&empty, at("link.new")).expect("a link");
    fs::rename(at("link.new"), &link).expect("a rename");
    let (mut reader, _) = follower(&link, Fault::None, &mut Filter::new());
    std::os::unix::fs::symlink(&root, at("link.new")).expect("a link");
    fs::rename(at("link.new"), &link).expect("a rename");
    assert_eq!(next(&mut reader, LONG), 1);
    let (mut reader, _) = follower(&link, Fault::None, &mut Filter::new());
    append(&mut TrailBuilder::new(&at("other"), 1000), "v2", "c", 2);
    std::os::unix::fs::symlink(at("other"), at("link.new")).expect("a link");
    fs::rename(at("link.new"), &link).expect("a rename");
    assert_eq!(next(&mut reader, LONG), 2);
}

#[test]
fn nothing_is_lost_where_the_kernel_loses_changes() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("Linux");
    let limit: u64 = limit.trim().parse().expect("a number");
    if limit > 100_000 {
        println!("skipped: the kernel keeps {limit} changes, too many to exceed");
        return;
    }
    let (folder, tree) = trail(2);
    drop(tree);
    let writer = Writer::open(folder.path(), &Options::default()).expect("a trail");
    let (mut reader, counts) = follower(folder.path(), Fault::None, &mut Filter::new());
    // In turn, since the same change twice is kept once.
    let events = [json("v2", "c1"), json("v2", "c2")];
    for n in 0..limit as usize + 1000 {
        writer.append(events[n % 2].as_bytes()).expect("appending");
    }
    // Its folder is not told of any more.
    let last = writer.append(json("v2", "c3").as_bytes());
    for id in 3..=last.expect("appending") {
        assert_eq!(next(&mut reader, LONG), id);
    }
    for _ in 0..3 {
        let id = writer.append(json("v2", "c3").as_bytes());
        assert_eq!(next(&mut reader, LONG), id.expect("appending"));
    }
    assert_eq!(counts.watchers(), (1, 1));
}

#[test]
fn nothing_is_lost_where_watches_fail() {
    let faults = [
        Fault::WatchLimit(0),
        Fault::WatchLimit(1),
        Fault::WatchLimit(3),
        Fault::WatchLimit(7),
        Fault::Lost,
        Fault::Silence,
    ];
    for fault in faults {
        let (folder, mut tree) = trail(4);
        let (mut reader, counts) = follower(folder.path(), fault, &mut Filter::new());
        for id in 5..=12 {
            // Where nothing is told, one that exists already shows it soonest.
            let category = format!("c{}", id % 4 + 1);
            let domain = if id < 9 { "v2" } else { "legacy" };
            append(&mut tree, domain, &category, id);
            assert_eq!(next(&mut reader, LONG), id, "{fault:?}");
        }
        assert_eq!(next(&mut reader, SHORT), 0);
        assert_eq!(reader.damage(), []);
        let watchers = counts.watchers();
        match fault {
            Fault::Lost => assert_eq!(watchers, (1, 1)),
            // What cannot be relied on is given back, and not tried again at once.
            Fault::WatchLimit(7) => assert!(watchers.0 == 0 && watchers.1 <= 2, "{watchers:?}"),
            _ => assert_eq!(watchers, (0, 1), "{fault:?}"),
        }
    }
}

#[test]
fn only_what_passes_the_filter_is_watched() {
    let (folder, mut tree) = trail(5);
    append(&mut tree, "legacy", "c2", 6);
    let mut filter = Filter::new();
    filter.domain("v2").expect("a name");
    filter.category("c2").expect("a name");
    let (mut reader, counts) = follower(folder.path(), Fault::None, &mut filter);
    append(&mut tree, "v2", "c9", 7);
    append(&mut tree, "legacy", "c2", 8);
    append(&mut tree, "v2", "c2", 9);
    assert_eq!(next(&mut reader, LONG), 9);
    let watched = counts.watched.lock().expect("no panic").clone();
    let at = |name: &str| folder.path().join(name);
    assert_eq!(watched, [at(""), at("v2"), at("v2/c2")].map(|p| p.join("")));
}

#[test]
fn a_range_ends_by_an_event_outside_the_filter() {
    let (folder, mut tree) = trail(2);
    let mut filter = Filter::new();
    filter.category("c1").expect("a name");
    filter.event_ids(1, 5).expect("a range");
    let (mut reader, counts) = follower(folder.path(), Fault::None, &mut filter);
    for id in 3..=4 {
        append(&mut tree, "v2", "c2", id);
        assert_eq!(next(&mut reader, SHORT), 0);
        assert!(!reader.is_exhausted());
    }
    append(&mut tree, "legacy", "new", 5);
    assert_eq!(next(&mut reader, LONG), 0);
    assert!(reader.is_exhausted());
    assert_eq!(counts.watchers(), (1, 1));
}

#[test]
fn a_timeout_ends_although_what_is_of_no_interest_never_ceases() {
    let (folder, _tree) = trail(1);
    let fault = Fault::Ceaseless(1_000_000);
    let (mut reader, counts) = follower(folder.path(), fault, Filter::new().user("nobody"));
    assert_eq!(next(&mut reader, SHORT), 0);
    let left = counts.ceaseless_left.load(Ordering::Relaxed);
    assert!(left > 0, "it has waited for quiet");
    assert_eq!(counts.watchers(), (1, 1));
}

/// The inotify instances of this process: of each, how many folders it watches.
fn instances() -> Vec<usize> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("Linux");
    descriptors
        .filter_map(|entry| {
            let path = entry.expect("Linux").path();
            let file = fs::read_link(&path).ok()?;
            let info = Path::new("/proc/self/fdinfo").join(path.file_name()?);
            let is_one = file.to_str() == Some("anon_inode:inotify");
            let text = fs::read_to_string(info).ok().filter(|_| is_one)?;
            Some(text.matches("inotify wd:").count())
        })
        .collect()
}

/// In a process of its own: what a reader takes from the system, and what it gives back.
#[test]
fn instances_of_a_process() {
    let Some(root) = root_of_task() else {
        return;
    };
    let filter = Filter::new().order(Order::OldestFirst).clone();
    let mut reader = Reader::open(&root, &filter).expect("a trail");
    while reader.next().expect("reading").is_some() {}
    while next(&mut reader, Duration::ZERO) != 0 {}
    assert!(instances().is_empty(), "it does not wait");
    assert_eq!(next(&mut reader, SHORT), 0);
    assert_eq!(instances(), [5], "the root, a domain, three streams");
    drop(reader);
    assert!(instances().is_empty());
    println!("@done");
}

#[test]
fn a_reader_that_waits_has_one_instance_until_it_is_dropped() {
    let (folder, _tree) = trail(3);
    let out = alone("instances_of_a_process", folder.path()).output();
    let out = out.expect("a child");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("@done"), "{out:?}");
}

/// In a process of its own, to which the system grants too little: follows what it
/// appends itself.
#[test]
fn process_without_watches() {
    let Some(root) = root_of_task() else {
        return;
    };
    let writer = Writer::open(&root, &Options::default()).expect("a trail");
    let mut reader = Reader::open(&root, &Filter::new()).expect("a trail");
    while next(&mut reader, SHORT) != 0 {}
    assert!(instances().is_empty(), "what it cannot use is given back");
    for category in ["c1", "new", "c3", "new"] {
        let id = writer.append(json("v2", category).as_bytes());
        assert_eq!(next(&mut reader, LONG), id.expect("appending"));
    }
    println!("@done");
}

#[test]
fn where_the_system_grants_no_watches_it_polls() {
    for limit in ["max_inotify_watches 3", "max_inotify_instances 0"] {
        let (folder, _tree) = trail(3);
        let (name, most) = limit.split_once(' ').expect("two words");
        let script = format!("echo {most} > /proc/sys/user/{name} && echo @limited && exec \"$@\"");
        let task = alone("process_without_watches", folder.path());
        let out = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", &script, "sh"])
            .arg(task.get_program())
            .args(task.get_args())
            .env(ROOT_VAR, folder.path())
            .output();
        match out {
            Ok(out) if String::from_utf8_lossy(&out.stdout).contains("@limited") => {
                let text = String::from_utf8_lossy(&out.stdout);
                assert!(text.contains("@done"), "{limit}: {out:?}");
            }
            other => println!("skipped: {limit}: no user namespace can be had: {other:?}"),
        }
    }
}

const RAW_VAR: &str = "AUDITRAIL_TEST_RAW_CLONE";

/// In a process of its own: waits, forks, and then both follow what a third appends.
#[test]
#[allow(unsafe_code)]
fn forking_process() {
    let Some(root) = root_of_task() else {
        return;
    };
    let (mut reader, _) = follower(&root, Fault::None, &mut Filter::new());
    let mut tree = TrailBuilder::new(&root, 1 << 20);
    let mut there = io::pipe().expect("a pipe");
    let mut back = io::pipe().expect("a pipe");
    let raw = std::env::var(RAW_VAR).is_ok();
    // SAFETY: the child follows, writes to a pipe and ends.
    let pid = unsafe {
        if raw {
            libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
        } else {
            libc::fork().into()
        }
    };
    let mut word = [0];
    if pid == 0 {
        // The first is there when it looks; the second it must be told.
        io::Read::read_exact(&mut there.0, &mut word).expect("a pipe");
        let first = next(&mut reader, LONG);
        assert_eq!(next(&mut reader, SHORT), 0);
        back.1.write_all(&[first as u8]).expect("a pipe");
        let second = next(&mut reader, LONG);
        drop(reader);
        back.1.write_all(&[second as u8]).expect("a pipe");
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    drop(back.1);
    let watches = instances();
    assert_eq!(watches, [4]);
    append(&mut tree, "other", "new", 3);
    there.1.write_all(&[0]).expect("a pipe");
    io::Read::read_exact(&mut back.0, &mut word).expect("the child's first");
    assert_eq!(word, [3]);
    append(&mut tree, "other", "new", 4);
    io::Read::read_exact(&mut back.0, &mut word).expect("the child's second");
    assert_eq!(word, [4]);
    io::Read::read_to_end(&mut back.0, &mut Vec::new()).expect("the child's end");
    assert_eq!(instances(), watches, "the child has ended its own");
    for id in 3..=4 {
        assert_eq!(next(&mut reader, LONG), id);
    }
    assert_eq!(next(&mut reader, SHORT), 0);
    append(&mut tree, "other", "new", 5);
    assert_eq!(next(&mut reader, LONG), 5);
    assert_eq!(instances(), [6], "the new domain and its stream");
    println!("@done");
}

#[test]
fn a_forked_child_takes_nothing_from_its_parent() {
    for raw in [None, Some((RAW_VAR, "1"))] {
        let (folder, _tree) = trail(2);
        let mut process = alone("forking_process", folder.path());
        let out = process.envs(raw).output().expect("a child");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("@done"), "{raw:?} {out:?}");
    }
}
