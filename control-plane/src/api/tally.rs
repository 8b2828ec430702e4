//! How often each method was called, with which outcome, and how long it took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::error::Code;
use crate::metrics::families::Distribution;

/// Bounded by the methods that there are, and the codes.
#[derive(Debug, Default)]
pub struct Tally {
    calls: Mutex<BTreeMap<(&'static str, &'static str), Calls>>,
}

/// What became of one method's calls.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// Without a code: they succeeded.
    pub outcomes: BTreeMap<Option<Code>, u64>,
    /// By what metrics call the status.
    pub durations: BTreeMap<&'static str, Durations>,
}

#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// Per bucket, not cumulative; the last one has no bound.
    counts: [u64; BUCKETS_MS.len() + 1],
    sum_ms: f64,
}

impl Tally {
    pub fn count(&self, service: &'static str, method: &'static str, code: Option<Code>, took: Duration) {
        let mut calls = self.lock();
        let calls = calls.entry((service, method)).or_default();
        *calls.outcomes.entry(code).or_default() += 1;
        calls.durations.entry(status(code)).or_default().add(took);
    }

    /// By service and method.
    #[must_use]
    pub fn read(&self) -> Vec<((&'static str, &'static str), Calls)> {
        self.lock().iter().map(|(name, calls)| (*name, calls.clone())).collect()
    }

    /// A panic while the map is locked cannot leave it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), Calls>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        self.sum_ms += ms;
        let bucket = BUCKETS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BUCKETS_MS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// In milliseconds.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let cumulative = BUCKETS_MS.iter().zip(self.counts).map(|(bound, within)| {
            count += within;
            (*bound, count)
        });
        let cumulative = cumulative.collect();
        Distribution { cumulative, count: self.counts.iter().sum(), sum: self.sum_ms }
    }
}

/// As LiveKit's metrics have it: refusals by their hundreds.
#[must_use]
pub fn status(code: Option<Code>) -> &'static str {
    match code.map(Code::status) {
        None => "200",
        Some(status) if status.is_client_error() => "4xx",
        Some(_) => "5xx",
    }
}

const BUCKETS_MS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_outcome_and_duration() {
        let tally = Tally::default();
        for (code, ms) in [(None, 1), (None, 40), (Some(Code::NotFound), 3), (None, 60_000)] {
            tally.count("RoomService", "GetParticipant", code, Duration::from_millis(ms));
        }
        let [(name, calls)] = <[_; 1]>::try_from(tally.read()).unwrap();
        assert_eq!(name, ("RoomService", "GetParticipant"));
        assert_eq!(calls.outcomes, BTreeMap::from([(None, 3), (Some(Code::NotFound), 1)]));
        let durations = calls.durations["200"].distribution();
        assert_eq!((durations.count, calls.durations["4xx"].distribution().count), (3, 1));
        let within = |bound: f64| durations.cumulative.iter().find(|(one, _)| *one == bound).unwrap().1;
        assert_eq!((within(1.0), within(25.0), within(50.0), within(30_000.0)), (1, 1, 2, 2));
        assert!((durations.sum - 60_041.0).abs() < 1e-6);
    }
}
