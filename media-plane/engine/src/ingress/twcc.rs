//! Which packets of a transport arrived when, until the sender is told (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3).
//!
//! As in libwebrtc, a packet that comes late moves the next feedback's beginning back, so that it is told too.

use alloc::vec::Vec;
use core::time::Duration;

use units::sequence::{Seq, Seq16};
use units::time::Instant;

/// The arrivals of the last [`WINDOW`] transport-wide numbers of one peer.
#[derive(Debug)]
pub struct Twcc {
    /// By number modulo [`WINDOW`]; empty until the first packet.
    arrivals: Vec<Option<Instant>>,
    /// The first number that the next feedback tells of.
    start: Seq,
    highest: Option<Seq>,
    /// Packets since the last feedback.
    pending: u32,
    told_at: Instant,
    feedback_count: u8,
}

impl Default for Twcc {
    fn default() -> Self {
        Self {
            arrivals: Vec::new(),
            start: Seq(0),
            highest: None,
            pending: 0,
            told_at: Instant(0),
            feedback_count: 0,
        }
    }
}

impl Twcc {
    /// Notes an authenticated packet. Returns whether its number is new.
    pub fn received(&mut self, now: Instant, number: Seq16) -> bool {
        let Some(highest) = self.highest else {
            self.arrivals = (0..WINDOW).map(|_| None).collect();
            self.told_at = now;
            // One cycle up, so that what came before the first packet has a number too.
            self.restart(now, Seq(u64::from(number.0) + 0x1_0000));
            return true;
        };
        let number = highest.nearest(number);
        if number > highest {
            self.advance(now, highest, number);
            return true;
        }
        let too_late = highest.0 - number.0 >= WINDOW || self.start.0.saturating_sub(number.0) > LATE_MAX;
        if too_late || self.arrival(number).is_some() {
            return false;
        }
        self.start = self.start.min(number);
        self.note(now, number);
        true
    }

    /// Notes a packet that was opened before. Its number is new if it was sent again as a probe; one that is far ahead
    /// is an old one that somebody replays, which must not make the present ones old. Returns whether it is new.
    pub fn received_again(&mut self, now: Instant, number: Seq16) -> bool {
        let far = |highest: Seq| highest.nearest(number).0 > highest.0 + AHEAD_MAX;
        !self.highest.is_none_or(far) && self.received(now, number)
    }

    /// What the next feedback packet begins with, if there is something to tell: base and count.
    #[must_use]
    pub fn head(&self) -> Option<(Seq16, u8)> {
        self.untold().any(|arrival| arrival.is_some()).then_some((self.start.low(), self.feedback_count))
    }

    /// Arrivals from the base on; the last one is the newest packet's.
    pub fn untold(&self) -> impl Iterator<Item = Option<Instant>> + Clone + '_ {
        let end = self.highest.map_or(self.start, Seq::next);
        (self.start.0..end.0).map(|number| self.arrival(Seq(number)))
    }

    /// A feedback packet told the first `count` of [`Self::untold`].
    pub fn told(&mut self, now: Instant, count: u16) {
        self.start = Seq(self.start.0 + u64::from(count));
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.pending = 0;
        self.told_at = now;
    }

    /// When the next feedback is due: 100 ms after the last one, sooner if much arrived.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let interval = if self.pending >= BUSY { INTERVAL_BUSY } else { INTERVAL };
        (self.pending > 0).then(|| self.told_at + interval)
    }

    fn advance(&mut self, now: Instant, highest: Seq, number: Seq) {
        if number.0 - highest.0 >= WINDOW {
            self.restart(now, number);
            return;
        }
        for skipped in highest.0 + 1..number.0 {
            self.set(Seq(skipped), None);
        }
        self.start = self.start.max(Seq((number.0 + 1).saturating_sub(WINDOW)));
        self.highest = Some(number);
        self.note(now, number);
    }

    fn restart(&mut self, now: Instant, number: Seq) {
        self.arrivals.fill(None);
        self.start = number;
        self.highest = Some(number);
        self.note(now, number);
    }

    fn note(&mut self, now: Instant, number: Seq) {
        self.pending = self.pending.saturating_add(1);
        self.set(number, Some(now));
    }

    fn set(&mut self, number: Seq, arrival: Option<Instant>) {
        if let Some(slot) = self.arrivals.get_mut(index(number)) {
            *slot = arrival;
        }
    }

    fn arrival(&self, number: Seq) -> Option<Instant> {
        self.arrivals.get(index(number)).copied().flatten()
    }
}

