//! What was noted of the most recent pictures: a map in order of insertion that forgets its oldest entries.
//!
//! A picture spans packets, so an entry can't be removed when it is used: more packets may ask for it. It leaves by age.

use core::hash::{BuildHasherDefault, Hasher};

use indexmap::IndexMap;

/// At most `CAPACITY` pictures, by their unwrapped ids.
#[derive(Debug)]
pub struct Recent<V, const CAPACITY: usize>(IndexMap<i64, V, BuildHasherDefault<Spread>>);

impl<V: Copy, const CAPACITY: usize> Recent<V, CAPACITY> {
    #[must_use]
    pub fn new() -> Self {
        // Twice, as a whole run is inserted before the oldest are removed.
        Self(IndexMap::with_capacity_and_hasher(CAPACITY * 2, BuildHasherDefault::default()))
    }

    /// Notes `value` for each picture. One that is there already keeps its age.
    ///
    /// Of a run longer than the capacity only the last pictures are looked at, as the rest would be forgotten at once.
    pub fn insert_run(&mut self, first: i64, last: i64, value: V) {
        #[expect(clippy::cast_possible_wrap, reason = "a small constant")]
        let capacity = CAPACITY as i64;
        for picture in first.max(last.saturating_sub(capacity - 1))..=last {
            self.0.insert(picture, value);
        }
        let excess = self.0.len().saturating_sub(CAPACITY);
        self.0.drain(..excess);
    }

    pub fn insert(&mut self, picture: i64, value: V) {
        self.insert_run(picture, picture, value);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[must_use]
    pub fn of(&self, picture: i64) -> Option<V> {
        self.0.get(&picture).copied()
    }
}

impl<V: Copy, const CAPACITY: usize> Default for Recent<V, CAPACITY> {
    fn default() -> Self {
        Self::new()
    }
}

/// Spreads picture ids over the buckets, the same way on each run. The maps are too small for collisions to be an attack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value.cast_unsigned());
    }

    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio (Knuth, TAOCP 6.4), then the well mixed upper half to both ends.
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn keys<const N: usize>(recent: &Recent<u8, N>) -> Vec<i64> {
        recent.0.keys().copied().collect()
    }

    #[test]
    fn oldest_insertion_leaves_first_and_setting_again_does_not_renew() {
        let mut recent = Recent::<u8, 3>::new();
        for (picture, value) in [(7, 1), (8, 2), (9, 3), (7, 4)] {
            recent.insert(picture, value);
        }
        assert_eq!(
            (keys(&recent), recent.of(7)),
            ([7, 8, 9].into(), Some(4)),
            "kept its place, took the value"
        );
        recent.insert(10, 5);
        assert_eq!(keys(&recent), [8, 9, 10]);
    }

    #[test]
    fn long_run_costs_no_more_than_the_capacity_and_ends_the_same() {
        let mut recent = Recent::<u8, 3>::new();
        recent.insert(1, 1);
        recent.insert_run(1, i64::from(u16::MAX), 2);
        assert_eq!(keys(&recent), [65_533, 65_534, 65_535]);
        recent.insert_run(i64::MAX - 1, i64::MAX, 3);
        assert_eq!(keys(&recent), [65_535, i64::MAX - 1, i64::MAX]);
    }

    #[test]
    fn reading_does_not_remove() {
        let mut recent = Recent::<u8, 3>::new();
        recent.insert(-1, 1);
        assert_eq!((recent.of(-1), recent.of(-1)), (Some(1), Some(1)));
    }
}
