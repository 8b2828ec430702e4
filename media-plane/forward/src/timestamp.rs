//! Timestamps of one subscription: one clock that goes on when the source behind it changes.

use core::time::Duration;

use units::rtp::Ssrc;
use units::time::{Instant, NtpTime};

use crate::facts::{Facts, Reference};
use crate::padding::Spacing;

/// Maps incoming to outgoing timestamps, and says what a sender report may say of them.
#[derive(Debug)]
pub struct Timeline {
    clock_rate: u32,
    /// By how much outgoing timestamps lag behind those of the source, modulo 2^32.
    lag: u32,
    source: Ssrc,
    /// The source's last sender report.
    reference: Option<Reference>,
    /// A moment on the publisher's wall clock and on ours. Kept over switches, so that their errors don't add up.
    origin: Option<(NtpTime, u32)>,
    /// The highest timestamp that was sent, and when it first was.
    sent: u32,
    sent_at: Instant,
    reported: Option<(NtpTime, u32)>,
}

/// Where another source's packet belongs on the outgoing clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// After everything that was sent.
    pub timestamp: u32,
    /// By how much it really lies before that.
    pub behind: Duration,
    /// The publisher's clocks agree with the time that passed.
    pub is_told: bool,
}

impl Timeline {
    /// The first packet keeps its timestamp.
    #[must_use]
    pub fn new(now: Instant, clock_rate: u32, first: &Facts) -> Self {
        Self {
            clock_rate,
            lag: 0,
            source: first.source,
            reference: None,
            origin: None,
            sent: first.timestamp,
            sent_at: now,
            reported: None,
        }
    }

    /// `first` and what follows go on from `alignment`.
    pub fn switch(&mut self, first: &Facts, alignment: &Alignment) {
        self.lag = first.timestamp.wrapping_sub(alignment.timestamp);
        self.source = first.source;
        self.reference = None;
        if !alignment.is_told {
            self.origin = None;
        }
    }

    /// Takes note of what was sent.
    pub fn send(&mut self, now: Instant, facts: &Facts, outgoing: u32) {
        if is_after(outgoing, self.sent) {
            self.sent = outgoing;
            self.sent_at = now;
        }
        if let Some(reference) = facts.reference {
            self.reference = Some(reference);
            let lag = self.lag;
            self.origin.get_or_insert_with(|| (reference.ntp, reference.rtp.wrapping_sub(lag)));
        }
    }

    /// Where the frame before the first one of our own lies, if that is to be sent at `at` but not less than a frame
    /// after what was sent last.
    #[must_use]
    pub fn base_of_own(&self, at: Instant, spacing: Spacing) -> u32 {
        let elapsed = ticks(at.since(self.sent_at).as_nanos(), self.clock_rate);
        self.sent.wrapping_add(elapsed.saturating_sub(spacing.ticks(1)))
    }

    /// Takes note of the last timestamp of packets of our own. What goes on behind them without a switch lies as much
    /// later, if it `shifts`.
    pub fn send_own(&mut self, at: Instant, timestamp: u32, shifts: bool) {
        if is_after(timestamp, self.sent) {
            if shifts {
                self.lag = self.lag.wrapping_sub(timestamp.wrapping_sub(self.sent));
            }
            self.sent = timestamp;
            self.sent_at = at;
        }
    }

    #[must_use]
    pub fn spacing(&self, frames_per_second: u32) -> Spacing {
        Spacing { clock_rate: self.clock_rate, frames_per_second }
    }

    /// The timestamp that was sent last.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// What a sender report says at `now`: the publisher's wall clock as its own reports have it, on our timestamps.
    ///
    /// `None` before the source's first report, and where this one would fall behind the one before it.
    pub fn report(&mut self, now: Instant) -> Option<(NtpTime, u32)> {
        let reference = self.reference?;
        let elapsed = now.since(reference.received);
        let ntp = reference.ntp + elapsed;
        let timestamp =
            reference.rtp.wrapping_add(ticks(elapsed.as_nanos(), self.clock_rate)).wrapping_sub(self.lag);
        if let Some((ntp_before, timestamp_before)) = self.reported
            && (ntp < ntp_before || is_after(timestamp_before, timestamp))
        {
            return None;
        }
        self.reported = Some((ntp, timestamp));
        Some((ntp, timestamp))
    }

    #[must_use]
    pub fn outgoing(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_sub(self.lag)
    }

