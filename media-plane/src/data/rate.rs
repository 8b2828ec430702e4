//! A token bucket: so much per second, and a burst.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_second: u64,
    burst: u64,
    /// Millionths, so that slow rates add up too.
    tokens: u64,
    at: Instant,
}

const MILLION: u64 = 1_000_000;

impl Bucket {
    /// Full at first.
    #[must_use]
    pub const fn new(now: Instant, per_second: u64, burst: u64) -> Self {
        Self { per_second, burst, tokens: burst.saturating_mul(MILLION), at: now }
    }

    /// Takes `count` tokens if there are as many.
    pub fn take(&mut self, now: Instant, count: u64) -> bool {
        self.refill(now);
        match self.tokens.checked_sub(count.saturating_mul(MILLION)) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).min(Duration::from_secs(60));
        self.at = self.at.max(now);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(self.per_second);
        self.tokens = self.tokens.saturating_add(earned).min(self.burst.saturating_mul(MILLION));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 100, 50);
        assert!(bucket.take(start, 50));
        assert!(!bucket.take(start, 1));
        assert!(!bucket.take(start + Duration::from_millis(9), 1));
        assert!(bucket.take(start + Duration::from_millis(10), 1));
        assert!(!bucket.take(start + Duration::from_millis(10), 1));
        assert!(!bucket.take(start + Duration::from_secs(3600), 51), "no more than the burst");
        assert!(bucket.take(start + Duration::from_secs(3600), 50));
        assert!(!bucket.take(start, 1), "time that goes back earns nothing");
    }
}
