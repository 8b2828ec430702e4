//! How many messages a client may send: 100 a second, 500 at once.

use std::time::{Duration, Instant};

/// A bucket of allowances that fills with time and that each message takes one from.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// When the bucket will be full again, as if it had been filling all along.
    full_at: Instant,
}

impl Rate {
    pub fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one allowance; false when there is none.
    pub fn admit(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + INTERVAL;
        if full_at > now + INTERVAL * BURST {
            return false;
        }
        self.full_at = full_at;
        true
    }
}

const INTERVAL: Duration = Duration::from_millis(10); // 100 a second
const BURST: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rate: &mut Rate, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| rate.admit(now)).count()
    }

    #[test]
    fn a_burst_and_then_a_hundred_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for (name, after_ms, expected) in [
            ("burst", 0, 500),
            ("at once again", 0, 0),
            ("after one interval", 10, 1),
            ("after a second more", 1010, 100),
            ("after a long silence, the burst and no more", 3_600_000, 500),
        ] {
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(admitted(&mut rate, now, 1000), expected, "{name}");
        }
    }
}
