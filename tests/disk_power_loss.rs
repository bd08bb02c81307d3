//! Promise: what SYNCED, `sync` and signed checkpoints have acknowledged survives a
//! disk that loses power, on the file systems of the kernel, with real processes.
//!
//! A process appends to a trail on ext4, xfs or btrfs, which is on a disk with a
//! volatile cache. Its acknowledgements are recorded between the writes and flushes
//! of that disk. The power is lost at any entry of the record: the cache drops,
//! keeps, tears and reorders what was not flushed. The file system is mounted from
//! what is left, the trail opened, and compared with what was acknowledged by then.
//! Sometimes the power is lost once more, while the trail is opened. With
//! `AUDITRAIL_FAILING_WRITES=1` the disk sometimes fails writes now and then, each once: a
//! sync says so, the processes open the trail again and go on.
//!
//! `AUDITRAIL_POWER_LOSSES` sets how many losses there are, `AUDITRAIL_SEED` where
//! they begin, `AUDITRAIL_FILE_SYSTEM` chooses one. What the processes come to by the time they are
//! stopped is chance; the disk that a trail was not recovered from is kept.

mod ledger;
mod volatile;

use auditrail::internals::storage::memory::Random;
use auditrail::proof::{ProofOptions, Signer, SigningKey, Verification};
use auditrail::{Durability, Options, WarningKind, Writer, check};
use ledger::{Crash, EventStatus, Ledger, files_on_disk, ids_of_warning, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use volatile::disk::{Disk, Entry, Image, after_power_loss};
use volatile::{Kind as FileSystem, Machine, Mounted};

const TASK_VAR: &str = "AUDITRAIL_TEST_CHILD";
const THREADS: usize = 3;
const TAGS_PER_THREAD: usize = 100_000;
/// How many events a thread can be ahead of what was heard of it.
const AHEAD: usize = 1000;
/// Batches have at most so many events.
const BATCH: usize = 4;
const CHECKPOINT: &str = ".auditrail/tlog/checkpoint";

fn stream_of(tag: usize) -> String {
    format!("v2/s{}", tag % 5)
}

fn pad_of(tag: usize) -> usize {
    if tag.is_multiple_of(53) {
        3000
    } else {
        tag % 97
    }
}

fn text_of(tag: usize) -> String {
    json(tag, &stream_of(tag), pad_of(tag))
}

/// How many events the append of a thread's event number `event` has.
fn batch_of(event: usize) -> usize {
    if event % 7 == 3 { BATCH } else { 1 }
}

/// How a trail is written.
#[derive(Clone, Debug)]
struct Setting {
    durability: Durability,
    shared: bool,
    key: Option<Arc<SigningKey>>,
}

impl Setting {
    fn options(&self) -> Options {
        let mut options = Options::default();
        options
            .durability(self.durability)
            .shared(self.shared)
            .journal_bytes(64 * 1024)
            .flush_interval(Duration::from_millis(3));
        if let Some(key) = &self.key {
            let mut proof = ProofOptions::new(key.clone());
            proof.every_events(40);
            options.proof(proof);
        }
        options.max_segment_bytes(20_000).expect("a good size");
        options.max_open_files(3).expect("a good number");
        options
    }
}

#[test]
fn child() {
    let Ok(task) = std::env::var(TASK_VAR) else {
        return;
    };
    let words: Vec<&str> = task.split('|').collect();
    let setting = Setting {
        durability: match words[1] {
            "Buffered" => Durability::Buffered,
            "Written" => Durability::Written,
            _ => Durability::Synced,
        },
        shared: words[2] == "true",
        key: (!words[4].is_empty()).then(|| Arc::new(SigningKey::parse(words[4]).expect("a key"))),
    };
    let first: usize = words[3].parse().expect("a number");
    let may_fail = words[5] == "true";
    let root = Path::new(words[0]);
    let mut events = [0; THREADS];
    loop {
        let writer = match Writer::open(root, &setting.options()) {
            Ok(writer) => writer,
            Err(error) => {
                assert!(may_fail, "it does not open: {error}");
                continue;
            }
        };
        std::thread::scope(|scope| {
            for (thread, event) in events.iter_mut().enumerate() {
                let (writer, setting) = (&writer, &setting);
                let watches = setting.key.is_some() && thread == 0;
                let first = first + thread * TAGS_PER_THREAD;
                scope.spawn(move || {
                    let Err(error) = append_until_failure(
                        writer,
                        setting,
                        watches.then_some(root),
                        first,
                        event,
                    );
                    assert!(may_fail, "it fails: {error}");
                });
            }
        });
    }
}

/// Appends, and says what was acknowledged, until the writer has failed. `event` is
/// the number of the next one in this thread.
fn append_until_failure(
    writer: &Writer,
    setting: &Setting,
    watched: Option<&Path>,
    first: usize,
    event: &mut usize,
) -> auditrail::Result<std::convert::Infallible> {
    let mut seen = String::new();
    let mut since = *event;
    for round in 1_u64.. {
        let (start, count) = (*event, batch_of(*event));
        // Whatever becomes of it, it is not tried again.
        *event += count;
        let tags = (0..count).map(|more| first + start + more);
        let texts: Vec<String> = tags.map(text_of).collect();
        let id = if let [text] = &texts[..] {
            writer.append(text.as_bytes())?
        } else {
            writer.append_batch(texts.join("\n").as_bytes())?.0
        };
        say(&format!("@a {first} {start} {count} {id}"));
        if setting.durability != Durability::Synced && round % 9 == 0 {
            writer.sync()?;
            say(&format!("@s {first} {since} {event}"));
            since = *event;
        }
        if let Some(root) = watched {
            // What anyone can have seen, and kept.
            let text = fs::read_to_string(root.join(CHECKPOINT)).unwrap_or_default();
            if text != seen && !text.is_empty() {
                say(&format!("@c {}", text.replace('\n', "\\")));
                seen = text;
            }
        }
    }
    unreachable!("rounds do not end")
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .expect("a pipe");
    out.flush().expect("a pipe");
}

/// A process that appends, whose acknowledgements go into the disk's record.
struct Appender {
    child: Child,
    listener: std::thread::JoinHandle<()>,
}

impl Appender {
    fn start(
        setting: &Setting,
        root: &Path,
        first: usize,
        may_fail: bool,
        disk: Arc<Mutex<Disk>>,
    ) -> Self {
        let key = setting.key.as_ref().map(|key| key.to_secret_text());
        let task = format!(
            "{}|{:?}|{}|{first}|{}|{may_fail}",
            root.display(),
            setting.durability,
            setting.shared,
            key.unwrap_or_default().trim()
        );
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(TASK_VAR, task)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let listener = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some((_, said)) = line.split_once('@') {
                    let mark = Entry::Mark(said.to_owned());
                    disk.lock().expect("no panic elsewhere").entries.push(mark);
                }
            }
        });
        Self { child, listener }
    }

    /// Fails if the process has ended before.
    fn kill(mut self) -> Result<(), String> {
        let ended = self.child.try_wait().map_err(|e| e.to_string())?;
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string())?;
        self.listener.join().map_err(|_| "the listener panicked")?;
        match ended {
            None => Ok(()),
            Some(status) => Err(format!("an appending process has ended: {status}")),
        }
    }
}

