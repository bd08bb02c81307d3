//! Promise: a failed call is reported with path and errno; it loses nothing, tears
//! nothing and uses up no id. Afterwards the writer continues, or, after a failed
//! sync, fails permanently, and a new one recovers what is on disk.
//!
//! One workload is run over a disk in memory; then again for each of its calls, with
//! that call failing once, with each errno, with or without partial effect. A full
//! disk is filled byte by byte, and gets space again.

mod ledger;

use auditrail::internals::storage::memory::{Call, InjectedFault, Memory};
use auditrail::{Durability, Error, Kind, Options, WarningKind, Writer};
use ledger::{Crash, EventStatus, Ledger, ids_of_warning};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROOT: &str = "/data/trail";

#[test]
fn any_call_may_fail_in_written_mode() {
    each_call_fails(Durability::Written, false);
}

#[test]
fn any_call_may_fail_in_synced_mode() {
    each_call_fails(Durability::Synced, false);
}

#[test]
fn any_call_may_fail_in_buffered_mode() {
    each_call_fails(Durability::Buffered, false);
}

#[test]
fn any_call_may_fail_in_mapped_mode() {
    each_call_fails(Durability::Mapped, false);
}

#[test]
fn any_call_may_fail_on_a_shared_trail() {
    each_call_fails(Durability::Written, true);
    each_call_fails(Durability::Synced, true);
}

/// Appends to a disk with `room` bytes left until it is full; then gives it space
/// again.
fn fill_up(durability: Durability, room: u64) -> Result<(), String> {
    let mut run = Run::new(durability, false);
    let writer = run.open()?;
    let used = run.memory.used();
    run.memory.set_capacity(used + room);
    let mut next = 1;
    let mut refused = 0;
    while refused < 3 {
        let tag = run.ledger.add(["v2/a", "v2/b"][next as usize % 2], 40);
        match writer.append(run.ledger.json(tag).as_bytes()) {
            Ok(id) if id == next && refused == 0 => {
                run.ledger.acknowledged(tag, id, EventStatus::Accepted);
                next += 1;
            }
            Ok(id) if id == next => {
                // A smaller write may still fit.
                run.ledger.acknowledged(tag, id, EventStatus::Accepted);
                next += 1;
                refused = 0;
            }
            Ok(id) => return Err(format!("the id {id}, not {next}")),
            Err(error) => {
                let kind = match durability {
                    Durability::Buffered => Kind::BufferFull,
                    _ => Kind::NoSpace,
                };
                if error.kind() != kind || error.errno() != Some(libc::ENOSPC) {
                    return Err(format!("{error:?}"));
                }
                run.ledger.failed(&[tag]);
                refused += 1;
            }
        }
    }
    if durability == Durability::Buffered {
        let stats = writer.stats().map_err(|e| e.to_string())?;
        if stats.waiting == 0 || stats.last_id != next - 1 || stats.flush_failures == 0 {
            return Err(format!("a full buffer: {stats:?}"));
        }
        if !matches!(writer.flush(), Err(error) if error.kind() == Kind::NoSpace) {
            return Err("a flush to a full disk".into());
        }
    }
    run.memory.set_capacity(u64::MAX);
    for _ in 0..5 {
        let tag = run.ledger.add("v2/a", 40);
        let id = writer.append(run.ledger.json(tag).as_bytes());
        if !matches!(id, Ok(id) if id == next) {
            return Err(format!("there is room again, yet {id:?}, not {next}"));
        }
        run.ledger.acknowledged(tag, next, EventStatus::Accepted);
        next += 1;
    }
    writer
        .flush()
        .map_err(|e| format!("there is room again: {e}"))?;
    run.ledger.promote(EventStatus::Written);
    run.check(&writer, Crash::Killed)?;
    writer
        .close()
        .map_err(|e| format!("there is room again: {e}"))?;
    run.memory = run.memory.power_loss(room);
    let writer = run.open()?;
    run.check(&writer, Crash::PowerLost)
}

#[test]
fn a_full_disk_loses_nothing_once_it_has_space_again() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
    ] {
        for room in (0..1500).step_by(7) {
            if let Err(why) = fill_up(durability, room) {
                panic!("{durability:?}, room for {room} bytes: {why}");
            }
        }
    }
}

