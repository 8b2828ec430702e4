//! The packets of one layer as they were received, kept for retransmission.

use alloc::vec::Vec;
use core::time::Duration;

use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;

use crate::ingress::capture::ClockOffset;
use crate::pool::{Handle, Pool};

/// A ring of received, decrypted packets by sequence number. All of them are of one source.
#[derive(Debug)]
pub struct History {
    /// Empty until the first packet, and no longer than it takes to keep packets for [`KEPT`].
    ring: Vec<Option<Entry>>,
    capacity: usize,
    source: Ssrc,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: Seq,
    len: u16,
    buffer: Handle,
    kept_until: Instant,
    /// Where the packet says when it was captured: what copies of it were made with.
    clock: Option<ClockOffset>,
}

impl History {
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { ring: Vec::new(), capacity, source: Ssrc(0) }
    }

    /// Keeps a copy of `packet`, which the caller holds too: it gives it back. `None` if the pool has no buffer for it.
    pub fn keep(
        &mut self,
        now: Instant,
        source: Ssrc,
        sequence: Seq,
        packet: &[u8],
        clock: Option<ClockOffset>,
        pool: &mut Pool,
    ) -> Option<Handle> {
        if source != self.source {
            self.clear(pool);
            self.source = source;
        }
        while self.ring.len() < self.capacity && self.would_forget(now, sequence) {
            self.grow(pool);
        }
        let at = self.index(sequence);
        let slot = self.ring.get_mut(at)?;
        if slot.is_some_and(|entry| entry.sequence > sequence) {
            return pool.store(packet); // A later packet has its place: nobody will ask for this one in time.
        }
        if let Some(entry) = slot.take() {
            pool.give_back(entry.buffer);
        }
        let len = u16::try_from(packet.len()).ok()?;
        let buffer = pool.store(packet)?;
        pool.hold(buffer);
        *slot = Some(Entry { sequence, len, buffer, kept_until: now + KEPT, clock });
        Some(buffer)
    }

    /// Whether the place of `sequence` is taken by another packet that is still to be kept, or there are no places.
    fn would_forget(&self, now: Instant, sequence: Seq) -> bool {
        match self.ring.get(self.index(sequence)) {
            None => true,
            Some(place) => place.is_some_and(|other| other.sequence != sequence && now < other.kept_until),
        }
    }

    /// Rare: a layer's ring has its length after its first second at its highest rate.
    #[cold]
    fn grow(&mut self, pool: &mut Pool) {
        let len = (self.ring.len() * 2).max(LEN_MIN).min(self.capacity);
        let mut places = Vec::new();
        places.resize(len, None);
        for entry in core::mem::replace(&mut self.ring, places).into_iter().flatten() {
            let at = self.index(entry.sequence);
            let Some(place) = self.ring.get_mut(at) else { continue };
            // A length that is no multiple of the one before may bring two to one place: the later one stays.
            let (stays, goes) = match *place {
                Some(other) if other.sequence > entry.sequence => (other, Some(entry)),
                other => (entry, other),
            };
            *place = Some(stays);
            if let Some(gone) = goes {
                pool.give_back(gone.buffer);
            }
        }
    }

    /// The packet itself, not a copy: whoever changes it for a moment restores it. Behind it are so many bytes of
    /// padding.
    pub fn packet<'a>(
        &self,
        source: Ssrc,
        sequence: Seq,
        padding: u8,
        pool: &'a mut Pool,
    ) -> Option<&'a mut [u8]> {
        let entry = self.entry(source, sequence)?;
        pool.padded(entry.buffer, entry.len.into(), padding)
    }

    /// The packet, to be read only.
    #[must_use]
    pub fn bytes<'a>(&self, source: Ssrc, sequence: Seq, pool: &'a Pool) -> Option<&'a [u8]> {
        let entry = self.entry(source, sequence)?;
        pool.bytes(entry.buffer).get(..usize::from(entry.len))
    }

    /// What was kept with the packet.
    #[must_use]
    pub fn clock(&self, source: Ssrc, sequence: Seq) -> Option<ClockOffset> {
        self.entry(source, sequence)?.clock
    }

    fn entry(&self, source: Ssrc, sequence: Seq) -> Option<&Entry> {
        let entry = self.ring.get(self.index(sequence))?.as_ref()?;
        (source == self.source && entry.sequence == sequence).then_some(entry)
    }

    /// Gives all buffers back, and the ring's memory.
    pub fn clear(&mut self, pool: &mut Pool) {
        for entry in core::mem::take(&mut self.ring).into_iter().flatten() {
            pool.give_back(entry.buffer);
        }
    }

    const fn index(&self, sequence: Seq) -> usize {
        let len = if self.ring.is_empty() { 1 } else { self.ring.len() };
        #[expect(clippy::cast_possible_truncation, reason = "less than the length")]
        let index = (sequence.0 % len as u64) as usize;
        index
    }
}

