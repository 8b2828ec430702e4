//! Where a packet stands among those that came before it: decided first, and everything else depends on it.

use units::sequence::Seq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that was due.
    Contiguous,
    /// Ahead of the one that was due.
    Gap,
    /// Behind, and not seen before.
    Late,
}

/// Why a packet has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    Duplicate,
    /// So late that it can't be told from a duplicate.
    TooLate,
}

/// Which sequence numbers came: the next one due, and a bit for each of those just before it.
///
/// Ingress has rejected duplicates already. What it lets through must still never be sent twice under one number, as
/// two packets under one number would share a key stream (RFC 3711 §9.1): so this is decided here again, by itself.
#[derive(Debug)]
pub struct Arrivals {
    due: Seq,
    /// Bit n of the ring is number n modulo its size.
    ring: [u64; RING / 64],
}

impl Arrivals {
    /// `due` is expected and nothing came.
    #[must_use]
    pub fn new(due: Seq) -> Self {
        Self { due, ring: [0; RING / 64] }
    }

    /// # Errors
    /// If the packet came before, or may have.
    pub fn order(&self, sequence: Seq) -> Result<Order, Misplaced> {
        if sequence == self.due {
            return Ok(Order::Contiguous);
        }
        if sequence > self.due {
            return Ok(Order::Gap);
        }
        if self.due.0 - sequence.0 > RING as u64 {
            return Err(Misplaced::TooLate);
        }
        if self.contains(sequence) { Err(Misplaced::Duplicate) } else { Ok(Order::Late) }
    }

    /// Takes note of a packet that [`Self::order`] gave a place.
    pub fn note(&mut self, sequence: Seq) {
        if sequence >= self.due {
            let ahead = sequence.0 - self.due.0;
            if ahead >= RING as u64 {
                self.ring = [0; RING / 64];
            } else {
                for skipped in self.due.0..sequence.0 {
                    self.set(Seq(skipped), false);
                }
            }
            self.due = sequence.next();
        }
        self.set(sequence, true);
    }

    /// The number after the highest that came.
    #[must_use]
    pub fn due(&self) -> Seq {
        self.due
    }

    fn contains(&self, sequence: Seq) -> bool {
        let (word, bit) = Self::place(sequence);
        self.ring.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, sequence: Seq, came: bool) {
        let (word, bit) = Self::place(sequence);
        if let Some(bits) = self.ring.get_mut(word) {
            *bits = if came { *bits | bit } else { *bits & !bit };
        }
    }

    fn place(sequence: Seq) -> (usize, u64) {
        let index = usize::from(sequence.low().0) % RING;
        (index / 64, 1 << (index % 64))
    }
}

/// How far back a late packet is told from a duplicate: 1 s at 8 Mbit/s.
const RING: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn order_is_told_by_what_came() {
        let mut arrivals = Arrivals::new(Seq(65_534));
        for sequence in [65_534, 65_535, 65_538] {
            arrivals.note(Seq(sequence));
        }
        for (name, sequence, expected) in [
            ("next", 65_539, Ok(Order::Contiguous)),
            ("one ahead", 65_540, Ok(Order::Gap)),
            ("highest again", 65_538, Err(Misplaced::Duplicate)),
            ("missing", 65_537, Ok(Order::Late)),
            ("missing, first after the wrap", 65_536, Ok(Order::Late)),
            ("again, over the wrap", 65_535, Err(Misplaced::Duplicate)),
            ("before the start", 65_533, Ok(Order::Late)),
            ("oldest that is told", 65_539 - RING as u64, Ok(Order::Late)),
            ("older", 65_538 - RING as u64, Err(Misplaced::TooLate)),
        ] {
            assert_eq!(arrivals.order(Seq(sequence)), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn order_equals_that_of_a_set(start in 0_u64..200_000, steps in prop::collection::vec(-1_100_i64..1_500, 1..400)) {
            let mut arrivals = Arrivals::new(Seq(start));
            let mut came = BTreeSet::new();
            let mut due = start;
            for step in steps {
                // Mostly small steps, so that duplicates and late packets are frequent.
                let step = if step % 3 == 0 { step } else { step % 8 };
                let sequence = due.saturating_add_signed(step);
                let expected = if sequence == due {
                    Ok(Order::Contiguous)
                } else if sequence > due {
                    Ok(Order::Gap)
                } else if due - sequence > RING as u64 {
                    Err(Misplaced::TooLate)
                } else if came.contains(&sequence) {
                    Err(Misplaced::Duplicate)
                } else {
                    Ok(Order::Late)
                };
                prop_assert_eq!(arrivals.order(Seq(sequence)), expected);
                if expected.is_ok() {
                    arrivals.note(Seq(sequence));
                    came.insert(sequence);
                    due = due.max(sequence + 1);
                }
            }
        }
    }
}
