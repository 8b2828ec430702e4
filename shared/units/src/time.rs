//! Time as a value: pure code is told what time it is.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A moment on a monotonic clock whose origin only the driver knows, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Time since `earlier`; zero if `earlier` lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Wall-clock time in the NTP format: seconds since 1900 in the upper 32 bits, their fraction below (RFC 3550 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits, as RTCP's LSR and DLRR fields have them.
    #[must_use]
    pub const fn middle(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits are the point")]
        let middle = (self.0 >> 16) as u32;
        middle
    }
}

impl Add<Duration> for NtpTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let fraction = (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000;
        Self(self.0.wrapping_add(duration.as_secs() << 32).wrapping_add(fraction))
    }
}
