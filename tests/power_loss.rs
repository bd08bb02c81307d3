//! Promise: what SYNCED, `sync` and `close` acknowledged survives a power loss, what
//! WRITTEN acknowledged survives a kill, and in every other case the trail opens
//! again without torn lines.
//!
//! Random workloads (streams, batches, rotation, a small journal, reopening) run over
//! a disk in memory and crash during any call. The library then opens one of the
//! states that the disk may be left in, sometimes interrupted by another crash. What
//! it recovers is checked against the ledger.
//!
//! `AUDITRAIL_CRASH_STATES` sets how many states are opened, `AUDITRAIL_SEED`
//! runs one seed alone and prints its calls.

mod ledger;

use auditrail::internals::storage::memory::{Call, InjectedFault, Memory, Random};
use auditrail::{Durability, Kind, Options, WarningKind, Writer};
use ledger::{Crash, EventStatus, Ledger, ids_of_warning};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROOT: &str = "/data/trail";
const STREAMS: [&str; 4] = ["v2/alpha", "v2/beta", "legacy/alpha", "legacy/gamma"];

#[test]
fn what_was_acknowledged_survives_any_crash() {
    open_states(1, |session, states| {
        (0..3).try_for_each(|_| session.live_and_crash(states))
    });
}

#[test]
fn shared_writers_survive_each_other_and_any_crash() {
    open_states(2, Session::share_and_crash);
}