#[test]
fn a_buffer_that_cannot_be_flushed_fills_completely() {
    const BUFFER: usize = 16_384;
    let memory = Memory::new();
    let mut options = Options::default();
    options
        .durability(Durability::Buffered)
        .buffer_bytes(BUFFER as u64)
        .unwrap()
        .flush_interval(Duration::ZERO);
    let storage = Arc::new(memory.clone());
    let writer = Writer::open_on(storage, Path::new(ROOT), &options).unwrap();
    memory.set_capacity(memory.used());
    // A line without its id is shorter than its text.
    let text = |tag| ledger::json(tag, "v2/a", 40);
    // The batch whose flush failed holds only the first event.
    writer.append(text(0).as_bytes()).unwrap();
    assert!(writer.flush().is_err());
    let mut waiting = 1;
    let error = loop {
        match writer.append(text(waiting).as_bytes()) {
            Ok(_) => waiting += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::BufferFull, "{error}");
    assert_eq!(error.errno(), Some(libc::ENOSPC));
    assert_eq!(writer.stats().unwrap().waiting, waiting as u64);
    assert!(
        (waiting + 1) * text(waiting).len() > BUFFER,
        "only {waiting} events"
    );
    memory.set_capacity(u64::MAX);
    writer.append(text(waiting).as_bytes()).unwrap();
    writer.close().unwrap();
    let files = memory.files(Path::new(ROOT));
    let segment = &files[&Path::new(ROOT).join("v2/a/audit-000001.jsonl")];
    let lines = segment.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    assert_eq!(lines.count(), waiting + 1);
}

#[test]
fn a_read_only_disk_is_an_error_at_open() {
    for errno in [libc::EROFS, libc::EACCES] {
        for call in [Call::CreateDir, Call::Open, Call::WriteAt] {
            let mut run = Run::new(Durability::Written, false);
            run.errno = errno;
            run.memory
                .fail(InjectedFault::new(errno).call(call).always());
            let storage = Arc::new(run.memory.clone());
            match Writer::open_on(storage, Path::new(ROOT), &run.options) {
                Ok(_) => panic!("{call:?} {errno}: it opens"),
                Err(error) => run.only_once("open", &error).unwrap(),
            }
            run.memory.fail_no_more();
            let writer = run.open().unwrap();
            run.append(writer, &["v2/a"]).unwrap();
        }
    }
}

#[test]
fn a_failed_sync_is_not_retried_and_its_data_is_rewritten() {
    for seed in 0..200 {
        let mut run = Run::new(Durability::Written, false);
        run.errno = libc::EIO;
        let writer = run.open().unwrap();
        let writer = run.append(writer, &["v2/a", "v2/b"].repeat(6)).unwrap();
        run.memory.fail(
            InjectedFault::new(libc::EIO)
                .call(Call::Sync)
                .after(seed % 4),
        );
        // `sync` checks that the writer has failed, and opens a new one, which must
        // make what it finds durable.
        let writer = run.sync(writer).unwrap();
        assert!(run.reported, "the fault was not met");
        run.memory.kill();
        drop(writer);
        run.memory = run.memory.power_loss(seed);
        let writer = run.open().unwrap();
        if let Err(why) = run.check(&writer, Crash::PowerLost) {
            panic!("{}seed {seed}: {why}", run.memory.history());
        }
    }
}

fn each_call_fails(durability: Durability, shared: bool) {
    let mut run = Run::new(durability, shared);
    run.workload().expect("it works where nothing fails");
    let calls = run.memory.calls();
    let kinds = [
        (libc::ENOSPC, true),
        (libc::ENOSPC, false),
        (libc::EIO, true),
        (libc::EIO, false),
        (libc::EROFS, false),
        (libc::EACCES, false),
        (libc::EINTR, false),
    ];
    let mut faults = 0;
    for call in 0..calls {
        for (errno, short) in kinds {
            let fault = InjectedFault::new(errno).after(call);
            let fault = if short { fault.short() } else { fault };
            let mut run = Run::new(durability, shared);
            run.errno = errno;
            run.memory.fail(fault);
            let outcome = run.workload().and_then(|()| run.aftermath());
            faults += 1;
            if let Err(why) = outcome {
                println!("{}{}", run.memory.history(), run.trace.join("\n"));
                panic!(
                    "{durability:?}, shared {shared}, call {call} of {calls}, errno {errno}, \
                         short {short}, {:?}: {why}",
                    run.memory.failed_call()
                );
            }
        }
    }
    println!("{durability:?}, shared {shared}: {faults} faults in {calls} calls");
}

struct Run {
    memory: Memory,
    options: Options,
    durability: Durability,
    ledger: Ledger,
    lost: Arc<Mutex<BTreeSet<u64>>>,
    flush_failures: u64,
    errno: i32,
    reported: bool,
    trace: Vec<String>,
}

impl Run {
    fn new(durability: Durability, shared: bool) -> Self {
        let lost = Arc::new(Mutex::new(BTreeSet::new()));
        let mut options = Options::default();
        options
            .durability(durability)
            .shared(shared)
            .flush_interval(Duration::ZERO)
            .journal_bytes(4096 + 1500)
            .on_warning({
                let lost = lost.clone();
                move |warning| {
                    if warning.kind == WarningKind::MissingIds {
                        let ids = ids_of_warning(&warning.message);
                        lost.lock().unwrap().extend(ids);
                    }
                }
            });
        options.max_segment_bytes(500).expect("a good size");
        options.max_open_files(1).expect("a good number");
        options.buffer_bytes(4096).expect("a good size");
        Self {
            memory: Memory::new(),
            options,
            durability,
            ledger: Ledger::default(),
            lost,
            flush_failures: 0,
            errno: 0,
            reported: false,
            trace: Vec::new(),
        }
    }

    fn open(&mut self) -> Result<Writer, String> {
        loop {
            let storage = Arc::new(self.memory.clone());
            match Writer::open_on(storage, Path::new(ROOT), &self.options) {
                Ok(writer) => return Ok(writer),
                Err(error) => self.only_once("open", &error)?,
            }
        }
    }

    /// An error that is to be expected: the first one after the fault.
    fn only_once(&mut self, what: &str, error: &Error) -> Result<(), String> {
        self.trace.push(format!("{what}: {error:?}"));
        if self.memory.failed_call().is_none() {
            return Err(format!("{what} fails though nothing failed: {error}"));
        }
        if std::mem::replace(&mut self.reported, true) {
            return Err(format!("{what} fails again: {error:?}"));
        }
        let path = ["/data", "sync /:"];
        let named = path.iter().any(|path| error.message().contains(path));
        if error.errno() != Some(self.errno) || !named {
            return Err(format!(
                "{what}: no path or errno: {error:?}, {:?}",
                error.errno()
            ));
        }
        Ok(())
    }

    fn workload(&mut self) -> Result<(), String> {
        for life in 0..2 {
            let mut writer = self.open()?;
            for (step, stream) in ["v2/a", "v2/b", "v2/a", "legacy/c", "v2/a"]
                .iter()
                .enumerate()
            {
                writer = self.append(writer, &[stream])?;
                if step == 2 {
                    writer = self.append(writer, &["v2/b", "v2/a", "v2/a", "v2/a", "v2/b"])?;
                    writer = self.sync(writer)?;
                }
            }
            self.flush_failures += writer.stats().map_err(|e| e.to_string())?.flush_failures;
            match writer.close() {
                Ok(()) => self.ledger.promote(EventStatus::Durable),
                Err(error) => {
                    self.only_once("close", &error)?;
                    // A new writer recovers what the failed close left.
                    let writer = self.open()?;
                    self.check(&writer, Crash::Killed)?;
                }
            }
            self.trace.push(format!("life {life} ends"));
        }
        Ok(())
    }

    fn append(&mut self, writer: Writer, streams: &[&str]) -> Result<Writer, String> {
        let tags: Vec<usize> = streams.iter().map(|s| self.ledger.add(s, 40)).collect();
        let text: String = tags
            .iter()
            .map(|&tag| self.ledger.json(tag) + "\n")
            .collect();
        let there = self
            .ledger
            .events
            .values()
            .filter(|e| e.status != EventStatus::Lost);
        let next = there.filter_map(|e| e.id).max().unwrap_or(0) + 1;
        match writer.append_batch(text.as_bytes()) {
            Ok((first, count)) => {
                self.trace.push(format!("{tags:?} from {first}"));
                if (first, count) != (next, tags.len()) {
                    return Err(format!("ids {first}, {count} events, not {next}, {tags:?}"));
                }
                let fate = match self.durability {
                    Durability::Buffered => EventStatus::Accepted,
                    Durability::Written | Durability::Mapped => EventStatus::Written,
                    Durability::Synced => EventStatus::Durable,
                };
                for (id, &tag) in (first..).zip(&tags) {
                    self.ledger.acknowledged(tag, id, fate);
                }
                Ok(writer)
            }
            Err(error) => {
                self.only_once("append", &error)?;
                if error.kind() == Kind::Failed {
                    return self.after_failure(writer);
                }
                self.ledger.failed(&tags);
                Ok(writer)
            }
        }
    }

    fn sync(&mut self, writer: Writer) -> Result<Writer, String> {
        match writer.sync() {
            Ok(()) => self.ledger.promote(EventStatus::Durable),
            Err(error) => {
                self.only_once("sync", &error)?;
                if error.kind() == Kind::Failed {
                    return self.after_failure(writer);
                }
                writer
                    .sync()
                    .map_err(|e| format!("sync fails again: {e}"))?;
                self.ledger.promote(EventStatus::Durable);
            }
        }
        Ok(writer)
    }

    /// The writer says that it has failed: it must go on saying so, without
    /// trying again, and a new one must tell the truth.
    fn after_failure(&mut self, writer: Writer) -> Result<Writer, String> {
        let call = self.memory.failed_call().unwrap_or_default();
        if !call.starts_with("Sync") {
            return Err(format!("a writer must not fail for good for this: {call}"));
        }
        let calls = self.memory.calls();
        let event = self.ledger.add("v2/a", 1);
        for error in [
            writer.append(self.ledger.json(event).as_bytes()).map(drop),
            writer.flush(),
            writer.sync(),
        ] {
            match error {
                Err(error) if error.kind() == Kind::Failed && error.errno() == Some(self.errno) => {
                }
                other => return Err(format!("after the failure: {other:?}")),
            }
        }
        if self.memory.calls() != calls {
            return Err("a failed writer touches the disk".into());
        }
        self.ledger.failed(&[event]);
        if !matches!(writer.close(), Err(error) if error.kind() == Kind::Failed) {
            return Err("a failed writer must not close well".into());
        }
        let writer = self.open()?;
        self.check(&writer, Crash::Killed)?;
        Ok(writer)
    }

    /// What the trail holds is what was promised.
    fn check(&mut self, writer: &Writer, end: Crash) -> Result<(), String> {
        let stats = writer.stats().map_err(|e| e.to_string())?;
        let files = self.memory.files(Path::new("/data"));
        let lost = std::mem::take(&mut *self.lost.lock().unwrap());
        self.ledger.check(
            &files,
            Path::new(ROOT),
            end,
            stats.last_id,
            &lost,
            EventStatus::Durable,
        )
    }

    /// After the workload, everything is there, on disk too.
    fn aftermath(&mut self) -> Result<(), String> {
        let failed = self.memory.failed_call();
        let silent = |call: &str| {
            // These only make recovery or a reader read more, or the lock is released
            // with the file.
            // A folder above the trail that may not be opened: all of the file system is
            // synced instead.
            call.contains("/state")
                || call.contains("/times")
                || call.ends_with("back")
                // An empty file, which the next opening removes.
                || (call.starts_with("Remove") && call.contains("/buffer-"))
                || ["SyncDir /data", "SyncDir /"].contains(&call)
        };
        match failed {
            Some(call) if !self.reported && self.flush_failures == 0 && !silent(&call) => {
                return Err("the failure was not reported".into());
            }
            _ => {}
        }
        self.memory.fail_no_more();
        self.memory.kill();
        self.memory = self.memory.power_loss(7);
        let writer = self.open()?;
        self.check(&writer, Crash::PowerLost)?;
        writer.close().map_err(|e| e.to_string())
    }
}

#[test]
fn a_warning_handler_that_appends_does_not_run_within_itself() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{OnceLock, Weak};

    let memory = Memory::new();
    let handle: Arc<OnceLock<Weak<Writer>>> = Arc::default();
    let (depth, deepest, calls) = (
        AtomicUsize::new(0),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut options = Options::default();
    options
        .durability(Durability::Buffered)
        .flush_interval(Duration::ZERO)
        .buffer_bytes(4096)
        .unwrap();
    let (writer, deep, count) = (handle.clone(), deepest.clone(), calls.clone());
    options.on_warning(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let now = depth.fetch_add(1, Ordering::Relaxed) + 1;
        deep.fetch_max(now, Ordering::Relaxed);
        // Enough for the test to fail by its own assertion, not by a stack overflow.
        if now < 5
            && let Some(writer) = writer.get().and_then(Weak::upgrade)
        {
            let _ = writer.append(ledger::json(0, "v2/a", 40).as_bytes());
            let _ = writer.flush();
        }
        depth.fetch_sub(1, Ordering::Relaxed);
    });
    let storage = Arc::new(memory.clone());
    let writer = Arc::new(Writer::open_on(storage, Path::new(ROOT), &options).unwrap());
    handle.set(Arc::downgrade(&writer)).unwrap();
    memory.fail(InjectedFault::new(libc::ENOSPC).call(Call::Append).always());
    for tag in 0..200 {
        let _ = writer.append(ledger::json(tag, "v2/a", 40).as_bytes());
        let _ = writer.flush();
    }
    assert!(calls.load(Ordering::Relaxed) > 10, "warnings keep coming");
    assert_eq!(deepest.load(Ordering::Relaxed), 1);
}