    /// Where `first` belongs if its source is switched to.
    ///
    /// The sources' sender reports tell, or the same source's own clock; both are believed only within `tolerance` of
    /// the time that really passed, as a clock may have stood still or been set anew.
    #[must_use]
    pub fn align(&self, now: Instant, first: &Facts, tolerance: Duration) -> Alignment {
        let expected = self.sent.wrapping_add(ticks(now.since(self.sent_at).as_nanos(), self.clock_rate));
        let tolerance = ticks(tolerance.as_nanos(), self.clock_rate);
        let told = if first.source == self.source {
            Some(self.outgoing(first.timestamp))
        } else {
            self.by_reports(first)
        };
        let believed = told.filter(|&told| distance(told, expected) <= tolerance);
        let (timestamp, is_told) = (believed.unwrap_or(expected), believed.is_some());
        if is_after(timestamp, self.sent) {
            return Alignment { timestamp, behind: Duration::ZERO, is_told };
        }
        let behind = u64::from(self.sent.wrapping_sub(timestamp)) * NANOS / u64::from(self.clock_rate.max(1));
        Alignment { timestamp: self.sent.wrapping_add(1), behind: Duration::from_nanos(behind), is_told }
    }

    /// `first` on our clock: its source's report says what the publisher's clock showed then, and that one we have.
    fn by_reports(&self, first: &Facts) -> Option<u32> {
        let ((ntp, ours), theirs) = (self.origin?, first.reference?);
        // 32.32 fixed-point seconds, positive if their report is the later one.
        let apart = i128::from(theirs.ntp.0.wrapping_sub(ntp.0).cast_signed());
        let ticks_apart = (apart * i128::from(self.clock_rate) + (1 << 31)) >> 32;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "modulo 2^32 is the point"
        )]
        let ticks_apart = ticks_apart as u32;
        Some(ours.wrapping_add(ticks_apart).wrapping_add(first.timestamp.wrapping_sub(theirs.rtp)))
    }
}

/// Ticks of the clock in `nanos`, modulo 2^32.
fn ticks(nanos: u128, clock_rate: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is the point")]
    let ticks = (nanos * u128::from(clock_rate) / u128::from(NANOS)) as u32;
    ticks
}

/// Modulo 2^32, of two timestamps less than half of that apart.
fn is_after(timestamp: u32, other: u32) -> bool {
    timestamp.wrapping_sub(other).cast_signed() > 0
}

