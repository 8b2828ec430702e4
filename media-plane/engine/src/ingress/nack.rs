//! Which packets of a source are missing, when to ask for them again, and when to do without (RFC 4585 §6.2.1).
//!
//! LiveKit 1.13.5 (`sfu/buffer`) asks five times, with back-off from the first on: at 20 % loss each way that leaves one
//! packet in a hundred and fifty, and several a second. Here back-off begins later, and 500 ms are the end.

use alloc::collections::VecDeque;
use core::time::Duration;

use units::sequence::Seq;
use units::time::Instant;

/// The missing packets of one source, oldest first; at most [`QUEUE_MAX`].
#[derive(Debug, Default)]
pub struct Nack {
    highest: Option<Seq>,
    missing: VecDeque<Missing>,
    /// A packet that others need was given up since that was asked.
    is_broken: bool,
}

#[derive(Debug)]
struct Missing {
    sequence: Seq,
    since: Instant,
    next_at: Instant,
    interval: Duration,
    tries: u8,
    /// Nothing that is shown later needs it.
    is_disposable: bool,
}

impl Nack {
    /// Notes that a packet is there, in whatever way it came. Returns how many missing ones were given up.
    pub fn received(&mut self, now: Instant, sequence: Seq) -> u32 {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return 0;
        };
        if sequence <= highest {
            if let Ok(at) = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence) {
                self.missing.remove(at);
            }
            return 0;
        }
        self.highest = Some(sequence);
        let gap = sequence.0 - highest.0 - 1;
        if gap > QUEUE_MAX as u64 {
            // An outage, or numbers that jumped: a hundred of so many packets repair nothing.
            let given_up = self.missing.len() as u64 + gap;
            self.missing.clear();
            self.is_broken = true;
            return saturating_u32(given_up);
        }
        let mut given_up = 0;
        for missing in highest.0 + 1..sequence.0 {
            if self.missing.len() >= QUEUE_MAX
                && let Some(oldest) = self.missing.pop_front()
            {
                given_up += 1;
                self.is_broken |= !oldest.is_disposable;
            }
            self.missing.push_back(Missing {
                sequence: Seq(missing),
                since: now,
                next_at: now + FIRST_AFTER,
                interval: Duration::ZERO,
                tries: 0,
                is_disposable: false,
            });
        }
        given_up
    }

    /// What is missing from `from` up to the newest packet is of pictures that no other needs.
    pub fn disposable_from(&mut self, from: Seq) {
        let newest = self.missing.iter_mut().rev().take_while(|missing| missing.sequence >= from);
        newest.for_each(|missing| missing.is_disposable = true);
    }

    /// A key frame begins with this packet, or shortly before it: what came earlier is no longer needed.
    pub fn key_frame(&mut self, sequence: Seq, begins_here: bool) {
        let mut first = sequence;
        let older = self.missing.partition_point(|missing| missing.sequence < sequence);
        for missing in self.missing.iter().take(older).rev().take_while(|_| !begins_here) {
            if missing.sequence.next() != first {
                break;
            }
            first = missing.sequence;
        }
        let older = self.missing.partition_point(|missing| missing.sequence < first);
        self.missing.drain(..older);
        self.is_broken = false;
    }

    /// Gives up what was asked for as often or as long as is allowed. Returns how many packets.
    pub fn give_up(&mut self, now: Instant) -> u32 {
        let before = self.missing.len();
        let is_broken = &mut self.is_broken;
        self.missing.retain(|missing| {
            let stays = now < missing.given_up_at();
            *is_broken |= !stays && !missing.is_disposable;
            stays
        });
        saturating_u32((before - self.missing.len()) as u64)
    }

    /// Whether a picture is lost for good on which others depend; asked once.
    pub const fn take_broken(&mut self) -> bool {
        core::mem::replace(&mut self.is_broken, false)
    }

    /// Calls `ask` for each packet to ask for now, in order.
    pub fn due(&mut self, now: Instant, rtt: Option<Duration>, mut ask: impl FnMut(Seq)) {
        let due = |missing: &&mut Missing| missing.next_at <= now && missing.tries < TRIES_MAX;
        for missing in self.missing.iter_mut().filter(due) {
            ask(missing.sequence);
            missing.tries += 1;
            missing.interval = match missing.tries {
                1 => rtt.unwrap_or(RTT_DEFAULT).clamp(INTERVAL_MIN, INTERVAL_MAX),
                ..=STEADY_TRIES => missing.interval,
                _ => (missing.interval * 5 / 4).min(INTERVAL_MAX),
            };
            missing.next_at = now + missing.interval;
        }
    }

    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        if self.is_broken {
            return Some(Instant(0));
        }
        self.missing.iter().map(|missing| missing.next_at.min(missing.given_up_at())).min()
    }
}

impl Missing {
    fn given_up_at(&self) -> Instant {
        let too_late = self.since + GIVE_UP_AFTER;
        if self.tries < TRIES_MAX { too_late } else { too_late.min(self.next_at) }
    }
}

fn saturating_u32(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub const QUEUE_MAX: usize = 100;
const FIRST_AFTER: Duration = Duration::from_millis(20);
const INTERVAL_MIN: Duration = Duration::from_millis(20);
const INTERVAL_MAX: Duration = Duration::from_millis(400);
const RTT_DEFAULT: Duration = Duration::from_millis(70);
const STEADY_TRIES: u8 = 5;
const TRIES_MAX: u8 = 10;
/// A picture that is not whole by then is not shown in time.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