#[test]
fn a_warning_handler_that_drops_the_last_of_its_writer_closes_it() {
    let memory = Memory::new();
    let last: Arc<Mutex<Option<Arc<Writer>>>> = Arc::default();
    let (told, dropped) = std::sync::mpsc::channel();
    let mut options = Options::default();
    options
        .durability(Durability::Buffered)
        .flush_interval(Duration::from_millis(1));
    let (held, disk) = (last.clone(), memory.clone());
    options.on_warning(move |_| {
        disk.fail_no_more();
        // On the flusher's thread.
        drop(held.lock().unwrap().take());
        told.send(()).unwrap();
    });
    let writer = Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options).unwrap();
    memory.fail(InjectedFault::new(libc::ENOSPC).call(Call::Append).always());
    let event = ledger::json(0, "v2/a", 40);
    let appended = (last.lock().unwrap().insert(Arc::new(writer))).append(event.as_bytes());
    assert_eq!(appended.unwrap(), 1);
    dropped.recv_timeout(Duration::from_mins(1)).unwrap();
    let segment = Path::new(ROOT).join("v2/a/audit-000001.jsonl");
    assert!(memory.files(Path::new("/data")).contains_key(&segment));
}

/// No descriptor is left: files can be neither opened nor created.
fn no_descriptors(memory: &Memory) {
    for call in [Call::Open, Call::SyncDir] {
        memory.fail(InjectedFault::new(libc::EMFILE).call(call).always());
    }
}

