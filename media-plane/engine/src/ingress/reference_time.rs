//! Reference times both ways: how a peer that only sends tells us its round trip, and how we tell one that only
//! receives (RFC 3611 §4.4, §4.5).

use alloc::vec::Vec;
use core::time::Duration;

use units::rtp::Ssrc;
use units::time::{Instant, NtpTime};
use wire::rtcp::extended::LastReceiverReport;

use crate::rtt;

/// The reference times that are on their way.
#[derive(Debug, Default)]
pub struct ReferenceTimes {
    /// Ours that were not answered yet: their middle bits, and when they left.
    sent: [Option<(u32, Instant)>; SENT_MAX],
    /// Theirs that wait for our answer: whose, its middle bits, and when it came.
    received: Vec<(Ssrc, u32, Instant)>,
}

impl ReferenceTimes {
    /// Ours left, in the place of the oldest.
    pub fn sent(&mut self, now: Instant, time: NtpTime) {
        self.sent.rotate_right(1);
        if let Some(newest) = self.sent.first_mut() {
            *newest = Some((time.middle(), now));
        }
    }

    /// The round trip that an answer to one of ours tells. Each counts once: all streams of a peer answer it, and all
    /// over the same path.
    pub fn answered(&mut self, now: Instant, answer: &LastReceiverReport) -> Option<Duration> {
        let is_meant = |(middle, _): &(u32, Instant)| *middle == answer.last_receiver_report;
        let sent = self.sent.iter_mut().find(|sent| sent.as_ref().is_some_and(is_meant))?;
        let (_, left_at) = sent.take()?;
        rtt::measured(now - left_at, answer.delay)
    }

    /// One of theirs came; the newest of each receiver counts.
    pub fn received(&mut self, now: Instant, from: Ssrc, time: NtpTime) {
        self.received.retain(|(other, ..)| *other != from);
        if self.received.len() < RECEIVED_MAX {
            self.received.push((from, time.middle(), now));
        }
    }

    /// Our answers to what came, which are thereby given.
    pub fn answers(&mut self, now: Instant) -> Vec<LastReceiverReport> {
        let answer = |(ssrc, last_receiver_report, came_at)| LastReceiverReport {
            ssrc,
            last_receiver_report,
            delay: short_time(now - came_at),
        };
        self.received.drain(..).map(answer).collect()
    }
}

/// In units of 1/65536 s, as delays in reports are.
#[must_use]
pub fn short_time(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// At one in a second, answers that are longer under way are not believed anyway.
const SENT_MAX: usize = 8;
/// Receivers of one peer that are answered in one report.
const RECEIVED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    const fn time(seconds: u64) -> NtpTime {
        NtpTime((1_000 + seconds) << 32)
    }

    const fn answer(seconds: u64, held_ms: u32) -> LastReceiverReport {
        let delay = held_ms * 65_536 / 1_000;
        LastReceiverReport { ssrc: Ssrc(1), last_receiver_report: time(seconds).middle(), delay }
    }

    #[test]
    fn answer_tells_the_round_trip_once() {
        let mut times = ReferenceTimes::default();
        for second in 0..9 {
            times.sent(ms(second * 1_000), time(second));
        }
        for (name, now, answer, expected_ms) in [
            ("to the newest", 8_050, answer(8, 0), Some(50)),
            ("again, of another stream", 8_060, answer(8, 0), None),
            ("to an older one, held", 8_070, answer(2, 6_000), Some(70)),
            ("to one that is forgotten", 8_070, answer(0, 8_000), None),
            ("to none of ours", 8_070, answer(77, 0), None),
            ("held longer than it was away", 8_070, answer(3, 6_000), None),
        ] {
            let rtt = times.answered(ms(now), &answer).map(|rtt| (rtt.as_micros() + 500) / 1_000);
            assert_eq!(rtt, expected_ms, "{name}");
        }
    }

    #[test]
    fn each_receiver_is_answered_once_with_its_newest_time() {
        let mut times = ReferenceTimes::default();
        times.received(ms(0), Ssrc(1), time(1));
        times.received(ms(100), Ssrc(2), time(2));
        times.received(ms(200), Ssrc(1), time(3));
        let answers = times.answers(ms(700));
        let told: Vec<(u32, u32, u32)> =
            answers.iter().map(|answer| (answer.ssrc.0, answer.last_receiver_report, answer.delay)).collect();
        assert_eq!(told, [(2, time(2).middle(), 39_321), (1, time(3).middle(), 32_768)], "0.6 s and 0.5 s");
        assert_eq!(times.answers(ms(800)), []);
        (0..20).for_each(|ssrc| times.received(ms(900), Ssrc(ssrc), time(4)));
        assert_eq!(times.answers(ms(900)).len(), RECEIVED_MAX);
    }
}
