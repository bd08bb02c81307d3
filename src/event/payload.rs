//! The shape of a payload: `before`, `after` and `delta`, then whatever else there is.

use super::json::Pass;
use crate::error::{Error, Result};
use std::ops::Range;

/// What stands before a payload that had to be put together anew.
pub(super) const REORDERED_PAYLOAD: &[u8; 11] = b",\"payload\":";

/// Reads a payload, and says where in the output it is; null is none.
pub(super) fn read_payload(pass: &mut Pass) -> Result<Option<Range<usize>>> {
    match pass.peek() {
        b'{' => {}
        b'n' => {
            pass.value(1)?;
            return Ok(None);
        }
        _ => return Err(pass.unexpected("an object or null")),
    }
    let place = pass.place();
    let mut object = pass.enter();
    // The members, without commas: `before`, `after` and `delta`, and the runs
    // of others, of which there is one more at most.
    let mut known = [(0, 0); 3];
    let mut others = [(0, 0); 4];
    let mut runs = 0;
    let mut seen = [false; 3];
    let mut in_order = true;
    let mut least = 0;
    loop {
        let start = pass.place();
        if !pass.next_key(&mut object)? {
            break;
        }
        // The comma, if one was just read, belongs to no member.
        let start = if start == place + 1 { start } else { start + 1 };
        let rank = match pass.name() {
            b"before" => 0,
            b"after" => 1,
            b"delta" => 2,
            _ => {
                pass.remember(&object)?;
                pass.value(2)?;
                if least < 3 || others[runs - 1].1 + 1 != start {
                    others[runs].0 = start;
                    runs += 1;
                }
                others[runs - 1].1 = pass.place();
                least = 3;
                continue;
            }
        };
        if std::mem::replace(&mut seen[rank], true) {
            return Err(pass.repeated());
        }
        match pass.peek() {
            b'n' => {
                pass.value(2)?;
                in_order = false;
                continue;
            }
            b'{' if rank == 2 => read_delta(pass)?,
            b'{' => pass.value(2)?,
            _ => return Err(pass.unexpected("an object or null")),
        }
        known[rank] = (start, pass.place());
        in_order &= rank >= least;
        least = least.max(rank);
    }
    if in_order {
        return Ok(Some(place..pass.place()));
    }
    Ok(Some(put_in_order(pass, known.into_iter().chain(others))))
}

/// Writes the members anew, in the order of the line; says where in the output.
fn put_in_order(pass: &mut Pass, members: impl Iterator<Item = (usize, usize)>) -> Range<usize> {
    let out = pass.out();
    out.extend_from_slice(REORDERED_PAYLOAD);
    let place = out.len();
    for (start, end) in members {
        if start < end {
            out.push(b',');
            out.extend_from_within(start..end);
        }
    }
    match out.get_mut(place) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    place..out.len()
}

/// Reads a delta: an object whose values have `old` and `new`.
fn read_delta(pass: &mut Pass) -> Result<()> {
    let mut object = pass.enter();
    while pass.next_key(&mut object)? {
        pass.remember(&object)?;
        read_change(pass)?;
    }
    Ok(())
}

fn read_change(pass: &mut Pass) -> Result<()> {
    if pass.peek() != b'{' {
        return Err(pass.unexpected("an object with `old` and `new`"));
    }
    let place = pass.place();
    let mut object = pass.enter();
    // Where each member ends; both begin behind a brace or comma.
    let [mut old, mut new] = [0; 2];
    while pass.next_key(&mut object)? {
        let end = match pass.name() {
            b"old" => &mut old,
            b"new" => &mut new,
            _ => {
                let message = "unknown key, a change has only `old` and `new`";
                return Err(Error::event(pass.name_at(), message));
            }
        };
        if *end > 0 {
            return Err(pass.repeated());
        }
        pass.value(4)?;
        *end = pass.place();
    }
    for (name, end) in [("old", old), ("new", new)] {
        if end == 0 {
            let message = format!("{name} is missing");
            return Err(Error::event(pass.at() - 1, message));
        }
    }
    if new < old {
        // `new,old` to `old,new`.
        let pair = &mut pass.out()[place + 1..old];
        pair.rotate_left(new + 1 - (place + 1));
        pair[old - (new + 1)..].rotate_right(1);
    }
    Ok(())
}
