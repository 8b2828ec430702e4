//! A seeded hasher: the same seed gives the same order of everything, and keys from outside can't be aimed at it.

use core::hash::{BuildHasher, Hasher};

/// Makes hashers that all start from one seed.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(pub u64);

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding { state: self.0 ^ MULTIPLIER }
    }
}

/// Folds each word into the state by the two halves of a 128-bit product.
#[derive(Clone, Debug)]
pub struct Folding {
    state: u64,
}

impl Folding {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(MULTIPLIER);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product are the point")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.state = low ^ high;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_be_bytes(*word) ^ 8 << 56);
        }
        if !rest.is_empty() {
            let word = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            self.fold(word ^ ((rest.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.fold(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.fold(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.fold(value as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.fold(FINISH);
        last.state
    }
}

/// The fractional part of the golden ratio, made odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// The fractional part of the square root of two: a second, unrelated word.
const FINISH: u64 = 0x6a09_e667_f3bc_c909;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_hash_other_seed_other_hash() {
        let key = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(Seeded(1).hash_one(key), Seeded(1).hash_one(key));
        assert_ne!(Seeded(1).hash_one(key), Seeded(2).hash_one(key));
        assert_ne!(Seeded(1).hash_one(1_u32), Seeded(1).hash_one(2_u32));
    }
}
