//! Promise: if the process is killed or the power is lost during any call, a trail
//! with proof opens again and continues, and no checkpoint is ever inconsistent with
//! one that was signed before.
//!
//! Random workloads over a disk in memory. All checkpoints that were ever on it are
//! collected; at the end the trail must be consistent with each of them.
//!
//! `AUDITRAIL_CRASH_STATES` sets how many crashes there are, `AUDITRAIL_SEED`
//! runs one seed alone and prints its calls.

use auditrail::internals::storage::memory::{Call, InjectedFault, Memory, Random};
use auditrail::proof::{FindingKind, ProofOptions, Signer, SigningKey, Verification};
use auditrail::{Durability, Options, Writer};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROOT: &str = "/trail";
const CHECKPOINT: &str = "/trail/.auditrail/tlog/checkpoint";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

struct Session {
    memory: Memory,
    random: Random,
    key: Arc<SigningKey>,
    /// Every checkpoint that was seen on the disk.
    seen: BTreeSet<String>,
    /// A sync or close has said that one is on disk.
    promised: bool,
    events: u64,
}

impl Session {
    fn options(&mut self) -> Options {
        let durabilities = [
            Durability::Buffered,
            Durability::Written,
            Durability::Synced,
            Durability::Mapped,
        ];
        let mut proof = ProofOptions::new(self.key.clone());
        proof.every_events([0, 0, 1, 100][self.random.below(4) as usize]);
        let mut options = Options::default();
        options
            .durability(durabilities[self.random.below(4) as usize])
            .flush_interval(Duration::ZERO)
            .journal_bytes(30_000)
            .proof(proof);
        options.max_segment_bytes(20_000).expect("a good size");
        options
    }

    fn batch(&mut self) -> String {
        let mut events = String::new();
        for _ in 0..=self.random.below(300) {
            self.events += 1;
            let category = self.random.below(3);
            writeln!(
                events,
                "{{\"domain\":\"v2\",\"category\":\"c{category}\",\"model_name\":\"{}\",\
                 \"operation\":\"create\",\"logical_user_id\":\"u\"}}",
                self.events
            )
            .expect("text");
        }
        events
    }

    fn see(&mut self) {
        let files = self.memory.files(Path::new(ROOT));
        if let Some(text) = files.get(Path::new(CHECKPOINT)) {
            let text = String::from_utf8(text.clone()).expect("a checkpoint is text");
            self.seen.insert(text);
        }
    }

    /// Opens, works and closes, until it dies or has had enough.
    fn live(&mut self) -> Result<(), String> {
        let options = self.options();
        let opened = Writer::open_on(Arc::new(self.memory.clone()), Path::new(ROOT), &options);
        let writer = match opened {
            Ok(writer) => writer,
            Err(_) if self.memory.is_dead() => return Ok(()),
            Err(error) => return Err(format!("cannot open: {error}")),
        };
        for _ in 0..=self.random.below(6) {
            let batch = self.batch();
            let mut result = writer.append_batch(batch.as_bytes()).map(drop);
            if result.is_ok() && self.random.one_in(2) {
                result = writer.sync();
                self.promised |= result.is_ok();
            }
            self.see();
            match result {
                Ok(()) => {}
                Err(_) if self.memory.is_dead() => return Ok(()),
                Err(error) => return Err(format!("cannot write: {error}")),
            }
        }
        let closed = writer.close();
        self.promised |= closed.is_ok();
        self.see();
        match closed {
            Err(error) if !self.memory.is_dead() => Err(format!("cannot close: {error}")),
            _ => Ok(()),
        }
    }

    /// The trail goes on from every checkpoint that ever was.
    fn check(&self) -> Result<(), String> {
        if self.seen.is_empty() {
            return Ok(());
        }
        let mut how = Verification::new(&[self.key.verifier().clone()]);
        for text in &self.seen {
            how = how.checkpoint(text).map_err(|error| error.to_string())?;
        }
        let report = how
            .run_on(&(Arc::new(self.memory.clone()) as _), Path::new(ROOT))
            .map_err(|error| error.to_string())?;
        // A power loss can lose a checkpoint that was not acknowledged.
        let on_disk = self.memory.files(Path::new(ROOT));
        let lacks = !on_disk.contains_key(Path::new(CHECKPOINT));
        let only = [FindingKind::Checkpoint];
        let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
        if report.intact || (lacks && !self.promised && kinds == only) {
            return Ok(());
        }
        Err(format!("{report:#?}"))
    }

