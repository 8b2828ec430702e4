//! The machine's monotonic clock, which stamps, timers and histograms share.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use units::time::{Instant, NtpTime};

#[must_use]
pub fn now() -> Instant {
    Instant(nanoseconds(ClockId::CLOCK_MONOTONIC))
}

/// How far the wall clock, by which the kernel stamps what arrives, is ahead of the monotonic one.
#[must_use]
pub fn wall_ahead() -> Duration {
    Duration::from_nanos(nanoseconds(ClockId::CLOCK_REALTIME).saturating_sub(now().0))
}

/// The wall clock for sender reports (RFC 3550 §4).
#[must_use]
pub fn ntp() -> NtpTime {
    let wall = nanoseconds(ClockId::CLOCK_REALTIME);
    let seconds = (wall / SECOND).wrapping_add(SECONDS_FROM_1900_TO_1970);
    let fraction = ((wall % SECOND) << 32) / SECOND;
    NtpTime(seconds << 32 | fraction)
}

/// CPU time of the thread that asks.
#[must_use]
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(nanoseconds(ClockId::CLOCK_THREAD_CPUTIME_ID))
}

/// CPU time of this process.
#[must_use]
pub fn process_cpu() -> Duration {
    Duration::from_nanos(nanoseconds(ClockId::CLOCK_PROCESS_CPUTIME_ID))
}

/// `None` if there is no such clock.
#[must_use]
pub fn read(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
}

fn nanoseconds(clock: ClockId) -> u64 {
    // Linux always has those that are asked for here.
    read(clock).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

const SECOND: u64 = 1_000_000_000;
const SECONDS_FROM_1900_TO_1970: u64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_is_in_this_century_and_the_wall_clock_is_ahead_of_the_time_since_boot() {
        let seconds = ntp().0 >> 32;
        assert!(seconds > SECONDS_FROM_1900_TO_1970 + 1_600_000_000);
        assert!(wall_ahead() > Duration::from_secs(1_000_000));
        assert!(now() > Instant(0));
    }
}
