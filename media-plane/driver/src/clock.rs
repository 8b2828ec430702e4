//! The monotonic clock as the engine's time.

use std::time::Duration;

use units::time::{Instant, NtpTime};

/// Seconds from the NTP era's start (1900) to the Unix epoch (1970), RFC 5905 §6.
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

/// A clock that starts at zero; every clock of a process has its own origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
    wall_at_origin: NtpTime,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { origin: std::time::Instant::now(), wall_at_origin: NtpTime(NTP_UNIX_OFFSET_S << 32) + wall }
    }

    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The present on both clocks, to tell when something was that has a time on the wall's.
    pub(crate) fn both(&self) -> Both {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Both { now: self.now(), wall }
    }

    /// NTP time at [`Instant`] zero; later steps of the wall clock are not followed.
    #[must_use]
    pub const fn wall_clock_at_zero(&self) -> NtpTime {
        self.wall_at_origin
    }
}

/// One moment on our clock and, since the Unix epoch, on the wall's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both {
    pub(crate) now: Instant,
    wall: Duration,
}

impl Both {
    /// The time on our clock of what happened at `wall`: now, if that lies ahead or too far back to be believed, as after a
    /// step of the wall clock.
    pub(crate) fn at(&self, wall: Option<Duration>) -> Instant {
        let age = wall
            .and_then(|wall| self.wall.checked_sub(wall))
            .filter(|age| *age <= AGE_MAX)
            .unwrap_or_default();
        Instant(self.now.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(0)))
    }
}

/// Longer than a datagram waits for a worker that works.
const AGE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_the_wall_is_found_on_our_clock() {
        let ms = Duration::from_millis;
        let both = Both { now: Instant(5_000_000_000), wall: ms(100_000) };
        for (name, wall, now_ms) in [
            ("unknown", None, 5000),
            ("now", Some(ms(100_000)), 5000),
            ("a little ago", Some(ms(99_990)), 4990),
            ("a step back", Some(ms(100_001)), 5000),
            ("a step forth", Some(ms(98_999)), 5000),
        ] {
            assert_eq!(both.at(wall), Instant(now_ms * 1_000_000), "{name}");
        }
        let young = Both { now: Instant(1), wall: ms(100_000) };
        assert_eq!(young.at(Some(ms(99_990))), Instant(0), "before we began");
    }

    #[test]
    fn clock_starts_near_zero_and_goes_on() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second >= first);
        assert!(clock.wall_clock_at_zero().0 >> 32 > NTP_UNIX_OFFSET_S + 1_700_000_000);
    }
}
