//! A fast hash for stream names, which every append looks up under a lock.
//!
//! std's hash takes as long as everything else under that lock. This one mixes in
//! eight bytes per multiplication, starting from a random seed per process, so that
//! colliding names cannot be prepared. Only the speed of the table depends on it.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Builds hashers from one random seed.
#[derive(Clone, Debug)]
pub(crate) struct NameHashBuilder(u64);

impl Default for NameHashBuilder {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for NameHashBuilder {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher {
            state: self.0,
            factor: self.0.rotate_left(32) | 1,
        }
    }
}

pub(crate) struct NameHasher {
    state: u64,
    factor: u64,
}

impl NameHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        // XOR of both halves, so that every bit of the word affects every bit.
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // With the length, because zero padding is not unique.
        self.mix(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        // Once more, so that the last word affects the upper bits too.
        let product = u128::from(self.state) * u128::from(self.factor);
        (product as u64) ^ ((product >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_that_differ_a_little_spread_over_all_places() {
        let builder = NameHashBuilder::default();
        let hashes: Vec<u64> = (0..4096)
            .map(|n| builder.hash_one(format!("v2/stream_{n}")))
            .collect();
        let whole: HashSet<_> = hashes.iter().collect();
        assert_eq!(whole.len(), hashes.len());
        // A hash table uses the lower bits as index and the upper bits as tag.
        for part in [|hash: u64| hash & 0xfff, |hash: u64| hash >> 52] {
            let places: HashSet<_> = hashes.iter().map(|&hash| part(hash)).collect();
            // Random hashes fill 1 - 1/e of 4,096 places, which is 2,589.
            assert!(places.len() > 2300, "{} places of 4096", places.len());
        }
    }
}
