//! Every way to tamper with a trail, and what is said about each.

#![cfg(test)]

use super::catch_up::{catch_up, heal};
use super::log::{Log, TLOG};
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

#[test]
fn an_unchanged_trail_is_intact() {
    for events in [0, 1, 2, 255, 256, 257, EVENTS] {
        let trail = TamperedTrail::signed(events);
        let report = trail.verify();
        assert_eq!(short(&report), []);
        assert_eq!(report.verified_events, events);
        assert_eq!((report.unsigned_events, report.notes.len()), (0, 0));
        assert_eq!(report.checkpoint.unwrap().size, events);
    }
}

#[test]
fn events_after_the_checkpoint_are_counted_and_not_vouched_for() {
    let trail = TamperedTrail::unsigned(EVENTS);
    trail.sign(300);
    let report = trail.verify();
    assert_eq!(short(&report), []);
    assert_eq!(
        (report.verified_events, report.unsigned_events),
        (300, EVENTS - 300)
    );
}

#[test]
fn any_changed_byte_is_found_with_its_event_file_and_line() {
    use FindingKind::{Added, Changed, Cut, Missing, Unended};
    let trail = TamperedTrail::signed(30);
    let newline = b',' ^ b'\n';
    for (id, flip) in [(13, 1), (13, newline), (30, 1)] {
        let (path, start, end) = trail.find(id);
        for at in start..end {
            {
                TamperedTrail::edit(&path, |bytes| bytes[at] ^= flip);
                let report = trail.verify();
                let about: Vec<_> = report
                    .findings
                    .iter()
                    .filter(|f| matches!(f.kind, Added | Changed | Cut | Missing | Unended))
                    .collect();
                assert!(!report.intact);
                // The event itself is named, as changed or, where it is not to
                // be known as the event that it was, as missing.
                assert!(
                    about
                        .iter()
                        .any(|f| f.first_id <= Some(id) && f.last_id >= Some(id)
                            || f.kind == FindingKind::Cut),
                    "byte {at} of event {id}: {report:#?}"
                );
                // And the place where its line was, unless it looks like one that
                // came after.
                let here = path.display().to_string();
                assert!(
                    report.unsigned_events > 0
                        || about.iter().any(|f| f.path.as_ref() == Some(&here)
                            && (start..end).contains(&(f.offset.unwrap() as usize)))
                        || report.notes.iter().any(|f| f.path.as_ref() == Some(&here)),
                    "byte {at} of event {id}: {report:#?}"
                );
                TamperedTrail::edit(&path, |bytes| bytes[at] ^= flip);
            }
        }
    }
    assert!(trail.verify().intact);
}

#[test]
fn a_removed_line_is_named() {
    for id in [1, 100, 256, 257, 512, 699] {
        let trail = TamperedTrail::signed(EVENTS);
        trail.remove(id);
        assert_eq!(short(&trail.verify()), [(FindingKind::Missing, id, id)]);
    }
}

#[test]
fn added_lines_are_named_with_their_places() {
    for added in [
        line(250),
        line(300).replace("create", "delete"),
        line(1_000_000),
        "{\"event_id\":0,\"x\":1}\n".into(),
        "rubbish\n".into(),
        "\n".into(),
    ] {
        let trail = TamperedTrail::signed(EVENTS);
        trail.insert(300, added.as_bytes());
        let (path, ..) = trail.find(301);
        let report = trail.verify();
        let kinds: Vec<_> = short(&report).iter().map(|finding| finding.0).collect();
        assert_eq!(kinds, [FindingKind::Added], "{added}: {report:#?}");
        assert_eq!(report.verified_events, EVENTS);
        let _ = path;
        let named = report.findings[0].path.clone().unwrap();
        let offset = report.findings[0].offset.unwrap() as usize;
        assert_eq!(
            &fs::read(named).unwrap()[offset..offset + added.len()],
            added.as_bytes()
        );
    }
}

#[test]
fn a_forged_line_beside_the_real_one_is_told_from_it() {
    // In another stream's file, so that both are in order.
    let trail = TamperedTrail::signed(EVENTS);
    let forged = line(300).replace("create", "delete");
    let neighbour = (301..=EVENTS)
        .find(|id| stream_of(*id) != stream_of(300))
        .unwrap();
    trail.insert(neighbour, forged.as_bytes());
    let report = trail.verify();
    let (path, ..) = trail.find(neighbour);
    assert!(
        report.findings.iter().any(|f| f.first_id == Some(300)
            && f.path == Some(path.display().to_string())
            && matches!(f.kind, FindingKind::Added | FindingKind::Changed)),
        "{report:#?}"
    );
}

