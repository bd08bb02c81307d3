//! Every way to tamper with a trail, and what is reported about it.

#![cfg(test)]

mod lines;
mod log;
mod skipped_lines;

use super::catch_up::{catch_up, repair_tiles};
use super::checkpoint_file::TLOG;
use super::log::Log;
use super::note::tests::{cosign, witness};
use super::note::{Signer, SigningKey};
use super::report::{FindingKind, VerifyReport};
use super::verify::Verification;
use crate::error::Kind;
use crate::event::header::leading_id;
use crate::store::layout::Layout;
use crate::store::storage::{Disk, Storage};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STREAMS: [&str; 3] = ["legacy/text", "v2/image", "v2/text"];
const EVENTS: u64 = 700;
/// Lines in a segment.
const LINES: usize = 40;

/// A trail with a signed log over it.
struct TamperedTrail {
    root: tempfile::TempDir,
    key: SigningKey,
    storage: Arc<dyn Storage>,
}

fn stream_of(id: u64) -> usize {
    (id * id / 7 % 3) as usize
}

fn line(id: u64) -> String {
    let (domain, category) = STREAMS[stream_of(id)].split_once('/').unwrap();
    format!(
        "{{\"event_id\":{id},\"timestamp\":{},\"domain\":\"{domain}\",\"category\":\"{category}\",\
         \"model_name\":\"m{id}\",\"operation\":\"create\",\"logical_user_id\":\"u\",\
         \"payload\":{{\"after\":{{\"n\":\"{}\"}}}}}}\n",
        1_700_000_000 + id,
        "x".repeat((id % 90) as usize)
    )
}

impl TamperedTrail {
    /// The trail, not signed yet.
    fn unsigned(events: u64) -> Self {
        let trail = Self {
            root: tempfile::tempdir().unwrap(),
            key: SigningKey::generate("example.com/trail").unwrap(),
            storage: Arc::new(Disk),
        };
        fs::create_dir(trail.root.path().join(".auditrail")).unwrap();
        for stream in 0..3 {
            let ids: Vec<u64> = (1..=events).filter(|id| stream_of(*id) == stream).collect();
            for (number, ids) in (1..).zip(ids.chunks(LINES)) {
                let path = trail.segment(stream, number);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let text: String = ids.iter().map(|id| line(*id)).collect();
                fs::write(&path, text).unwrap();
            }
        }
        trail.write_index(events);
        trail
    }

    fn signed(events: u64) -> Self {
        let trail = Self::unsigned(events);
        trail.sign(events);
        trail
    }

    fn layout(&self) -> Layout {
        Layout::new(self.root.path())
    }

    fn segment(&self, stream: usize, number: u64) -> PathBuf {
        self.layout().segment(STREAMS[stream], number)
    }

    fn write_index(&self, last: u64) {
        let text = format!("{{\"last_event_id\":{last}}}");
        fs::write(self.layout().index(), text).unwrap();
    }

    fn log(&self, last: u64) -> crate::Result<Log> {
        let keys = [self.key.verifier().clone()];
        Log::open(self.storage.clone(), &self.layout(), &keys, last)
    }

    /// Brings the log up to `last`, and gives the checkpoint.
    fn sign(&self, last: u64) -> String {
        let mut log = self.log(last).unwrap();
        let positions = &mut None;
        catch_up(
            &mut log,
            &self.storage,
            &self.layout(),
            last,
            positions,
            |_| {},
        )
        .unwrap();
        log.sign(&self.key).unwrap().text().to_owned()
    }

    fn tlog(&self) -> PathBuf {
        self.layout().hidden_file(TLOG)
    }

    fn verification(&self) -> Verification {
        Verification::new(&[self.key.verifier().clone()])
    }

    fn verify(&self) -> VerifyReport {
        self.verification()
            .run(self.root.path(), |_, _| {})
            .unwrap()
    }

    /// Where an event's line begins and ends.
    fn find(&self, id: u64) -> (PathBuf, usize, usize) {
        for stream in 0..3 {
            for number in 1..20 {
                let path = self.segment(stream, number);
                let text = fs::read(&path).unwrap_or_default();
                let mut at = 0;
                for line in text.split_inclusive(|b| *b == b'\n') {
                    if leading_id(line) == Some(id) {
                        return (path, at, at + line.len());
                    }
                    at += line.len();
                }
            }
        }
        panic!("event {id} is not there");
    }

    fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    /// Removes an event's line, and gives its text.
    fn remove(&self, id: u64) -> Vec<u8> {
        let (path, start, end) = self.find(id);
        let mut line = Vec::new();
        Self::edit(&path, |bytes| line.extend(bytes.drain(start..end)));
        line
    }

    /// Puts a line before that of event `id`.
    fn insert(&self, id: u64, line: &[u8]) {
        let (path, start, _) = self.find(id);
        Self::edit(&path, |bytes| {
            bytes.splice(start..start, line.iter().copied());
        });
    }
}

/// The findings in short: kind, first and last id.
fn short(report: &VerifyReport) -> Vec<(FindingKind, u64, u64)> {
    assert_eq!(report.intact, report.findings.is_empty());
    assert_eq!(report.findings_total, report.findings.len() as u64);
    report
        .findings
        .iter()
        .map(|f| (f.kind, f.first_id.unwrap_or(0), f.last_id.unwrap_or(0)))
        .collect()
}
