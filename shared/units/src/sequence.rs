//! RTP sequence numbers: as they stand in a packet, and extended so that they never wrap.

/// A sequence number as it stands in an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seq16(pub u16);

/// A sequence number extended by its roll-over counter; ordered and free of wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

impl Seq {
    /// What stands in the RTP header.
    #[must_use]
    pub const fn low(self) -> Seq16 {
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the point")]
        Seq16(self.0 as u16)
    }

    /// The sequence number nearest to `self` whose low 16 bits are `wire`.
    ///
    /// Of two equally near ones the later is taken. Never below zero: what would lie before the first cycle is
    /// placed into it.
    #[must_use]
    pub const fn nearest(self, wire: Seq16) -> Self {
        let ahead = wire.0.wrapping_sub(self.low().0);
        if ahead <= 0x8000 {
            return Self(self.0 + ahead as u64);
        }
        let behind = 0x1_0000 - ahead as u64;
        if behind <= self.0 { Self(self.0 - behind) } else { Self(self.0 + ahead as u64) }
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nearest_crosses_the_wrap_both_ways() {
        for (name, last, wire, expected) in [
            ("same", 5, 5, 5),
            ("next", 5, 6, 6),
            ("over the wrap", 65_535, 0, 65_536),
            ("back over the wrap", 65_536, 65_535, 65_535),
            ("before the first cycle", 3, 65_534, 65_534),
            ("half way ahead", 65_536, 0x8000, 65_536 + 0x8000),
        ] {
            assert_eq!(Seq(last).nearest(Seq16(wire)), Seq(expected), "{name}");
        }
    }

    proptest! {
        #[test]
        fn nearest_restores_what_is_within_half_a_cycle(last in 65_536_u64..1 << 40, step in -0x7fff_i64..=0x7fff) {
            let truth = Seq(last.checked_add_signed(step).unwrap());
            prop_assert_eq!(Seq(last).nearest(truth.low()), truth);
        }
    }
}
