//! Transport-wide feedback: when each packet of a peer connection arrived (draft-holmer-rmcat-transport-wide-cc-extensions).

use std::collections::VecDeque;

use units::rtp::Ssrc;
use units::sequence::{Seq, Seq16};
use units::time::Instant;
use wire::rtcp::build::{Builder, FeedbackHead};

#[derive(Debug, Default)]
pub struct Arrivals {
    /// The number of the first entry.
    base: Option<Seq>,
    times: VecDeque<Option<Instant>>,
    feedback_count: u8,
}

impl Arrivals {
    pub fn arrive(&mut self, now: Instant, sequence: Seq16) {
        let base = *self.base.get_or_insert_with(|| Seq(u64::from(sequence.0) + CYCLE));
        let sequence = Seq(base.0 + self.times.len() as u64).nearest(sequence);
        // What was told of before is not told of again.
        let Some(index) = sequence.0.checked_sub(base.0).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        if index >= WAITING_MAX {
            self.base = Some(sequence);
            self.times.clear();
            self.times.push_back(Some(now));
            return;
        }
        if index >= self.times.len() {
            self.times.resize(index + 1, None);
        }
        self.times[index] = Some(now);
    }

    /// Appends one feedback of as much as fits, if there is anything to tell.
    pub fn write(&mut self, compound: &mut Builder<'_>, sender: Ssrc, media: Ssrc) {
        let Some(base) = self.base else { return };
        let head = FeedbackHead { sender, media, base: base.low(), feedback_count: self.feedback_count };
        let covered = compound.transport_feedback(&head, self.times.iter().copied()).unwrap_or_default();
        if covered > 0 {
            self.feedback_count = self.feedback_count.wrapping_add(1);
            self.times.drain(..usize::from(covered).min(self.times.len()));
            self.base = Some(Seq(base.0 + u64::from(covered)));
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

const CYCLE: u64 = 1 << 16;
const WAITING_MAX: usize = 4_096; // packets; a jump beyond begins anew

#[cfg(test)]
mod tests {
    use wire::rtcp::{Compound, Packet};

    use super::*;

    fn told(arrivals: &mut Arrivals) -> Vec<(u16, bool)> {
        let mut out = [0; 1_200];
        let mut compound = Builder::new(&mut out);
        arrivals.write(&mut compound, Ssrc(1), Ssrc(2));
        let len = compound.len();
        Compound::new(&out[..len])
            .flat_map(|packet| match packet {
                Ok(Packet::TransportFeedback(feedback)) => feedback
                    .statuses()
                    .map(|status| (status.sequence.0, status.arrival_us.is_some()))
                    .collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn each_packet_is_told_once_with_its_gaps_in_order() {
        let mut arrivals = Arrivals::default();
        for (milliseconds, sequence) in [(1, 65_534), (2, 65_535), (4, 1), (5, 2), (5, 2)] {
            arrivals.arrive(Instant(milliseconds * 1_000_000), Seq16(sequence));
        }
        assert_eq!(told(&mut arrivals), [(65_534, true), (65_535, true), (0, false), (1, true), (2, true)]);
        assert!(arrivals.is_empty());
        assert_eq!(told(&mut arrivals), []);
        arrivals.arrive(Instant(7_000_000), Seq16(0));
        assert_eq!(told(&mut arrivals), [], "came too late");
        arrivals.arrive(Instant(8_000_000), Seq16(4));
        assert_eq!(told(&mut arrivals), [(3, false), (4, true)]);
    }

    #[test]
    fn jump_begins_anew() {
        let mut arrivals = Arrivals::default();
        arrivals.arrive(Instant(1_000_000), Seq16(0));
        arrivals.arrive(Instant(2_000_000), Seq16(20_000));
        assert_eq!(told(&mut arrivals), [(20_000, true)]);
    }
}
