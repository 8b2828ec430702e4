//! A receiver's estimate of what a sender may send, from loss and the received rate alone: what REMB tells.
//!
//! Additive-multiplicative: much loss cuts the estimate to below what was received, little loss lets it grow by a
//! twelfth per second (the loss-based rules of draft-ietf-rmcat-gcc-02 §6, applied at the receiver).

use core::time::Duration;

use units::rate::Bitrate;
use units::time::Instant;

/// The estimate for one sender.
#[derive(Debug)]
pub struct ReceiveEstimate {
    estimate: Bitrate,
    updated_at: Option<Instant>,
}

/// What arrived from the sender since the last update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub bytes: u64,
    pub packets: u64,
    pub packets_lost: u64,
    /// Tracks that it sends; each may use up to [`PER_TRACK_MAX`].
    pub tracks: u32,
}

impl Default for ReceiveEstimate {
    fn default() -> Self {
        Self { estimate: START, updated_at: None }
    }
}

impl ReceiveEstimate {
    /// Learns from an interval and returns the new estimate.
    pub fn update(&mut self, now: Instant, interval: &Interval) -> Bitrate {
        let elapsed = self.updated_at.replace(now).map_or(Duration::ZERO, |before| now - before);
        if !elapsed.is_zero() && interval.packets > 0 {
            self.learn(interval, elapsed);
        }
        let max = Bitrate(PER_TRACK_MAX.0 * u64::from(interval.tracks.max(1)));
        self.estimate = self.estimate.clamp(MIN, max);
        self.estimate
    }

    #[must_use]
    pub const fn estimate(&self) -> Bitrate {
        self.estimate
    }

    fn learn(&mut self, interval: &Interval, elapsed: Duration) {
        let received = Bitrate::of(interval.bytes, elapsed);
        let expected = interval.packets.saturating_add(interval.packets_lost);
        let loss_permille = interval.packets_lost.saturating_mul(1000) / expected;
        if loss_permille > DECREASE_ABOVE_PERMILLE {
            // GCC §6: the rate times (1 - loss / 2); never more than the estimate was.
            let sent = self.estimate.min(Bitrate(received.0.saturating_add(received.0 / 4)));
            self.estimate = Bitrate(sent.0.saturating_mul(2000 - loss_permille) / 2000);
        } else if loss_permille < INCREASE_BELOW_PERMILLE {
            // A sender that uses little tells nothing about what lies far above.
            let ceiling = Bitrate(received.0.saturating_mul(2).max(START.0)).max(self.estimate);
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).min(1_000);
            let step = self.estimate.0 / 12 * millis / 1_000 + STEP_MIN.0 * millis / 1_000;
            self.estimate = Bitrate(self.estimate.0.saturating_add(step)).min(ceiling);
        }
    }
}

/// The smallest estimate: audio still passes.
const MIN: Bitrate = Bitrate(30_000);
/// What one track may use at most.
pub const PER_TRACK_MAX: Bitrate = Bitrate(10_000_000);
/// An estimate before anything was received must not hold back the start of a call.
const START: Bitrate = Bitrate(2_000_000);
const STEP_MIN: Bitrate = Bitrate(10_000);
const DECREASE_ABOVE_PERMILLE: u64 = 100;
const INCREASE_BELOW_PERMILLE: u64 = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The estimate after `seconds` in which `kbps` arrived and `loss_percent` was lost.
    fn after(seconds: u64, kbps: u64, loss_percent: u64) -> u64 {
        let mut estimate = ReceiveEstimate::default();
        for second in 0..=seconds {
            let interval = Interval {
                bytes: kbps * 125,
                packets: 100 - loss_percent,
                packets_lost: loss_percent,
                tracks: 2,
            };
            estimate.update(Instant(second * 1_000_000_000), &interval);
        }
        estimate.estimate().0 / 1_000
    }

    #[test]
    fn estimate_moves_with_loss() {
        for (name, seconds, kbps, loss_percent, expected_kbps) in [
            ("nothing happened yet", 0, 0, 0, 2_000..=2_000),
            ("no loss grows", 1, 1_500, 0, 2_150..=2_200),
            ("growth stops at twice what is received", 120, 1_500, 0, 3_000..=3_000),
            ("a slow sender is not held below the start", 120, 100, 0, 2_000..=2_000),
            ("some loss holds", 60, 1_500, 5, 2_000..=2_000),
            ("much loss cuts", 1, 1_000, 20, 1_100..=1_130),
            ("hopeless loss ends at the floor", 120, 0, 90, 30..=30),
            ("tracks bound it", 1_000, 90_000, 0, 20_000..=20_000),
        ] {
            let estimate = after(seconds, kbps, loss_percent);
            assert!(expected_kbps.contains(&estimate), "{name}: {estimate}");
        }
    }

    proptest! {
        #[test]
        fn estimate_stays_within_its_clamp(
            steps in proptest::collection::vec((any::<u32>(), any::<u16>(), any::<u16>(), 0_u32..40, any::<u32>()), 1..50),
        ) {
            let mut estimate = ReceiveEstimate::default();
            let mut now = Instant(0);
            for (bytes, packets, packets_lost, tracks, wait) in steps {
                now += Duration::from_micros(u64::from(wait));
                let interval = Interval {
                    bytes: u64::from(bytes),
                    packets: u64::from(packets),
                    packets_lost: u64::from(packets_lost),
                    tracks,
                };
                let rate = estimate.update(now, &interval);
                prop_assert!(rate >= MIN && rate.0 <= PER_TRACK_MAX.0 * u64::from(tracks.max(1)));
            }
        }
    }
}
