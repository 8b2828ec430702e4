//! What is counted while the run is measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use units::time::Instant;

/// Counts and histograms of one thread and one window. The window begins when they are taken for the first time.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Of publishers: packets that were due, and those of them that the socket took.
    pub packets_due: u64,
    pub packets_sent: u64,
    pub bytes_sent: u64,
    /// Pictures that were left out because the loader came too late.
    pub pictures_skipped: u64,
    pub repeated: u64,
    pub key_frame_requests: u64,
    /// Of subscribers: packets of media, each once.
    pub packets_received: u64,
    pub bytes_received: u64,
    /// Those of them that came by a retransmission.
    pub recovered: u64,
    /// Retransmissions that were not needed, and probes.
    pub retransmissions: u64,
    /// Of full subscribers: what they should have had, and what they never got.
    pub full_expected: u64,
    pub full_lost: u64,
    /// The same of sinks, by sequence numbers.
    pub sink_expected: u64,
    pub sink_lost: u64,
    pub not_authentic: u64,
    pub without_stamp: u64,
    pub unknown_payload_type: u64,
    /// Datagrams that were read, and in how many calls.
    pub datagrams: u64,
    pub reads: u64,
    /// Datagrams that a socket had no room for, by the kernel's count.
    pub socket_drops: u64,
    /// Streams that brought something.
    pub streams_live: u64,
    /// From the stamp to the kernel's receive time, in us.
    latency_us: Histogram<u64>,
    /// From when a packet was due to when it was sent, in us.
    lag_us: Histogram<u64>,
}

impl Tally {
    #[must_use]
    pub fn new() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that the crate allows");
        Self {
            packets_due: 0,
            packets_sent: 0,
            bytes_sent: 0,
            pictures_skipped: 0,
            repeated: 0,
            key_frame_requests: 0,
            packets_received: 0,
            bytes_received: 0,
            recovered: 0,
            retransmissions: 0,
            full_expected: 0,
            full_lost: 0,
            sink_expected: 0,
            sink_lost: 0,
            not_authentic: 0,
            without_stamp: 0,
            unknown_payload_type: 0,
            datagrams: 0,
            reads: 0,
            socket_drops: 0,
            streams_live: 0,
            latency_us: histogram(),
            lag_us: histogram(),
        }
    }

    pub fn latency(&mut self, sent: Instant, received: Instant) {
        self.latency_us.saturating_record(microseconds(received.since(sent)));
    }

    pub fn lag(&mut self, due: Instant, sent: Instant) {
        self.lag_us.saturating_record(microseconds(sent.since(due)));
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.packets_due, other.packets_due),
            (&mut self.packets_sent, other.packets_sent),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.pictures_skipped, other.pictures_skipped),
            (&mut self.repeated, other.repeated),
            (&mut self.key_frame_requests, other.key_frame_requests),
            (&mut self.packets_received, other.packets_received),
            (&mut self.bytes_received, other.bytes_received),
            (&mut self.recovered, other.recovered),
            (&mut self.retransmissions, other.retransmissions),
            (&mut self.full_expected, other.full_expected),
            (&mut self.full_lost, other.full_lost),
            (&mut self.sink_expected, other.sink_expected),
            (&mut self.sink_lost, other.sink_lost),
            (&mut self.not_authentic, other.not_authentic),
            (&mut self.without_stamp, other.without_stamp),
            (&mut self.unknown_payload_type, other.unknown_payload_type),
            (&mut self.datagrams, other.datagrams),
            (&mut self.reads, other.reads),
            (&mut self.socket_drops, other.socket_drops),
            (&mut self.streams_live, other.streams_live),
        ] {
            *own += others;
        }
        self.latency_us.add(&other.latency_us).expect("both have the same bounds");
        self.lag_us.add(&other.lag_us).expect("both have the same bounds");
    }

    /// In us; `None` if nothing was measured.
    #[must_use]
    pub fn latency_at(&self, quantile: f64) -> Option<u64> {
        at(&self.latency_us, quantile)
    }

    #[must_use]
    pub fn lag_at(&self, quantile: f64) -> Option<u64> {
        at(&self.lag_us, quantile)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

fn at(histogram: &Histogram<u64>, quantile: f64) -> Option<u64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile))
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const LONGEST_US: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    #[test]
    fn threads_add_up_and_quantiles_are_those_of_all() {
        let (mut first, mut second) = (Tally::new(), Tally::new());
        first.packets_sent = 2;
        second.packets_sent = 3;
        for _ in 0..99 {
            first.latency(at_ms(10), at_ms(11));
        }
        second.latency(at_ms(10), at_ms(110));
        first.add(&second);
        assert_eq!(first.packets_sent, 5);
        assert_eq!(first.latency_at(0.5), Some(1_000));
        assert_eq!(first.latency_at(0.99), Some(1_000));
        assert!(first.latency_at(0.999).is_some_and(|us| (99_900..100_100).contains(&us)));
        assert_eq!(first.lag_at(0.5), None);
    }

    #[test]
    fn what_took_longer_than_a_minute_counts_as_a_minute() {
        let mut tally = Tally::new();
        tally.latency(at_ms(0), at_ms(600_000));
        assert!(tally.latency_at(1.0).is_some_and(|us| us >= LONGEST_US));
    }
}
