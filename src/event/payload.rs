//! The shape of a payload: `before`, `after` and `delta`, then any other members.

use super::json::JsonParser;
use crate::error::{Error, Result};
use std::ops::Range;

/// What precedes a payload that was written again in the order of the line.
pub(super) const REORDERED_PAYLOAD: &[u8; 11] = b",\"payload\":";

/// Reads a payload; returns its range of the output. Null is none.
pub(super) fn read_payload(parser: &mut JsonParser) -> Result<Option<Range<usize>>> {
    match parser.peek() {
        b'{' => {}
        b'n' => {
            parser.value(1)?;
            return Ok(None);
        }
        _ => return Err(parser.unexpected("an object or null")),
    }
    let payload_start = parser.output_len();
    let mut object = parser.enter_object();
    // The ranges of the members, without commas: `before`, `after` and `delta`,
    // and the runs of other members between them, at most four.
    let mut known = [(0, 0); 3];
    let mut others = [(0, 0); 4];
    let mut runs = 0;
    // Which of `before`, `after` and `delta` were read, null included.
    let mut was_read = [false; 3];
    let mut in_order = true;
    // The rank is the order in the line: `before` 0, `after` 1, `delta` 2, others 3.
    let mut highest_rank = 0;
    loop {
        let start = parser.output_len();
        if !parser.next_key(&mut object)? {
            break;
        }
        // A comma that was just read belongs to no member.
        let start = if start == payload_start + 1 {
            start
        } else {
            start + 1
        };
        let rank = match parser.key() {
            b"before" => 0,
            b"after" => 1,
            b"delta" => 2,
            _ => {
                parser.check_unique(&object)?;
                parser.value(2)?;
                if highest_rank < 3 || others[runs - 1].1 + 1 != start {
                    others[runs].0 = start;
                    runs += 1;
                }
                others[runs - 1].1 = parser.output_len();
                highest_rank = 3;
                continue;
            }
        };
        if std::mem::replace(&mut was_read[rank], true) {
            return Err(parser.repeated_key());
        }
        match parser.peek() {
            b'n' => {
                parser.value(2)?;
                in_order = false;
                continue;
            }
            b'{' if rank == 2 => read_delta(parser)?,
            b'{' => parser.value(2)?,
            _ => return Err(parser.unexpected("an object or null")),
        }
        known[rank] = (start, parser.output_len());
        in_order &= rank >= highest_rank;
        highest_rank = highest_rank.max(rank);
    }
    if in_order {
        return Ok(Some(payload_start..parser.output_len()));
    }
    Ok(Some(put_in_order(parser, known.into_iter().chain(others))))
}

/// Writes the members again, in the order of the line; returns their range of
/// the output.
fn put_in_order(
    parser: &mut JsonParser,
    members: impl Iterator<Item = (usize, usize)>,
) -> Range<usize> {
    let out = parser.output_mut();
    out.extend_from_slice(REORDERED_PAYLOAD);
    let payload_start = out.len();
    for (start, end) in members {
        if start < end {
            out.push(b',');
            out.extend_from_within(start..end);
        }
    }
    match out.get_mut(payload_start) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    payload_start..out.len()
}

/// Reads a delta: an object whose values have `old` and `new`.
fn read_delta(parser: &mut JsonParser) -> Result<()> {
    let mut object = parser.enter_object();
    while parser.next_key(&mut object)? {
        parser.check_unique(&object)?;
        read_change(parser)?;
    }
    Ok(())
}

fn read_change(parser: &mut JsonParser) -> Result<()> {
    if parser.peek() != b'{' {
        return Err(parser.unexpected("an object with `old` and `new`"));
    }
    let change_start = parser.output_len();
    let mut object = parser.enter_object();
    // Where each member ends; both begin after a brace or comma.
    let [mut old, mut new] = [0; 2];
    while parser.next_key(&mut object)? {
        let end = match parser.key() {
            b"old" => &mut old,
            b"new" => &mut new,
            _ => {
                let message = "unknown key, a change has only `old` and `new`";
                return Err(Error::event(parser.key_offset(), message));
            }
        };
        if *end > 0 {
            return Err(parser.repeated_key());
        }
        parser.value(4)?;
        *end = parser.output_len();
    }
    for (name, end) in [("old", old), ("new", new)] {
        if end == 0 {
            let message = format!("{name} is missing");
            return Err(Error::event(parser.offset() - 1, message));
        }
    }
    if new < old {
        // From `new,old` to `old,new`.
        let pair = &mut parser.output_mut()[change_start + 1..old];
        pair.rotate_left(new + 1 - (change_start + 1));
        pair[old - (new + 1)..].rotate_right(1);
    }
    Ok(())
}