    fn run(&mut self) -> Result<u64, String> {
        let mut crashes = 0;
        for _ in 0..4 {
            let (calls, seed) = (1 + self.random.below(400), self.random.number());
            self.memory.die_at(calls, seed);
            for _ in 0..5 {
                if !self.memory.is_dead() {
                    self.live()?;
                }
            }
            self.memory.kill();
            crashes += 1;
            self.memory = match self.random.below(3) {
                0 => self.memory.another_process(),
                _ => self.memory.power_loss(self.random.number()),
            };
            // Once a writer has opened the trail, it matches what was signed.
            let options = self.options();
            let storage = Arc::new(self.memory.clone());
            let writer = Writer::open_on(storage, Path::new(ROOT), &options)
                .map_err(|error| format!("cannot open after the crash: {error}"))?;
            self.see();
            self.check()?;
            writer.close().map_err(|error| error.to_string())?;
            self.see();
            self.check()?;
        }
        Ok(crashes)
    }
}

#[test]
fn no_crash_makes_a_log_inconsistent() {
    let only = number("AUDITRAIL_SEED");
    let wanted = number("AUDITRAIL_CRASH_STATES").unwrap_or(400);
    let mut crashes = 0;
    let mut seed = only.unwrap_or(1);
    let key = Arc::new(SigningKey::generate("log").expect("a key"));
    loop {
        let mut session = Session {
            memory: Memory::new(),
            random: Random::new(seed),
            key: key.clone(),
            seen: BTreeSet::new(),
            promised: false,
            events: 0,
        };
        let outcome = session.run();
        if only.is_some() || outcome.is_err() {
            println!("{}", session.memory.history());
        }
        match outcome {
            Ok(more) => crashes += more,
            Err(why) => panic!("{why}\nto see it again: AUDITRAIL_SEED={seed}"),
        }
        if only.is_some() || crashes >= wanted {
            break;
        }
        seed += 1;
    }
}

/// A trail on a disk in memory, by one writer.
fn open(memory: &Memory, key: Option<&Arc<SigningKey>>) -> auditrail::Result<Writer> {
    let mut options = Options::default();
    if let Some(key) = key {
        options.proof(ProofOptions::new(key.clone()));
    }
    Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options)
}

fn append(writer: &Writer, events: usize) {
    let event = "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\
                 \"operation\":\"create\",\"logical_user_id\":\"u\"}\n";
    let batch = event.repeat(events);
    writer.append_batch(batch.as_bytes()).expect("room");
}

fn is_intact(memory: &Memory, key: &SigningKey) -> bool {
    let how = Verification::new(&[key.verifier().clone()]);
    let report = how.run_on(&(Arc::new(memory.clone()) as _), Path::new(ROOT));
    report.expect("a report").intact
}

/// Promise: a log that could not be written goes on by itself once it can.
#[test]
fn a_full_disk_does_not_end_the_proof() {
    let key = Arc::new(SigningKey::generate("log").expect("a key"));
    for call in [Call::Open, Call::WriteAt, Call::Sync, Call::Rename] {
        let memory = Memory::new();
        let writer = open(&memory, Some(&key)).expect("a trail");
        append(&writer, 100);
        writer.sync().expect("a disk");
        let fault = InjectedFault::new(libc::ENOSPC).call(call).path("tlog/new");
        memory.fail(fault.always());
        for _ in 0..2 {
            append(&writer, 300);
            let error = writer.sync().expect_err("the disk is full");
            assert_eq!(error.errno(), Some(libc::ENOSPC), "{call:?}: {error}");
        }
        memory.fail_no_more();
        append(&writer, 1);
        writer
            .sync()
            .unwrap_or_else(|error| panic!("{call:?}: {error}"));
        assert!(is_intact(&memory, &key));
        append(&writer, 300);
        writer.close().expect("a disk");
        assert!(is_intact(&memory, &key));
    }
}

/// Promise: tiles that a loss of power took are made again by the next writer with the
/// key, whoever has opened the trail before it.
#[test]
fn tiles_are_healed_by_the_first_opening_that_can() {
    let key = Arc::new(SigningKey::generate("log").expect("a key"));
    let stranger = Arc::new(SigningKey::generate("log").expect("a key"));
    let mut lost = 0;
    for seed in 0..20 {
        let memory = Memory::new();
        let writer = open(&memory, Some(&key)).expect("a trail");
        append(&writer, 2000);
        writer.close().expect("a disk");
        let memory = memory.power_loss(seed);
        lost += usize::from(!is_intact(&memory, &key));
        open(&memory, None)
            .expect("a trail")
            .close()
            .expect("a disk");
        open(&memory, Some(&stranger)).expect_err("the wrong key");
        open(&memory, Some(&key))
            .expect("a trail")
            .close()
            .expect("a disk");
        assert!(is_intact(&memory, &key), "seed {seed}");
    }
    assert!(lost > 0);
}