#[test]
fn running_out_of_descriptors_costs_events_that_were_refused_and_nothing_else() {
    for durability in [
        Durability::Written,
        Durability::Synced,
        Durability::Buffered,
    ] {
        let memory = Memory::new();
        let mut options = Options::default();
        options
            .durability(durability)
            .flush_interval(Duration::ZERO)
            .max_segment_bytes(400)
            .unwrap()
            .max_open_files(4)
            .unwrap();
        let open = || Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options);
        let writer = open().unwrap();
        let append = |tag| {
            let id = writer.append(ledger::json(tag, "v2/a", 40).as_bytes())?;
            writer.flush().map(|()| id)
        };
        assert_eq!(append(0).unwrap(), 1);
        no_descriptors(&memory);
        // Until the next segment is wanted.
        let mut last = 1;
        let error = loop {
            match append(last as usize) {
                Ok(id) => last = id,
                Err(error) => break error,
            }
            assert!(last < 20, "{durability:?}");
        };
        assert_eq!(error.kind(), Kind::Io, "{durability:?}: {error}");
        assert_eq!(error.errno(), Some(libc::EMFILE));
        // A batch that fills several segments of several streams.
        memory.fail_no_more();
        if durability != Durability::Buffered {
            let lines: Vec<String> = (0..24)
                .map(|tag| ledger::json(tag, ["v2/b", "v2/c", "v2/d"][tag % 3], 200))
                .collect();
            memory.fail(
                InjectedFault::new(libc::EMFILE)
                    .call(Call::Open)
                    .after(9)
                    .always(),
            );
            let error = writer
                .append_batch(lines.join("\n").as_bytes())
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Io, "{durability:?}: {error}");
            memory.fail_no_more();
        }
        // A sync needs the folders of what is new.
        let id = append(90).unwrap();
        let expected = if durability == Durability::Buffered {
            last + 2
        } else {
            last + 1
        };
        assert_eq!(id, expected, "{durability:?}");
        no_descriptors(&memory);
        if let Err(error) = writer.sync() {
            assert_eq!(error.kind(), Kind::Io, "{durability:?}: {error}");
        }
        memory.fail_no_more();
        writer.sync().unwrap();
        writer.close().unwrap();
        let writer = open().unwrap();
        assert_eq!(writer.stats().unwrap().last_id, id);
        writer.close().unwrap();
    }
}

