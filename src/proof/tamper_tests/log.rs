//! What is reported about a changed log or index, and what a log is built from.

#![cfg(test)]

use super::*;

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
fn a_checkpoint_that_is_missing_or_not_signed_is_found() {
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
fn required_witnesses_are_checked_and_named() {
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
fn ids_without_events_are_signed_as_empty_entries() {
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
fn a_log_of_an_existing_trail_can_be_built_in_steps() {
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
fn tiles_that_a_crash_took_are_rebuilt_from_the_segments() {
    let trail = TamperedTrail::signed(EVENTS);
    fs::write(trail.tlog().join("tile/0/001"), vec![0; 8192]).unwrap();
    fs::remove_file(trail.tlog().join("tile/0/000")).unwrap();
    let mut log = trail.log(EVENTS).unwrap();
    assert_eq!(
        repair_tiles(&mut log, &trail.storage, &trail.layout()).unwrap(),
        2
    );
    assert!(trail.verify().intact);
    // Not from lines that were changed.
    fs::remove_file(trail.tlog().join("tile/0/000")).unwrap();
    let (path, start, _) = trail.find(3);
    TamperedTrail::edit(&path, |bytes| bytes[start + 110] ^= 1);
    let error = repair_tiles(&mut log, &trail.storage, &trail.layout()).unwrap_err();
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