#[test]
fn swapped_lines_are_named() {
    let in_stream = |stream| (1..=EVENTS).filter(move |id| stream_of(*id) == stream);
    let ids: Vec<_> = in_stream(0).collect();
    for (a, b) in [(ids[3], ids[4]), (ids[3], ids[20]), (ids[10], ids[90])] {
        let trail = TamperedTrail::signed(EVENTS);
        let (path, start, end) = trail.find(a);
        let (other, other_start, other_end) = trail.find(b);
        let first = fs::read(&path).unwrap()[start..end].to_vec();
        let second = fs::read(&other).unwrap()[other_start..other_end].to_vec();
        // The later first, so that the earlier one's place still holds.
        TamperedTrail::edit(&other, |bytes| {
            bytes.splice(other_start..other_end, first);
        });
        TamperedTrail::edit(&path, |bytes| {
            bytes.splice(start..end, second);
        });
        let report = trail.verify();
        assert!(
            report
                .findings
                .iter()
                .all(|f| f.kind == FindingKind::Displaced)
        );
        let named: Vec<_> = report
            .findings
            .iter()
            .map(|f| f.first_id.unwrap())
            .collect();
        // Neighbours that are swapped are one line before the other.
        assert!(
            named == [a, b] || (named == [b] && (a, b) == (ids[3], ids[4])),
            "{named:?}"
        );
    }
}

#[test]
fn a_line_moved_to_another_stream_is_named() {
    let trail = TamperedTrail::signed(EVENTS);
    let line = trail.remove(300);
    let neighbour = (301..=EVENTS)
        .find(|id| stream_of(*id) != stream_of(300))
        .unwrap();
    trail.insert(neighbour, &line);
    assert_eq!(short(&trail.verify()), [(FindingKind::Displaced, 300, 300)]);
}

#[test]
fn a_removed_segment_and_its_events_are_named() {
    let trail = TamperedTrail::signed(EVENTS);
    let path = trail.segment(1, 2);
    let text = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let report = trail.verify();
    let missing: Vec<u64> = report
        .findings
        .iter()
        .filter(|f| f.kind == FindingKind::Missing)
        .flat_map(|f| f.first_id.unwrap()..=f.last_id.unwrap())
        .collect();
    let ids: Vec<u64> = text.split(|b| *b == b'\n').filter_map(leading_id).collect();
    assert_eq!(missing, ids);
    let segment = report.findings.last().unwrap();
    assert_eq!(segment.kind, FindingKind::Segment);
    assert_eq!(segment.path, Some(path.display().to_string()));
}

#[test]
fn a_cut_tail_is_found_and_not_opened() {
    let trail = TamperedTrail::signed(EVENTS);
    for id in 690..=EVENTS {
        trail.remove(id);
    }
    trail.write_index(689);
    assert_eq!(short(&trail.verify()), [(FindingKind::Cut, 690, EVENTS)]);
    assert_eq!(trail.log(689).unwrap_err().kind(), Kind::Tampered);
    // With a torn last line, as after a crash.
    let (path, _, end) = trail.find(689);
    TamperedTrail::edit(&path, |bytes| bytes.truncate(end - 30));
    let report = trail.verify();
    assert_eq!(
        short(&report),
        [
            (FindingKind::Changed, 689, 689),
            (FindingKind::Cut, 690, EVENTS)
        ]
    );
}

#[test]
fn an_older_state_put_back_is_found_by_a_checkpoint_kept_elsewhere() {
    let trail = TamperedTrail::signed(EVENTS);
    let anchored = trail.sign(EVENTS);
    // All of it, log and index too, is consistent in itself.
    let old = TamperedTrail {
        key: SigningKey::parse(&trail.key.to_secret_text()).unwrap(),
        ..TamperedTrail::signed(0)
    };
    let older = TamperedTrail::unsigned(500);
    let older = TamperedTrail {
        key: old.key,
        ..older
    };
    older.sign(500);
    assert!(older.verify().intact);
    let report = older.verification().checkpoint(&anchored).unwrap();
    let report = report.run(older.root.path(), |_, _| {}).unwrap();
    assert_eq!(short(&report), [(FindingKind::Cut, 501, EVENTS)]);
    // The other way round, an old checkpoint holds for what went on from it.
    let before = older.sign(500);
    let report = trail.verification().checkpoint(&before).unwrap();
    let report = report.run(trail.root.path(), |_, _| {}).unwrap();
    assert_eq!((short(&report), report.verified_events), (vec![], EVENTS));
}

#[test]
fn history_rewritten_with_the_key_is_found_by_a_checkpoint_kept_elsewhere() {
    let trail = TamperedTrail::unsigned(EVENTS);
    let anchored = trail.sign(400);
    trail.sign(EVENTS);
    let (path, start, _) = trail.find(123);
    TamperedTrail::edit(&path, |bytes| bytes[start + 110] ^= 1);
    fs::remove_dir_all(trail.tlog()).unwrap();
    trail.sign(EVENTS);
    assert!(trail.verify().intact);
    let report = trail.verification().checkpoint(&anchored).unwrap();
    let report = report.run(trail.root.path(), |_, _| {}).unwrap();
    assert_eq!(short(&report), [(FindingKind::Unknown, 1, 400)]);
    let error = trail
        .verification()
        .checkpoint(&anchored.replace("400", "401"));
    assert_eq!(error.unwrap_err().kind(), Kind::Tampered);
}

