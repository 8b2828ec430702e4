//! How long a wake waits for company: what brings more with it soon is handled together, and leaves in longer trains.
//!
//! The packets of a video frame follow each other by some 30 µs, which is less than the copies of one of them take.

use std::time::Duration;

use units::time::Instant;

/// Datagrams that are company enough, without waiting longer.
pub(crate) const COMPANY: usize = 64;

/// Below this load, in thousandths, there is nothing to be saved.
const IDLE: u64 = 10;
const HALF: u64 = 500;
/// From here on the wait is the longest.
const NEAR_SATURATION: u64 = 900;
/// The wait up to half load, as a part of the longest.
const PART_UP_TO_HALF: u64 = 5; // 200 µs of 1 ms

#[derive(Debug)]
pub(crate) struct Gather {
    longest: Duration,
    /// Of the present load.
    delay: Duration,
    /// The last wake took so much that the next one need not wait for more.
    behind: bool,
}

impl Gather {
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { longest, delay: Duration::ZERO, behind: false }
    }

    /// A wake took so many datagrams, and the thread is as busy as `load` says.
    pub(crate) fn took(&mut self, datagrams: u64, load_permille: u64) {
        self.delay = self.delay_at(load_permille);
        self.behind = datagrams >= COMPANY as u64;
    }

    /// How long a wake that found datagrams waits for more, unless something is due at `deadline`.
    pub(crate) fn patience(&self, now: Instant, deadline: Option<Instant>) -> Duration {
        if self.behind {
            return Duration::ZERO;
        }
        deadline.map_or(self.delay, |deadline| deadline.since(now).min(self.delay))
    }

    fn delay_at(&self, load_permille: u64) -> Duration {
        let longest = u64::try_from(self.longest.as_nanos()).unwrap_or(u64::MAX);
        let up_to_half = longest / PART_UP_TO_HALF;
        let nanos = if load_permille < IDLE {
            0
        } else if load_permille < HALF {
            up_to_half
        } else if load_permille < NEAR_SATURATION {
            up_to_half + (longest - up_to_half) / (NEAR_SATURATION - HALF) * (load_permille - HALF)
        } else {
            longest
        };
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_the_load() {
        let gather = Gather::new(Duration::from_millis(1));
        for (load, micros) in [
            (0, 0),
            (9, 0),
            (10, 200),
            (255, 200),
            (499, 200),
            (500, 200),
            (700, 600),
            (899, 998),
            (900, 1000),
            (1000, 1000),
        ] {
            assert_eq!(gather.delay_at(load).as_micros(), micros, "{load}");
        }
        assert_eq!(Gather::new(Duration::ZERO).delay_at(1000), Duration::ZERO);
    }

    #[test]
    fn neither_a_deadline_nor_what_waits_already_waits_for_company() {
        let at = |micros: u64| Instant(micros * 1000);
        for (name, taken, deadline, micros) in [
            ("few", 3, None, 200),
            ("many", 64, None, 0),
            ("a deadline before", 3, Some(at(1030)), 30),
            ("a deadline after", 3, Some(at(9000)), 200),
            ("a deadline that has passed", 3, Some(at(900)), 0),
        ] {
            let mut gather = Gather::new(Duration::from_millis(1));
            gather.took(taken, 500);
            assert_eq!(gather.patience(at(1000), deadline).as_micros(), micros, "{name}");
        }
        assert_eq!(Gather::new(Duration::from_millis(1)).patience(at(5), None), Duration::ZERO, "at first");
    }
}