/// Runs one seed after the other until enough states were opened.
fn open_states(test: u64, run: impl Fn(&mut Session, &mut u64) -> Result<(), String>) {
    let number = |name: &str| -> Option<u64> {
        let value = std::env::var(name).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let wanted = number("AUDITRAIL_CRASH_STATES").unwrap_or(3000);
    let only = number("AUDITRAIL_SEED");
    let mut states = 0;
    let mut seed = only.unwrap_or(1);
    loop {
        let mut session = Session {
            memory: Memory::new(),
            random: Random::new(seed.wrapping_mul(10).wrapping_add(test)),
            ledger: Ledger::default(),
            durability: Durability::Written,
            shared: None,
            trace: Vec::new(),
            lost: Arc::default(),
            interrupted: 0,
            end: Crash::Killed,
            last_id: 0,
        };
        let outcome = run(&mut session, &mut states);
        if only.is_some() || outcome.is_err() {
            println!("{}", session.memory.history());
            println!("{}", session.trace.join("\n"));
        }
        if let Err(why) = outcome {
            panic!("{why}\nto see it again: AUDITRAIL_SEED={seed}");
        }
        if only.is_some() || states >= wanted {
            break;
        }
        seed += 1;
    }
    println!("{states} states were opened, the last of seed {seed}");
}

struct Session {
    memory: Memory,
    random: Random,
    ledger: Ledger,
    durability: Durability,
    /// Whether trails are opened shared; `None`: as it comes.
    shared: Option<bool>,
    trace: Vec<String>,
    /// Ids that were reported as lost, since the last check.
    lost: Arc<Mutex<BTreeSet<u64>>>,
    /// Openings that did not come to an end since then.
    interrupted: u64,
    /// How the last process ended.
    end: Crash,
    /// The last id when the trail was opened.
    last_id: u64,
}

impl Session {
    fn options(&mut self) -> Options {
        let random = &mut self.random;
        let shared = self.shared.unwrap_or_else(|| random.one_in(5));
        self.durability = match random.below(5) {
            0 if !shared => Durability::Buffered,
            4 if !shared => Durability::Mapped,
            0 | 1 => Durability::Written,
            _ => Durability::Synced,
        };
        let mut options = Options::default();
        options
            .durability(self.durability)
            .shared(shared)
            .flush_interval(Duration::ZERO)
            .journal_bytes(4096 + [1000, 2000, 6000, 30_000][random.below(4) as usize])
            .on_warning({
                let lost = self.lost.clone();
                move |warning| {
                    if warning.kind == WarningKind::MissingIds {
                        lost.lock()
                            .unwrap()
                            .extend(ids_of_warning(&warning.message));
                    }
                }
            });
        let set = options
            .max_segment_bytes([1, 700, 3000, 1 << 20][random.below(4) as usize])
            .and_then(|options| options.max_open_files([1, 2, 100][random.below(3) as usize]))
            .and_then(|options| options.buffer_bytes(4096))
            .map(|_| ());
        set.expect("good options");
        self.trace.push(format!("{options:?}"));
        options
    }

    /// Opens and works, until a crash.
    fn live_and_crash(&mut self, states: &mut u64) -> Result<(), String> {
        let calls = 1 + self.random.below(250);
        let seed = self.random.number();
        self.trace.push(format!("dies at call {calls} from here"));
        self.memory.die_at(calls, seed);
        while !self.memory.is_dead() {
            self.life()?;
        }
        self.crash(states)
    }

    /// Two processes share the trail, each killed and started again at times,
    /// until both end together.
    fn share_and_crash(&mut self, states: &mut u64) -> Result<(), String> {
        self.shared = Some(true);
        let mut writers: [Option<(Memory, Durability, usize, Writer)>; 2] = [None, None];
        let mut opened = 0;
        for _ in 0..self.random.below(100) {
            let place = self.random.below(2) as usize;
            self.trace.push(format!("writer {place}:"));
            let Some((memory, durability, number, writer)) = &writers[place] else {
                opened += 1;
                self.memory = self.memory.another_process();
                if self.random.one_in(2) {
                    let (calls, seed) = (1 + self.random.below(120), self.random.number());
                    self.memory.die_at(calls, seed);
                }
                let options = self.options();
                let storage = Arc::new(self.memory.clone());
                match Writer::open_on(storage, Path::new(ROOT), &options) {
                    Ok(writer) => {
                        writers[place] =
                            Some((self.memory.clone(), self.durability, opened, writer));
                    }
                    Err(error) => self.only_when_dead(&format!("cannot open: {error}"))?,
                }
                continue;
            };
            (self.memory, self.durability) = (memory.clone(), *durability);
            self.ledger.writer = *number;
            self.step(writer)?;
            if self.memory.is_dead() {
                writers[place] = None;
            } else if self.random.one_in(30)
                && let Some((_, _, _, writer)) = writers[place].take()
            {
                self.close(writer)?;
            }
        }
        for (memory, _, _, _) in writers.iter().flatten() {
            memory.kill();
        }
        drop(writers);
        self.shared = None;
        self.crash(states)
    }

    /// The process has ended: checks what is found after that, or what a loss
    /// of power leaves; goes on with the last of these states.
    fn crash(&mut self, states: &mut u64) -> Result<(), String> {
        if self.random.one_in(4) {
            self.killed();
            *states += 1;
            return self.reopen();
        }
        let dead = self.memory.clone();
        let (ledger, trace) = (self.ledger.clone(), self.trace.len());
        for _ in 0..4 {
            self.memory = dead.clone();
            self.ledger = ledger.clone();
            self.trace.truncate(trace);
            self.power_lost();
            *states += 1;
            if self.random.one_in(3) {
                self.crash_in_recovery();
            }
            self.reopen()?;
        }
        Ok(())
    }

    /// The process has ended, and another one takes its place.
    fn killed(&mut self) {
        self.trace.push("killed".into());
        self.memory.kill();
        self.memory.fail_no_more();
        self.memory = self.memory.another_process();
    }

    fn power_lost(&mut self) {
        let seed = self.random.number();
        self.trace.push(format!("power lost, state {seed}"));
        self.memory = self.memory.power_loss(seed);
        self.end = Crash::PowerLost;
    }

    /// One opening of the trail, until it is closed or the process ends.
    fn life(&mut self) -> Result<(), String> {
        let Some(writer) = self.open_and_check()? else {
            return Ok(());
        };
        if self.random.one_in(3) {
            // Sometimes with a full or failing disk.
            let fault = self.fault();
            self.memory.fail(fault);
        }
        for _ in 0..self.random.below(40) {
            self.step(&writer)?;
        }
        let closed = self.close(writer);
        self.memory.fail_no_more();
        closed
    }

    fn close(&mut self, writer: Writer) -> Result<(), String> {
        match writer.close() {
            Ok(()) => {
                self.trace.push("closed".into());
                self.ledger.promote(EventStatus::Durable);
                Ok(())
            }
            Err(error) => self.only_when_dead(&format!("cannot close: {error}")),
        }
    }

    fn fault(&mut self) -> InjectedFault {
        let calls = [
            Call::Append,
            Call::Open,
            Call::CreateDir,
            Call::WriteAt,
            Call::SetLen,
        ];
        let fault = InjectedFault::new(28) // ENOSPC
            .call(calls[self.random.below(5) as usize])
            .after(self.random.below(30))
            .short();
        self.trace.push(format!("{fault:?}"));
        match self.random.below(3) {
            0 => fault.always(),
            _ => fault,
        }
    }

    fn only_when_dead(&mut self, what: &str) -> Result<(), String> {
        self.trace.push(what.to_owned());
        if self.memory.is_dead() || self.memory.failed_call().is_some() {
            return Ok(());
        }
        Err(what.to_owned())
    }

    /// Opens the trail and checks what it holds. `None`: the process has ended.
    fn open_and_check(&mut self) -> Result<Option<Writer>, String> {
        let root = Path::new(ROOT);
        let before = self.memory.files(root);
        let options = self.options();
        let storage = Arc::new(self.memory.clone());
        let writer = match Writer::open_on(storage, root, &options) {
            Ok(writer) => writer,
            Err(error) => {
                self.interrupted += 1;
                return self
                    .only_when_dead(&format!("cannot open: {error}"))
                    .map(|()| None);
            }
        };
        let stats = writer.stats().map_err(|e| format!("no stats: {e}"))?;
        let reported = std::mem::take(&mut *self.lost.lock().unwrap());
        if std::mem::take(&mut self.interrupted) < 1 && stats.missing_ids != reported.len() as u64 {
            return Err(format!("{stats:?}, but {reported:?} were reported"));
        }
        let after = self.memory.files(root);
        let end = std::mem::replace(&mut self.end, Crash::Killed);
        self.ledger.check(
            &after,
            root,
            end,
            stats.last_id,
            &reported,
            EventStatus::Durable,
        )?;
        check_quarantine(&before, &after)?;
        self.last_id = stats.last_id;
        Ok(Some(writer))
    }

    fn step(&mut self, writer: &Writer) -> Result<(), String> {
        match self.random.below(20) {
            0 => self.told("flush", &writer.flush(), EventStatus::Written),
            1 => self.told("sync", &writer.sync(), EventStatus::Durable),
            2..=5 => {
                let tags: Vec<usize> = (0..=self.random.below(6)).map(|_| self.event()).collect();
                let lines = tags.iter().map(|&tag| self.ledger.json(tag) + "\n");
                let text: String = lines.collect();
                let result = writer.append_batch(text.as_bytes());
                self.answered(&tags, result.map(|(first, _)| first))
            }
            _ => {
                let tag = self.event();
                let result = writer.append(self.ledger.json(tag).as_bytes());
                self.answered(&[tag], result)
            }
        }
    }

    fn event(&mut self) -> usize {
        let stream = STREAMS[self.random.below(4) as usize];
        let pad = match self.random.below(10) {
            0 => self.random.below(2500),
            _ => self.random.below(100),
        };
        self.ledger.add(stream, pad as usize)
    }

    fn told(
        &mut self,
        what: &str,
        result: &auditrail::Result<()>,
        fate: EventStatus,
    ) -> Result<(), String> {
        match result {
            Ok(()) => {
                self.trace.push(format!("{what} OK"));
                self.ledger.promote(fate);
                Ok(())
            }
            Err(error) => self.only_when_dead(&format!("{what}: {error}")),
        }
    }

    fn answered(&mut self, tags: &[usize], result: auditrail::Result<u64>) -> Result<(), String> {
        match result {
            // It died in the midst of a write to the mapping, which cannot tell.
            Ok(_) if self.memory.is_dead() => Ok(()),
            Ok(first) => {
                self.trace.push(format!("{tags:?} OK from {first}"));
                let fate = match self.durability {
                    Durability::Buffered => EventStatus::Accepted,
                    Durability::Written | Durability::Mapped => EventStatus::Written,
                    Durability::Synced => EventStatus::Durable,
                };
                for (id, &tag) in (first..).zip(tags) {
                    self.ledger.acknowledged(tag, id, fate);
                }
                Ok(())
            }
            // Larger than the buffer.
            Err(error) if error.kind() == Kind::TooLarge => {
                self.ledger.failed(tags);
                Ok(())
            }
            Err(error) => {
                // After `Failed` the outcome is unknown; any other error promises no event.
                if !self.memory.is_dead() && error.kind() != Kind::Failed {
                    self.ledger.failed(tags);
                }
                self.only_when_dead(&format!("append {tags:?}: {error}"))
            }
        }
    }

    /// Opens the trail, and is interrupted.
    fn crash_in_recovery(&mut self) {
        let (calls, seed) = (1 + self.random.below(60), self.random.number());
        self.memory.die_at(calls, seed);
        let options = self.options();
        let storage = Arc::new(self.memory.clone());
        let opened = Writer::open_on(storage, Path::new(ROOT), &options);
        self.interrupted += 1;
        self.trace.push("in recovery:".into());
        self.killed();
        drop(opened);
        if self.random.one_in(2) {
            self.power_lost();
        }
    }

    /// Opens the trail after a crash and checks it; goes on, closes, and checks
    /// again, after a loss of power for good measure.
    fn reopen(&mut self) -> Result<(), String> {
        let Some(writer) = self.open_and_check()? else {
            return Err("the process has ended".into());
        };
        for next in self.last_id + 1..self.last_id + 4 {
            let tag = self.event();
            let result = writer.append(self.ledger.json(tag).as_bytes());
            if !matches!(result, Ok(id) if id == next) {
                return Err(format!("{next} should be next, not {result:?}"));
            }
            self.answered(&[tag], result)?;
        }
        if self.random.one_in(2) {
            self.killed();
            return Ok(());
        }
        self.close(writer)?;
        self.power_lost();
        let files = self.memory.files(Path::new(ROOT));
        self.ledger
            .check(
                &files,
                Path::new(ROOT),
                Crash::PowerLost,
                self.last_id + 3,
                &BTreeSet::new(),
                EventStatus::Durable,
            )
            .map_err(|why| format!("after a clean close and a power loss: {why}"))
    }
}

/// Checks that whatever recovery cut from a segment is saved under `torn`.
fn check_quarantine(
    before: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>,
    after: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>,
) -> Result<(), String> {
    // A byte may have been restored from the journal.
    let same = |before: &[u8], after: &[u8]| {
        before.len() <= after.len() && before.iter().zip(after).all(|(b, a)| b == a || *b == 0)
    };
    for (path, old) in before {
        if !path.to_string_lossy().ends_with(".jsonl") {
            continue;
        }
        let new = after
            .get(path)
            .ok_or_else(|| format!("{} is gone", path.display()))?;
        let (kept, taken) = old.split_at(old.len().min(new.len()));
        if !same(kept, new) {
            return Err(format!("{} was changed", path.display()));
        }
        let aside = |(path, bytes): (&std::path::PathBuf, &Vec<u8>)| {
            path.to_string_lossy().contains("/torn/") && same(taken, bytes)
        };
        if !taken.is_empty() && !after.iter().any(aside) {
            return Err(format!(
                "{} lost {} bytes, which are nowhere",
                path.display(),
                taken.len()
            ));
        }
    }
    Ok(())
}
