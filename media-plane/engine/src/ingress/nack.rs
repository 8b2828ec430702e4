//! Which packets of a source are missing and when to ask for them again (RFC 4585 §6.2.1).
//!
//! Timing as LiveKit 1.13.5 has it (`sfu/buffer`): first after 20 ms, then by round-trip time with back-off.

use alloc::collections::VecDeque;
use core::time::Duration;

use units::sequence::Seq;
use units::time::Instant;

/// The missing packets of one source, oldest first; at most [`QUEUE_MAX`].
#[derive(Debug, Default)]
pub struct Nack {
    highest: Option<Seq>,
    missing: VecDeque<Missing>,
}

#[derive(Debug)]
struct Missing {
    sequence: Seq,
    next_at: Instant,
    interval: Duration,
    tries: u8,
}

impl Nack {
    /// Notes that a packet is there, in whatever way it came. Returns how many missing ones were given up.
    pub fn received(&mut self, now: Instant, sequence: Seq) -> u32 {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return 0;
        };
        if sequence <= highest {
            if let Ok(at) = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence) {
                self.missing.remove(at);
            }
            return 0;
        }
        self.highest = Some(sequence);
        let gap = sequence.0 - highest.0 - 1;
        let first = sequence.0 - gap.min(QUEUE_MAX as u64);
        let mut given_up = saturating_u32(first - highest.0 - 1);
        for missing in first..sequence.0 {
            if self.missing.len() >= QUEUE_MAX {
                self.missing.pop_front();
                given_up += 1;
            }
            let next_at = now + FIRST_AFTER;
            self.missing.push_back(Missing {
                sequence: Seq(missing),
                next_at,
                interval: Duration::ZERO,
                tries: 0,
            });
        }
        given_up
    }

    /// Calls `ask` for each packet to ask for now, in order. Returns how many were given up.
    pub fn due(&mut self, now: Instant, rtt: Option<Duration>, mut ask: impl FnMut(Seq)) -> u32 {
        let before = self.missing.len();
        self.missing.retain(|missing| missing.tries < TRIES_MAX || now < missing.next_at);
        let given_up = before - self.missing.len();
        for missing in self.missing.iter_mut().filter(|missing| missing.next_at <= now) {
            ask(missing.sequence);
            missing.tries += 1;
            missing.interval = match missing.tries {
                1 => rtt.unwrap_or(RTT_DEFAULT).clamp(INTERVAL_MIN, INTERVAL_MAX),
                _ => (missing.interval * 5 / 4).min(INTERVAL_MAX),
            };
            missing.next_at = now + missing.interval;
        }
        saturating_u32(given_up as u64)
    }

    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.next_at).min()
    }

    /// Forgets everything: the source started anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn saturating_u32(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub const QUEUE_MAX: usize = 100;
const FIRST_AFTER: Duration = Duration::from_millis(20);
const INTERVAL_MIN: Duration = Duration::from_millis(20);
const INTERVAL_MAX: Duration = Duration::from_millis(400);
const RTT_DEFAULT: Duration = Duration::from_millis(70);
const TRIES_MAX: u8 = 5;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn asked(nack: &mut Nack, now: Instant) -> Vec<u64> {
        let mut asked = Vec::new();
        nack.due(now, None, |sequence| asked.push(sequence.0));
        asked
    }

    #[test]
    fn gap_is_asked_for_after_20_ms_and_then_by_round_trip_time() {
        let mut nack = Nack::default();
        nack.received(ms(0), Seq(10));
        nack.received(ms(0), Seq(13));
        assert_eq!(asked(&mut nack, ms(19)), []);
        assert_eq!(asked(&mut nack, ms(20)), [11, 12]);
        nack.received(ms(30), Seq(11));
        assert_eq!(asked(&mut nack, ms(89)), []);
        assert_eq!(asked(&mut nack, ms(90)), [12]);
        assert_eq!(nack.next_at(), Some(Instant(177_500_000)), "70 ms x 1.25 later");
    }

    #[test]
    fn packet_is_given_up_after_five_tries() {
        let mut nack = Nack::default();
        nack.received(ms(0), Seq(1));
        nack.received(ms(0), Seq(3));
        let mut tries = 0;
        let mut given_up = 0;
        while let Some(at) = nack.next_at() {
            given_up += nack.due(at, Some(Duration::from_millis(10)), |_| tries += 1);
        }
        assert_eq!((tries, given_up), (5, 1));
    }

    #[test]
    fn long_gap_keeps_the_newest_hundred() {
        let mut nack = Nack::default();
        nack.received(ms(0), Seq(0));
        nack.received(ms(0), Seq(50));
        assert_eq!(nack.received(ms(0), Seq(1_000_000)), 1_000_000 - 51 - 100 + 49);
        let asked = asked(&mut nack, ms(20));
        assert_eq!((asked.len(), asked[0]), (100, 999_900));
    }

    proptest! {
        #[test]
        fn asks_only_for_what_is_missing_in_order_and_within_the_bound(
            steps in proptest::collection::vec((0_u64..300, 0_u64..30), 1..200),
        ) {
            let mut nack = Nack::default();
            let mut seen = BTreeSet::new();
            let mut tries = vec![0; 2_000];
            let mut highest = 0_u64;
            let mut now = 0;
            for (step, wait) in steps {
                now += wait;
                let sequence = (highest + step).saturating_sub(250).min(1_999);
                highest = highest.max(sequence);
                nack.received(ms(now), Seq(sequence));
                seen.insert(sequence);
                let asked = asked(&mut nack, ms(now));
                prop_assert!(asked.len() <= QUEUE_MAX);
                prop_assert!(asked.is_sorted());
                for sequence in asked {
                    prop_assert!(!seen.contains(&sequence) && sequence < highest);
                    tries[usize::try_from(sequence).unwrap()] += 1;
                }
            }
            prop_assert!(tries.iter().all(|tries| *tries <= 5));
        }
    }
}
