//! The keys of the objects that are open, to find one that is repeated.
//!
//! A key is compared by a mark of eight bytes, and by its text only where the
//! marks are equal.

use super::text::skip_plain;
use super::{Buffers, Pass, shown};
use crate::error::{Error, Result};
use std::borrow::Cow;

/// Up to so many keys of an object are compared one by one as they come; when
/// there are more, all are put into a table at its end, so that many keys cost no
/// square.
pub(super) const FEW_KEYS: usize = 16;

/// A key of an object that is open. Small, and told by its parts, for it goes
/// from hand to hand for every member.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenKey {
    /// Unequal for unequal keys, nearly always; equal for equal ones.
    pub mark: u64,
    /// Where it stands in the text, with its quote.
    pub at: usize,
}

impl<'p> Pass<'p> {
    /// Adds a key to those of an open object, if it is not there already.
    #[inline]
    pub(super) fn add_key(&mut self, first: usize, mark: u64, at: usize) -> Result<()> {
        let before = &self.buffers.keys[first..];
        if before.len() < FEW_KEYS {
            for other in before {
                if other.mark == mark && self.name_of(other.at) == self.name_of(at) {
                    return Err(self.repeated_at(at));
                }
            }
        }
        self.buffers.keys.push(OpenKey { mark, at });
        Ok(())
    }

    /// Forgets the keys of an object that ends.
    #[inline]
    pub(super) fn leave_object(&mut self, first: usize) -> Result<()> {
        if self.buffers.keys.len() - first > FEW_KEYS {
            self.find_repeated(first)?;
        }
        self.buffers.keys.truncate(first);
        Ok(())
    }

    /// Looks for a repeated key among those of an object that ends.
    #[inline(never)]
    fn find_repeated(&mut self, first: usize) -> Result<()> {
        let Buffers { keys, marks, .. } = &mut *self.buffers;
        if are_different(&keys[first..], marks) {
            return Ok(());
        }
        // The object ends: nobody needs its keys in their order any more.
        self.buffers.keys[first..].sort_unstable_by_key(|key| (key.mark, key.at));
        let groups = self.buffers.keys[first..].chunk_by(|a, b| a.mark == b.mark);
        let repeated = groups
            .filter(|group| group.len() > 1)
            .filter_map(|group| self.first_repeated(group));
        match repeated.min() {
            Some(at) => Err(self.repeated_at(at)),
            None => Ok(()),
        }
    }

    /// Where the first key stands that is equal to one before it, of keys with
    /// equal marks. These can be many, and all different, if someone means harm.
    #[inline(never)]
    fn first_repeated(&self, group: &[OpenKey]) -> Option<usize> {
        let mut keys: Vec<_> = group
            .iter()
            .map(|key| (self.name_of(key.at), key.at))
            .collect();
        keys.sort_unstable();
        keys.windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1)
            .min()
    }

    /// The canonical form of the key at `at`, which was found right before.
    #[inline(never)]
    fn name_of(&self, at: usize) -> Cow<'p, [u8]> {
        let start = &self.text[at + 1..];
        let end = skip_plain(start);
        if let [b'"', ..] = end {
            return Cow::Borrowed(&start[..start.len() - end.len()]);
        }
        let mut buffers = Buffers::default();
        let mut pass = Pass::new(start, &mut buffers);
        match pass.read_escaped_key(start) {
            Ok(_) => Cow::Owned(buffers.name),
            Err(_) => Cow::Borrowed(b""),
        }
    }

    /// The key that was read last is in its object already.
    #[cold]
    pub fn repeated(&self) -> Error {
        self.repeated_at(self.key)
    }

    #[cold]
    #[inline(never)]
    fn repeated_at(&self, at: usize) -> Error {
        let name = shown(&self.name_of(at));
        Error::event(at, format!("the key \"{name}\" is repeated"))
    }
}

/// Whether the marks of the keys are known to be different; `table` is room to
/// find that out in. Not known either where many of them fall on one place, so
/// that chosen keys cost no square.
fn are_different(keys: &[OpenKey], table: &mut Vec<u64>) -> bool {
    const FREE: u64 = 0;
    let places = (4 * keys.len()).next_power_of_two();
    table.clear();
    table.resize(places, FREE);
    let mut collisions = 0;
    for key in keys {
        // 2^64 by the golden ratio spreads what lies close together.
        let spread = key.mark.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut place = (spread >> (64 - places.trailing_zeros())) as usize;
        while table[place] != FREE {
            collisions += 1;
            if table[place] == key.mark || collisions > keys.len() {
                return false;
            }
            place = (place + 1) % places;
        }
        // A mark that is FREE itself leaves no trace.
        if key.mark == FREE {
            return false;
        }
        table[place] = key.mark;
    }
    true
}

/// Eight bytes that tell most keys apart: the first and the last ones mixed.
#[inline(always)]
pub(super) fn mark(text: &[u8], length: usize) -> u64 {
    match text.first_chunk() {
        Some(first) if length < 8 => u64::from_le_bytes(*first) & ((1 << (8 * length)) - 1),
        Some(first) => {
            let last = text[length - 8..]
                .first_chunk()
                .copied()
                .unwrap_or_default();
            u64::from_le_bytes(*first)
                ^ u64::from_le_bytes(last).rotate_left(29)
                ^ (length as u64) << 56
        }
        None => mark_at_end(&text[..length]),
    }
}

/// The same for a short key that has no eight bytes behind its start.
#[inline(never)]
fn mark_at_end(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, c) in bytes.iter_mut().zip(name) {
        *byte = *c;
    }
    u64::from_le_bytes(bytes)
}