/// What was acknowledged by an entry of the record.
#[derive(Clone, Default)]
struct Known {
    ledger: Ledger,
    checkpoints: BTreeSet<String>,
    /// Ids that an opening which was cut short has told as missing.
    told_missing: BTreeSet<u64>,
}

impl Known {
    /// Adds what the marks up to `upto` say, and as unknown whatever else the
    /// processes may have appended.
    fn with(&self, entries: &[Entry], upto: usize, synced: bool, firsts: &[usize]) -> Self {
        let mut known = self.clone();
        let mut next: BTreeMap<usize, usize> = BTreeMap::new();
        for first in firsts {
            next.extend((0..THREADS).map(|thread| (first + thread * TAGS_PER_THREAD, 0)));
        }
        let status = if synced {
            EventStatus::Durable
        } else {
            EventStatus::Accepted
        };
        for (place, entry) in entries.iter().enumerate() {
            let Entry::Mark(mark) = entry else { continue };
            let words: Vec<&str> = mark.split(' ').collect();
            let field = |at: usize| words[at].parse::<usize>().expect("a number");
            match words[0] {
                "c" if place < upto => {
                    let (_, text) = mark.split_once("c ").expect("a checkpoint");
                    known.checkpoints.insert(text.replace('\\', "\n"));
                }
                "s" if place < upto => {
                    for tag in field(1) + field(2)..field(1) + field(3) {
                        let event = known.ledger.events.get_mut(&tag).expect("it was told");
                        if event.status == EventStatus::Accepted {
                            event.status = EventStatus::Durable;
                        }
                    }
                }
                "a" => {
                    let told = next.insert(field(1), field(2) + field(3)).unwrap_or(0);
                    // Those that were not acknowledged may be there.
                    (told..field(2)).for_each(|event| known.insert(field(1) + event));
                    for more in 0..field(3) {
                        let tag = field(1) + field(2) + more;
                        known.insert(tag);
                        if place < upto {
                            let id = (field(4) + more) as u64;
                            known.ledger.acknowledged(tag, id, status);
                        }
                    }
                }
                _ => {}
            }
        }
        for (start, event) in next {
            (0..AHEAD).for_each(|more| known.insert(start + event + more));
        }
        known
    }

