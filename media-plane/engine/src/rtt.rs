//! Round-trip times: what one measurement is worth, and how measurements become an estimate.

use core::time::Duration;

/// The round trip of something that was answered after `elapsed`, of which the other side held it for `held` (in 1/65536 s).
///
/// Its clock runs at another speed than ours, and counts more coarsely: a little less than nothing is the shortest there is.
#[must_use]
pub fn measured(elapsed: Duration, held: u32) -> Option<Duration> {
    let held = Duration::from_nanos((u64::from(held) * 1_000_000_000) >> 16);
    let rtt = match elapsed.checked_sub(held) {
        Some(rtt) => rtt,
        None if held <= elapsed + TOLERANCE => MIN,
        None => return None,
    };
    (rtt <= MAX).then_some(rtt.max(MIN))
}

/// An estimate with the newest measurement taken in for an eighth (as RFC 6298 §2 does).
#[must_use]
pub fn smoothed(before: Option<Duration>, newest: Duration) -> Duration {
    before.map_or(newest, |before| (before * 7 + newest) / 8)
}

/// What is said to be shorter is told as this, so that it differs from what is not known.
const MIN: Duration = Duration::from_millis(1);
/// What is longer was not held for as long as is said: nobody would stay in such a call.
const MAX: Duration = Duration::from_secs(10);
const TOLERANCE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurement_is_believed_within_bounds() {
        for (name, elapsed_ms, held_ms, expected_ms) in [
            ("not held", 100, 0, Some(100)),
            ("held", 1_100, 1_000, Some(100)),
            ("on the same machine", 1_000, 1_000, Some(1)),
            ("clocks differ a little", 1_000, 1_009, Some(1)),
            ("held for longer than it was away", 1_000, 1_011, None),
            ("as long as may be", 10_500, 500, Some(10_000)),
            ("longer", 10_502, 500, None),
        ] {
            let held = u32::try_from((held_ms << 16) / 1_000).unwrap();
            let measured = measured(Duration::from_millis(elapsed_ms), held);
            let rounded_ms = measured.map(|rtt| (rtt.as_micros() + 500) / 1_000);
            assert_eq!(rounded_ms, expected_ms, "{name}");
        }
    }

    #[test]
    fn estimate_follows_slowly_and_arrives() {
        let mut rtt = None;
        for expected_ms in [80, 70, 61] {
            let newest = if rtt.is_none() { Duration::from_millis(80) } else { Duration::ZERO };
            rtt = Some(smoothed(rtt, newest));
            assert_eq!(rtt.unwrap().as_millis(), expected_ms);
        }
        let arrived = (0..100).fold(rtt, |rtt, _| Some(smoothed(rtt, Duration::from_millis(20))));
        assert_eq!(arrived.unwrap().as_millis(), 20);
    }
}
