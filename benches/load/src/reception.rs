//! What arrived of one RTP stream: each packet once, what is missing, and what a receiver report says of it.

use std::time::Duration;

use units::rtp::Ssrc;
use units::sequence::{Seq, Seq16};
use units::time::{Instant, NtpTime};
use wire::rtcp::report::ReportBlock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    New,
    Duplicate,
}

#[derive(Debug)]
pub struct Reception {
    pub ssrc: Ssrc,
    first: Seq,
    highest: Seq,
    received: u64,
    /// One bit for each of the last [`WINDOW`] packets.
    seen: [u64; WINDOW / 64],
    /// In order; empty where nothing is asked for again.
    missing: Vec<Missing>,
    repairs: bool,
    reported: Counts,
    /// What had been counted when the measured window began.
    before: Counts,
    sender_report: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: Seq,
    since: Instant,
    asked: u32,
    ask_next: Instant,
}

/// Packets that should have come, and that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub expected: u64,
    pub received: u64,
}

impl Reception {
    /// With its first packet. If it `repairs`, it keeps a list of what is missing.
    #[must_use]
    pub fn new(ssrc: Ssrc, sequence: Seq16, repairs: bool) -> Self {
        // One cycle ahead, so that an earlier packet that comes later has a place.
        let first = Seq(u64::from(sequence.0) + CYCLE);
        let mut reception = Self {
            ssrc,
            first,
            highest: first,
            received: 1,
            seen: [0; WINDOW / 64],
            missing: Vec::new(),
            repairs,
            reported: Counts::default(),
            before: Counts::default(),
            sender_report: None,
        };
        reception.mark(first);
        reception
    }

    /// Of every packet but the first. What is older than the window counts as a duplicate.
    pub fn arrive(&mut self, now: Instant, sequence: Seq16) -> Arrival {
        let sequence = self.highest.nearest(sequence);
        if sequence > self.highest {
            self.advance(now, sequence);
        } else if self.highest.0 - sequence.0 >= WINDOW as u64 || self.is_marked(sequence) {
            return Arrival::Duplicate;
        } else {
            self.first = self.first.min(sequence);
            self.missing.retain(|missing| missing.sequence != sequence);
        }
        self.mark(sequence);
        self.received += 1;
        Arrival::New
    }

    /// What is to be asked for (again) now, in order.
    pub fn ask(&mut self, now: Instant) -> Vec<Seq16> {
        self.missing.retain(|missing| missing.asked < ASKED_MAX);
        let mut asked = Vec::new();
        for missing in &mut self.missing {
            if missing.ask_next <= now {
                missing.asked += 1;
                missing.ask_next = Instant(now.0 + ASK_AGAIN_NS);
                asked.push(missing.sequence.low());
            }
        }
        asked
    }