    fn insert(&mut self, tag: usize) {
        self.ledger.insert(tag, &stream_of(tag), pad_of(tag));
    }
}

struct Session {
    machine: Machine,
    random: Random,
    file_system: FileSystem,
    key: Option<Arc<SigningKey>>,
    /// Tags that were used up.
    next_tag: usize,
    states: u64,
    unmountable: u64,
    /// Runs in which writes failed.
    failed: u64,
    acknowledged: u64,
    checkpoints: u64,
    told: String,
}

impl Session {
    /// Processes append for a while. Gives the record of the disk.
    fn record(
        &mut self,
        setting: &Setting,
        image: Image,
        firsts: &[usize],
    ) -> Result<(Image, Vec<Entry>), String> {
        // Writes of events fail now and then, each once. (Where ext4 journals data, it
        // gives up the whole file system then.)
        let may_fail = self.file_system != FileSystem::Ext4Data && self.random.one_in(3);
        let fails = may_fail && number("AUDITRAIL_FAILING_WRITES") == Some(1);
        self.machine.boot(&mut self.random);
        let mounted = self.machine.mount(self.file_system, image)?;
        let root = mounted.root.join("trail");
        let appenders: Vec<Appender> = firsts
            .iter()
            .map(|&first| Appender::start(setting, &root, first, fails, mounted.disk.clone()))
            .collect();
        for _ in 0..=self.random.below(5) {
            std::thread::sleep(Duration::from_millis(60));
            if fails {
                mounted.disk().fails = Some(b"{\"event_id\":");
            }
        }
        std::thread::sleep(Duration::from_millis(self.random.below(60)));
        let (base, entries) = {
            let disk = mounted.disk();
            (disk.base.clone(), disk.entries.clone())
        };
        for appender in appenders {
            appender.kill()?;
        }
        self.failed += u64::from(fails);
        Ok((base, entries))
    }

    /// One run of processes on the trail, and what some losses of power leave of it.
    /// Gives the disk after the last of them, recovered, and what is known of it.
    fn generation(&mut self, image: Image, known: &Known) -> Result<(Image, Known), String> {
        let shared = self.random.one_in(4);
        let setting = Setting {
            durability: match self.random.below(5) {
                0 if !shared => Durability::Buffered,
                0 | 1 => Durability::Written,
                _ => Durability::Synced,
            },
            shared,
            key: self.key.clone(),
        };
        let processes = if shared { 2 } else { 1 };
        let firsts: Vec<usize> = (0..processes)
            .map(|process| self.next_tag + process * THREADS * TAGS_PER_THREAD)
            .collect();
        self.next_tag += (processes + 1) * THREADS * TAGS_PER_THREAD;
        let (base, entries) = self.record(&setting, image, &firsts)?;
        let flushes = entries.iter().filter(|e| matches!(e, Entry::Flush)).count();
        if flushes == 0 {
            return Err("the disk was never flushed".into());
        }
        let synced = setting.durability == Durability::Synced;
        let mut last = None;
        for _ in 0..3 {
            let upto = self.random.below(entries.len() as u64 + 1) as usize;
            let known = known.with(&entries, upto, synced, &firsts);
            let (image, how) = after_power_loss(&base, &entries, upto, &mut self.random);
            self.told = format!("{:?}, {setting:?}, {how}", self.file_system);
            if let Some(survived) = self.survived(image, known, true)? {
                last = Some(survived);
            }
        }
        // If the file system itself survived none of them, as it began.
        Ok(last.unwrap_or_else(|| (base, known.clone())))
    }

