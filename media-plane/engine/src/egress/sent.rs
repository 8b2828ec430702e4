//! What was sent to one subscriber under which number, so that a NACK finds the packet again.

use alloc::vec::Vec;
use core::time::Duration;

use forward::rewrite::Rewrite;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use units::time::Instant;

use crate::egress::header::Stamp;
use crate::egress::own::Content;

/// A ring of the newest copies by outgoing sequence number.
#[derive(Debug)]
pub struct Sent {
    /// Empty until the first copy, and no longer than it takes to remember [`REMEMBERED`].
    ring: Vec<Option<Copied>>,
    capacity: usize,
    highest: Option<Seq>,
}

/// One copy: where its original is, and how it was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    pub layer: u8,
    pub source: Ssrc,
    pub source_sequence: Seq,
    pub origin: Origin,
    /// The publisher's and the subscriber's.
    pub payload_types: (PayloadType, PayloadType),
    pub rewrite: Rewrite,
    /// What its header was stamped with, and the digest of all of the header once it was sealed.
    pub stamp: Stamp,
    /// Its header said when its original was captured.
    pub captured: bool,
    /// Pictures that follow may depend on its own.
    pub is_needed: bool,
    /// Bytes of the payload's end that were left out, and of padding that were added.
    pub cut: u16,
    pub padding: u8,
    pub header_digest: Option<u64>,
    pub sent_at: Instant,
    pub resent: u8,
}

/// Where the bytes of a copy come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The history of its layer.
    Publisher,
    /// We make them, always the same.
    Own(Content),
    /// Encoded from what there was then, which may not be there any more: not sent again, as its SRTP index is used up.
    Redundant,
}

impl Copied {
    /// Why it is not to be sent again now, if so.
    #[must_use]
    pub fn refusal(&self, now: Instant, rtt: Duration) -> Option<NotResent> {
        if now - self.sent_at < rtt {
            return Some(NotResent::Recent);
        }
        (self.resent >= RESENT_MAX).then_some(NotResent::Exhausted)
    }
}

/// Why a NACK is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResent {
    /// Never sent, or longer ago than is remembered.
    Unknown,
    /// Sent less than a round trip ago.
    Recent,
    /// Sent again as often as is allowed.
    Exhausted,
}

impl Sent {
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { ring: Vec::new(), capacity, highest: None }
    }

    /// Remembers a copy that was sent.
    pub fn remember(&mut self, copied: Copied) {
        while self.ring.len() < self.capacity && self.would_forget(&copied) {
            self.grow();
        }
        self.highest = self.highest.max(Some(copied.rewrite.sequence));
        self.place(copied);
    }

    fn place(&mut self, copied: Copied) {
        let at = self.index(copied.rewrite.sequence);
        if let Some(slot) = self.ring.get_mut(at)
            && slot.is_none_or(|older| older.rewrite.sequence < copied.rewrite.sequence)
        {
            *slot = Some(copied);
        }
    }

    /// Whether the place of `copied` is taken by another one that is still to be remembered, or there are no places.
    fn would_forget(&self, copied: &Copied) -> bool {
        match self.ring.get(self.index(copied.rewrite.sequence)) {
            None => true,
            Some(place) => place.is_some_and(|other| copied.sent_at - other.sent_at < REMEMBERED),
        }
    }

    /// Rare: a stream's ring has its length after its first second at its highest rate.
    #[cold]
    fn grow(&mut self) {
        let len = (self.ring.len() * 2).max(LEN_MIN).min(self.capacity);
        let mut places = Vec::new();
        places.resize(len, None);
        for copied in core::mem::replace(&mut self.ring, places).into_iter().flatten() {
            self.place(copied);
        }
    }

    /// The copy with the highest number.
    #[must_use]
    pub fn last_copy(&self) -> Option<&Copied> {
        let highest = self.highest?;
        let newest = self.ring.get(self.index(highest)).and_then(Option::as_ref);
        newest.filter(|copied| copied.rewrite.sequence == highest)
    }

    /// The copy that a NACK asks for.
    #[must_use]
    pub fn find(&self, number: Seq16) -> Option<Copied> {
        let highest = self.highest?;
        let sequence = highest.nearest(number);
        if highest.0.saturating_sub(sequence.0) >= self.capacity as u64 {
            return None; // Its place in the ring may not be taken yet, but its packet is.
        }
        let copied = self.ring.get(self.index(sequence)).and_then(Option::as_ref);
        copied.filter(|copied| copied.rewrite.sequence == sequence).copied()
    }

    /// A copy was sent again: under its own number if there is a `digest`, its header's.
    pub fn sent_again(&mut self, now: Instant, sequence: Seq, digest: Option<u64>) {
        let at = self.index(sequence);
        if let Some(copied) = self.ring.get_mut(at).and_then(Option::as_mut)
            && copied.rewrite.sequence == sequence
        {
            copied.resent = copied.resent.saturating_add(1);
            copied.sent_at = now;
            copied.header_digest = digest.or(copied.header_digest);
        }
    }

    /// The highest number that was sent.
    #[must_use]
    pub fn newest(&self) -> Seq {
        self.highest.unwrap_or(Seq(0))
    }

    fn index(&self, sequence: Seq) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "less than the length")]
        let index = (sequence.0 % self.ring.len().max(1) as u64) as usize;
        index
    }
}