fn distance(timestamp: u32, other: u32) -> u32 {
    timestamp.wrapping_sub(other).cast_signed().unsigned_abs()
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use units::sequence::Seq;

    const RATE: u32 = 90_000;

    fn facts(source: u32, timestamp: u32, reference: Option<Reference>) -> Facts {
        Facts {
            source: Ssrc(source),
            layer: 0,
            sequence: Seq(0),
            out_of_order: false,
            timestamp,
            marker: false,
            payload_len: 1,
            key_frame: true,
            vp8: None,
            reference,
        }
    }

    fn reference(ntp_ms: u64, rtp: u32) -> Option<Reference> {
        Some(Reference { received: at(0), ntp: NtpTime(1_000 << 32) + Duration::from_millis(ntp_ms), rtp })
    }

    fn at(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    /// The first packet is sent at 0 ms with timestamp 10_000; its source's report is of that moment.
    fn started(has_report: bool) -> Timeline {
        let first = facts(1, 10_000, if has_report { reference(0, 10_000) } else { None });
        let mut timeline = Timeline::new(at(0), RATE, &first);
        timeline.send(at(0), &first, 10_000);
        timeline
    }

    #[test]
    fn other_source_is_aligned_by_reports_and_else_by_time() {
        let second = Duration::from_secs(1);
        for (name, has_report, now, timestamp, theirs, expected, behind_ms, is_told) in [
            ("no time passed, no reports", false, 0, 777, None, 10_001, 0, false),
            ("33 ms passed, no reports", false, 33, 777, None, 12_970, 0, false),
            ("only ours reported", true, 33, 777, None, 12_970, 0, false),
            ("only theirs reported", false, 33, 777, reference(0, 777), 12_970, 0, false),
            ("both: captured 40 ms on, came 100 ms on", true, 100, 777, reference(40, 777), 13_600, 0, true),
            ("both: their report is earlier", true, 100, 7_977, reference(0, 777), 17_200, 0, true),
            (
                "both: their report is later than the frame",
                true,
                50,
                777,
                reference(1_000, 90_777),
                10_001,
                0,
                true,
            ),
            ("both: their clock wraps", true, 100, 1_000, reference(40, u32::MAX - 799), 15_400, 0, true),
            ("30 ms behind", true, 60, 777, reference(0, 3_477), 10_001, 30, true),
            ("60 ms behind", true, 60, 777, reference(0, 6_177), 10_001, 60, true),
            ("1.5 s ahead of time: not believed", true, 0, 777, reference(1_500, 777), 10_001, 0, false),
            ("1.5 s behind time: not believed", true, 2_000, 777, reference(500, 777), 190_000, 0, false),
        ] {
            let alignment = started(has_report).align(at(now), &facts(2, timestamp, theirs), second);
            let behind = Duration::from_millis(behind_ms);
            assert_eq!(alignment, Alignment { timestamp: expected, behind, is_told }, "{name}");
        }
    }

    #[test]
    fn same_source_goes_on_by_its_own_clock_while_that_is_believable() {
        let tolerance = Duration::from_millis(200);
        for (name, now, timestamp, expected, is_told) in [
            ("clock ran on", 10_000, 10_000 + 900_000, 910_000, true),
            ("clock ran on, 100 ms early", 10_000, 10_000 + 891_000, 901_000, true),
            ("clock stood still", 10_000, 10_001, 910_000, false),
            ("clock was set anew", 10_000, 3_000_000_000, 910_000, false),
        ] {
            let alignment = started(false).align(at(now), &facts(1, timestamp, None), tolerance);
            assert_eq!((alignment.timestamp, alignment.is_told), (expected, is_told), "{name}");
        }
    }

    #[test]
    fn errors_of_late_switches_do_not_add_up() {
        let mut timeline = started(true);
        let tolerance = Duration::from_secs(2);
        let theirs = facts(2, 500, reference(0, 3_200));
        let alignment = timeline.align(at(0), &theirs, tolerance);
        assert_eq!((alignment.timestamp, alignment.behind), (10_001, Duration::from_millis(30)));
        timeline.switch(&theirs, &alignment);
        timeline.send(at(0), &theirs, 10_001);
        let back = facts(1, 10_000 + 90_000, reference(0, 10_000));
        assert_eq!(
            timeline.align(at(1_000), &back, tolerance).timestamp,
            100_000,
            "as if it had never been away"
        );
    }

    #[test]
    fn report_maps_the_publishers_clock_and_never_falls_back() {
        let mut timeline = started(false);
        assert_eq!(timeline.report(at(5)), None, "nothing was reported to us");
        let reported = facts(1, 13_000, reference(0, 10_000));
        timeline.send(at(33), &reported, 13_000);
        let start = NtpTime(1_000 << 32);
        assert_eq!(timeline.report(at(100)), Some((start + Duration::from_millis(100), 19_000)));
        assert_eq!(timeline.report(at(99)), None, "would fall back");

        let other = facts(2, 500, reference(50, 500));
        let alignment = timeline.align(at(133), &other, Duration::from_secs(2));
        timeline.switch(&other, &alignment);
        assert_eq!(timeline.report(at(200)), None, "nothing of the new source was sent");
        timeline.send(at(133), &other, alignment.timestamp);
        assert_eq!(alignment.timestamp, 14_500);
        assert_eq!(
            timeline.report(at(200)),
            Some((start + Duration::from_millis(50) + Duration::from_millis(200), 14_500 + 18_000))
        );
    }

    #[test]
    fn clock_that_was_not_believed_is_not_asked_again() {
        let mut timeline = started(true);
        let tolerance = Duration::from_millis(200);
        // After a mute of 10 s the clock goes on where it stood, and the report says so.
        let resumed = facts(1, 10_001, reference(10_000, 10_001));
        let alignment = timeline.align(at(10_000), &resumed, tolerance);
        assert_eq!((alignment.timestamp, alignment.is_told), (910_000, false));
        timeline.switch(&resumed, &alignment);
        timeline.send(at(10_000), &resumed, 910_000);
        let other = facts(2, 500, reference(10_000, 500));
        let later = Facts { timestamp: 500 + 9_000, ..other };
        assert_eq!(timeline.align(at(10_130), &later, tolerance).timestamp, 919_000, "by the new relation");
    }
}