    /// Opens the trail on a disk that has lost power. An error keeps the disk.
    /// `None`: the file system itself has not survived. (The journals of xfs and btrfs
    /// are made for larger pieces than sectors to be whole.)
    fn survived(
        &mut self,
        image: Image,
        known: Known,
        may_repeat: bool,
    ) -> Result<Option<(Image, Known)>, String> {
        self.machine.boot(&mut self.random);
        let kept = image.clone();
        let Ok(mounted) = self.machine.mount(self.file_system, image) else {
            self.unmountable += 1;
            return Ok(None);
        };
        self.states += 1;
        let events = known.ledger.events.values();
        let durable = events.filter(|event| event.status == EventStatus::Durable);
        self.acknowledged += durable.count() as u64;
        self.checkpoints += known.checkpoints.len() as u64;
        let before = known.clone();
        let outcome = self.open_and_check(&mounted, known);
        let (image, entries) = {
            let disk = mounted.disk();
            (disk.now.clone(), disk.entries.clone())
        };
        drop(mounted);
        let (told_missing, opened_at, known) =
            outcome.map_err(|why| format!("{why}\n{}\nkept: {}", self.told, keep(&kept)))?;
        if may_repeat && self.random.one_in(3) {
            // The same once more, if the power is lost while it is opened.
            let upto = self.random.below(opened_at as u64 + 1) as usize;
            let (image, how) = after_power_loss(&kept, &entries, upto, &mut self.random);
            self.told = format!("{}; while it was opened: {how}", self.told);
            let known = Known {
                told_missing,
                ..before
            };
            return self.survived(image, known, false);
        }
        Ok(Some((image, known)))
    }

    /// Gives the ids that were told as missing, how long the disk's record was when
    /// the trail was open, and what is known of the trail now.
    fn open_and_check(
        &mut self,
        mounted: &Mounted,
        mut known: Known,
    ) -> Result<(BTreeSet<u64>, usize, Known), String> {
        let root = mounted.root.join("trail");
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let setting = Setting {
            durability: [
                Durability::Buffered,
                Durability::Written,
                Durability::Synced,
            ][self.random.below(3) as usize],
            shared: false,
            key: self.key.clone(),
        };
        let mut options = setting.options();
        options.on_warning({
            let warnings = warnings.clone();
            move |warning| warnings.lock().expect("no panic").push(warning.clone())
        });
        let writer = Writer::open(&root, &options).map_err(|e| format!("it does not open: {e}"))?;
        let opened_at = mounted.disk().entries.len();
        let last_id = writer.stats().map_err(|e| e.to_string())?.last_id;
        let mut missing = std::mem::take(&mut known.told_missing);
        for warning in warnings.lock().expect("no panic").iter() {
            match warning.kind {
                WarningKind::MissingIds => missing.extend(ids_of_warning(&warning.message)),
                WarningKind::TornTail | WarningKind::IndexRebuilt | WarningKind::Redone => {}
                _ => return Err(format!("a warning: {warning:?}")),
            }
        }
        let told_missing = missing.clone();
        let files = files_on_disk(&root);
        known.ledger.check(
            &files,
            &root,
            Crash::PowerLost,
            last_id,
            &missing,
            EventStatus::Durable,
        )?;
        let tag = self.next_tag;
        self.next_tag += 1;
        let id = writer
            .append(text_of(tag).as_bytes())
            .map_err(|e| format!("it does not append: {e}"))?;
        if id != last_id + 1 {
            return Err(format!("the id {id} after {last_id}"));
        }
        known.insert(tag);
        known.ledger.acknowledged(tag, id, EventStatus::Durable);
        writer
            .close()
            .map_err(|e| format!("it does not close: {e}"))?;
        check_whole(&root, &known)?;
        if let Some(key) = &self.key {
            verify(&root, key, &known)?;
        }
        Ok((told_missing, opened_at, known))
    }
}

/// `check` finds nothing but the ids that were told as missing.
fn check_whole(root: &Path, known: &Known) -> Result<(), String> {
    let report = check::check(root).map_err(|e| e.to_string())?;
    let missing = known.ledger.missing_ids.len() as u64;
    let clean = report.damaged_lines.count == 0
        && report.doubled_ids.count == 0
        && report.misplaced_events.count == 0
        && report.disordered_events.count == 0
        && report.torn_tails.count == 0
        && report.missing_segments.count == 0
        && report.false_times.count == 0
        && report.removed_ids.count == 0
        && report.foreign_files.count == 0
        && report.missing_ids.count == missing;
    if clean && report.ok == (missing == 0) {
        return Ok(());
    }
    Err(format!("check: {}, {missing} were told", report.to_json()))
}

