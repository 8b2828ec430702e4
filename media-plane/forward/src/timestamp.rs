//! Timestamps of one subscription: one clock that goes on when the source behind it changes.

use core::time::Duration;

use units::rtp::Ssrc;
use units::time::{Instant, NtpTime};

use crate::facts::{Facts, Reference};

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
            self.origin.get_or_insert((reference.ntp, reference.rtp.wrapping_sub(self.lag)));
        }
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
        let ticks_apart = (apart * i128::from(self.clock_rate)) >> 32;
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
