//! How many DTLS records one peer may hand to the helper, which all peers of the media plane share.

use units::time::Instant;

/// A token bucket in nanoseconds: each record takes what one may take at the allowed rate.
#[derive(Debug, Default)]
pub struct RecordBudget {
    /// The bucket is full again at this time.
    full_at: Instant,
}

impl RecordBudget {
    /// Whether one more record may pass now; if so, it is counted.
    pub fn take(&mut self, now: Instant) -> bool {
        let full_at = Instant(self.full_at.max(now).0.saturating_add(NS_PER_RECORD));
        let passes = full_at.since(now).as_nanos() <= u128::from(BURST * NS_PER_RECORD);
        if passes {
            self.full_at = full_at;
        }
        passes
    }
}

/// 4,000 records a second: 2 MB/s of data in packets of 1,200 bytes, and as many acknowledgements again.
const NS_PER_RECORD: u64 = 1_000_000_000 / 4_000;
/// Half a second's worth at once; the helper's queue has room for four peers of that kind.
const BURST: u64 = 2_000;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn burst_passes_and_then_the_rate_does() {
        let mut budget = RecordBudget::default();
        let start = Instant(5_000_000_000);
        let passed = |budget: &mut RecordBudget, at: Instant| (0..10_000).filter(|_| budget.take(at)).count();
        assert_eq!(passed(&mut budget, start), 2_000);
        assert_eq!(passed(&mut budget, start), 0);
        assert_eq!(passed(&mut budget, start + Duration::from_millis(10)), 40);
        assert_eq!(passed(&mut budget, start + Duration::from_secs(60)), 2_000);
    }
}