/// Packets of a video layer that are kept at most: half a second at 10 Mbit/s.
pub const VIDEO: usize = 512;
/// Packets of an audio publication that are kept at most: 2.5 s at 20 ms.
pub const AUDIO: usize = 128;
/// As long as copies are remembered ([`crate::egress::sent`]): longer than anybody waits for a packet before asking for
/// a key frame.
const KEPT: Duration = Duration::from_secs(1);
/// A second of the lowest layer.
const LEN_MIN: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Ssrc = Ssrc(1);

    /// Keeps a packet that nobody else holds any more.
    fn keep(history: &mut History, source: Ssrc, sequence: Seq, packet: &[u8], pool: &mut Pool) -> bool {
        let held = history.keep(Instant(0), source, sequence, packet, None, pool);
        held.map(|buffer| pool.give_back(buffer)).is_some()
    }

    #[test]
    fn packet_that_is_pushed_out_stays_with_its_other_holder() {
        let (mut pool, mut history) = (Pool::new(2, 0), History::new(4));
        let held = history.keep(Instant(0), SOURCE, Seq(1), b"one", None, &mut pool).unwrap();
        assert!(keep(&mut history, SOURCE, Seq(5), b"five", &mut pool));
        assert_eq!(history.bytes(SOURCE, Seq(1), &pool), None);
        assert_eq!(&pool.bytes(held)[..3], b"one");
        pool.give_back(held);
        assert_eq!(pool.in_use(), 1);
    }

    #[test]
    fn packets_of_another_source_push_out_all_others() {
        let mut pool = Pool::new(8, 0);
        let mut history = History::new(4);
        assert!(keep(&mut history, SOURCE, Seq(5), b"five", &mut pool));
        assert_eq!(history.packet(SOURCE, Seq(5), 0, &mut pool).unwrap(), b"five");
        assert!(history.packet(Ssrc(2), Seq(5), 0, &mut pool).is_none());
        assert!(keep(&mut history, Ssrc(2), Seq(6), b"six", &mut pool));
        assert!(history.packet(SOURCE, Seq(5), 0, &mut pool).is_none());
        assert_eq!(pool.in_use(), 1);
        history.clear(&mut pool);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn exhausted_pool_is_told() {
        let mut pool = Pool::new(1, 0);
        let mut history = History::new(4);
        assert!(keep(&mut history, SOURCE, Seq(1), b"a", &mut pool));
        assert!(!keep(&mut history, SOURCE, Seq(2), b"b", &mut pool));
        assert!(keep(&mut history, SOURCE, Seq(5), b"c", &mut pool), "takes the place of 1");
    }

    #[test]
    fn buffers_are_as_many_as_a_second_of_the_stream_needs() {
        for (name, per_second, seconds, expected) in [
            ("the lowest layer", 18, 10, 32),
            ("a microphone", 50, 10, 64),
            ("a camera's highest layer", 190, 10, 256),
            ("its first packets", 190, 0, 10),
            ("more than is ever kept", 1_000, 10, 512),
        ] {
            let (mut pool, mut history) = (Pool::new(1_024, 0), History::new(VIDEO));
            let count = (per_second * seconds).max(10);
            for number in 0..count {
                let now = Instant(number * 1_000_000_000 / per_second);
                let held = history.keep(now, SOURCE, Seq(number), b"packet", None, &mut pool);
                pool.give_back(held.unwrap());
            }
            assert_eq!(pool.in_use(), expected, "{name}");
            for behind in [0, per_second.min(512).min(count) - 1] {
                let kept = history.bytes(SOURCE, Seq(count - 1 - behind), &pool);
                assert!(kept.is_some(), "{name}, {behind} before the newest");
            }
            history.clear(&mut pool);
            assert_eq!((pool.in_use(), history.ring.capacity()), (0, 0), "{name}");
        }
    }

    #[test]
    fn packet_that_comes_twice_makes_no_ring_grow() {
        let (mut pool, mut history) = (Pool::new(64, 0), History::new(VIDEO));
        for _ in 0..10 {
            assert!(keep(&mut history, SOURCE, Seq(7), b"seven", &mut pool));
        }
        assert_eq!((history.ring.len(), pool.in_use()), (LEN_MIN, 1));
    }

    proptest! {
        #[test]
        fn growth_loses_nothing_of_the_last_second_and_no_buffer(
            packets in proptest::collection::vec((0_u64..40_000_000, 0_u64..4), 1..400),
            capacity in 1_usize..200,
        ) {
            let (mut pool, mut history) = (Pool::new(400, 0), History::new(capacity));
            let (mut now, mut sequence, mut kept) = (Instant(0), 0, Vec::new());
            for (pause, step) in packets {
                now = Instant(now.0 + pause);
                sequence += step;
                let held = history.keep(now, SOURCE, Seq(sequence), &sequence.to_be_bytes(), None, &mut pool);
                pool.give_back(held.unwrap());
                kept.push((now, sequence));
                for (at, older) in &kept {
                    let is_due = now - *at < KEPT && sequence - older < capacity as u64;
                    let found = history.bytes(SOURCE, Seq(*older), &pool);
                    prop_assert!(found.is_some() || !is_due);
                    prop_assert!(found.is_none_or(|bytes| bytes[..8] == older.to_be_bytes()));
                }
                prop_assert!(pool.in_use() <= capacity);
            }
            history.clear(&mut pool);
            prop_assert_eq!(pool.in_use(), 0);
        }

        #[test]
        fn finds_the_newest_packets_and_never_a_wrong_one(sequences in proptest::collection::vec(100_u64..200, 1..200)) {
            let mut pool = Pool::new(16, 0);
            let mut history = History::new(16);
            let mut newest = [0; 16];
            for sequence in sequences {
                keep(&mut history, SOURCE, Seq(sequence), &sequence.to_be_bytes(), &mut pool);
                let slot = usize::try_from(sequence % 16).unwrap();
                newest[slot] = newest[slot].max(sequence);
                prop_assert!(pool.in_use() <= 16);
            }
            for sequence in 100..200_u64 {
                let expected = newest.contains(&sequence).then_some(sequence.to_be_bytes());
                let found = history.packet(SOURCE, Seq(sequence), 0, &mut pool);
                prop_assert_eq!(found.as_deref(), expected.as_ref().map(|bytes| &bytes[..]));
            }
            history.clear(&mut pool);
            prop_assert_eq!(pool.in_use(), 0);
        }
    }
}
