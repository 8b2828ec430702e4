//! The last reliable packets of a room, so that whoever comes or returns just then misses none.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use units::handle::RouteId;

/// LiveKit's.
const AGE_MAX: Duration = Duration::from_secs(2);
const COUNT_MAX: usize = 100_000;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// A reliable packet as it was sent.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `None`: from the server side.
    pub sender: Option<RouteId>,
    pub sender_sid: Box<str>,
    /// 0: the sender does not number its packets.
    pub sequence: u32,
    pub audience: Audience,
    pub bytes: Bytes,
}

/// To whom a packet goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Each empty list asks for nothing.
    pub routes: Box<[RouteId]>,
    pub identities: Box<[Box<str>]>,
    pub sids: Box<[Box<str>]>,
}

impl Audience {
    #[must_use]
    pub fn includes(&self, route: RouteId, identity: &str, sid: &str) -> bool {
        (self.routes.is_empty() || self.routes.contains(&route))
            && ((self.identities.is_empty() && self.sids.is_empty())
                || self.identities.iter().any(|one| **one == *identity)
                || self.sids.iter().any(|one| **one == *sid))
    }
}

#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<(Instant, Entry)>,
    bytes: usize,
    /// Number of the entry at the front.
    first: u64,
}

impl History {
    pub fn push(&mut self, now: Instant, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.entries.push_back((now, entry));
        self.forget(now);
    }

    pub fn forget(&mut self, now: Instant) {
        while let Some((at, entry)) = self.entries.front() {
            let old = now.saturating_duration_since(*at) > AGE_MAX;
            if !old && self.entries.len() <= COUNT_MAX && self.bytes <= BYTES_MAX {
                return;
            }
            self.bytes -= entry.bytes.len();
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The number that the next entry will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Entries from that number on, as far as they are kept.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Entry> {
        let skipped = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u32, len: usize) -> Entry {
        Entry {
            sender: None,
            sender_sid: "".into(),
            sequence,
            audience: Audience::default(),
            bytes: Bytes::from(vec![0; len]),
        }
    }

    fn kept(history: &History, since: u64) -> Vec<u32> {
        history.since(since).map(|entry| entry.sequence).collect()
    }

    #[test]
    fn entries_are_kept_for_two_seconds() {
        let start = Instant::now();
        let mut history = History::default();
        for second in 0..4 {
            history.push(start + Duration::from_secs(second.into()), entry(second, 1));
        }
        assert_eq!(kept(&history, 0), [1, 2, 3]);
        assert_eq!(kept(&history, 2), [2, 3]);
        assert_eq!((kept(&history, 4).len(), history.next()), (0, 4));
        history.forget(start + Duration::from_secs(60));
        assert_eq!((kept(&history, 0).len(), history.bytes, history.next()), (0, 0, 4));
    }

    #[test]
    fn bytes_and_count_are_bounded() {
        let now = Instant::now();
        let mut history = History::default();
        for sequence in 0..40 {
            history.push(now, entry(sequence, 1024 * 1024));
        }
        assert_eq!(kept(&history, 0), (8..40).collect::<Vec<_>>());
        let mut history = History::default();
        for sequence in 0..100_010 {
            history.push(now, entry(sequence, 0));
        }
        assert_eq!((history.entries.len(), history.next()), (COUNT_MAX, 100_010));
        assert_eq!(history.since(0).next().map(|entry| entry.sequence), Some(10));
    }
}
