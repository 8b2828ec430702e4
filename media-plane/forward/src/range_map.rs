//! By how much the outgoing sequence numbers lag behind the incoming ones, for each stretch of incoming ones.
//!
//! The lag grows by one with each number that is closed up; a late packet gets the lag of its own stretch.

use alloc::collections::VecDeque;

use units::sequence::Seq;

/// The last stretches of incoming numbers that were forwarded, oldest first, and the one that still grows.
#[derive(Debug)]
pub struct RangeMap {
    closed: VecDeque<Range>,
    open_from: Seq,
    lag: u64,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    first: Seq,
    last: Seq,
    lag: u64,
}

/// Why there is no lag for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// From before the start, or from before what is remembered.
    TooOld,
    /// The number was closed up.
    Excluded,
}

impl RangeMap {
    /// Every number from `first` on has `lag`, which is taken off modulo 2^64 and so may be negative.
    #[must_use]
    pub fn new(first: Seq, lag: u64) -> Self {
        Self { closed: VecDeque::with_capacity(RANGES_MAX), open_from: first, lag }
    }

    /// Forgets everything: as [`Self::new`], without allocating.
    pub fn restart(&mut self, first: Seq, lag: u64) {
        self.closed.clear();
        self.open_from = first;
        self.lag = lag;
    }

    /// Closes up the numbers from `first` through `last`: what follows lags behind by as many more.
    ///
    /// They have to lie in the open stretch, as everything from the highest incoming number on does.
    pub fn exclude(&mut self, first: Seq, last: Seq) {
        debug_assert!(self.open_from <= first && first <= last, "only the open stretch can be cut");
        self.close(first);
        self.open_from = last.next();
        self.lag = self.lag.wrapping_add(last.0.wrapping_sub(first.0).wrapping_add(1));
    }

    /// Makes room for `count` outgoing numbers before `first` and what follows, which then lag behind by as many less.
    ///
    /// As for [`Self::exclude`], `first` has to lie in the open stretch.
    pub fn insert(&mut self, first: Seq, count: u64) {
        debug_assert!(self.open_from <= first, "only the open stretch can be cut");
        self.close(first);
        self.open_from = first;
        self.lag = self.lag.wrapping_sub(count);
    }

    /// The lag of numbers that are still to come.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.lag
    }

    /// The lag of a number that was passed.
    ///
    /// # Errors
    /// If the number is not to be sent at all.
    pub fn lag_of(&self, sequence: Seq) -> Result<u64, Miss> {
        if self.open_from <= sequence {
            return Ok(self.lag);
        }
        let after = self.closed.partition_point(|range| range.last < sequence);
        match self.closed.get(after) {
            Some(range) if range.first <= sequence => Ok(range.lag),
            Some(_) if after == 0 => Err(Miss::TooOld),
            None if self.closed.is_empty() => Err(Miss::TooOld),
            _ => Err(Miss::Excluded),
        }
    }

    /// What lies before `first` in the open stretch becomes a stretch of its own.
    fn close(&mut self, first: Seq) {
        if let Some(before) = first.0.checked_sub(1).map(Seq)
            && self.open_from <= before
        {
            if self.closed.len() == RANGES_MAX {
                self.closed.pop_front();
            }
            self.closed.push_back(Range { first: self.open_from, last: before, lag: self.lag });
        }
    }
}

/// At 30 pictures a second of which three in four are dropped: 13 s.
const RANGES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn map_with_holes() -> RangeMap {
        let mut map = RangeMap::new(Seq(10), 3);
        map.exclude(Seq(12), Seq(12));
        map.exclude(Seq(13), Seq(13));
        map.exclude(Seq(20), Seq(24));
        map
    }

    #[test]
    fn each_number_has_the_lag_of_its_stretch() {
        let map = map_with_holes();
        for (name, sequence, expected) in [
            ("before the start", 9, Err(Miss::TooOld)),
            ("first", 10, Ok(3)),
            ("last before a hole", 11, Ok(3)),
            ("hole", 12, Err(Miss::Excluded)),
            ("second hole without a stretch between", 13, Err(Miss::Excluded)),
            ("after two holes", 14, Ok(5)),
            ("end of the second stretch", 19, Ok(5)),
            ("wide hole", 22, Err(Miss::Excluded)),
            ("open stretch", 25, Ok(10)),
            ("yet to come", 1_000, Ok(10)),
        ] {
            assert_eq!(map.lag_of(Seq(sequence)), expected, "{name}");
        }
        assert_eq!(map.lag(), 10);
    }

    #[test]
    fn oldest_stretch_is_forgotten_at_the_bound() {
        let mut map = RangeMap::new(Seq(0), 0);
        for hole in 0..=RANGES_MAX as u64 {
            map.exclude(Seq(hole * 2 + 1), Seq(hole * 2 + 1));
        }
        assert_eq!(map.closed.len(), RANGES_MAX);
        assert_eq!(map.lag_of(Seq(0)), Err(Miss::TooOld));
        assert_eq!(map.lag_of(Seq(1)), Err(Miss::TooOld), "the hole before what is remembered");
        assert_eq!(map.lag_of(Seq(2)), Ok(1));
    }

    #[test]
    fn inserted_numbers_lie_between_two_stretches() {
        let mut map = RangeMap::new(Seq(10), 3);
        map.insert(Seq(12), 5);
        map.insert(Seq(12), 1);
        for (name, sequence, expected) in [
            ("before", 11, Ok(3)),
            ("behind: 9 goes out as 15, after 9 to 14", 12, Ok(3_u64.wrapping_sub(6))),
            ("yet to come", 1_000, Ok(3_u64.wrapping_sub(6))),
        ] {
            assert_eq!(map.lag_of(Seq(sequence)), expected, "{name}");
        }
    }

    #[test]
    fn restart_forgets() {
        let mut map = map_with_holes();
        map.restart(Seq(100), u64::MAX);
        assert_eq!(map.lag_of(Seq(14)), Err(Miss::TooOld));
        assert_eq!(map.lag_of(Seq(100)), Ok(u64::MAX), "outgoing 101: ahead of the incoming one");
    }

    #[test]
    fn hole_at_the_very_start_leaves_no_stretch() {
        let mut map = RangeMap::new(Seq(0), 0);
        map.exclude(Seq(0), Seq(0));
        assert_eq!(map.lag_of(Seq(0)), Err(Miss::TooOld));
        assert_eq!(map.lag_of(Seq(1)), Ok(1));
    }
}
