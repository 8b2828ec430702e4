//! What became of the latest frames, by their numbers: what is late, sent again or refers to them goes by that.

use units::sequence::Seq;

/// The fate of a frame. The byte is for whoever decides: what the decision was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forwarded(u8),
    /// Not forwarded on purpose.
    Dropped,
    /// Nothing of it came yet.
    Missing(u8),
}

/// A ring of the last frames.
#[derive(Debug)]
pub struct Verdicts {
    ring: [Verdict; FRAMES],
    highest: Option<Seq>,
}

impl Verdicts {
    #[must_use]
    pub fn new() -> Self {
        Self { ring: [Verdict::Dropped; FRAMES], highest: None }
    }

    /// Forgets all: whatever lies before the frame that comes next counts as dropped.
    pub fn restart(&mut self) {
        *self = Self::new();
    }

    /// The highest frame of which something came in order.
    #[must_use]
    pub fn highest(&self) -> Option<Seq> {
        self.highest
    }

    /// `None` for a frame that is yet to come, or too old to be remembered.
    #[must_use]
    pub fn of(&self, frame: Seq) -> Option<Verdict> {
        let age = self.highest?.0.checked_sub(frame.0)?;
        if age >= FRAMES as u64 {
            return None;
        }
        self.ring.get(Self::place(frame)).copied()
    }

    /// Goes on to a frame above the highest; those between are as `between` says.
    pub fn advance(&mut self, frame: Seq, between: Verdict, verdict: Verdict) {
        let due = self.highest.map_or(frame, Seq::next);
        let oldest = frame.0.saturating_sub(FRAMES as u64 - 1);
        for missing in due.0.max(oldest)..frame.0 {
            self.put(Seq(missing), between);
        }
        self.highest = Some(frame);
        self.put(frame, verdict);
    }

    /// Changes the verdict over a frame that is remembered.
    pub fn set(&mut self, frame: Seq, verdict: Verdict) {
        if self.of(frame).is_some() {
            self.put(frame, verdict);
        }
    }

    /// Nothing from `first` through `last` is of use.
    pub fn drop_from(&mut self, first: Seq, last: Seq) {
        let oldest = last.0.saturating_sub(FRAMES as u64 - 1);
        for frame in first.0.max(oldest)..=last.0 {
            self.set(Seq(frame), Verdict::Dropped);
        }
    }

    fn put(&mut self, frame: Seq, verdict: Verdict) {
        if let Some(slot) = self.ring.get_mut(Self::place(frame)) {
            *slot = verdict;
        }
    }

    fn place(frame: Seq) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "less than the ring")]
        let place = (frame.0 % FRAMES as u64) as usize;
        place
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self::new()
    }
}

/// More than a chain difference of eight bits reaches back.
const FRAMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_is_missing_and_what_is_old_is_forgotten() {
        let mut verdicts = Verdicts::new();
        assert_eq!(verdicts.of(Seq(9)), None, "nothing came");
        verdicts.advance(Seq(10), Verdict::Missing(0), Verdict::Forwarded(1));
        verdicts.advance(Seq(13), Verdict::Missing(2), Verdict::Dropped);
        for (name, frame, expected) in [
            ("before the first", 9, Some(Verdict::Dropped)),
            ("first", 10, Some(Verdict::Forwarded(1))),
            ("between", 11, Some(Verdict::Missing(2))),
            ("newest", 13, Some(Verdict::Dropped)),
            ("future", 14, None),
        ] {
            assert_eq!(verdicts.of(Seq(frame)), expected, "{name}");
        }
        verdicts.set(Seq(11), Verdict::Forwarded(2));
        assert_eq!(verdicts.of(Seq(11)), Some(Verdict::Forwarded(2)));
        verdicts.advance(Seq(13 + 256), Verdict::Missing(3), Verdict::Dropped);
        assert_eq!(verdicts.of(Seq(13)), None);
        assert_eq!(
            verdicts.of(Seq(14)),
            Some(Verdict::Missing(3)),
            "a jump overwrites no more than the ring"
        );
        verdicts.advance(Seq(u64::MAX), Verdict::Missing(4), Verdict::Dropped);
        assert_eq!(verdicts.of(Seq(u64::MAX - 255)), Some(Verdict::Missing(4)));
        verdicts.restart();
        assert_eq!((verdicts.highest(), verdicts.of(Seq(u64::MAX))), (None, None));
    }
}