#[test]
fn a_changed_tile_is_named_and_the_events_are_not() {
    let trail = TamperedTrail::signed(70_000.min(EVENTS));
    for (name, first, last) in [
        ("tile/0/000", 1, 256),
        ("tile/0/001", 257, 512),
        ("tile/0/002.p/188", 1, EVENTS),
        ("tile/1/000.p/2", 1, EVENTS),
    ] {
        let path = trail.tlog().join(name);
        let before = fs::read(&path).unwrap();
        for change in [0, 1, 2] {
            match change {
                0 => TamperedTrail::edit(&path, |bytes| bytes[33] ^= 1),
                1 => TamperedTrail::edit(&path, |bytes| bytes.truncate(40)),
                _ => fs::remove_file(&path).unwrap(),
            }
            let report = trail.verify();
            assert_eq!(short(&report), [(FindingKind::Tile, first, last)], "{name}");
            assert_eq!(report.verified_events, EVENTS);
            fs::write(&path, &before).unwrap();
        }
    }
    assert!(trail.verify().intact);
}

#[test]
fn lines_changed_together_with_tiles_are_found_and_the_range_is_said() {
    use FindingKind::{Tile, Unknown};
    let trail = TamperedTrail::signed(EVENTS);
    let (path, start, _) = trail.find(300);
    TamperedTrail::edit(&path, |bytes| bytes[start + 110] ^= 1);
    let tile = trail.tlog().join("tile/0/001");
    TamperedTrail::edit(&tile, |bytes| bytes[32 * 43] ^= 1);
    assert_eq!(
        short(&trail.verify()),
        [(Tile, 257, 512), (Unknown, 257, 512)]
    );
    // With all tiles gone, only the root is left.
    fs::remove_dir_all(trail.tlog().join("tile")).unwrap();
    assert_eq!(
        short(&trail.verify()),
        [(Tile, 1, EVENTS), (Unknown, 1, EVENTS)]
    );
    // A removed event shows even so.
    trail.remove(50);
    let report = trail.verify();
    assert_eq!(
        short(&report),
        [(Tile, 1, EVENTS), (FindingKind::Missing, 50, 50)]
    );
}

#[test]
fn a_foreign_or_missing_checkpoint_is_found() {
    let trail = TamperedTrail::signed(EVENTS);
    let path = trail.tlog().join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    let stranger = SigningKey::generate("example.com/trail").unwrap();
    let report = Verification::new(&[stranger.verifier().clone()])
        .run(trail.root.path(), |_, _| {})
        .unwrap();
    assert_eq!(short(&report), [(FindingKind::Checkpoint, 0, 0)]);
    assert_eq!(report.checkpoint, None);
    for at in [0, 18, 30] {
        TamperedTrail::edit(&path, |bytes| bytes[at] ^= 1);
        assert_eq!(short(&trail.verify()), [(FindingKind::Checkpoint, 0, 0)]);
        // What was kept elsewhere is enough.
        let report = trail.verification().checkpoint(&text).unwrap();
        let report = report.run(trail.root.path(), |_, _| {}).unwrap();
        assert_eq!(short(&report), [(FindingKind::Checkpoint, 0, 0)]);
        assert_eq!(report.verified_events, EVENTS);
        fs::write(&path, &text).unwrap();
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(short(&trail.verify()), [(FindingKind::Checkpoint, 0, 0)]);
}

#[test]
fn witnesses_are_asked_for_and_named() {
    let trail = TamperedTrail::signed(3);
    let someone = SigningKey::generate("witness.example").unwrap();
    let keys = [trail.key.verifier().clone(), witness(&someone)];
    let verify = |count| {
        let how = Verification::new(&keys).witnesses(count);
        how.run(trail.root.path(), |_, _| {}).unwrap()
    };
    assert_eq!(short(&verify(0)), []);
    assert_eq!(short(&verify(1)), [(FindingKind::Checkpoint, 0, 0)]);
    let path = trail.tlog().join("checkpoint");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, cosign(&text, &someone, 77)).unwrap();
    let report = verify(1);
    assert_eq!(short(&report), []);
    let witnesses = report.checkpoint.unwrap().witnesses;
    assert_eq!(
        (&*witnesses[0].name, witnesses[0].time),
        ("witness.example", 77)
    );
    assert_eq!(short(&verify(2)), [(FindingKind::Checkpoint, 0, 0)]);
    // A false cosignature spoils the checkpoint.
    fs::write(&path, cosign(&text.replace("\n3\n", "\n2\n"), &someone, 77)).unwrap();
    assert_eq!(short(&verify(0)), [(FindingKind::Checkpoint, 0, 0)]);
}