#[test]
fn a_sync_after_a_failed_append_hides_nothing_from_the_next() {
    let memory = Memory::new();
    let mut options = Options::default();
    options.durability(Durability::Synced).shared(true);
    let open = |memory: &Memory| {
        Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options).unwrap()
    };
    let event = |tag, stream| ledger::json(tag, stream, 40);
    let (one, two) = (open(&memory), open(&memory.another_process()));
    one.append(event(0, "v2/a").as_bytes()).unwrap();
    two.append(event(1, "v2/a").as_bytes()).unwrap();
    // It leaves a folder whose name is not on disk.
    memory.fail(
        InjectedFault::new(libc::ENOSPC)
            .call(Call::Append)
            .path("v2/b"),
    );
    one.append(event(2, "v2/b").as_bytes()).unwrap_err();
    let sync = memory.pause(Call::SyncDir, "/v2");
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| one.sync().unwrap());
        assert!(sync.is_reached());
        let appending = scope.spawn(|| one.append(event(3, "v2/b").as_bytes()).unwrap());
        // If the append does not wait for the folder, it is acknowledged here, and
        // the power fails.
        for _ in 0..100 {
            if appending.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if appending.is_finished() {
            for seed in 0..20 {
                let after = memory.power_loss(seed);
                let files = after.files(Path::new(ROOT));
                let segment = Path::new(ROOT).join("v2/b/audit-000001.jsonl");
                assert!(
                    files.contains_key(&segment),
                    "seed {seed}: {:?}",
                    files.keys()
                );
            }
        }
        drop(sync);
        assert_eq!(appending.join().unwrap(), 3);
        syncing.join().unwrap();
    });
}

