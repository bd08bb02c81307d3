//! The keys of the open objects, kept to find repeated ones.
//!
//! A key is compared by a fingerprint of eight bytes, and by its text only where
//! the fingerprints are equal.

use super::text::skip_plain;
use super::{Buffers, JsonParser, key_for_message};
use crate::error::{Error, Result};
use std::borrow::Cow;

/// Up to so many keys of an object are compared pair by pair as they are read.
/// The keys of a larger object are compared in a hash table at its end, as pairs
/// would cost quadratic time.
pub(super) const FEW_KEYS: usize = 16;

/// A key of an open object. Small, because one is copied for every member.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenKey {
    /// Equal for equal keys, and different for nearly all different ones.
    pub fingerprint: u64,
    /// Where it begins in the text, with its quote.
    pub offset: usize,
}

impl<'p> JsonParser<'p> {
    /// Adds a key to an open object; fails if the key is known to be repeated.
    #[inline]
    pub(super) fn add_key(
        &mut self,
        first_key: usize,
        fingerprint: u64,
        offset: usize,
    ) -> Result<()> {
        let before = &self.buffers.keys[first_key..];
        if before.len() < FEW_KEYS {
            for other in before {
                if other.fingerprint == fingerprint
                    && self.canonical_key(other.offset) == self.canonical_key(offset)
                {
                    return Err(self.repeated_key_at(offset));
                }
            }
        }
        self.buffers.keys.push(OpenKey {
            fingerprint,
            offset,
        });
        Ok(())
    }

    /// Checks and removes the keys of an object that ends.
    #[inline]
    pub(super) fn leave_object(&mut self, first_key: usize) -> Result<()> {
        if self.buffers.keys.len() - first_key > FEW_KEYS {
            self.find_repeated(first_key)?;
        }
        self.buffers.keys.truncate(first_key);
        Ok(())
    }

    /// Fails if a key of an object that ends is repeated.
    #[inline(never)]
    fn find_repeated(&mut self, first_key: usize) -> Result<()> {
        let Buffers {
            keys,
            fingerprint_table,
            ..
        } = &mut *self.buffers;
        if all_distinct(&keys[first_key..], fingerprint_table) {
            return Ok(());
        }
        // The object ends: the order of its keys is not needed any more.
        self.buffers.keys[first_key..].sort_unstable_by_key(|key| (key.fingerprint, key.offset));
        let groups = self.buffers.keys[first_key..].chunk_by(|a, b| a.fingerprint == b.fingerprint);
        let repeated = groups
            .filter(|group| group.len() > 1)
            .filter_map(|group| self.first_repeated(group));
        match repeated.min() {
            Some(offset) => Err(self.repeated_key_at(offset)),
            None => Ok(()),
        }
    }

    /// The offset of the first key that repeats an earlier one, among keys with
    /// equal fingerprints. An attacker can make these many and all different, so
    /// they are sorted, not compared pair by pair.
    #[inline(never)]
    fn first_repeated(&self, group: &[OpenKey]) -> Option<usize> {
        let mut keys: Vec<_> = group
            .iter()
            .map(|key| (self.canonical_key(key.offset), key.offset))
            .collect();
        keys.sort_unstable();
        keys.windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1)
            .min()
    }

    /// The canonical form of the key at `offset`, which has been accepted before.
    #[inline(never)]
    fn canonical_key(&self, offset: usize) -> Cow<'p, [u8]> {
        let start = &self.text[offset + 1..];
        let end = skip_plain(start);
        if let [b'"', ..] = end {
            return Cow::Borrowed(&start[..start.len() - end.len()]);
        }
        let mut buffers = Buffers::default();
        let mut parser = JsonParser::new(start, &mut buffers);
        match parser.read_escaped_key(start) {
            Ok(_) => Cow::Owned(buffers.escaped_key),
            Err(_) => Cow::Borrowed(b""),
        }
    }

    /// The error for the key that was read last, if its object already has it.
    #[cold]
    pub fn repeated_key(&self) -> Error {
        self.repeated_key_at(self.key_offset)
    }

    #[cold]
    #[inline(never)]
    fn repeated_key_at(&self, offset: usize) -> Error {
        let name = key_for_message(&self.canonical_key(offset));
        Error::event(offset, format!("the key \"{name}\" is repeated"))
    }
}

/// Whether the fingerprints of the keys are proved to be different, by putting
/// them into the hash `table`. Gives up with `false` after many collisions, so
/// that keys chosen by an attacker cannot cost quadratic time.
fn all_distinct(keys: &[OpenKey], table: &mut Vec<u64>) -> bool {
    const EMPTY_SLOT: u64 = 0;
    let slots = (4 * keys.len()).next_power_of_two();
    table.clear();
    table.resize(slots, EMPTY_SLOT);
    let mut collisions = 0;
    for key in keys {
        // Fibonacci hashing: 2^64 divided by the golden ratio spreads close values.
        let spread = key.fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut slot = (spread >> (64 - slots.trailing_zeros())) as usize;
        while table[slot] != EMPTY_SLOT {
            collisions += 1;
            if table[slot] == key.fingerprint || collisions > keys.len() {
                return false;
            }
            slot = (slot + 1) % slots;
        }
        // A fingerprint that is EMPTY_SLOT would leave no trace in the table.
        if key.fingerprint == EMPTY_SLOT {
            return false;
        }
        table[slot] = key.fingerprint;
    }
    true
}

/// Eight bytes that differ for most keys: the first and the last ones mixed. The
/// key is the first `length` bytes of `text`.
#[inline(always)]
pub(super) fn fingerprint(text: &[u8], length: usize) -> u64 {
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
        None => short_fingerprint(&text[..length]),
    }
}

/// The same for a key at the end of the text, shorter than eight bytes.
#[inline(never)]
fn short_fingerprint(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, c) in bytes.iter_mut().zip(name) {
        *byte = *c;
    }
    u64::from_le_bytes(bytes)
}
