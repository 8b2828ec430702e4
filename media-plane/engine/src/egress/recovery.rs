//! What a key frame changes for a subscriber that lost something: requests from before it are moot.

use core::time::Duration;

use forward::rewrite::Rewrite;
use units::sequence::Seq;
use units::time::Instant;

/// Where one stream stands between a lost picture and the next key frame.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The newest that went out.
    key_frame: Option<KeyFrame>,
    /// The subscriber says that it can show nothing before the next one.
    wants_key_frame: bool,
}

/// The first packet of a key frame.
#[derive(Clone, Copy, Debug)]
struct KeyFrame {
    sequence: Seq,
    timestamp: u32,
    sent_at: Instant,
}

/// Why a NACK is not worth an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moot {
    /// Only a key frame helps, and it is asked for.
    AwaitingKeyFrame,
    /// What is missing is older than the key frame.
    BeforeKeyFrame,
}

impl Recovery {
    /// The first packet of a key frame went out.
    pub fn key_frame_sent(&mut self, now: Instant, rewrite: &Rewrite) {
        if self.key_frame.is_none_or(|before| before.sequence < rewrite.sequence) {
            let (sequence, timestamp) = (rewrite.sequence, rewrite.timestamp);
            self.key_frame = Some(KeyFrame { sequence, timestamp, sent_at: now });
            self.wants_key_frame = false;
        }
    }

    /// The subscriber asks for a key frame. Whether that is to be passed on: one that came within a round trip of the
    /// last key frame was sent without knowing of it.
    pub fn picture_lost(&mut self, now: Instant, rtt: Duration) -> bool {
        if self.key_frame.is_some_and(|key_frame| now - key_frame.sent_at < rtt) {
            return false;
        }
        self.wants_key_frame = true;
        true
    }

    /// A packet that the subscriber needs can't be brought to it. Whether a key frame is to be asked for, which is so once.
    pub const fn give_up(&mut self) -> bool {
        !core::mem::replace(&mut self.wants_key_frame, true)
    }

    /// Whether the packet with these outgoing numbers is not worth being sent again.
    ///
    /// While a request waits for the throttle, and is not under way, repair is the faster way out.
    #[must_use]
    pub fn moot(&self, rewrite: &Rewrite, newest: Seq, is_key_frame_awaited: bool) -> Option<Moot> {
        if self.wants_key_frame && is_key_frame_awaited {
            return Some(Moot::AwaitingKeyFrame);
        }
        let key_frame = self.key_frame?;
        let is_older = rewrite.sequence < key_frame.sequence && rewrite.timestamp != key_frame.timestamp;
        let is_recent = newest.0.saturating_sub(key_frame.sequence.0) <= GATE_LEN;
        (is_older && is_recent).then_some(Moot::BeforeKeyFrame)
    }
}

/// So many packets after a key frame it still stands before what is older: LiveKit's.
const GATE_LEN: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn packet(sequence: u64, timestamp: u32) -> Rewrite {
        Rewrite { sequence: Seq(sequence), timestamp, marker: false, patch: None, descriptor: None }
    }

    #[test]
    fn nacks_are_moot_from_the_request_until_the_key_frame_and_then_for_what_is_older() {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.moot(&packet(5, 50), Seq(9), true), None, "there was no key frame yet");
        assert!(recovery.picture_lost(ms(0), RTT));
        assert_eq!(recovery.moot(&packet(5, 50), Seq(9), true), Some(Moot::AwaitingKeyFrame));
        assert_eq!(recovery.moot(&packet(5, 50), Seq(9), false), None, "nobody asked the publisher yet");
        recovery.key_frame_sent(ms(200), &packet(10, 100));
        for (name, sequence, timestamp, newest, expected) in [
            ("older", 9, 90, 10, Some(Moot::BeforeKeyFrame)),
            ("of the key frame, yet before what told of it", 9, 100, 10, None),
            ("its first packet", 10, 100, 10, None),
            ("newer", 11, 110, 11, None),
            ("older, at the end of the gate", 9, 90, 2_010, Some(Moot::BeforeKeyFrame)),
            ("older, behind the gate", 9, 90, 2_011, None),
        ] {
            assert_eq!(recovery.moot(&packet(sequence, timestamp), Seq(newest), true), expected, "{name}");
        }
        recovery.key_frame_sent(ms(210), &packet(4, 40));
        assert_eq!(
            recovery.moot(&packet(5, 50), Seq(10), true),
            Some(Moot::BeforeKeyFrame),
            "late, not newer"
        );
    }

    #[test]
    fn request_that_can_not_know_of_the_key_frame_is_answered_by_it() {
        let mut recovery = Recovery::default();
        recovery.key_frame_sent(ms(1_000), &packet(10, 100));
        assert!(!recovery.picture_lost(ms(1_099), RTT));
        assert_eq!(recovery.moot(&packet(11, 110), Seq(11), true), None, "so its repair goes on");
        assert!(recovery.picture_lost(ms(1_100), RTT));
        assert_eq!(recovery.moot(&packet(11, 110), Seq(11), true), Some(Moot::AwaitingKeyFrame));
    }
}