#[test]
fn the_mark_of_a_failed_sync_outlives_a_batch_of_another_writer() {
    let memory = Memory::new();
    let open = |memory: &Memory, durability| {
        let mut options = Options::default();
        options.durability(durability).shared(true);
        Writer::open_on(Arc::new(memory.clone()), Path::new(ROOT), &options).unwrap()
    };
    let event = |tag| ledger::json(tag, "v2/a", 40);
    let other = memory.another_process();
    let one = open(&memory, Durability::Written);
    let two = open(&other, Durability::Written);
    one.append(event(0).as_bytes()).unwrap();
    let batch = memory.pause(Call::Append, "audit-000001");
    std::thread::scope(|scope| {
        // In the midst of its batch, with the commit lock.
        let appending = scope.spawn(|| two.append(event(1).as_bytes()).unwrap());
        assert!(batch.is_reached());
        memory.fail(
            InjectedFault::new(libc::EIO)
                .call(Call::Sync)
                .path("audit-000001"),
        );
        let syncing = scope.spawn(|| one.sync().unwrap_err());
        std::thread::sleep(Duration::from_millis(50));
        drop(batch);
        assert_eq!(appending.join().unwrap(), 2);
        assert_eq!(syncing.join().unwrap().kind(), Kind::Failed);
    });
    let state = memory
        .files(Path::new(ROOT))
        .remove(&Path::new(ROOT).join(".auditrail/state"));
    let state = String::from_utf8(state.unwrap()).unwrap();
    assert!(state.contains("doubtful"), "{state}");
}
