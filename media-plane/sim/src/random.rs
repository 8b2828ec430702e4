//! A seeded source of numbers (SplitMix64): the same seed tells the same story.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of its own, so that what one part of the world draws doesn't move another part's fate.
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`, which is not zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.draw() % u64::from(bound)).unwrap_or(0)
    }

    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1_000) < share
    }

    /// Up to `longest`.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX - 1);
        Duration::from_micros(u64::from(self.below(micros + 1)))
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.draw().to_le_bytes();
            chunk.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
        }
    }
}
