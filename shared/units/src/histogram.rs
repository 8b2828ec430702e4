//! How often which values occurred: a fixed table of buckets whose width grows with the value, for one thread.
//!
//! Four buckets to each power of two, so a bucket's bounds differ by a quarter at most. Recording is a handful of
//! instructions and allocates nothing.

/// Values of 2³² and more are counted with the largest below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
}

/// A bucket in which something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The largest value that is counted in it.
    pub up_to: u64,
    pub count: u64,
}

impl Histogram {
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], sum: 0 }
    }

    pub const fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// The same value `count` times.
    pub const fn record_many(&mut self, value: u64, count: u64) {
        self.counts[index(value)] += count;
        self.sum = self.sum.wrapping_add(value.wrapping_mul(count));
    }

    /// Of all values, as far as it fits into 64 bits.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smallest bound that at least `per_mille` thousandths of the values keep to; `None` without values.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        let wanted = (self.count() * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let reached = |bucket: &Bucket| {
            seen += bucket.count;
            seen >= wanted
        };
        self.buckets().find(reached).map(|bucket| bucket.up_to)
    }

    /// What is not empty, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let all = self.counts.iter().enumerate();
        all.filter(|(_, count)| **count > 0)
            .map(|(index, count)| Bucket { up_to: up_to(index), count: *count })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Values below 4 have a bucket each; above, the highest bit and the two behind it name the bucket.
const fn index(value: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let value = if value > u32::MAX as u64 { u32::MAX } else { value as u32 };
    if value < SUB {
        return value as usize;
    }
    let exponent = value.ilog2();
    let behind = (value >> (exponent - SUB_BITS)) & (SUB - 1);
    ((exponent - 1) * SUB + behind) as usize
}

const fn up_to(index: usize) -> u64 {
    let (octave, behind) = (index / SUB as usize, (index % SUB as usize) as u64);
    match octave {
        0 => behind,
        _ => ((SUB as u64 + behind + 1) << (octave - 1)) - 1,
    }
}

const SUB_BITS: u32 = 2;
const SUB: u32 = 1 << SUB_BITS;
const BUCKETS: usize = (u32::BITS as usize - 1) * SUB as usize; // 124

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(value: u64) -> Bucket {
        let mut histogram = Histogram::new();
        histogram.record(value);
        assert_eq!(histogram.buckets().count(), 1, "{value}");
        histogram.buckets().next().unwrap()
    }

    #[test]
    fn a_value_is_counted_under_the_next_bound() {
        for (value, up_to) in [
            (0, 0),
            (1, 1),
            (3, 3),
            (4, 4),
            (7, 7),
            (8, 9),
            (9, 9),
            (10, 11),
            (15, 15),
            (16, 19),
            (1000, 1023),
            (1024, 1279),
            (u64::from(u32::MAX), u64::from(u32::MAX)),
            (u64::MAX, u64::from(u32::MAX)),
        ] {
            assert_eq!(bucket_of(value), Bucket { up_to, count: 1 }, "{value}");
        }
    }

    #[test]
    fn bounds_follow_each_other_without_a_gap() {
        let mut start = 0;
        for place in 0..BUCKETS {
            assert_eq!((index(start), index(up_to(place))), (place, place), "{start}");
            start = up_to(place) + 1;
        }
        assert_eq!(start, 1 << 32);
    }

    #[test]
    fn quantiles_are_bounds_that_so_many_values_keep_to() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(500), None);
        histogram.record_many(3, 90);
        histogram.record_many(100, 9);
        histogram.record(5000);
        let quantiles = [0, 500, 900, 901, 990, 999, 1000].map(|share| histogram.quantile(share));
        assert_eq!(quantiles, [3, 3, 3, 111, 111, 5119, 5119].map(Some));
        assert_eq!((histogram.count(), histogram.sum()), (100, 270 + 900 + 5000));
    }
}
