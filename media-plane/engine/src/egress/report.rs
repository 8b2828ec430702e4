//! What a subscriber reports of its stream, and when it is sent reports: loss, jitter, round-trip time (RFC 3550 §6.4).

use core::time::Duration;

use units::time::{Instant, NtpTime};
use wire::rtcp::report::ReportBlock;

use crate::rtt;

/// The reports of one sent stream, both ways.
#[derive(Debug, Default)]
pub struct Reporting {
    /// The newest two sender reports: the middle of their NTP time, and when they left.
    sent: [Option<(u32, Instant)>; 2],
    next_at: Option<Instant>,
    pub fraction_lost: u8,
    pub cumulative_lost: i32,
    /// In timestamp units.
    pub jitter: u32,
    pub rtt: Option<Duration>,
}

impl Reporting {
    /// Whether a sender report is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.next_at.is_none_or(|at| at <= now)
    }

    #[must_use]
    pub fn next_at(&self) -> Instant {
        self.next_at.unwrap_or_default()
    }

    /// A sender report left, or there was none to send.
    pub fn reported(&mut self, now: Instant, ntp: Option<NtpTime>) {
        self.next_at = Some(now + if ntp.is_some() { INTERVAL } else { RETRY });
        if let Some(ntp) = ntp {
            self.sent = [Some((ntp.middle(), now)), self.sent[0]];
        }
    }

    /// Learns from a report block of the subscriber. Returns the new round-trip time, if it tells one.
    pub fn learn(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        self.fraction_lost = block.fraction_lost;
        self.cumulative_lost = block.cumulative_lost;
        self.jitter = block.jitter;
        // RFC 3550 §6.4.1: the wall clock in a report is the publisher's, so our own clock says when it left.
        let (_, left_at) =
            self.sent.iter().flatten().find(|(middle, _)| *middle == block.last_sender_report)?;
        let rtt = rtt::measured(now - *left_at, block.delay_since_last_sender_report)?;
        self.rtt = Some(rtt::smoothed(self.rtt, rtt));
        self.rtt
    }
}

const INTERVAL: Duration = Duration::from_secs(3);
/// How soon to look again for a report of the publisher.
const RETRY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use units::rtp::Ssrc;

    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn round_trip_time_is_what_the_subscriber_did_not_hold() {
        let block = |last_sender_report, delay_ms: u32| ReportBlock {
            ssrc: Ssrc(1),
            fraction_lost: 12,
            cumulative_lost: 3,
            highest_sequence: 0,
            jitter: 5,
            last_sender_report,
            delay_since_last_sender_report: delay_ms * 65_536 / 1_000,
        };
        let ntp = NtpTime(0x0000_1234_5678_0000);
        let mut reporting = Reporting::default();
        assert!(reporting.is_due(ms(0)));
        reporting.reported(ms(1_000), Some(ntp));
        assert!(!reporting.is_due(ms(3_999)) && reporting.is_due(ms(4_000)));
        for (name, at, last_sender_report, delay_ms, expected_ms) in [
            ("no report yet", 1_100, 0, 0, None),
            ("another report", 1_100, 7, 0, None),
            ("held for half a second", 1_600, 0x1234_5678, 500, Some(100)),
            ("held for longer than it is away", 1_600, 0x1234_5678, 700, None),
        ] {
            let rtt = reporting.learn(ms(at), &block(last_sender_report, delay_ms));
            let rounded = rtt.map(|rtt| (rtt.as_micros() + 500) / 1_000);
            assert_eq!(rounded, expected_ms, "{name}");
        }
        assert_eq!((reporting.fraction_lost, reporting.cumulative_lost, reporting.jitter), (12, 3, 5));
    }
}
