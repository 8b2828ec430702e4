//! A source of numbers that is told by a seed (SplitMix64), or byte by byte by a fuzzer.

use std::collections::VecDeque;

#[derive(Debug)]
pub enum Random {
    Seeded(u64),
    /// Once the bytes are used up, nothing rare happens any more.
    Scripted(VecDeque<u8>),
}

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::Seeded(seed)
    }

    #[must_use]
    pub fn scripted(bytes: &[u8]) -> Self {
        Self::Scripted(bytes.iter().copied().collect())
    }

    /// Less than `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        match self {
            Self::Seeded(state) => draw(state) % bound,
            Self::Scripted(bytes) => {
                // As many bytes as it takes to reach every number.
                let count = bound.next_power_of_two().trailing_zeros().div_ceil(8);
                let drawn =
                    (0..count).try_fold(0, |drawn, _| Some(drawn << 8 | u64::from(bytes.pop_front()?)));
                drawn.unwrap_or(1) % bound
            }
        }
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Whether a script is used up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Scripted(bytes) if bytes.is_empty())
    }
}

fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
