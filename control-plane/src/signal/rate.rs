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
