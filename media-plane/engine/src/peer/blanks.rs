//! Frames of our own that are still to be sent to one peer: silence for a publisher who was muted, and the end of streams.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use forward::forwarder::Forwarder;
use units::handle::SubscriptionId;
use units::rtp::{Mid, PayloadType};
use units::time::Instant;

use crate::egress::Stream;
use crate::egress::own::Blank;
use crate::slots::Slot;

/// The runs of one peer; each sends one frame at a time.
#[derive(Debug, Default)]
pub struct Blanks {
    runs: Vec<Run>,
}

/// Frames of one stream, evenly apart.
#[derive(Debug)]
pub struct Run {
    pub next_at: Instant,
    pub left: u16,
    pub blank: Blank,
    /// They end with the room's trailer.
    pub marked: bool,
    /// The publisher's and the subscriber's.
    pub payload_types: (PayloadType, PayloadType),
    pub of: Of,
}

#[derive(Debug)]
pub enum Of {
    /// A subscription whose publisher was muted: until it is not.
    Muted(Slot<SubscriptionId>),
    Ended(Box<Ended>),
}

/// What is left of a subscription that ended. Its SSRC is not free again before there are other keys.
#[derive(Debug)]
pub struct Ended {
    pub stream: Stream,
    pub forwarder: Forwarder,
    pub mid: Mid,
    pub until: Instant,
}

impl Run {
    #[must_use]
    pub fn new(
        now: Instant,
        blank: Blank,
        marked: bool,
        payload_types: (PayloadType, PayloadType),
        of: Of,
    ) -> Self {
        let lasts = match of {
            Of::Muted(_) => MUTED_LASTS,
            Of::Ended(_) => ENDED_LASTS,
        };
        let left = lasts.as_nanos() / interval(blank).as_nanos();
        Self { next_at: now, left: u16::try_from(left).unwrap_or(u16::MAX), blank, marked, payload_types, of }
    }

    /// When the frame that is due is meant to be sent, which it thereby is; what time has overtaken is left out.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        while self.left > 0 && self.next_at <= now {
            let at = self.next_at;
            self.left -= 1;
            self.next_at += interval(self.blank);
            if now - at <= LATE_MAX {
                return Some(at);
            }
        }
        None
    }

    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        let ended = match &self.of {
            Of::Muted(_) => false,
            Of::Ended(ended) => ended.until <= now,
        };
        ended || self.left == 0
    }
}

impl Blanks {
    /// False if as many streams end already as may at once.
    pub fn add(&mut self, run: Run) -> bool {
        if let Of::Muted(subscription) = run.of {
            self.forget(subscription);
        } else if self.runs.iter().filter(|run| matches!(run.of, Of::Ended(_))).count() >= ENDED_MAX {
            return false;
        }
        self.runs.push(run);
        true
    }

    /// The subscription says what it has to say itself, or is gone. Whether there was a run of it.
    pub fn forget(&mut self, subscription: Slot<SubscriptionId>) -> bool {
        let before = self.runs.len();
        self.runs.retain(|run| !matches!(run.of, Of::Muted(slot) if slot == subscription));
        self.runs.len() < before
    }

    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// Lets `step` see each run; the ones for which it is false are over.
    pub fn retain(&mut self, step: impl FnMut(&mut Run) -> bool) {
        self.runs.retain_mut(step);
    }

    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.runs.iter().map(|run| run.next_at).min()
    }
}

fn interval(blank: Blank) -> Duration {
    Duration::from_secs(1) / blank.frames_per_second()
}

/// LiveKit's: how long there is silence after a mute, and black at the end.
const MUTED_LASTS: Duration = Duration::from_secs(1);
const ENDED_LASTS: Duration = Duration::from_millis(200);
/// A frame that comes later than this is left out: more than one at once would be no pace.
const LATE_MAX: Duration = Duration::from_millis(15);
/// What is not sent by then is not sent any more.
pub const LINGER_MAX: Duration = Duration::from_millis(500);
/// Streams that end at once, to one peer.
const ENDED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn muted(slot: u32, blank: Blank) -> Run {
        let payload_types = (PayloadType(111), PayloadType(111));
        Run::new(ms(0), blank, false, payload_types, Of::Muted(Slot::at(slot)))
    }

    #[test]
    fn silence_lasts_a_second_and_leaves_out_what_is_overdue() {
        let mut run = muted(0, Blank::Opus);
        assert_eq!(run.take(ms(0)), Some(ms(0)));
        assert_eq!(run.take(ms(19)), None);
        assert_eq!(run.take(ms(25)), Some(ms(20)), "its own time, so that the pace is kept");
        assert_eq!(run.take(ms(147)), Some(ms(140)), "after a pause of the worker");
        let rest = (0..2_000).filter(|now| run.take(ms(*now)).is_some()).count();
        assert_eq!((rest, run.is_over(ms(0))), (42, true), "up to 980 ms");
    }

    #[test]
    fn subscription_has_one_run_until_it_is_forgotten() {
        let mut blanks = Blanks::default();
        assert!(blanks.add(muted(0, Blank::Opus)) && blanks.add(muted(1, Blank::Pcmu)));
        assert!(blanks.add(muted(0, Blank::Opus)), "muted again");
        assert_eq!(blanks.runs.len(), 2);
        assert!(blanks.forget(Slot::at(0)));
        assert!(!blanks.forget(Slot::at(0)));
        assert_eq!(blanks.runs.len(), 1);
        blanks.clear();
        assert_eq!(blanks.next_at(), None);
    }
}