const RESENT_MAX: u8 = 4;
/// Longer than anybody waits for a packet before asking for a key frame.
const REMEMBERED: Duration = Duration::from_secs(1);
/// A second of audio, or of a small picture.
const LEN_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use units::time::NtpTime;

    use super::*;

    fn ask(sent: &Sent, now: Instant, number: Seq16) -> Result<Copied, NotResent> {
        let copied = sent.find(number).ok_or(NotResent::Unknown)?;
        copied.refusal(now, RTT).map_or(Ok(copied), Err)
    }

    const RTT: Duration = Duration::from_millis(100);

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn sent(sequences: &[u64]) -> Sent {
        sent_by(8, sequences)
    }

    fn sent_by(capacity: usize, sequences: &[u64]) -> Sent {
        let mut sent = Sent::new(capacity);
        for sequence in sequences {
            let rewrite = Rewrite {
                sequence: Seq(*sequence),
                timestamp: 0,
                marker: false,
                patch: None,
                descriptor: None,
            };
            sent.remember(Copied {
                layer: 0,
                source: Ssrc(1),
                source_sequence: Seq(sequence + 1_000),
                origin: Origin::Publisher,
                payload_types: (PayloadType(96), PayloadType(96)),
                rewrite,
                stamp: Stamp::new(NtpTime(0), Seq16(0), None),
                captured: false,
                is_needed: true,
                cut: 0,
                padding: 0,
                header_digest: None,
                sent_at: ms(0),
                resent: 0,
            });
        }
        sent
    }

    #[test]
    fn nack_finds_what_was_sent_under_its_number() {
        for (name, sequences, asked, expected) in [
            ("newest", &[1, 2, 3][..], 3, Ok(1_003)),
            ("sent late", &[1, 3, 2], 2, Ok(1_002)),
            ("never sent", &[1, 3], 2, Err(NotResent::Unknown)),
            ("in the future", &[1, 2], 3, Err(NotResent::Unknown)),
            ("forgotten", &[1, 2, 9], 1, Err(NotResent::Unknown)),
            ("before the wrap", &[65_535, 65_536], 65_535, Ok(66_535)),
            ("nothing sent", &[], 1, Err(NotResent::Unknown)),
            ("too late to be remembered", &[9, 1], 1, Err(NotResent::Unknown)),
        ] {
            let found = ask(&sent(sequences), ms(200), Seq16(asked)).map(|copied| copied.source_sequence.0);
            assert_eq!(found, expected, "{name}");
        }
    }

    /// LiveKit's sequencer tests; its ring is told of padding, ours is not.
    #[test]
    fn rows_of_upstreams_sequencer() {
        let found = |sent: &Sent, now, asked: &[u64]| -> Vec<u64> {
            let is_found = |number: &&u64| ask(sent, ms(now), Seq(**number).low()).is_ok();
            asked.iter().filter(is_found).copied().collect()
        };
        let again = |sent: &mut Sent, now, asked: &[u64]| {
            let found = found(sent, now, asked);
            found.iter().for_each(|number| sent.sent_again(ms(now), Seq(*number), None));
            found
        };

        let all: Vec<u64> = (1..518).collect();
        let asked = [510, 511, 512, 513, 514, 515, 516, 517, 509];
        let mut many = sent_by(500, &all);
        assert_eq!(
            ask(&many, ms(110), Seq16(510)).unwrap().source_sequence,
            Seq(1_510),
            "the offset is kept"
        );
        for (name, now, expected) in [
            ("right after they were sent", 0, &[][..]),
            ("later", 110, &asked),
            ("again at once", 111, &[]),
            ("again later", 220, &asked),
        ] {
            assert_eq!(again(&mut many, now, &asked), expected, "{name}");
        }

        for (name, capacity, sequences, asked, expected) in [
            ("519 before 518", 500, &[517, 519, 518][..], &[518, 519, 520][..], &[518, 519][..]),
            ("place in the ring is used again", 500, &[21, 521], &[21, 521], &[521]),
            ("and not by what is older", 500, &[521, 21, 505], &[21, 505, 521], &[505, 521]),
            (
                "padding between",
                5,
                &[65_526, 65_524, 65_525, 65_529, 65_530, 65_533, 65_534],
                &[65_524, 65_525, 65_526, 65_527, 65_528, 65_529, 65_530, 65_531, 65_532, 65_533, 65_534],
                &[65_530, 65_533, 65_534],
            ),
            (
                "padding at the end",
                5,
                &[2, 3, 4, 7, 8, 11, 12, 13],
                &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                &[11, 12],
            ),
        ] {
            assert_eq!(found(&sent_by(capacity, sequences), 200, asked), expected, "{name}");
        }
    }

    #[test]
    fn ring_is_as_long_as_a_second_of_its_stream() {
        for (name, per_second, seconds, len) in [
            ("audio", 50, 10, 64),
            ("a small picture", 30, 10, 64),
            ("video", 200, 10, 256),
            ("the first packets of video", 200, 0, 64),
            ("more than is ever remembered", 1_000, 10, 512),
        ] {
            let mut ring = Sent::new(512);
            let template = sent(&[1]).find(Seq16(1)).unwrap();
            let count = (per_second * seconds).max(10);
            for number in 0..count {
                let rewrite = Rewrite { sequence: Seq(number), ..template.rewrite };
                ring.remember(Copied { rewrite, sent_at: ms(number * 1000 / per_second), ..template });
            }
            assert_eq!(ring.ring.len(), len, "{name}");
            let newest = count - 1;
            for behind in [0, per_second.min(512).min(count) - 1] {
                assert!(
                    ring.find(Seq(newest - behind).low()).is_some(),
                    "{name}, {behind} before the newest"
                );
            }
        }
    }

    #[test]
    fn packet_is_sent_again_four_times_a_round_trip_apart() {
        let mut sent = sent(&[7]);
        let mut now = 0;
        let mut ask_after = |wait| {
            now += wait;
            ask(&sent, ms(now), Seq16(7)).map(|_| sent.sent_again(ms(now), Seq(7), None))
        };
        assert_eq!(ask_after(99), Err(NotResent::Recent));
        for _ in 0..4 {
            assert_eq!(ask_after(100), Ok(()));
            assert_eq!(ask_after(10), Err(NotResent::Recent));
        }
        assert_eq!(ask_after(1_000), Err(NotResent::Exhausted));
    }
}
