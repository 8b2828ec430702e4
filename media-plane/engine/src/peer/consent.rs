//! Whether the peer still wants what we send: each valid check is consent, and its absence ends in three steps (RFC 7675).

use core::time::Duration;

use units::time::Instant;

/// How long ago the last valid check came, in steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consent {
    /// No valid check yet.
    #[default]
    None,
    Fresh,
    /// None for 10 s.
    Doubtful,
    /// None for 15 s.
    Lost,
    /// None for 30 s: nothing is sent any more.
    Ended,
}

/// The last valid check, and what was made of its age so far.
#[derive(Debug, Default)]
pub struct ConsentTimer {
    state: Consent,
    checked_at: Instant,
}

impl ConsentTimer {
    /// A valid check came. Returns what was before.
    pub const fn checked(&mut self, now: Instant) -> Consent {
        self.checked_at = now;
        core::mem::replace(&mut self.state, Consent::Fresh)
    }

    /// The next step that time has brought, if one has; call until `None`.
    pub fn step(&mut self, now: Instant) -> Option<Consent> {
        if self.next_at()? > now {
            return None;
        }
        self.state = match self.state {
            Consent::Fresh => Consent::Doubtful,
            Consent::Doubtful => Consent::Lost,
            Consent::Lost => Consent::Ended,
            Consent::None | Consent::Ended => return None,
        };
        Some(self.state)
    }

    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let after = match self.state {
            Consent::None | Consent::Ended => return None,
            Consent::Fresh => DOUBTFUL_AFTER,
            Consent::Doubtful => LOST_AFTER,
            Consent::Lost => ENDED_AFTER,
        };
        Some(self.checked_at + after)
    }

    #[must_use]
    pub const fn state(&self) -> Consent {
        self.state
    }

    #[must_use]
    pub const fn may_send(&self) -> bool {
        matches!(self.state, Consent::Fresh | Consent::Doubtful | Consent::Lost)
    }
}

const DOUBTFUL_AFTER: Duration = Duration::from_secs(10);
const LOST_AFTER: Duration = Duration::from_secs(15);
const ENDED_AFTER: Duration = Duration::from_secs(30); // RFC 7675 §5.1

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: u64) -> Instant {
        Instant(s * 1_000_000_000)
    }

    #[test]
    fn consent_ends_in_steps_and_a_check_renews_it() {
        let mut consent = ConsentTimer::default();
        assert_eq!((consent.next_at(), consent.may_send()), (None, false));
        assert_eq!(consent.checked(s(100)), Consent::None);
        for (name, at, expected, may_send) in [
            ("fresh", 109, None, true),
            ("doubtful", 110, Some(Consent::Doubtful), true),
            ("still doubtful", 114, None, true),
            ("lost", 115, Some(Consent::Lost), true),
            ("ended", 130, Some(Consent::Ended), false),
            ("stays ended", 500, None, false),
        ] {
            assert_eq!(consent.step(s(at)), expected, "{name}");
            assert_eq!(consent.may_send(), may_send, "{name}");
        }
        assert_eq!(consent.checked(s(600)), Consent::Ended);
        assert!(consent.may_send());
    }
}
