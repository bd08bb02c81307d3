//! Promise: processes that share a trail lose, double and misorder no id, also
//! when they are killed and started again; an exclusive writer keeps others
//! out, and says who it is.

mod children;
mod ledger;

use auditrail::internals::storage::memory::Random;
use auditrail::{Durability, Kind, Options, Writer};
use children::{Orders, enter, start, tags_of};
use ledger::{End, Fate, Ledger, files_on_disk};
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
        first_tag += tags_of(4);
        Orders {
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
            let orders = order(&mut random);
            (start("child", &orders), orders)
        })
        .collect();
    let mut closed = 0;
    for round in 0..20 {
        std::thread::sleep(Duration::from_millis(random.below(60)));
        let (mut child, orders) = running.remove(random.below(running.len() as u64) as usize);
        // Some are let live to their end.
        if round % 4 != 0 {
            child.kill().expect("it can be killed");
        }
        match enter(child, &orders, &mut ledger) {
            Ok(end) => closed += u64::from(end),
            Err(why) => panic!("{orders:?}: {why}"),
        }
        if round < 16 {
            let orders = order(&mut random);
            running.push((start("child", &orders), orders));
        }
    }
    for (child, orders) in running {
        enter(child, &orders, &mut ledger).expect("it ends");
    }
    assert!(closed > 0, "no process came to its end");
    let writer = Writer::open(folder.path(), &Options::default()).expect("it opens");
    let last_id = writer.stats().expect("stats").last_id;
    let files = files_on_disk(folder.path());
    let none = BTreeSet::new();
    let checked = ledger.check(
        &files,
        folder.path(),
        End::Killed,
        last_id,
        &none,
        Fate::Durable,
    );
    if let Err(why) = checked {
        panic!("{why}, kept in {:?}", folder.keep());
    }
    println!("{last_id} events of 20 processes, {closed} of which closed the trail");
}

#[test]
fn a_trail_that_is_taken_says_by_whom() {
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
    // Whoever has it alone has it alone, in this process too.
    let writer = Writer::open(folder.path(), &exclusive).expect("it is free");
    busy(&exclusive, &here);
    busy(&shared, &here);
    writer.close().expect("it closes");
    // Those who share it share it with each other only.
    let one = Writer::open(folder.path(), &shared).expect("it is free");
    let other = Writer::open(folder.path(), &shared).expect("it is shared");
    busy(&exclusive, &here);
    one.close().expect("it closes");
    busy(&exclusive, &here);
    other.close().expect("it closes");
    Writer::open(folder.path(), &exclusive).expect("it is free again");

    // Another process is named by its number.
    let orders = Orders {
        root: folder.path().to_str().expect("a text").to_owned(),
        durability: Durability::Written,
        shared: false,
        threads: 1,
        first_tag: 0,
        events: 100_000,
    };
    let mut child = start("child", &orders);
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
