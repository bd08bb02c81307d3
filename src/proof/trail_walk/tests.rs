//! All of the module, over trails on the disk.

use super::*;
use crate::error::Kind;
use crate::event::header::EVENT_ID;
use crate::store::storage::Disk;
use std::fs;

fn line(stream: &str, id: u64) -> String {
    let (domain, category) = stream.split_once('/').unwrap();
    format!(
        "{{\"event_id\":{id},\"timestamp\":1,\"domain\":\"{domain}\",\
         \"category\":\"{category}\",\"x\":\"{}\"}}",
        "y".repeat((id * 37 % 500) as usize)
    )
}

/// A trail of these streams, segments and ids; 0 is a line that is no event.
fn trail(streams: &[(&str, &[&[u64]])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    for (name, segments) in streams {
        fs::create_dir_all(layout.stream(name)).unwrap();
        for (number, ids) in segments.iter().enumerate() {
            let mut text = String::new();
            for &id in *ids {
                text += &if id == 0 { "?".into() } else { line(name, id) };
                text.push('\n');
            }
            fs::write(layout.segment(name, number as u64 + 1), text).unwrap();
        }
    }
    root
}

/// A walk that reads blocks of this size.
fn walk_with_block(root: &tempfile::TempDir, from: u64, block: usize) -> TrailWalk {
    let seek = |source: &SegmentSource, stream: &mut StreamWalk| stream.seek_id(source, from);
    let layout = Layout::new(root.path());
    TrailWalk::open(Arc::new(Disk), &layout, |_| block, seek).unwrap()
}

/// Ids in the order of the walk; those out of order negative.
fn walked(root: &tempfile::TempDir, from: u64, block: usize) -> Vec<i64> {
    let mut walk = walk_with_block(root, from, block);
    let mut out = Vec::new();
    while let Some(TrailLine {
        info,
        position,
        text,
    }) = walk.next().unwrap()
    {
        let text = text.map(<[u8]>::to_vec);
        let id = info.id.unwrap_or(0);
        if id > 0 {
            let text = text.unwrap();
            let path = walk.path(position);
            let file = fs::read(path).unwrap();
            let at = position.offset as usize;
            assert_eq!(&file[at..at + text.len()], &text[..]);
            let stream = walk.streams[position.stream as usize].name();
            assert_eq!(text, line(stream, id).as_bytes());
            assert!(info.in_own_stream && info.terminated);
        }
        let id = i64::try_from(id).unwrap();
        out.push(if info.in_order { id } else { -id });
    }
    out
}

#[test]
fn streams_are_merged_by_id() {
    let root = trail(&[
        ("legacy/a", &[&[1, 4, 5], &[9], &[], &[12]]),
        ("legacy/b", &[&[2], &[3, 6, 10]]),
        ("v2/a", &[&[7, 8, 11]]),
    ]);
    fs::create_dir_all(root.path().join(".auditrail/x")).unwrap();
    fs::write(root.path().join(".auditrail/x/audit-000001.jsonl"), "?\n").unwrap();
    fs::write(root.path().join("legacy/a/notes.txt"), "?\n").unwrap();
    for block in [1, 7, 50, 64, 1000, MAX_BLOCK_BYTES] {
        assert_eq!(walked(&root, 1, block), (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn a_walk_can_start_at_an_id() {
    let ids: Vec<u64> = (1..=100).collect();
    let segments: Vec<&[u64]> = ids.chunks(7).collect();
    let root = trail(&[("v2/a", &segments), ("v2/b", &[&[101]])]);
    for from in [1, 2, 8, 50, 100, 101, 200] {
        let ids = walked(&root, from, 64);
        let first = ids[0].unsigned_abs();
        assert!(
            first <= from && from - first < 7 || from > 100,
            "{from}: {first}"
        );
        assert_eq!(*ids.last().unwrap(), 101);
    }
}

#[test]
fn only_the_line_out_of_order_is_marked() {
    for (ids, expected) in [
        (&[1, 2, 0, 3][..], &[1, 2, 0, 3][..]),
        (&[1, 9, 2, 3, 4], &[1, -9, 2, 3, 4]),
        (&[1, 3, 4, 2, 5], &[1, 3, 4, -2, 5]),
        (&[1, 5, 3, 4, 2, 6], &[1, -5, 3, 4, -2, 6]),
        (&[1, 2, 2, 3], &[1, -2, 2, 3]),
        (&[2, 1, 3], &[-2, 1, 3]),
        (&[1, 2, 9], &[1, 2, 9]),
    ] {
        let root = trail(&[("v2/a", &[ids])]);
        assert_eq!(walked(&root, 1, 50), expected);
        // Across segments, too.
        let apart: Vec<&[u64]> = ids.chunks(1).collect();
        assert_eq!(walked(&trail(&[("v2/a", &apart)]), 1, 50), expected);
    }
}

#[test]
fn a_walk_resumes_where_another_stopped() {
    let root = trail(&[("v2/a", &[&[1, 3], &[4]]), ("v2/b", &[&[2]])]);
    let layout = Layout::new(root.path());
    let more = |name: &str, number, text: String| {
        use std::io::Write;
        fs::create_dir_all(layout.stream(name)).unwrap();
        let mut options = fs::OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .open(layout.segment(name, number));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let mut positions = WalkPositions::default();
    let mut walk_some = |count: usize, unread: bool| {
        let mut walk = TrailWalk::resume(Arc::new(Disk), &layout, &positions).unwrap();
        let (mut ids, mut last) = (Vec::new(), None);
        for _ in 0..count {
            let Some(line) = walk.next().unwrap() else {
                break;
            };
            ids.push(line.info.id.unwrap_or(0));
            last = line.info.id.map(|id| (id, line.position));
        }
        positions = walk.positions(last.filter(|_| unread));
        ids
    };
    assert_eq!(walk_some(2, false), [1, 2]);
    assert_eq!(walk_some(1, true), [3]);
    assert_eq!(walk_some(9, false), [3, 4]);
    assert_eq!(walk_some(9, false), [0; 0]);
    // Lines are added to the same segment, the next one, and a new stream; one is
    // still being written.
    more("v2/a", 2, line("v2/a", 5) + "\n");
    more("v2/a", 3, line("v2/a", 7) + "\n");
    more("v2/b", 1, line("v2/b", 9)[..5].into());
    more("v2/c", 1, line("v2/c", 6) + "\n");
    assert_eq!(walk_some(9, false), [0, 5, 6, 7]);
    more("v2/b", 1, line("v2/b", 9)[5..].to_owned() + "\n");
    assert_eq!(walk_some(9, false), [9]);
    assert_eq!(walk_some(9, false), [0; 0]);
}

#[test]
fn lines_of_other_streams_and_torn_tails_are_marked() {
    let root = trail(&[("v2/a", &[&[1]]), ("v2/b", &[&[]])]);
    let layout = Layout::new(root.path());
    let torn = &line("v2/b", 3)[..60];
    fs::write(
        layout.segment("v2/b", 1),
        format!("{}\n{torn}", line("v2/a", 2)),
    )
    .unwrap();
    let mut walk = TrailWalk::new(Arc::new(Disk), &layout).unwrap();
    let mut infos = Vec::new();
    while let Some(TrailLine { info, .. }) = walk.next().unwrap() {
        infos.push((info.id, info.in_own_stream, info.terminated));
    }
    assert_eq!(
        infos,
        [
            (Some(1), true, true),
            (Some(2), false, true),
            (Some(3), true, false)
        ]
    );
}

#[test]
fn an_empty_trail_has_no_lines() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(walked(&root, 1, 64), [0; 0]);
}

#[test]
fn a_line_with_a_hole_does_not_depend_on_the_block() {
    let root = trail(&[("v2/a", &[&[1, 2, 3, 4]])]);
    let path = Layout::new(root.path()).segment("v2/a", 1);
    let mut text = fs::read(&path).unwrap();
    // Into the last text of each of the first three lines; the second is out of order.
    let ends: Vec<_> = memchr::memchr_iter(b'\n', &text).collect();
    for end in ends[..3].iter().rev() {
        text.splice(end - 2..end - 2, [0; 500]);
    }
    let second = ends[0] + 501 + EVENT_ID.len();
    assert_eq!(text[second], b'2');
    text[second] = b'9';
    fs::write(&path, &text).unwrap();
    let lines: Vec<_> = text.split(|b| *b == b'\n').collect();
    for block in [20, 64, 600, MAX_BLOCK_BYTES] {
        let mut walk = walk_with_block(&root, 1, block);
        let mut found = Vec::new();
        while let Some(line) = walk.next().unwrap() {
            let info = line.info;
            assert!(info.in_own_stream && info.terminated);
            assert_eq!(line.text, Some(lines[found.len()]), "block {block}");
            found.push((info.id.unwrap(), info.in_order));
        }
        assert_eq!(found, [(1, true), (9, false), (3, true), (4, true)]);
    }
}

#[test]
fn an_unfinished_line_is_read_again_and_order_is_kept_by_the_next_walk() {
    let root = trail(&[("v2/a", &[&[1, 3]])]);
    let layout = Layout::new(root.path());
    let path = layout.segment("v2/a", 1);
    let before = fs::read(&path).unwrap();
    let (late, next) = (line("v2/a", 2) + "\n", line("v2/a", 4) + "\n");
    fs::write(&path, [&before, &b"{\"ev"[..]].concat()).unwrap();
    let mut walk = TrailWalk::new(Arc::new(Disk), &layout).unwrap();
    while walk.next().unwrap().unwrap().info.terminated {}
    // The unfinished line was returned, and the end was not reached.
    let positions = walk.positions(None);
    let after = [late.as_bytes(), next.as_bytes()].concat();
    fs::write(&path, [before, after].concat()).unwrap();
    let mut walk = TrailWalk::resume(Arc::new(Disk), &layout, &positions).unwrap();
    let mut found = Vec::new();
    while let Some(line) = walk.next().unwrap() {
        found.push((line.info.id, line.info.in_order));
    }
    assert_eq!(found, [(Some(2), false), (Some(4), true)]);
}

#[test]
fn what_is_added_to_an_unfinished_line_is_not_a_line() {
    let root = trail(&[("v2/a", &[&[1]])]);
    let layout = Layout::new(root.path());
    let path = layout.segment("v2/a", 1);
    let first = fs::read(&path).unwrap();
    let second = line("v2/a", 2) + "\n";
    for cut in [5, 60, second.len() - 1] {
        fs::write(&path, [&first, &second.as_bytes()[..cut]].concat()).unwrap();
        let mut walk = TrailWalk::new(Arc::new(Disk), &layout).unwrap();
        assert_eq!(walk.next().unwrap().unwrap().info.id, Some(1));
        fs::write(&path, [&first, second.as_bytes()].concat()).unwrap();
        let torn = walk.next().unwrap().unwrap();
        assert_eq!(torn.text, Some(&second.as_bytes()[..cut]));
        assert!(!torn.info.terminated);
        let unread = torn.info.id.map(|id| (id, torn.position));
        assert!(walk.next().unwrap().is_none());
        // The next walk reads the whole line.
        let positions = walk.positions(unread);
        let mut walk = TrailWalk::resume(Arc::new(Disk), &layout, &positions).unwrap();
        let whole = walk.next().unwrap().unwrap();
        assert_eq!(whole.text, second.as_bytes().strip_suffix(b"\n"));
        assert!(whole.info.terminated && whole.info.in_order);
        assert!(walk.next().unwrap().is_none());
    }
}

#[test]
fn a_walk_keeps_no_file_open() {
    let names: Vec<String> = (0..50).map(|n| format!("v2/s{n}")).collect();
    let segments: &[&[u64]] = &[&[1]];
    let streams: Vec<_> = names.iter().map(|name| (&**name, segments)).collect();
    let root = trail(&streams);
    let mut walk = TrailWalk::new(Arc::new(Disk), &Layout::new(root.path())).unwrap();
    walk.next().unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter(|entry| {
        let target = fs::read_link(entry.as_ref().unwrap().path());
        target.is_ok_and(|target| target.starts_with(root.path()))
    });
    assert_eq!(open.count(), 0);
}

#[test]
fn a_trail_that_is_missing_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path().join("none"));
    let error = TrailWalk::new(Arc::new(Disk), &layout).err().unwrap();
    assert_eq!(error.kind(), Kind::Io);
    // And so is a segment that cannot be read; the error says where.
    let root = trail(&[("v2/a", &[&[1], &[2]])]);
    let layout = Layout::new(root.path());
    let mut walk = TrailWalk::new(Arc::new(Disk), &layout).unwrap();
    walk.next().unwrap();
    let second = layout.segment("v2/a", 2);
    fs::remove_file(&second).unwrap();
    let error = walk.next().err().unwrap();
    assert!(error.message().contains("cannot open"), "{error}");
    assert!(
        error.message().contains(&second.display().to_string()),
        "{error}"
    );
}

#[test]
fn a_hole_that_begins_as_an_event_is_not_held_in_memory() {
    use std::os::unix::fs::FileExt;
    let root = trail(&[("v2/c", &[&[1, 3]])]);
    let path = Layout::new(root.path()).segment("v2/c", 1);
    let first = line("v2/c", 1).len() as u64 + 1;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(first + (64 << 20)).unwrap();
    let last = format!("}}\n{}\n", line("v2/c", 3));
    file.write_all_at(b"{\"event_id\":2,", first).unwrap();
    file.write_all_at(&[0; 4096], first + 14).unwrap();
    file.write_all_at(last.as_bytes(), first + (64 << 20))
        .unwrap();
    let mut walk = walk_with_block(&root, 1, 4096);
    let mut found = Vec::new();
    while let Some(line) = walk.next().unwrap() {
        found.push((line.info.id, line.info.in_order, line.text.is_some()));
    }
    found.sort_unstable();
    let expected = [(Some(1), true), (Some(2), false), (Some(3), true)];
    assert_eq!(found, expected.map(|(id, held)| (id, held, held)));
}
