//! What is reported about lines and segments that were changed, removed, added or moved.

#![cfg(test)]

use super::*;

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
fn events_after_the_checkpoint_are_counted_as_unsigned() {
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
