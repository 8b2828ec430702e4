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

    /// A window that lets nothing pass up to `highest`.
    pub(crate) fn after(highest: u64) -> Self {
        let mut window = Self { highest, seen: [u64::MAX; WORDS] };
        // What is ahead in the same word is new.
        window.seen[Self::word(highest)] = u64::MAX >> (63 - highest % 64);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    type Small = Window<3>;

    #[test]
    fn window_reaches_as_far_back_as_it_says() {
        for (name, accepted, index, replay) in [
            ("the first itself", &[1000][..], 1000, true),
            ("the next", &[1000], 1001, false),
            ("just inside", &[1000], 873, false),
            ("just outside", &[1000], 872, true),
            ("inside after a step", &[1000, 1001], 874, false),
            ("outside after a step", &[1000, 1001], 873, true),
            ("seen, reordered", &[1000, 990], 990, true),
            ("missing between", &[1000, 1010], 1005, false),
            ("after a jump over the whole window", &[1000, 5000], 4999, false),
            ("before such a jump", &[1000, 5000], 1000, true),
            ("before zero there is nothing", &[0], 0, true),
        ] {
            let mut window = Small::starting_with(accepted[0]);
            accepted[1..].iter().for_each(|index| window.accept(*index));
            assert_eq!(window.is_replay(index), replay, "{name}");
        }
    }

    proptest! {
        #[test]
        fn window_after_an_index_refuses_all_up_to_it_and_nothing_else(
            highest in 0_u64..1000, steps in proptest::collection::btree_set(1_u64..250, 1..20),
        ) {
            let mut window = Small::after(highest);
            prop_assert!((0..=highest).all(|index| window.is_replay(index)));
            for step in &steps {
                prop_assert!(!window.is_replay(highest + step));
                window.accept(highest + step);
            }
            prop_assert!((0..=highest).all(|index| window.is_replay(index)));
            for index in (highest + 1).max(window.highest().saturating_sub(Small::LEN - 1))..window.highest() {
                prop_assert_eq!(window.is_replay(index), steps.contains(&(index - highest)));
            }
        }

        #[test]
        fn window_agrees_with_a_set_of_all_that_was_seen(
            first in 0_u64..1000, steps in proptest::collection::vec(-200_i64..250, 1..400),
        ) {
            let mut window = Small::starting_with(first);
            let mut seen = BTreeSet::from([first]);
            for step in steps {
                let Some(index) = window.highest().checked_add_signed(step) else { continue };
                let too_old = index + Small::LEN <= window.highest();
                prop_assert_eq!(window.is_replay(index), too_old || seen.contains(&index));
                if !window.is_replay(index) {
                    window.accept(index);
                    seen.insert(index);
                    prop_assert!(window.is_replay(index));
                }
                prop_assert_eq!(Some(&window.highest()), seen.last());
            }
        }
    }
}
