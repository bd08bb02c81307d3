use super::*;
use proptest::prelude::*;

#[test]
fn a_hole_is_passed_over_without_being_held() {
    // A sparse gigabyte inside a line that starts and ends as an event does.
    let file = holding(b"{}\n{\"event_id\":");
    let hole = 1 << 30;
    file.write_at(b"}\n{}\n", hole).expect("writing");
    let end = hole + 5;
    for mut lines in [Lines::forward(0, 4096), Lines::backward(end, 4096)] {
        let mut found = Vec::new();
        while let Some(line) = lines.advance(&file, true).expect("reading") {
            found.push((line.offset, line.skipped, lines.has_nul(line)));
            assert!(lines.buffer.len() < 64 * 1024, "{}", lines.buffer.len());
        }
        found.sort_unstable();
        assert_eq!(
            found,
            [(0, false, false), (3, true, true), (hole + 2, false, false)]
        );
    }
}

fn holding(bytes: &[u8]) -> std::fs::File {
    let file = tempfile::tempfile().expect("a file");
    file.write_at(bytes, 0).expect("writing");
    file
}

fn read(mut lines: Lines, file: &dyn File, accept_partial: bool) -> Vec<(u64, Vec<u8>, bool)> {
    let mut found = Vec::new();
    let mut ahead: Option<Vec<u8>> = None;
    while let Some(line) = lines.advance(file, accept_partial).expect("reading") {
        let text = lines.text(line).to_vec();
        if let Some(ahead) = ahead {
            assert_eq!(ahead, text);
        }
        ahead = lines.ahead().map(<[u8]>::to_vec);
        found.push((line.offset, text, line.whole));
    }
    assert_eq!(ahead, None);
    found
}

fn model(bytes: &[u8], block: usize, forward: bool) -> Vec<(u64, Vec<u8>, bool)> {
    let mut offset = 0;
    let mut lines = Vec::new();
    for piece in bytes.split_inclusive(|&b| b == b'\n') {
        let (text, whole) = match piece.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (piece, false),
        };
        // Whether a line is skipped depends on where blocks end; the tests only
        // use lines for which it does not.
        let cannot_be_event = text.contains(&0)
            || if forward {
                !may_start_event(text)
            } else {
                !may_end_event(text)
            };
        if text.len() > 4 * block && cannot_be_event {
            lines.push((offset, Vec::new(), whole));
        } else {
            lines.push((offset, text.to_vec(), whole));
        }
        offset += piece.len() as u64;
    }
    lines
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(Vec::new()),
        "[ -~]{0,7}".prop_map(String::into_bytes),
        "\\{[a-z]{0,40}\\}".prop_map(String::into_bytes),
        (100usize..200).prop_map(|n| vec![0; n]),
    ];
    (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, end)| {
        let mut bytes = lines.join(&b'\n');
        if end {
            bytes.push(b'\n');
        }
        bytes
    })
}

proptest! {
    #[test]
    fn both_ways_give_the_lines_of_the_file(bytes in file(), block in 8usize..24) {
        let file = holding(&bytes);
        let len = bytes.len() as u64;
        prop_assert_eq!(read(Lines::forward(0, block), &file, true), model(&bytes, block, true));
        let mut back = read(Lines::backward(len, block), &file, true);
        back.reverse();
        prop_assert_eq!(back, model(&bytes, block, false));
    }

    #[test]
    fn an_unfinished_line_is_read_anew(bytes in file(), block in 8usize..24) {
        let file = holding(&bytes);
        let mut lines = Lines::forward(0, block);
        let mut count = 0;
        while lines.advance(&file, false).expect("reading").is_some() {
            count += 1;
        }
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        prop_assert_eq!(count, memchr::memchr_iter(b'\n', &bytes).count());
        prop_assert_eq!(lines.position(), whole as u64);
        File::set_len(&file, whole as u64).expect("cutting");
        file.write_at(b"{new}\n", whole as u64).expect("appending");
        let line = lines.advance(&file, false).expect("reading").expect("a line");
        prop_assert_eq!((line.offset, lines.text(line)), (whole as u64, &b"{new}"[..]));
    }
}
