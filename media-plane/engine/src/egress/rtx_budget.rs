//! How much of a stream may be sent again: half of it over a second, a quarter over ten (what keeps a NACK storm from becoming a flood).

use units::time::Instant;

/// Bytes sent and sent again in bins of 250 ms.
#[derive(Debug)]
pub struct RtxBudget {
    bins: [Bin; BINS],
    /// Number of the current bin since time zero.
    current: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    sent: u32,
    resent: u32,
}

impl Default for RtxBudget {
    fn default() -> Self {
        Self { bins: [Bin::default(); BINS], current: 0 }
    }
}

impl RtxBudget {
    pub fn sent(&mut self, now: Instant, len: usize) {
        let bin = self.bin(now);
        bin.sent = bin.sent.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Whether `len` bytes may be sent again now; if so, they are counted. Pictures that no other needs leave an
    /// eighth of the budget to those that freeze the stream while they are missing.
    pub fn take(&mut self, now: Instant, len: usize, is_needed: bool) -> bool {
        let _ = self.bin(now);
        let (sent_long, resent_long) = self.last(BINS);
        let (sent_short, resent_short) = self.last(BINS_PER_SECOND);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let allowed = |resent: u64, budget: u64| {
            let budget = if is_needed { budget } else { budget / 8 * 7 };
            resent + u64::from(len) <= budget
        };
        let short = (sent_short / 2).max(FLOOR_SHORT);
        let long = (sent_long / 4).max(FLOOR_LONG);
        if !allowed(resent_short, short) || !allowed(resent_long, long) {
            return false;
        }
        let bin = self.bin(now);
        bin.resent = bin.resent.saturating_add(len);
        true
    }

    fn last(&self, count: usize) -> (u64, u64) {
        (0..count as u64)
            .filter_map(|back| self.bins.get(index(self.current.checked_sub(back)?)))
            .fold((0, 0), |(sent, resent), bin| (sent + u64::from(bin.sent), resent + u64::from(bin.resent)))
    }

    fn bin(&mut self, now: Instant) -> &mut Bin {
        let number = now.0 / BIN_NS;
        let passed = number.saturating_sub(self.current).min(BINS as u64);
        for ahead in 0..passed {
            if let Some(bin) = self.bins.get_mut(index(number - ahead)) {
                *bin = Bin::default();
            }
        }
        self.current = self.current.max(number);
        let current = index(self.current);
        self.bins.get_mut(current).expect("an index modulo the length")
    }
}

const fn index(number: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than BINS")]
    let index = (number % BINS as u64) as usize;
    index
}

const BIN_NS: u64 = 250_000_000;
const BINS_PER_SECOND: usize = 4;
const BINS: usize = 10 * BINS_PER_SECOND;
/// Two packets may always be sent again: a budget of nothing would never let a slow stream recover.
const FLOOR_SHORT: u64 = 3_000;
/// 12 kbit/s are no flood.
const FLOOR_LONG: u64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn half_of_a_second_and_a_quarter_of_ten() {
        let mut budget = RtxBudget::default();
        let mut resent_in_first_second = 0;
        let mut resent = 0;
        for packet in 0..1_000 {
            let now = ms(packet * 10);
            budget.sent(now, 1_000);
            while budget.take(now, 1_000, true) {
                resent += 1;
                resent_in_first_second += u32::from(packet < 100);
            }
        }
        assert!((25..=50).contains(&resent_in_first_second), "{resent_in_first_second}");
        assert!((245..=250).contains(&resent), "{resent}");
    }

    #[test]
    fn idle_stream_may_send_two_packets_again_in_a_second_and_twelve_in_ten() {
        let mut budget = RtxBudget::default();
        for second in 0..6 {
            let taken = (0..10).filter(|_| budget.take(ms(second * 1_000), 1_200, true)).count();
            assert_eq!(taken, 2, "second {second}");
        }
        assert!(!budget.take(ms(9_000), 1_200, true));
        assert!(budget.take(ms(10_000), 1_200, true));
    }

    #[test]
    fn what_others_need_finds_an_eighth_left() {
        let mut budget = RtxBudget::default();
        budget.sent(ms(0), 160_000);
        let mut taken = |is_needed| (0..100).filter(|_| budget.take(ms(0), 1_000, is_needed)).count();
        assert_eq!([taken(false), taken(true), taken(true)], [35, 5, 0]);
    }
}