#[test]
fn a_changed_index_is_found() {
    let trail = TamperedTrail::signed(EVENTS);
    trail.write_index(EVENTS + 1);
    assert_eq!(short(&trail.verify()), [(FindingKind::Index, 0, 0)]);
    fs::write(trail.layout().index(), "{").unwrap();
    assert_eq!(short(&trail.verify()), [(FindingKind::Index, 0, 0)]);
    // One that lags behind is what a live trail has.
    trail.write_index(EVENTS - 1);
    let report = trail.verify();
    assert_eq!((short(&report).len(), report.notes.len()), (0, 1));
    assert_eq!(report.notes[0].kind, FindingKind::Index);
}

#[test]
fn holes_are_signed_as_holes() {
    let trail = TamperedTrail::unsigned(EVENTS);
    let held: Vec<_> = [1, 2, 300, 512].map(|id| trail.remove(id)).into();
    trail.sign(EVENTS);
    let report = trail.verify();
    assert_eq!(
        (short(&report), report.verified_events),
        (vec![], EVENTS - 4)
    );
    // Without tiles too.
    fs::rename(trail.tlog().join("tile"), trail.tlog().join("away")).unwrap();
    assert_eq!(short(&trail.verify()), [(FindingKind::Tile, 1, EVENTS)]);
    fs::rename(trail.tlog().join("away"), trail.tlog().join("tile")).unwrap();
    // What is put into a hole later was not signed.
    let neighbour = (301..=EVENTS)
        .find(|id| stream_of(*id) == stream_of(300))
        .unwrap();
    trail.insert(neighbour, &held[2]);
    assert_eq!(short(&trail.verify()), [(FindingKind::Changed, 300, 300)]);
}

#[test]
fn what_was_pruned_is_not_missed_and_the_rest_is_proved() {
    let trail = TamperedTrail::signed(EVENTS);
    for stream in 0..3 {
        fs::remove_file(trail.segment(stream, 1)).unwrap();
    }
    let first = (0..3)
        .map(|stream| leading_id(&fs::read(trail.segment(stream, 2)).unwrap()).unwrap())
        .max()
        .unwrap();
    assert!(!trail.verify().intact);
    let run = || {
        let how = trail.verification().pruned_before(first);
        how.run(trail.root.path(), |_, _| {}).unwrap()
    };
    let report = run();
    assert_eq!(short(&report), []);
    assert_eq!(report.pruned_events, 3 * LINES as u64);
    assert_eq!(report.verified_events, EVENTS - 3 * LINES as u64);
    trail.remove(first);
    assert_eq!(short(&run()), [(FindingKind::Missing, first, first)]);
}

#[test]
fn an_existing_trail_is_taken_in_step_by_step() {
    let trail = TamperedTrail::unsigned(EVENTS);
    for last in [1, 40, 255, 256, 257, 513, EVENTS] {
        trail.sign(last);
        assert!(trail.verify().intact, "{last}");
    }
    let whole = TamperedTrail::signed(EVENTS);
    let root = |trail: &TamperedTrail| trail.verify().checkpoint.unwrap().root;
    assert_eq!(root(&trail), root(&whole));
}

#[test]
fn tiles_that_a_crash_took_are_made_again_from_the_segments() {
    let trail = TamperedTrail::signed(EVENTS);
    fs::write(trail.tlog().join("tile/0/001"), vec![0; 8192]).unwrap();
    fs::remove_file(trail.tlog().join("tile/0/000")).unwrap();
    let mut log = trail.log(EVENTS).unwrap();
    assert_eq!(heal(&mut log, &trail.storage, &trail.layout()).unwrap(), 2);
    assert!(trail.verify().intact);
    // Not from lines that were changed.
    fs::remove_file(trail.tlog().join("tile/0/000")).unwrap();
    let (path, start, _) = trail.find(3);
    TamperedTrail::edit(&path, |bytes| bytes[start + 110] ^= 1);
    let error = heal(&mut log, &trail.storage, &trail.layout()).unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
}

#[test]
fn the_report_is_json() {
    let trail = TamperedTrail::signed(3);
    trail.remove(2);
    let json = serde_json::to_value(trail.verify()).unwrap();
    assert_eq!(json["intact"], false);
    assert_eq!(json["findings"][0]["kind"], "missing");
    assert_eq!(json["findings"][0]["first_id"], 2);
    assert_eq!(json["checkpoint"]["size"], 3);
    assert!(json["checkpoint"]["root"].as_str().unwrap().len() == 44);
}
