//! Wall-clock time that never runs backwards: what a room's deadlines and timestamps are counted in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds since 1970. Deadlines are kept in it because they outlive the process that set them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
    }

    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    pub fn unix_micros(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.unix_micros() / 1_000
    }

    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.unix_micros() / 1_000_000
    }
}

/// Reads [`Time`]: the wall clock at the start, and a monotonic clock from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Time,
    started: Instant,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at: Time::default().after(wall), started: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Time {
        self.started_at.after(self.started.elapsed())
    }
}
