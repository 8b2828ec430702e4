//! The packets of one layer as they were received, kept for retransmission.

use alloc::vec::Vec;

use units::rtp::Ssrc;
use units::sequence::Seq;

use crate::ingress::capture::ClockOffset;
use crate::pool::{Handle, Pool};

/// A ring of received, decrypted packets by sequence number. All of them are of one source.
#[derive(Debug)]
pub struct History {
    /// Empty until the first packet.
    ring: Vec<Option<Entry>>,
    capacity: usize,
    source: Ssrc,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: Seq,
    len: u16,
    buffer: Handle,
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
        if self.ring.is_empty() {
            self.ring.resize(self.capacity, None);
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
        *slot = Some(Entry { sequence, len, buffer, clock });
        Some(buffer)
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

    /// Gives all buffers back.
    pub fn clear(&mut self, pool: &mut Pool) {
        for entry in self.ring.drain(..).flatten() {
            pool.give_back(entry.buffer);
        }
    }

    const fn index(&self, sequence: Seq) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "less than the capacity")]
        let index = (sequence.0 % self.capacity as u64) as usize;
        index
    }
}

/// Packets of a video layer that are kept: half a second at 10 Mbit/s.
pub const VIDEO: usize = 512;
/// Packets of an audio publication that are kept: 2.5 s at 20 ms.
pub const AUDIO: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Ssrc = Ssrc(1);

    /// Keeps a packet that nobody else holds any more.
    fn keep(history: &mut History, source: Ssrc, sequence: Seq, packet: &[u8], pool: &mut Pool) -> bool {
        let held = history.keep(source, sequence, packet, None, pool);
        held.map(|buffer| pool.give_back(buffer)).is_some()
    }

    #[test]
    fn packet_that_is_pushed_out_stays_with_its_other_holder() {
        let (mut pool, mut history) = (Pool::new(2, 0), History::new(4));
        let held = history.keep(SOURCE, Seq(1), b"one", None, &mut pool).unwrap();
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

    proptest! {
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
