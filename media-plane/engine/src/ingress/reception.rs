//! What a receiver knows of a source and tells in report blocks: loss, jitter, the last sender report (RFC 3550 §6.4.1, A.3, A.8).

use core::time::Duration;

use units::sequence::Seq;
use units::time::{Instant, NtpTime};

#[derive(Debug)]
pub struct Reception {
    clock_rate: u32,
    base: Option<Seq>,
    highest: Seq,
    received: u64,
    bytes: u64,
    /// In timestamp units, scaled by 16 as in RFC 3550 A.8.
    jitter: u32,
    /// Arrival minus timestamp of the packet before, in timestamp units.
    transit: Option<u32>,
    expected_before: u64,
    received_before: u64,
    sender_report: Option<SenderReport>,
}

/// The newest sender report of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ntp: NtpTime,
    pub timestamp: u32,
    pub arrived_at: Instant,
}

/// The fields of a report block that come from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub cumulative_lost: i32,
    pub highest: u32,
    pub jitter: u32,
    pub last_sender_report: u32,
    pub delay_since: Duration,
}

impl Reception {
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            base: None,
            highest: Seq(0),
            received: 0,
            bytes: 0,
            jitter: 0,
            transit: None,
            expected_before: 0,
            received_before: 0,
            sender_report: None,
        }
    }

    /// Learns from an authenticated packet that is no duplicate.
    pub fn received(&mut self, now: Instant, sequence: Seq, timestamp: u32, len: usize) {
        let base = *self.base.get_or_insert(sequence);
        let jump = sequence.0.saturating_sub(self.highest.0);
        if jump > DROPOUT_MAX && self.received > 0 {
            // RFC 3550 A.1: the source numbers anew. What came and was lost before stays counted.
            self.base = Some(Seq(base.0 + jump - 1));
            self.transit = None;
        } else if sequence.0 + DROPOUT_MAX >= self.highest.0 {
            self.base = Some(base.min(sequence));
        }
        self.received += 1;
        self.bytes += len as u64;
        if sequence < self.highest {
            return;
        }
        self.highest = sequence;
        self.learn_jitter(now, timestamp);
    }

    /// The clock rate of the payload type that comes now.
    pub const fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate {
            self.clock_rate = clock_rate;
            self.jitter = 0;
            self.transit = None;
        }
    }

    pub const fn sender_report(&mut self, report: SenderReport) {
        self.sender_report = Some(report);
    }

    /// The report block's fields for the time since the last call; `None` before the first packet.
    pub fn report(&mut self, now: Instant) -> Option<Report> {
        let expected = self.expected()?;
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        self.expected_before = expected;
        self.received_before = self.received;
        let fraction_lost = (expected_now.saturating_sub(received_now) << 8)
            .checked_div(expected_now)
            .map_or(0, |fraction| u8::try_from(fraction).unwrap_or(u8::MAX));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "16 bits of cycles and the sequence number, as the field is"
        )]
        let highest = self.highest.0 as u32;
        Some(Report {
            fraction_lost,
            cumulative_lost: self.cumulative_lost(),
            highest,
            jitter: self.jitter >> 4,
            last_sender_report: self.sender_report.map_or(0, |report| report.ntp.middle()),
            delay_since: self.sender_report.map_or(Duration::ZERO, |report| now - report.arrived_at),
        })
    }

    /// Packets lost so far, within the bounds of a 24-bit field.
    #[must_use]
    pub fn cumulative_lost(&self) -> i32 {
        let expected = self.expected().unwrap_or(0).cast_signed();
        let lost = (expected - self.received.cast_signed()).clamp(-0x80_0000, 0x7f_ffff);
        i32::try_from(lost).expect("clamped to 24 bits")
    }

    #[must_use]
    pub const fn last_sender_report(&self) -> Option<SenderReport> {
        self.sender_report
    }

    #[must_use]
    pub const fn highest(&self) -> Option<Seq> {
        if self.base.is_some() { Some(self.highest) } else { None }
    }

    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.received
    }

    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    #[must_use]
    pub const fn jitter_us(&self) -> u32 {
        let micros = (self.jitter >> 4) as u64 * 1_000_000;
        let micros = match micros.checked_div(self.clock_rate as u64) {
            Some(micros) => micros,
            None => 0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "bounded on the line itself")]
        let micros = if micros > u32::MAX as u64 { u32::MAX } else { micros as u32 };
        micros
    }

    fn expected(&self) -> Option<u64> {
        self.base.map(|base| self.highest.0 - base.0 + 1)
    }

    fn learn_jitter(&mut self, now: Instant, timestamp: u32) {
        let arrival = u128::from(now.0) * u128::from(self.clock_rate) / 1_000_000_000;
        #[expect(clippy::cast_possible_truncation, reason = "timestamps count modulo 2^32")]
        let transit = (arrival as u32).wrapping_sub(timestamp);
        let Some(before) = self.transit.replace(transit) else { return };
        let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
        // A jump of 10 s and more is a stream that was restarted or paused, not jitter.
        if difference < self.clock_rate.saturating_mul(10) {
            self.jitter =
                self.jitter.saturating_add(difference).saturating_sub(self.jitter.saturating_add(8) >> 4);
        }
    }
}

