//! Which of the latest packets were seen: a sliding window of bits below the highest index (RFC 3711 §3.3.2).

/// Remembers `WORDS` times 64 indices up to the highest that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Window<const WORDS: usize> {
    highest: u64,
    /// The bit of index `i` is bit `i % 64` of word `i / 64 % WORDS`.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    /// A window whose first index is `first`.
    pub(crate) fn starting_with(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; WORDS] };
        window.set(first);
        window
    }

    pub(crate) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `index` was accepted before or is too old to tell.
    pub(crate) fn is_replay(&self, index: u64) -> bool {
        if index > self.highest {
            return false;
        }
        self.highest - index >= Self::LEN || self.seen[Self::word(index)] & Self::bit(index) != 0
    }

    /// Accepts `index`, which is authentic and no replay.
    pub(crate) fn accept(&mut self, index: u64) {
        debug_assert!(!self.is_replay(index));
        if index > self.highest {
            self.slide_to(index);
        }
        self.set(index);
    }

    fn slide_to(&mut self, index: u64) {
        let words = (index / 64 - self.highest / 64).min(WORDS as u64);
        for ahead in 1..=words {
            // Counted from the old word on: each word that the window enters is new.
            self.seen[Self::word((self.highest / 64 + ahead).wrapping_mul(64))] = 0;
        }
        self.highest = index;
    }

    fn set(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }

    const fn word(index: u64) -> usize {
        (index / 64 % WORDS as u64) as usize
    }

    const fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }

    /// The last word of the ring is only partly behind the highest index: not counted.
    const LEN: u64 = (WORDS as u64 - 1) * 64;
}
