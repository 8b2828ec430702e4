//! How long a subscriber should hold pictures before it shows them (webrtc.org playout-delay): as long as the room says,
//! longer where packets come irregularly.

use units::sequence::{Seq, Seq16};
use units::time::Instant;
use wire::extension::PlayoutDelay;
use wire::rtcp::report::ReportBlock;

use crate::command::PlayoutDelayRange;

/// The playout delay of one stream.
#[derive(Debug)]
pub struct Playout {
    range: PlayoutDelayRange,
    /// What the receiver is told to hold at least.
    delay_ms: u32,
    changed_at: Option<Instant>,
    telling: Telling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// No packet carried the present delay yet.
    New,
    /// Every packet from the first of these to the second one carried it, and none was acknowledged.
    Since(Seq, Seq),
    /// A packet that carried it arrived: receivers keep to it.
    Known,
}

impl Playout {
    #[must_use]
    pub const fn new(range: PlayoutDelayRange) -> Self {
        Self { range, delay_ms: range.min_ms, changed_at: None, telling: Telling::New }
    }

    /// What the packet with this number tells, if it has to.
    pub fn told_by(&mut self, now: Instant, sequence: Seq) -> Option<[u8; 3]> {
        self.changed_at.get_or_insert(now);
        self.telling = match self.telling {
            Telling::New => Telling::Since(sequence, sequence),
            Telling::Since(first, last) => Telling::Since(first, last.max(sequence)),
            Telling::Known => return None,
        };
        Some(PlayoutDelay::new(self.delay_ms, self.range.max_ms).to_bytes())
    }

    /// Learns from a report of the receiver; `clock_rate` is that of its jitter.
    pub fn reported(&mut self, now: Instant, block: &ReportBlock, clock_rate: u32) {
        if let Telling::Since(first, last) = self.telling {
            #[expect(clippy::cast_possible_truncation, reason = "above are the receiver's own cycles")]
            let highest = last.nearest(Seq16(block.highest_sequence as u16));
            if highest < first {
                return; // One change after the other: until it is known there is no next one.
            }
            self.telling = Telling::Known;
        }
        self.follow(now, block, clock_rate);
    }

    fn follow(&mut self, now: Instant, block: &ReportBlock, clock_rate: u32) {
        let Some(changed_at) = self.changed_at else { return };
        let jitter_ms = (u64::from(block.jitter) * 1_000).checked_div(clock_rate.into()).unwrap_or(0);
        let wanted = u32::try_from(jitter_ms * JITTERS).unwrap_or(u32::MAX);
        let wanted = wanted.clamp(self.range.min_ms, self.range.max_ms);
        let elapsed_ms = u32::try_from((now - changed_at).as_millis()).unwrap_or(u32::MAX).min(1_000);
        let step = elapsed_ms * STEP_PER_SECOND_MS / 1_000;
        let delay = wanted.clamp(self.delay_ms.saturating_sub(step), self.delay_ms.saturating_add(step));
        if delay.abs_diff(self.delay_ms) >= STEP_MIN_MS {
            (self.delay_ms, self.changed_at, self.telling) = (delay, Some(now), Telling::New);
        }
    }
}

/// The delay covers this many times the mean deviation (LiveKit 1.13, `playoutdelay.go`).
const JITTERS: u64 = 10;
/// So slow that nobody hears sound follow the picture (ibid.).
const STEP_PER_SECOND_MS: u32 = 80;
/// What the element can express.
const STEP_MIN_MS: u32 = 10;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use units::rtp::Ssrc;

    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn block(highest: u32, jitter_ms: u32) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(1),
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_sequence: highest,
            jitter: jitter_ms * 90,
            last_sender_report: 0,
            delay_since_last_sender_report: 0,
        }
    }

    #[test]
    fn delay_is_told_until_a_packet_that_told_it_is_acknowledged() {
        for (name, sent, highest, told_again) in [
            ("none arrived", &[70_000, 70_001][..], 69_999, true),
            ("the first one", &[70_000, 70_001], 70_000, false),
            ("the last one", &[70_000, 70_001], 70_001, false),
            ("the receiver counts cycles otherwise", &[70_000], (7 << 16) | (70_000 & 0xffff), false),
            ("over the wrap", &[65_535, 65_536], 65_536, false),
            ("before the wrap", &[65_536, 65_537], 65_535, true),
            ("sent late", &[70_001, 70_000], 70_001, false),
        ] {
            let mut playout = Playout::new(PlayoutDelayRange { min_ms: 100, max_ms: 200 });
            for sequence in sent {
                assert!(playout.told_by(ms(0), Seq(*sequence)).is_some(), "{name}");
            }
            playout.reported(ms(100), &block(highest, 0), 90_000);
            assert_eq!(playout.told_by(ms(200), Seq(70_002)).is_some(), told_again, "{name}");
        }
    }

    #[test]
    fn delay_follows_the_jitter_within_its_range_and_slowly() {
        for (name, range, reports, expected) in [
            ("steady", (100, 400), &[(1_000, 3)][..], &[100][..]),
            ("rises", (100, 400), &[(1_000, 30), (2_000, 30), (3_000, 30)], &[100, 180, 260, 300]),
            ("not beyond the most", (100, 200), &[(1_000, 30), (2_000, 30), (3_000, 30)], &[100, 180, 200]),
            ("falls as slowly", (100, 400), &[(1_000, 18), (2_000, 1), (3_000, 1)], &[100, 180, 100]),
            ("after a pause no faster", (100, 400), &[(9_000, 90)], &[100, 180]),
            (
                "reports come often",
                (100, 400),
                &[(1_000, 90), (1_050, 90), (1_100, 90), (1_200, 90)],
                &[100, 180, 190],
            ),
            ("a range of one", (100, 100), &[(1_000, 90), (2_000, 90)], &[100]),
        ] {
            let mut playout = Playout::new(PlayoutDelayRange { min_ms: range.0, max_ms: range.1 });
            let mut told = Vec::new();
            let mut tell = |playout: &mut Playout, at, sequence| {
                let delay = playout.told_by(ms(at), Seq(sequence));
                told.extend(delay.map(|bytes| PlayoutDelay::read(&bytes).unwrap().min_ms()));
            };
            tell(&mut playout, 0, 1);
            for (sequence, (at, jitter_ms)) in (1..).zip(reports) {
                playout.reported(ms(*at), &block(sequence, *jitter_ms), 90_000);
                tell(&mut playout, *at, u64::from(sequence) + 1);
            }
            assert_eq!(told, expected, "{name}");
        }
    }
}
