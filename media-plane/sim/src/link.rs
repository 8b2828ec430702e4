//! One direction of a path: it delays, reorders, doubles and loses, alone and in bursts, and carries only so much.

use std::time::Duration;

use units::time::Instant;

use crate::random::Random;

#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    pub delay: Duration,
    /// Each datagram takes up to so much longer, and those behind it wait for it.
    pub jitter: Duration,
    /// How many are overtaken, by all that come within `reordered_by`.
    pub reordered_per_mille: u32,
    pub reordered_by: Duration,
    pub loss_per_mille: u32,
    /// How often a burst begins, and how many datagrams it takes at most.
    pub burst_per_mille: u32,
    pub burst_len_max: u32,
    /// How often nothing passes for a time, whoever sends however much.
    pub outage_per_mille: u32,
    pub outage_max: Duration,
    pub doubled_per_mille: u32,
    pub bottleneck: Option<Bottleneck>,
}

/// A place that datagrams pass one by one.
#[derive(Clone, Copy, Debug)]
pub struct Bottleneck {
    pub bytes_per_second: u32,
    /// What would have to wait longer is lost.
    pub wait_max: Duration,
}

#[derive(Debug)]
pub struct Link {
    conditions: Conditions,
    random: Random,
    burst_left: u32,
    outage_until: Instant,
    /// When the last one arrives that kept the order.
    last_at: Instant,
    /// When the bottleneck has let through all that came.
    passed_at: Instant,
    /// What did not get through the bottleneck.
    pub overflowed: u64,
}

impl Link {
    #[must_use]
    pub fn new(conditions: Conditions, random: Random) -> Self {
        Self {
            conditions,
            random,
            burst_left: 0,
            outage_until: Instant(0),
            last_at: Instant(0),
            passed_at: Instant(0),
            overflowed: 0,
        }
    }

    /// When a datagram that is sent now arrives: not at all, once, or twice.
    pub fn carry(&mut self, now: Instant, len: usize) -> impl Iterator<Item = Instant> + use<> {
        let through_at = self.pass(now, len);
        let count = if self.loses(now) || through_at.is_none() {
            0
        } else {
            1 + usize::from(self.random.per_mille(self.conditions.doubled_per_mille))
        };
        let at = self.arrival(through_at.unwrap_or(now));
        let again_at = at + self.random.duration(self.conditions.reordered_by);
        [at, again_at].into_iter().take(count)
    }

    /// When the datagram is through the bottleneck; `None` if it found too many before it.
    fn pass(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(bottleneck) = self.conditions.bottleneck else { return Some(now) };
        let starts_at = self.passed_at.max(now);
        if starts_at - now > bottleneck.wait_max {
            self.overflowed += 1;
            return None;
        }
        let nanos = len as u64 * 1_000_000_000 / u64::from(bottleneck.bytes_per_second.max(1));
        self.passed_at = starts_at + Duration::from_nanos(nanos);
        Some(self.passed_at)
    }

    fn arrival(&mut self, now: Instant) -> Instant {
        let at = now + self.conditions.delay + self.random.duration(self.conditions.jitter);
        if self.random.per_mille(self.conditions.reordered_per_mille) {
            return at.max(self.last_at) + self.random.duration(self.conditions.reordered_by);
        }
        self.last_at = self.last_at.max(at);
        self.last_at
    }

    fn loses(&mut self, now: Instant) -> bool {
        let conditions = &self.conditions;
        if conditions.outage_per_mille > 0 && self.random.per_mille(conditions.outage_per_mille) {
            self.outage_until = now + self.random.duration(conditions.outage_max);
        }
        if self.burst_left == 0 && self.random.per_mille(conditions.burst_per_mille) {
            self.burst_left = 1 + self.random.below(conditions.burst_len_max.max(1));
        }
        let is_lost = self.random.per_mille(conditions.loss_per_mille);
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return true;
        }
        is_lost || now < self.outage_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(conditions: Conditions, count: u64) -> Vec<Vec<Instant>> {
        let mut link = Link::new(conditions, Random::new(1));
        (0..count).map(|number| link.carry(Instant(number * 1_000_000), 100).collect()).collect()
    }

    #[test]
    fn share_that_is_lost_and_doubled_is_what_was_asked_for() {
        for (name, loss_per_mille, doubled_per_mille) in
            [("clean", 0, 0), ("lossy", 200, 0), ("doubling", 0, 100)]
        {
            let all =
                carried(Conditions { loss_per_mille, doubled_per_mille, ..Conditions::default() }, 10_000);
            for (count, expected) in [(0, loss_per_mille), (2, doubled_per_mille)] {
                let seen = all.iter().filter(|arrivals| arrivals.len() == count).count();
                assert!(seen.abs_diff(expected as usize * 10) < 150, "{name}: {seen} arrived {count} times");
            }
        }
    }

    #[test]
    fn burst_takes_neighbours() {
        let conditions = Conditions { burst_per_mille: 5, burst_len_max: 20, ..Conditions::default() };
        let all = carried(conditions, 10_000);
        let lost = all.iter().filter(|arrivals| arrivals.is_empty()).count();
        let both = all.windows(2).filter(|pair| pair.iter().all(Vec::is_empty)).count();
        assert!(lost > 200 && both * 10 > lost * 7, "{both} of {lost} lost ones have a lost neighbour");
    }

    #[test]
    fn nothing_passes_in_an_outage() {
        let outage_max = Duration::from_millis(20);
        let conditions = Conditions { outage_per_mille: 5, outage_max, ..Conditions::default() };
        let all = carried(conditions, 10_000);
        let gaps: Vec<_> = all.chunk_by(|a, b| a.is_empty() && b.is_empty()).map(<[_]>::len).collect();
        assert!(gaps.iter().filter(|&&len| len > 5).count() > 10, "outages of some length: {gaps:?}");
        assert!(gaps.iter().all(|&len| len < 60), "and they end: {gaps:?}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Duration::from_millis(10);
        for (name, reordered_per_mille, in_order) in [("jitter", 0, true), ("reordering", 100, false)] {
            let conditions =
                Conditions { jitter, reordered_per_mille, reordered_by: jitter, ..Conditions::default() };
            let arrivals: Vec<_> = carried(conditions, 1_000).into_iter().flatten().collect();
            assert_eq!(arrivals.is_sorted(), in_order, "{name}");
        }
    }

    #[test]
    fn bottleneck_lets_through_its_rate_and_makes_nobody_wait_longer() {
        let wait_max = Duration::from_millis(50);
        for (name, bytes_per_second, through) in
            [("wide", 200_000, 1_000), ("just enough", 100_000, 1_000), ("half of it", 50_000, 525)]
        {
            let bottleneck = Some(Bottleneck { bytes_per_second, wait_max });
            let all = carried(Conditions { bottleneck, ..Conditions::default() }, 1_000);
            let arrived = all.iter().filter(|arrivals| !arrivals.is_empty()).count();
            assert!(arrived.abs_diff(through) < 5, "{name}: {arrived} of 1000");
            let waits = (0_u64..)
                .zip(&all)
                .filter_map(|(number, at)| Some(*at.first()? - Instant(number * 1_000_000)));
            let longest = waits.max().unwrap();
            assert!(longest <= wait_max + Duration::from_millis(2), "{name}: {longest:?}");
        }
    }
}
