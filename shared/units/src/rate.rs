//! Bits per second as a value.

use core::time::Duration;

/// A bit rate, in bit/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// The rate at which `bytes` pass in `over`; zero for an empty interval.
    #[must_use]
    pub const fn of(bytes: u64, over: Duration) -> Self {
        let micros = over.as_micros() as u64;
        if micros == 0 { Self(0) } else { Self(bytes.saturating_mul(8_000_000) / micros) }
    }

    /// How many bytes pass in `over` at this rate.
    #[must_use]
    pub const fn bytes_in(self, over: Duration) -> u64 {
        self.0.saturating_mul(over.as_micros() as u64) / 8_000_000
    }
}
