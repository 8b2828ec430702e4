//! Which packets of a source were seen, whether they came themselves or were restored by a retransmission.

use units::sequence::Seq;

/// A window of the newest sequence numbers.
#[derive(Debug, Default)]
pub struct Seen {
    bits: [u64; WORDS],
    highest: Option<Seq>,
}

impl Seen {
    /// False if the packet was seen before, or is too old to tell.
    pub fn insert(&mut self, sequence: Seq) -> bool {
        let highest = self.highest.unwrap_or(sequence);
        if sequence > highest {
            let skipped = (sequence.0 - highest.0).min(LEN);
            for behind in 0..skipped {
                self.set(Seq(sequence.0 - behind), false);
            }
        } else if highest.0 - sequence.0 >= LEN || self.contains(sequence) {
            return false;
        }
        self.highest = Some(highest.max(sequence));
        self.set(sequence, true);
        true
    }

    #[must_use]
    pub const fn highest(&self) -> Option<Seq> {
        self.highest
    }

    fn contains(&self, sequence: Seq) -> bool {
        let (word, bit) = place(sequence);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, sequence: Seq, seen: bool) {
        let (word, bit) = place(sequence);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = if seen { *bits | bit } else { *bits & !bit };
        }
    }
}

const fn place(sequence: Seq) -> (usize, u64) {
    let index = sequence.0 % LEN;
    let word = (index / 64) as usize;
    (word, 1 << (index % 64))
}

const WORDS: usize = 16;
const LEN: u64 = 1_024; // as the replay window of SRTP

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_packet_is_new_once(steps in proptest::collection::vec(-1_200_i64..600, 1..400)) {
            let mut seen = Seen::default();
            let mut model = BTreeSet::new();
            let mut highest = 100_000_i64;
            for step in steps {
                let sequence = highest + step;
                let fresh = highest - sequence < 1_024 || model.is_empty();
                let new = fresh && model.insert(sequence);
                highest = if model.len() == 1 && new { sequence } else { highest.max(sequence) };
                prop_assert_eq!(seen.insert(Seq(u64::try_from(sequence).unwrap())), new);
            }
        }
    }
}