/// The trail goes on from every checkpoint that was seen.
fn verify(root: &Path, key: &SigningKey, known: &Known) -> Result<(), String> {
    let mut verification = Verification::new(&[key.verifier().clone()]);
    for checkpoint in &known.checkpoints {
        verification = verification
            .checkpoint(checkpoint)
            .map_err(|e| format!("{e}: {checkpoint}"))?;
    }
    let report = verification
        .run(root, |_, _| {})
        .map_err(|e| format!("it cannot be verified: {e}"))?;
    if report.intact && report.unsigned_events == 0 {
        return Ok(());
    }
    Err(format!("verify: {:?}", report.findings))
}

/// Writes the disk to a file, for a closer look.
fn keep(image: &Image) -> String {
    let write = || -> std::io::Result<String> {
        let (mut file, path) = tempfile::NamedTempFile::new()?.keep()?;
        let mut block = vec![0; 1 << 20];
        for at in (0..image.size).step_by(block.len()) {
            image.read(at, &mut block);
            file.write_all(&block)?;
        }
        Ok(path.display().to_string())
    };
    write().unwrap_or_else(|e| format!("not: {e}"))
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// The file systems that can be made and mounted here.
fn file_systems(machine: &Machine) -> Vec<(FileSystem, Image)> {
    let only = std::env::var("AUDITRAIL_FILE_SYSTEM").ok();
    let mut found = Vec::new();
    for kind in FileSystem::ALL {
        if only
            .as_ref()
            .is_some_and(|only| !format!("{kind:?}").eq_ignore_ascii_case(only))
        {
            continue;
        }
        let made = kind
            .make()
            .and_then(|image| machine.mount(kind, image.clone()).map(|_| image));
        match made {
            Ok(image) => found.push((kind, image)),
            Err(why) => println!("not run: {kind:?} ({})", why.trim()),
        }
    }
    found
}

#[test]
fn what_was_acknowledged_survives_a_disk_that_loses_power() {
    if volatile::leave_it_to_a_namespace("what_was_acknowledged_survives_a_disk_that_loses_power") {
        return;
    }
    let wanted = number("AUDITRAIL_POWER_LOSSES").unwrap_or(60);
    let machine = Machine::new().expect("a machine");
    let kinds = file_systems(&machine);
    assert!(!kinds.is_empty(), "no file system can be mounted");
    let mut session = Session {
        machine,
        random: Random::new(0),
        file_system: kinds[0].0,
        key: None,
        next_tag: 0,
        states: 0,
        unmountable: 0,
        failed: 0,
        acknowledged: 0,
        checkpoints: 0,
        told: String::new(),
    };
    let from = number("AUDITRAIL_SEED").unwrap_or(1);
    for seed in from.. {
        session.random = Random::new(seed);
        let (kind, empty) = &kinds[(seed - from) as usize % kinds.len()];
        session.file_system = *kind;
        session.key = session
            .random
            .one_in(2)
            .then(|| Arc::new(SigningKey::generate("disk-power-loss").expect("a key")));
        let (mut image, mut known) = (empty.clone(), Known::default());
        for generation in 0..2 {
            match session.generation(image, &known) {
                Ok(next) => (image, known) = next,
                Err(why) => {
                    panic!("{why}\nseed {seed}, generation {generation}: AUDITRAIL_SEED={seed}")
                }
            }
        }
        let all = session.states + session.unmountable;
        assert!(
            session.unmountable < 3 + all / 10,
            "{} of {all} do not mount",
            session.unmountable
        );
        if session.states >= wanted {
            println!(
                "{} losses of power, seeds {from} to {seed}, on {:?}; {} acknowledged events \
                 and {} checkpoints were looked for; {} times the file system did not mount; in {} runs writes failed",
                session.states,
                kinds.iter().map(|(kind, _)| kind).collect::<Vec<_>>(),
                session.acknowledged,
                session.checkpoints,
                session.unmountable,
                session.failed
            );
            return;
        }
    }
}
