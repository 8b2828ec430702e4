//! Bits per second as a value.

use core::time::Duration;

/// A bit rate, in bit/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// The rate at which `bytes` pass in `over`; zero for an interval of less than a microsecond.
    #[must_use]
    pub fn of(bytes: u64, over: Duration) -> Self {
        Self(bytes.saturating_mul(8_000_000).checked_div(micros(over)).unwrap_or_default())
    }

    /// How many bytes pass in `over` at this rate.
    #[must_use]
    pub fn bytes_in(self, over: Duration) -> u64 {
        self.0.saturating_mul(micros(over)) / 8_000_000
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_rate_are_each_others_inverse() {
        let over = Duration::from_millis(250);
        assert_eq!(Bitrate::of(31_250, over), Bitrate(1_000_000));
        assert_eq!(Bitrate(1_000_000).bytes_in(over), 31_250);
        assert_eq!(Bitrate::of(1, Duration::ZERO), Bitrate(0));
    }
}
