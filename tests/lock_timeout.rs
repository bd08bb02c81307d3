//! Promise: a call waits for a lock that another process holds no longer than the option
//! says; its error names the holder, and nothing of it is in the trail. Without a limit
//! it waits, and says so by a warning.
//!
//! The other process is util-linux's flock(1).

mod ledger;

use auditrail::proof::{ProofOptions, Signer, SigningKey, Verification};
use auditrail::{Durability, Error, Kind, Options, WarningKind, Writer};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Holds a lock file of the trail until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(root: &Path, name: &str) -> Self {
        let mut child = Command::new("flock")
            // Holds the lock itself, in the process whose id is known.
            .args(["--no-fork", "--exclusive"])
            .arg(root.join(".auditrail").join(name))
            .args(["sh", "-c", "echo held; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("flock(1) of util-linux runs");
        let mut held = [0; 5];
        let mut printed = child.stdout.take().expect("its output");
        std::io::Read::read_exact(&mut printed, &mut held).expect("it holds the lock");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shared(durability: Durability, timeout: u64) -> Options {
    let mut options = Options::default();
    options
        .durability(durability)
        .shared(true)
        .lock_timeout(Duration::from_millis(timeout));
    options
}

fn event(tag: usize) -> String {
    ledger::json(tag, "v2/a", 7)
}

/// An event as it is persisted.
fn line(id: u64, tag: usize) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let writer = Writer::open(scratch.path(), &Options::default()).unwrap();
    let persisted = writer.append_returning(event(tag).as_bytes()).unwrap();
    let persisted = String::from_utf8(persisted).unwrap();
    persisted.trim_end().replacen(":1,", &format!(":{id},"), 1)
}

fn lines(root: &Path) -> Vec<String> {
    let segment = std::fs::read_to_string(root.join("v2/a/audit-000001.jsonl"));
    let segment = segment.unwrap_or_default();
    segment.lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_busy(error: &Error, holder: &Holder) {
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    let holder = format!("process {} holds", holder.0.id());
    assert!(error.to_string().contains(&holder), "{error}: not {holder}");
}

#[test]
fn a_call_gives_up_at_the_limit_and_leaves_nothing() {
    for durability in [Durability::Written, Durability::Synced] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let writer = Writer::open(root, &shared(durability, 30)).unwrap();
        assert_eq!(writer.append(event(0).as_bytes()).unwrap(), 1);
        let holder = Holder::of(root, "commit-lock");
        assert_busy(&writer.append(event(1).as_bytes()).unwrap_err(), &holder);
        let two = format!("{}\n{}", event(2), event(3));
        assert_busy(&writer.append_batch(two.as_bytes()).unwrap_err(), &holder);
        let opened = Writer::open(root, &shared(durability, 30));
        assert_busy(&opened.unwrap_err(), &holder);
        // A sync is done under the lock too, where there is something to be synced.
        match durability {
            Durability::Synced => writer.sync().unwrap(),
            _ => assert_busy(&writer.sync().unwrap_err(), &holder),
        }
        assert_eq!(lines(root).len(), 1);
        drop(holder);
        writer.sync().unwrap();
        assert_eq!(writer.append(event(4).as_bytes()).unwrap(), 2);
        let lines = lines(root);
        assert!(lines.len() == 2 && lines[1] == line(2, 4), "{lines:?}");
        writer.close().unwrap();
    }
}

#[test]
fn threads_that_wait_together_give_up_together() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let writer = Writer::open(root, &shared(Durability::Written, 50)).unwrap();
    let holder = Holder::of(root, "commit-lock");
    thread::scope(|scope| {
        for tag in 0..8 {
            let (writer, holder) = (&writer, &holder);
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_busy(&writer.append(event(tag).as_bytes()).unwrap_err(), holder);
                }
            });
        }
    });
    drop(holder);
    assert_eq!(writer.append(event(9).as_bytes()).unwrap(), 1);
    assert_eq!(lines(root).len(), 1);
}

#[test]
fn without_a_limit_a_wait_is_told_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (told, slow) = mpsc::channel();
    let in_handler = Arc::<Mutex<Option<Arc<Writer>>>>::default();
    let mut options = shared(Durability::Written, 0);
    let used = in_handler.clone();
    let first = AtomicBool::new(true);
    options.on_warning(move |warning| {
        if warning.kind == WarningKind::LockWait && first.swap(false, Ordering::Relaxed) {
            told.send(warning.message.clone()).unwrap();
            // The handler holds up nobody but its own thread.
            let writer = used.lock().unwrap().take().unwrap();
            writer.append(event(100).as_bytes()).unwrap();
        }
    });
    let writer = Arc::new(Writer::open(root, &options).unwrap());
    *in_handler.lock().unwrap() = Some(writer.clone());
    let holder = Holder::of(root, "commit-lock");
    let ids = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|tag| {
                let writer = &writer;
                scope.spawn(move || writer.append(event(tag).as_bytes()).unwrap())
            })
            .collect();
        let message = slow.recv_timeout(Duration::from_mins(1)).unwrap();
        let pid = format!("process {} holds", holder.0.id());
        assert!(
            message.contains(&pid) && message.contains("commit-lock"),
            "{message}"
        );
        drop(holder);
        let ids = threads.into_iter().map(|thread| thread.join().unwrap());
        ids.collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(ids.len(), 4);
    assert_eq!(lines(root).len(), 5);
    // And at an opening.
    let (told, slow) = mpsc::channel();
    options.on_warning(move |warning| told.send(warning.kind).unwrap());
    let holder = Holder::of(root, "commit-lock");
    thread::scope(|scope| {
        let opening = scope.spawn(|| Writer::open(root, &options).unwrap());
        assert_eq!(
            slow.recv_timeout(Duration::from_mins(1)),
            Ok(WarningKind::LockWait)
        );
        drop(holder);
        opening.join().unwrap();
    });
}

#[test]
fn a_log_that_another_process_holds_stops_no_append() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let key = Arc::new(SigningKey::generate("log").unwrap());
    let verifier = key.verifier().clone();
    let (told, warnings) = mpsc::channel();
    let mut proof = ProofOptions::new(key);
    proof.every_events(1);
    let mut options = Options::default();
    options
        .proof(proof)
        .lock_timeout(Duration::from_millis(20))
        .on_warning(move |warning| told.send(warning.clone()).unwrap());
    let writer = Writer::open(root, &options).unwrap();
    let holder = Holder::of(root, "tlog-lock");
    assert_eq!(writer.append(event(0).as_bytes()).unwrap(), 1);
    let warning = warnings.recv_timeout(Duration::from_mins(1)).unwrap();
    assert_eq!(warning.kind, WarningKind::ProofFailed);
    assert!(warning.message.contains("tlog-lock"), "{warning:?}");
    assert_busy(&writer.sync().unwrap_err(), &holder);
    drop(holder);
    writer.sync().unwrap();
    writer.close().unwrap();
    let report = Verification::new(&[verifier]).run(root, |_, _| {}).unwrap();
    assert_eq!((report.intact, report.verified_events), (true, 1));
}
