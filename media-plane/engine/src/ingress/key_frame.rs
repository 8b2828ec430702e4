//! When to ask a publisher for a key frame of one encoding: at once, again until it comes, but no more often than it can be of use.

use core::time::Duration;

use units::time::Instant;

/// The wish for one encoding's next key frame. Whoever still lacks one when requests were in vain wishes again.
#[derive(Debug, Default)]
pub struct KeyFrameRequest {
    wish: Option<Wish>,
    /// The wish outlives the request: whoever has it may not know to wish again.
    stays: bool,
    asked_at: Option<Instant>,
    /// Requests since the last key frame.
    unanswered: u8,
    /// Sequence number of full intra requests (RFC 5104 §4.3.1.1): a new one for each new request.
    pub fir_sequence: u8,
}

/// Why a key frame is wanted, from what can wait to what can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// A subscriber says that it lost a picture: it had key frames before, and they cost everybody's bandwidth.
    Repair,
    /// Somebody joined or changes layers. It wishes again with each packet that it can't take.
    Lock,
    /// A picture never came, so that nobody can show what follows.
    Lost,
}

impl KeyFrameRequest {
    pub fn want(&mut self, wish: Wish) {
        self.wish = self.wish.max(Some(wish));
        self.stays |= wish != Wish::Lock;
    }

    pub const fn key_frame_arrived(&mut self) {
        self.wish = None;
        self.stays = false;
        self.unanswered = 0;
    }

    /// The stream began: requests from before it were for nothing.
    pub const fn began(&mut self) {
        self.asked_at = None;
        self.unanswered = 0;
    }

    /// Whether to send a request now; assumes that it is then sent.
    pub fn ask(&mut self, now: Instant, layer: u8, rtt: Option<Duration>) -> bool {
        if self.next_at(layer, rtt).is_none_or(|at| now < at) {
            return false;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.stays &= self.unanswered < UNANSWERED_MAX;
        self.wish = self.stays.then_some(Wish::Repair);
        self.asked_at = Some(now);
        self.fir_sequence = self.fir_sequence.wrapping_add(1);
        true
    }

    /// What is wanted now.
    #[must_use]
    pub const fn wish(&self) -> Option<Wish> {
        self.wish
    }

    /// Whether one was asked for just now, so that it is on its way; some publishers don't listen.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        self.unanswered > 0 && self.unanswered <= AWAITED_MAX
    }

    /// When to send the next request, if there is a wish.
    #[must_use]
    pub fn next_at(&self, layer: u8, rtt: Option<Duration>) -> Option<Instant> {
        let wish = self.wish?;
        Some(self.asked_at.map_or(Instant(0), |asked_at| asked_at + self.interval(wish, layer, rtt)))
    }

    /// The throttle limits key frames: a request that brought none was lost, and is repeated as soon as that is known.
    fn interval(&self, wish: Wish, layer: u8, rtt: Option<Duration>) -> Duration {
        let repeat = rtt.map_or(REPEAT_MIN, |rtt| (rtt * 2).clamp(REPEAT_MIN, REPEAT_MAX));
        match (self.unanswered, wish) {
            (0, Wish::Lock | Wish::Lost) => repeat,
            (0, Wish::Repair) => repeat.max(if layer == 0 { THROTTLE_LOW } else { THROTTLE_OTHERS }),
            (requests, _) => repeat.saturating_mul(1 << (requests - 1).min(8)).min(REPEAT_MAX),
        }
    }
}

/// LiveKit's, for the lowest layer and for the others.
const THROTTLE_LOW: Duration = Duration::from_millis(500);
const THROTTLE_OTHERS: Duration = Duration::from_secs(1);
/// Bounds of twice the round-trip time.
const REPEAT_MIN: Duration = Duration::from_millis(200);
const REPEAT_MAX: Duration = Duration::from_secs(1);
/// After so many requests a publisher has no key frame to send: its camera stands still, or it is gone.
const UNANSWERED_MAX: u8 = 10;
const AWAITED_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn key_frames_come_no_more_often_than_the_throttle_allows() {
        let slow = Some(Duration::from_millis(400));
        for (name, wish, layer, rtt, expected_ms) in [
            ("low layer", Wish::Repair, 0, None, 500),
            ("low layer, slow path", Wish::Repair, 0, slow, 800),
            ("higher layer", Wish::Repair, 1, slow, 1_000),
            ("joined", Wish::Lock, 1, None, 200),
            ("joined, slow path", Wish::Lock, 1, slow, 800),
            ("joined, path without end", Wish::Lock, 1, Some(Duration::from_secs(9)), 1_000),
        ] {
            let mut request = KeyFrameRequest::default();
            assert!(!request.ask(ms(5), layer, rtt), "{name}: nobody wants one");
            request.want(wish);
            assert!(request.ask(ms(10), layer, rtt), "{name}: at once");
            request.key_frame_arrived();
            assert!(!request.ask(ms(60_000), layer, rtt), "{name}: done");
            request.want(wish);
            request.want(Wish::Repair);
            assert_eq!(request.next_at(layer, rtt), Some(ms(10 + expected_ms)), "{name}");
            assert!(!request.ask(ms(10 + expected_ms - 1), layer, rtt), "{name}: throttled");
            assert!(request.ask(ms(10 + expected_ms), layer, rtt), "{name}: again");
        }
    }

    #[test]
    fn request_is_repeated_until_the_key_frame_comes_and_not_for_ever() {
        for (name, rtt_ms, expected_ms) in [
            ("fast path", 10, [0, 200, 600, 1_400, 2_400, 3_400, 4_400, 5_400, 6_400, 7_400]),
            ("slow path", 300, [0, 600, 1_600, 2_600, 3_600, 4_600, 5_600, 6_600, 7_600, 8_600]),
        ] {
            let mut request = KeyFrameRequest::default();
            request.want(Wish::Lock);
            request.want(Wish::Repair);
            let rtt = Some(Duration::from_millis(rtt_ms));
            let asked: Vec<u64> = (0..60_000).filter(|now| request.ask(ms(*now), 2, rtt)).collect();
            assert_eq!(asked, expected_ms, "{name}");
            assert!(!request.is_awaited(), "{name}: it will not come");
            request.want(Wish::Lock);
            assert!(request.ask(ms(60_000), 2, rtt), "{name}: somebody wishes again");
            assert_eq!(request.next_at(2, rtt), None, "{name}: once for each packet");
            request.want(Wish::Lost);
            assert_eq!(request.next_at(2, rtt), Some(ms(61_000)), "{name}: and now slowly");
        }
    }
}
