//! Promise: a sync that fails once, and then succeeds without having written what the
//! first one lost, costs nothing that is acknowledged from then on; nor does it on a
//! shared trail, where the kernel tells the failure to one process only.
//!
//! Two writers on a disk in memory. Whichever of their syncs fails drops some of what
//! the kernel holds, silently for everyone else. A writer that has failed is opened
//! again, while the other one goes on. In the end the power is lost.
//!
//! `AUDITRAIL_CRASH_STATES` sets how many disks there are.

mod ledger;

use auditrail::internals::storage::memory::{Call, InjectedFault, Memory, Random};
use auditrail::proof::{ProofOptions, SigningKey};
use auditrail::{Durability, Kind, Options, Writer};
use ledger::{EventStatus, Ledger, read_trail};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const ROOT: &str = "/data/trail";
const EIO: i32 = 5;

struct Run {
    memory: Memory,
    random: Random,
    ledger: Ledger,
    shared: bool,
    /// With proof: a checkpoint syncs what the other writer has written, too.
    key: Option<Arc<SigningKey>>,
    failed: u64,
}

impl Run {
    fn open(&mut self, place: usize) -> Option<(Durability, Writer)> {
        let durability = match self.random.below(2) {
            0 => Durability::Written,
            _ => Durability::Synced,
        };
        let mut options = Options::default();
        options
            .durability(durability)
            .shared(self.shared)
            .journal_bytes(4096 + 3000);
        if let Some(key) = &self.key {
            options.proof(ProofOptions::new(key.clone()));
        }
        let segment = [700, 3000, 1 << 20][self.random.below(3) as usize];
        options.max_segment_bytes(segment).unwrap();
        options.max_open_files(1 + self.random.below(3)).unwrap();
        self.ledger.writer = place;
        let memory = self.memory.another_process();
        match Writer::open_on(Arc::new(memory), Path::new(ROOT), &options) {
            Ok(writer) => Some((durability, writer)),
            Err(error) => {
                assert!(matches!(error.kind(), Kind::Io | Kind::Failed), "{error}");
                None
            }
        }
    }

    /// A writer's next call. False: it has failed.
    fn step(&mut self, place: usize, durability: Durability, writer: &Writer) -> bool {
        self.ledger.writer = place;
        if self.random.one_in(4) {
            let result = writer.sync();
            if result.is_ok() {
                self.ledger.promote(EventStatus::Durable);
            }
            return result.is_ok();
        }
        let stream = ["v2/a", "v2/b"][self.random.below(2) as usize];
        let tag = self.ledger.add(stream, self.random.below(200) as usize);
        match writer.append(self.ledger.json(tag).as_bytes()) {
            Ok(id) => {
                let status = match durability {
                    Durability::Synced => EventStatus::Durable,
                    _ => EventStatus::Written,
                };
                self.ledger.acknowledged(tag, id, status);
                true
            }
            Err(error) => error.kind() != Kind::Failed,
        }
    }

    fn work(&mut self) {
        let places = if self.shared { 2 } else { 1 };
        let mut writers = [None, None];
        for _ in 0..60 {
            let place = self.random.below(places) as usize;
            if self.random.one_in(12) {
                let after = self.random.below(4);
                let fault = InjectedFault::new(EIO).call(Call::Sync);
                self.memory.fail(fault.path(".jsonl").after(after));
            }
            let Some((durability, writer)) = writers[place].take() else {
                writers[place] = self.open(place);
                continue;
            };
            if self.step(place, durability, &writer) {
                writers[place] = Some((durability, writer));
            } else {
                // What it has written and not synced is not acknowledged as durable.
                self.failed += 1;
                self.ledger.writer = usize::MAX;
                let old = |event: &mut ledger::Event| {
                    if event.writer == place {
                        event.writer = usize::MAX;
                    }
                };
                self.ledger.events.values_mut().for_each(old);
            }
        }
    }
}

fn nothing_is_lost(shared: bool) {
    let states = std::env::var("AUDITRAIL_CRASH_STATES").map_or(600, |n| n.parse().unwrap());
    let mut failed = 0;
    let key = SigningKey::generate("log").map(Arc::new).ok();
    for seed in 0..states {
        let mut run = Run {
            memory: Memory::new(),
            random: Random::new(seed),
            ledger: Ledger::default(),
            shared,
            key: key.clone().filter(|_| shared && seed % 2 == 1),
            failed: 0,
        };
        run.work();
        failed += run.failed;
        let memory = run.memory.power_loss(seed);
        let writer = Writer::open_on(
            Arc::new(memory.clone()),
            Path::new(ROOT),
            &Options::default(),
        )
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let found =
            read_trail(&memory.files(Path::new(ROOT)), Path::new(ROOT)).unwrap_or_else(|e| {
                panic!(
                    "seed {seed}: {}\n{}",
                    e.chars().take(60).collect::<String>(),
                    run.memory.history()
                )
            });
        let last_id = writer.stats().unwrap().last_id;
        let mut ids = BTreeSet::new();
        for event in &found {
            assert!(ids.insert(event.id), "seed {seed}: {} twice", event.id);
            assert!(event.id <= last_id, "seed {seed}");
        }
        let tags: BTreeSet<usize> = found.iter().map(|event| event.tag).collect();
        for (tag, event) in &run.ledger.events {
            assert!(
                event.status != EventStatus::Durable || tags.contains(tag),
                "seed {seed}: the event {tag} (id {:?}) is lost\n{}",
                event.id,
                run.memory.history()
            );
        }
    }
    assert!(failed > states / 2, "only {failed} writers failed");
    println!("{failed} writers failed");
}

#[test]
fn what_an_exclusive_writer_acknowledges_after_it() {
    nothing_is_lost(false);
}

#[test]
fn what_shared_writers_acknowledge_after_it() {
    nothing_is_lost(true);
}
