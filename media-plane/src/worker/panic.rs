//! What becomes of an engine that panicked: once, the peer in hand is evicted; twice within a second, all are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use units::time::Instant;

/// Runs a piece of work; `None` if it panicked.
///
/// What the work had borrowed may be half changed: the caller decides what of it is to be trusted.
pub fn caught<Out>(work: impl FnOnce() -> Out) -> Option<Out> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer whose work was in hand goes.
    Evict,
    /// The engine is replaced, and every peer goes.
    Rebuild,
}

#[derive(Debug, Default)]
pub struct Panics {
    last: Option<Instant>,
    count: u64,
}

impl Panics {
    pub fn judge(&mut self, now: Instant) -> Verdict {
        let again = self.last.is_some_and(|last| now.since(last) < PATIENCE);
        self.count += 1;
        // A new engine starts with a clean record.
        self.last = (!again).then_some(now);
        if again { Verdict::Rebuild } else { Verdict::Evict }
    }

    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_panic_within_a_second_condemns_the_engine() {
        let mut panics = Panics::default();
        for (name, ms, verdict) in [
            ("first", 0, Verdict::Evict),
            ("much later", 1_500, Verdict::Evict),
            ("soon after", 2_400, Verdict::Rebuild),
            ("of the new engine", 2_500, Verdict::Evict),
            ("and again", 2_600, Verdict::Rebuild),
        ] {
            assert_eq!(panics.judge(Instant(ms * 1_000_000)), verdict, "{name}");
        }
        assert_eq!(panics.count(), 5);
    }

    #[test]
    fn panic_ends_the_work_and_not_the_thread() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| panic!("in a test")), None::<()>);
    }
}
