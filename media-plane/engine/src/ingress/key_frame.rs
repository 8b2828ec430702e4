//! When to ask a publisher for a key frame of one encoding: at once, but no more often than it can be of use.

use core::time::Duration;

use units::time::Instant;

/// The wish for one encoding's next key frame. Each wish is passed on once: whoever still lacks the key frame wishes again.
#[derive(Debug, Default)]
pub struct KeyFrameRequest {
    wanted: bool,
    asked_at: Option<Instant>,
    /// Sequence number of full intra requests (RFC 5104 §4.3.1.1): a new one for each new request.
    pub fir_sequence: u8,
}

impl KeyFrameRequest {
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    pub const fn key_frame_arrived(&mut self) {
        self.wanted = false;
    }

    /// Whether to send a request now; assumes that it is then sent.
    pub fn ask(&mut self, now: Instant, layer: u8, rtt: Option<Duration>) -> bool {
        if self.next_at(layer, rtt).is_none_or(|at| now < at) {
            return false;
        }
        self.wanted = false;
        self.asked_at = Some(now);
        self.fir_sequence = self.fir_sequence.wrapping_add(1);
        true
    }

    /// When to send the next request, if there is a wish.
    #[must_use]
    pub fn next_at(&self, layer: u8, rtt: Option<Duration>) -> Option<Instant> {
        self.wanted.then(|| self.asked_at.map_or(Instant(0), |asked_at| asked_at + interval(layer, rtt)))
    }
}

/// Twice the round-trip time within bounds, and never more often than the layer's throttle (LiveKit's: 500 ms low, 1 s others).
fn interval(layer: u8, rtt: Option<Duration>) -> Duration {
    let throttle = if layer == 0 { THROTTLE_LOW } else { THROTTLE_OTHERS };
    let repeat = rtt.map_or(REPEAT_MIN, |rtt| (rtt * 2).clamp(REPEAT_MIN, REPEAT_MAX));
    throttle.max(repeat)
}

const THROTTLE_LOW: Duration = Duration::from_millis(500);
const THROTTLE_OTHERS: Duration = Duration::from_secs(1);
const REPEAT_MIN: Duration = Duration::from_millis(200);
const REPEAT_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn wish_is_passed_on_at_once_and_then_within_the_throttle() {
        let rtt = Some(Duration::from_millis(400));
        for (name, layer, rtt, repeat_ms) in [
            ("low layer", 0, None, 500),
            ("low layer, slow path", 0, rtt, 800),
            ("higher layer", 1, rtt, 1_000),
        ] {
            let mut request = KeyFrameRequest::default();
            assert!(!request.ask(ms(5), layer, rtt), "{name}: nobody wants one");
            request.want();
            assert!(request.ask(ms(10), layer, rtt), "{name}: at once");
            assert!(!request.ask(ms(60_000), layer, rtt), "{name}: once");
            request.want();
            assert!(!request.ask(ms(10 + repeat_ms - 1), layer, rtt), "{name}: throttled");
            assert!(request.ask(ms(10 + repeat_ms), layer, rtt), "{name}: again");
            request.want();
            request.key_frame_arrived();
            assert!(!request.ask(ms(60_000), layer, rtt), "{name}: done");
        }
    }
}