/// More missing in a row is no loss: RFC 3550 A.1.
const DROPOUT_MAX: u64 = 3_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(packet: u64) -> Instant {
        Instant(packet * 20_000_000)
    }

    fn receive(reception: &mut Reception, sequences: &[u64]) {
        for sequence in sequences {
            #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
            reception.received(at(*sequence), Seq(*sequence), (*sequence * 960) as u32, 100);
        }
    }

    #[test]
    fn report_tells_loss_since_the_last_one() {
        for (name, first, then, fraction_lost, cumulative_lost) in [
            ("nothing lost", &[1, 2, 3][..], &[4, 5][..], 0, 0),
            ("half lost", &[1, 2], &[4, 6], 128, 2),
            ("reordered over the report", &[1, 3], &[2, 4], 0, 0),
            ("duplicates do not go below zero", &[1, 2], &[2, 2, 3], 0, -2),
            ("over the wrap", &[65_534, 65_535], &[65_537], 128, 1),
            ("nothing came", &[7], &[], 0, 0),
            ("begins late", &[2, 3], &[1, 4], 0, 0),
            ("as long an outage as is believed", &[1, 2], &[3_002], 255, 2_999),
            ("numbers anew, after a loss", &[1, 2, 4], &[10_000, 10_002], 85, 2),
            ("numbers anew, and a late one of before", &[1, 2, 4], &[10_000, 3], 0, 0),
        ] {
            let mut reception = Reception::new(48_000);
            receive(&mut reception, first);
            reception.report(at(10)).unwrap();
            receive(&mut reception, then);
            let report = reception.report(at(20)).unwrap();
            assert_eq!(
                (report.fraction_lost, report.cumulative_lost),
                (fraction_lost, cumulative_lost),
                "{name}"
            );
        }
    }

    #[test]
    fn steady_stream_has_no_jitter_and_a_late_packet_makes_some() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, &[1, 2, 3, 4]);
        assert_eq!(reception.jitter_us(), 0);
        reception.received(at(5) + Duration::from_millis(16), Seq(5), 5 * 960, 100);
        assert_eq!(reception.jitter_us(), 1_000, "16 ms / 16");
    }

    #[test]
    fn sender_report_is_told_with_its_age() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, &[1]);
        let ntp = NtpTime(0x1234_5678_9abc_def0);
        reception.sender_report(SenderReport { ntp, timestamp: 960, arrived_at: at(1) });
        let report = reception.report(at(6)).unwrap();
        assert_eq!(report.last_sender_report, 0x5678_9abc);
        assert_eq!(report.delay_since, Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn loss_is_what_was_not_delivered(start in 0_u64..1 << 20, kept in proptest::collection::vec(any::<bool>(), 1..400)) {
            let mut reception = Reception::new(90_000);
            let kept: alloc::vec::Vec<u64> = (start..).zip(&kept).filter(|(_, kept)| **kept).map(|(at, _)| at).collect();
            for sequence in &kept {
                reception.received(Instant(0), Seq(*sequence), 0, 1);
            }
            let Some((first, last)) = kept.first().zip(kept.last()) else {
                prop_assert!(reception.report(Instant(0)).is_none());
                return Ok(());
            };
            let lost = i64::try_from(last - first + 1).unwrap() - i64::try_from(kept.len()).unwrap();
            prop_assert_eq!(i64::from(reception.cumulative_lost()), lost);
            prop_assert_eq!(reception.highest(), Some(Seq(*last)));
        }
    }
}