const fn index(number: Seq) -> usize {
    (number.0 % WINDOW) as usize
}

const WINDOW: u64 = 1_024; // 100 ms at 100 Mbit/s
/// What comes later than this many numbers after it was told as missing is not told any more.
const LATE_MAX: u64 = 250;
/// How far ahead a probe may be of what came before it.
const AHEAD_MAX: u64 = 250;
const INTERVAL: Duration = Duration::from_millis(100);
const INTERVAL_BUSY: Duration = Duration::from_millis(50);
const BUSY: u32 = 20;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;
    use units::rtp::Ssrc;
    use wire::rtcp::build::{Builder, FeedbackHead};
    use wire::rtcp::{Compound, Packet};

    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// What a sender reads in all feedback packets that are due; times in ms since the first arrival of each.
    fn told(twcc: &mut Twcc, now: Instant) -> Vec<(u16, Option<i64>)> {
        let mut told = Vec::new();
        while let Some((base, feedback_count)) = twcc.head() {
            let mut out = [0; 300];
            let mut builder = Builder::new(&mut out);
            let head = FeedbackHead { sender: Ssrc(1), media: Ssrc(2), base, feedback_count };
            let covered = builder.transport_feedback(&head, twcc.untold()).unwrap();
            assert!(covered > 0);
            let len = builder.len();
            twcc.told(now, covered);
            let Some(Ok(Packet::TransportFeedback(read))) = Compound::new(&out[..len]).next() else {
                panic!("well-formed")
            };
            assert_eq!(read.feedback_count, feedback_count);
            told.extend(
                read.statuses().map(|status| (status.sequence.0, status.arrival_us.map(|us| us / 1_000))),
            );
        }
        told
    }

    #[test]
    fn feedback_tells_arrivals_gaps_and_late_packets() {
        let mut twcc = Twcc::default();
        assert_eq!(twcc.next_at(), None);
        for (number, at) in [(65_534, 1), (65_535, 2), (1, 4)] {
            assert!(twcc.received(ms(at), Seq16(number)));
        }
        assert!(!twcc.received(ms(5), Seq16(1)), "a number counts once");
        assert_eq!(twcc.next_at(), Some(ms(101)));
        let expected = [(65_534, Some(1)), (65_535, Some(2)), (0, None), (1, Some(4))];
        assert_eq!(told(&mut twcc, ms(101)), expected);
        assert_eq!(twcc.next_at(), None);
        twcc.received(ms(110), Seq16(0));
        twcc.received(ms(111), Seq16(3));
        let expected = [(0, Some(110)), (1, Some(4)), (2, None), (3, Some(111))];
        assert_eq!(told(&mut twcc, ms(201)), expected);
    }

    #[test]
    fn busy_transport_is_told_sooner() {
        let mut twcc = Twcc::default();
        for number in 0..20 {
            twcc.received(ms(0), Seq16(number));
        }
        assert_eq!(twcc.next_at(), Some(ms(50)));
    }

    #[test]
    fn long_silence_is_told_in_two_packets() {
        let mut twcc = Twcc::default();
        twcc.received(ms(0), Seq16(1));
        twcc.received(ms(9_000), Seq16(2));
        assert_eq!(told(&mut twcc, ms(9_000)), [(1, Some(0)), (2, Some(9_000))]);
        assert_eq!(twcc.feedback_count, 2);
    }

    proptest! {
        #[test]
        fn every_arrival_within_the_window_is_told(
            start: u16,
            steps in proptest::collection::vec((-20_i64..40, 0_u64..300), 1..600),
        ) {
            let mut twcc = Twcc::default();
            let mut now = 0;
            let mut expected = BTreeMap::new();
            let mut all = BTreeMap::new();
            let mut highest = 1_000_000 - 1_000_000 % 65_536 + i64::from(start);
            for (step, wait) in steps {
                now += wait;
                let number = highest + step;
                highest = highest.max(number);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low bits are the point")]
                let low = number as u16;
                if twcc.received(ms(now), Seq16(low)) {
                    expected.insert(low, i64::try_from(now).unwrap());
                }
                if twcc.next_at().is_some_and(|at| at <= ms(now)) {
                    all.extend(told(&mut twcc, ms(now)).into_iter().filter_map(|(number, at)| Some((number, at?))));
                }
            }
            all.extend(told(&mut twcc, ms(now)).into_iter().filter_map(|(number, at)| Some((number, at?))));
            prop_assert_eq!(all, expected);
        }
    }
}
