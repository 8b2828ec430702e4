//! The monotonic clock as the engine's time.

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

    /// NTP time at [`Instant`] zero; later steps of the wall clock are not followed.
    #[must_use]
    pub const fn wall_clock_at_zero(&self) -> NtpTime {
        self.wall_at_origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_starts_near_zero_and_goes_on() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second >= first);
        assert!(clock.wall_clock_at_zero().0 >> 32 > NTP_UNIX_OFFSET_S + 1_700_000_000);
    }
}
