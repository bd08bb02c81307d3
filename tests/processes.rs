//! Promise: processes that share a trail lose, repeat and misorder no id, even when
//! they are killed and restarted; an exclusive writer excludes others, whose error
//! names it.

mod children;
mod ledger;

use auditrail::internals::storage::memory::Random;
use auditrail::{Durability, Kind, Options, Writer};
use children::{ChildTask, record_output, spawn, tag_count};
use ledger::{Crash, EventStatus, Ledger, files_on_disk};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn child() {
    children::child_main();
}

#[test]
fn four_processes_of_four_threads_are_killed_and_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(11);
    let mut ledger = Ledger::default();
    let mut first_tag = 0;
    let mut order = |random: &mut Random| {
        first_tag += tag_count(4);
        ChildTask {
            root: folder.path().to_str().expect("a text").to_owned(),
            durability: [Durability::Written, Durability::Synced][random.below(2) as usize],
            shared: true,
            threads: 4,
            first_tag,
            events: 200,
        }
    };
    let mut running: Vec<_> = (0..4)
        .map(|_| {
            let task = order(&mut random);
            (spawn("child", &task), task)
        })
        .collect();
    let mut closed = 0;
    for round in 0..20 {
        std::thread::sleep(Duration::from_millis(random.below(60)));
        let (mut child, task) = running.remove(random.below(running.len() as u64) as usize);
        // Some are not killed.
        if round % 4 != 0 {
            child.kill().expect("it can be killed");
        }
        match record_output(child, &task, &mut ledger) {
            Ok(end) => closed += u64::from(end),
            Err(why) => panic!("{task:?}: {why}"),
        }
        if round < 16 {
            let task = order(&mut random);
            running.push((spawn("child", &task), task));
        }
    }
    for (child, task) in running {
        record_output(child, &task, &mut ledger).expect("it ends");
    }
    assert!(closed > 0, "no process came to its end");
    let writer = Writer::open(folder.path(), &Options::default()).expect("it opens");
    let last_id = writer.stats().expect("stats").last_id;
    let files = files_on_disk(folder.path());
    let none = BTreeSet::new();
    let checked = ledger.check(
        &files,
        folder.path(),
        Crash::Killed,
        last_id,
        &none,
        EventStatus::Durable,
    );
    if let Err(why) = checked {
        panic!("{why}, kept in {:?}", folder.keep());
    }
    println!("{last_id} events of 20 processes, {closed} of which closed the trail");
}

#[test]
fn a_busy_error_names_the_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let exclusive = Options::default();
    let mut shared = Options::default();
    shared.shared(true);
    let here = format!("({})", std::process::id());
    let busy = |options: &Options, holder: &str| match Writer::open(folder.path(), options) {
        Ok(_) => panic!("the trail is taken, and opens"),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Busy, "{error}");
            assert!(error.message().contains(holder), "{error}, not {holder}");
        }
    };
    // An exclusive writer excludes others in its own process too.
    let writer = Writer::open(folder.path(), &exclusive).expect("it is free");
    busy(&exclusive, &here);
    busy(&shared, &here);
    writer.close().expect("it closes");
    // Shared writers exclude exclusive ones.
    let one = Writer::open(folder.path(), &shared).expect("it is free");
    let other = Writer::open(folder.path(), &shared).expect("it is shared");
    busy(&exclusive, &here);
    one.close().expect("it closes");
    busy(&exclusive, &here);
    other.close().expect("it closes");
    Writer::open(folder.path(), &exclusive).expect("it is free again");

    // Another process is named by its pid.
    let task = ChildTask {
        root: folder.path().to_str().expect("a text").to_owned(),
        durability: Durability::Written,
        shared: false,
        threads: 1,
        first_tag: 0,
        events: 100_000,
    };
    let mut child = spawn("child", &task);
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("@open") {
        line.clear();
        std::io::BufRead::read_line(&mut out, &mut line).expect("it opens the trail");
    }
    busy(&exclusive, &format!("process {}", child.id()));
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    Writer::open(folder.path(), &exclusive).expect("the lock went with the process");
}