    /// When [`Reception::ask`] has something to say.
    #[must_use]
    pub fn ask_next(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.ask_next).min()
    }

    /// Of a sender report that arrived now.
    pub fn sender_reported(&mut self, now: Instant, ntp: NtpTime) {
        self.sender_report = Some((ntp.middle(), now));
    }

    pub fn report(&mut self, now: Instant) -> ReportBlock {
        let counts = self.counts();
        let expected = counts.expected - self.reported.expected.min(counts.expected);
        let lost = expected.saturating_sub(counts.received - self.reported.received);
        self.reported = counts;
        let (last_sender_report, delay) = self.sender_report.map_or((0, 0), |(middle, at)| {
            (middle, u32::try_from((now.since(at).as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from((lost << 8) / expected.max(1)).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(counts.expected.saturating_sub(counts.received))
                .unwrap_or(i32::MAX),
            highest_sequence: u32::try_from((self.highest.0 - CYCLE) & u64::from(u32::MAX))
                .unwrap_or_default(),
            jitter: 0,
            last_sender_report,
            delay_since_last_sender_report: delay,
        }
    }

    pub fn begin_window(&mut self) {
        self.before = self.counts();
    }

    /// Since the window began: what should have come and what never did, without what may still be on its way.
    #[must_use]
    pub fn window(&self, now: Instant) -> (Counts, u64) {
        let counts = self.counts();
        let lost = |counts: Counts| counts.expected.saturating_sub(counts.received);
        let fresh = self.missing.iter().filter(|missing| now.since(missing.since) < ON_ITS_WAY).count();
        let since = Counts {
            expected: counts.expected - self.before.expected.min(counts.expected),
            received: counts.received - self.before.received,
        };
        (since, lost(counts).saturating_sub(lost(self.before)).saturating_sub(fresh as u64))
    }

    fn counts(&self) -> Counts {
        Counts { expected: self.highest.0 - self.first.0 + 1, received: self.received }
    }

    fn advance(&mut self, now: Instant, sequence: Seq) {
        let from = self.highest.0 + 1;
        // Nothing beyond the window is kept or asked for.
        for skipped in from.max(sequence.0.saturating_sub(WINDOW as u64 - 1))..=sequence.0 {
            self.clear(Seq(skipped));
            if self.repairs && skipped < sequence.0 && self.missing.len() < MISSING_MAX {
                self.missing.push(Missing {
                    sequence: Seq(skipped),
                    since: now,
                    asked: 0,
                    ask_next: Instant(now.0 + ASK_FIRST_NS),
                });
            }
        }
        self.highest = sequence;
    }

    fn mark(&mut self, sequence: Seq) {
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, sequence: Seq) {
        let (word, bit) = place(sequence);
        self.seen[word] &= !bit;
    }

    fn is_marked(&self, sequence: Seq) -> bool {
        let (word, bit) = place(sequence);
        self.seen[word] & bit != 0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below the window's length")]
const fn place(sequence: Seq) -> (usize, u64) {
    let index = (sequence.0 % WINDOW as u64) as usize;
    (index / 64, 1 << (index % 64))
}

const CYCLE: u64 = 1 << 16;
const WINDOW: usize = 1_024; // packets; 2^16 is a multiple of it
const MISSING_MAX: usize = 512;
/// libwebrtc waits for what only came out of order, and asks again once per round trip, at most ten times.
const ASK_FIRST_NS: u64 = 5_000_000;
const ASK_AGAIN_NS: u64 = 50_000_000;
const ASKED_MAX: u32 = 10;
/// As long as it is asked for, and for a last answer to come.
const ON_ITS_WAY: Duration = Duration::from_millis(600);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant(1_000_000_000);

    fn later(milliseconds: u64) -> Instant {
        Instant(NOW.0 + milliseconds * 1_000_000)
    }

    #[test]
    fn each_packet_is_new_once_across_wraps_gaps_and_reordering() {
        let mut reception = Reception::new(Ssrc(1), Seq16(65_534), true);
        for (name, sequence, arrival) in [
            ("the first once more", 65_534, Arrival::Duplicate),
            ("next", 65_535, Arrival::New),
            ("behind a gap and the wrap", 2, Arrival::New),
            ("late", 0, Arrival::New),
            ("late twice", 0, Arrival::Duplicate),
            ("earlier than the first", 65_530, Arrival::New),
            ("far ahead", 5_000, Arrival::New),
            ("too old to know", 3, Arrival::Duplicate),
        ] {
            assert_eq!(reception.arrive(NOW, Seq16(sequence)), arrival, "{name}");
        }
        assert_eq!(reception.counts(), Counts { expected: 5_007, received: 6 });
    }

    #[test]
    fn missing_packets_are_asked_for_until_they_come_or_are_given_up() {
        let mut reception = Reception::new(Ssrc(1), Seq16(10), true);
        reception.arrive(NOW, Seq16(13));
        assert_eq!(reception.ask(NOW), [], "it may only be late");
        assert_eq!(reception.ask_next(), Some(later(5)));
        assert_eq!(reception.ask(later(5)), [Seq16(11), Seq16(12)]);
        assert_eq!(reception.ask(later(6)), []);
        reception.arrive(later(7), Seq16(11));
        for round in 1..10 {
            assert_eq!(reception.ask(later(5 + 50 * round)), [Seq16(12)]);
        }
        assert_eq!(reception.ask(later(1_000)), []);
        assert_eq!(reception.ask_next(), None);
        assert_eq!(reception.window(later(1_000)).1, 1);
    }

    #[test]
    fn sink_asks_for_nothing_and_still_knows_what_it_lost() {
        let mut reception = Reception::new(Ssrc(1), Seq16(10), false);
        reception.begin_window();
        reception.arrive(NOW, Seq16(14));
        assert_eq!(reception.ask_next(), None);
        assert_eq!(reception.window(NOW), (Counts { expected: 4, received: 1 }, 3));
    }

    #[test]
    fn window_does_not_count_what_was_lost_before_it_or_may_yet_come() {
        let mut reception = Reception::new(Ssrc(1), Seq16(0), true);
        reception.arrive(NOW, Seq16(2));
        reception.begin_window();
        reception.arrive(later(500), Seq16(4));
        assert_eq!(reception.window(later(1_000)), (Counts { expected: 2, received: 1 }, 0));
        assert_eq!(reception.window(later(1_100)).1, 1);
    }

    #[test]
    fn report_says_what_was_lost_since_the_last_one() {
        let mut reception = Reception::new(Ssrc(7), Seq16(65_535), false);
        reception.sender_reported(NOW, NtpTime(0x1122_3344_5566_7788));
        reception.arrive(NOW, Seq16(2));
        let block = reception.report(later(500));
        assert_eq!((block.fraction_lost, block.cumulative_lost), (128, 2));
        assert_eq!(block.highest_sequence, 0x1_0002);
        assert_eq!(block.last_sender_report, 0x3344_5566);
        assert_eq!(block.delay_since_last_sender_report, 0x8000);
        reception.arrive(NOW, Seq16(3));
        let block = reception.report(later(600));
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 2));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_set(start: u16, steps in prop::collection::vec(-20_i32..30, 1..400)) {
            let mut reception = Reception::new(Ssrc(1), Seq16(start), true);
            let mut at = i64::from(start) + 65_536;
            let mut set = BTreeSet::from([at]);
            for step in steps {
                at = (at + i64::from(step)).max(at - 20);
                let low = u16::try_from(at.rem_euclid(65_536)).unwrap();
                let highest = *set.last().unwrap();
                if highest - at >= 1_024 { continue; }
                let new = set.insert(at);
                prop_assert_eq!(reception.arrive(NOW, Seq16(low)) == Arrival::New, new);
            }
            let expected = u64::try_from(set.last().unwrap() - set.first().unwrap() + 1).unwrap();
            prop_assert_eq!(reception.counts(), Counts { expected, received: set.len() as u64 });
        }
    }
}
