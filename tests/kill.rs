//! Promise: kill -9 loses nothing that WRITTEN or SYNCED acknowledged, and leaves no
//! gap and no torn line; BUFFERED loses at most what was not flushed, and reports
//! each gap. On the real disk, with real processes.
//!
//! `AUDITRAIL_KILLS` sets how many processes are killed.

mod children;
mod ledger;

use auditrail::internals::storage::memory::Random;
use auditrail::{Durability, WarningKind, Writer};
use children::{ChildTask, record_output, spawn, tag_count};
use ledger::{Crash, EventStatus, Ledger, files_on_disk, ids_of_warning};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn child() {
    children::child_main();
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let kills: u64 = std::env::var("AUDITRAIL_KILLS")
        .map_or(200, |n| n.parse().expect("AUDITRAIL_KILLS is a number"));
    let mut killed = 0;
    let mut events = 0;
    for trail in 0_u64.. {
        if killed >= kills {
            break;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::default();
        let mut random = Random::new(trail);
        let mut first_tag = 0;
        for life in 0..10 {
            let durability = [
                Durability::Buffered,
                Durability::Written,
                Durability::Synced,
                Durability::Mapped,
                Durability::Mapped,
            ][random.below(5) as usize];
            let task = ChildTask {
                root: folder.path().to_str().expect("a text").to_owned(),
                durability,
                shared: !matches!(durability, Durability::Buffered | Durability::Mapped)
                    && random.one_in(4),
                threads: 8,
                first_tag,
                events: 10_000,
            };
            first_tag += tag_count(8);
            let mut child = spawn("child", &task);
            std::thread::sleep(Duration::from_micros(3_000 + random.below(60_000)));
            child.kill().expect("it can be killed");
            let outcome = record_output(child, &task, &mut ledger)
                .map(drop)
                .and_then(|()| open_and_check(&task, &mut ledger));
            if let Err(why) = outcome {
                let kept = folder.keep();
                panic!("{why}\ntrail {trail}, life {life}, {task:?}, kept in {kept:?}");
            }
            killed += 1;
        }
        events += ledger.events.len();
    }
    println!("{killed} processes were killed, {events} events were looked at");
}

/// Opens the trail after a kill and checks it.
fn open_and_check(task: &ChildTask, ledger: &mut Ledger) -> Result<(), String> {
    let lost = Arc::new(Mutex::new(BTreeSet::new()));
    let mut options = children::options(Durability::Written, false);
    options.on_warning({
        let lost = lost.clone();
        move |warning| {
            if warning.kind == WarningKind::MissingIds {
                lost.lock()
                    .unwrap()
                    .extend(ids_of_warning(&warning.message));
            }
        }
    });
    let writer = Writer::open(&task.root, &options).map_err(|e| e.to_string())?;
    let last_id = writer.stats().map_err(|e| e.to_string())?.last_id;
    let lost = std::mem::take(&mut *lost.lock().unwrap());
    if task.durability != Durability::Buffered && !lost.is_empty() {
        return Err(format!("gaps: {lost:?}"));
    }
    let files = files_on_disk(children::path(task));
    ledger.check(
        &files,
        children::path(task),
        Crash::Killed,
        last_id,
        &lost,
        EventStatus::Durable,
    )?;
    writer.close().map_err(|e| e.to_string())
}
