//! The send slab: a pool of buffers that the engine fills and the driver sends.

use std::hash::{BuildHasher, RandomState};

use engine::event::Event;
use engine::outbox::{DATAGRAM_LEN_MAX, Outbox, Precedence};
use engine::path::Path;
use engine::relay::{Demand, Relayed};
use units::handle::WorkerIndex;

use crate::grouping::Grouping;
use crate::relays::{Note, Relays};

/// A buffer's index within its slab.
pub(crate) type Slot = u32;

/// A filled buffer that waits for the flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(crate) slot: Slot,
    pub(crate) len: usize,
    pub(crate) path: Path,
}

/// Buffers are lent last in, first out, so that a lightly loaded worker touches few of them.
#[derive(Debug)]
pub struct Slab {
    bytes: Box<[u8]>,
    free: Vec<Slot>,
    lent: Option<Slot>,
    departures: Vec<Departure>,
    grouping: Grouping,
    events: Vec<Event>,
    relays: Relays,
    exhausted: u64,
    high_water: usize,
    slots: usize,
}

impl Slab {
    #[must_use]
    pub fn new(slots: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "slots are thousands")]
        let free = (0..slots as Slot).rev().collect();
        Self {
            bytes: vec![0; slots * DATAGRAM_LEN_MAX].into_boxed_slice(),
            free,
            lent: None,
            departures: Vec::with_capacity(slots),
            grouping: Grouping::new(slots, RandomState::new().hash_one(slots)),
            events: Vec::new(),
            relays: Relays::default(),
            exhausted: 0,
            high_water: 0,
            slots,
        }
    }

    /// Takes the next event, oldest first in a batch of all that are there.
    pub fn drain_events(&mut self) -> impl Iterator<Item = Event> {
        self.events.drain(..)
    }

    /// The ways to other workers.
    pub const fn relays(&mut self) -> &mut Relays {
        &mut self.relays
    }

    /// It is time to flush.
    #[must_use]
    pub const fn is_half_full(&self) -> bool {
        self.waiting() > self.slots / 2
    }

    /// What waits, in the order in which it was sent; if `grouped`, what goes to one destination comes together.
    pub(crate) fn take_departures(&mut self, grouped: bool) -> Vec<Departure> {
        let mut departures = std::mem::take(&mut self.departures);
        if grouped {
            self.grouping.arrange(&mut departures);
        }
        departures
    }

    /// Gives the emptied list back, so that its allocation is used again.
    pub(crate) fn return_departures(&mut self, mut departures: Vec<Departure>) {
        departures.clear();
        if self.departures.is_empty() {
            self.departures = departures;
        }
    }

    pub(crate) fn release(&mut self, slot: Slot) {
        debug_assert!(!self.free.contains(&slot), "released twice");
        self.free.push(slot);
    }

    pub(crate) fn buffer(&self, slot: Slot) -> &[u8] {
        let start = slot as usize * DATAGRAM_LEN_MAX;
        &self.bytes[start..start + DATAGRAM_LEN_MAX]
    }

    pub(crate) const fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) const fn waiting(&self) -> usize {
        self.departures.len()
    }

    pub(crate) const fn exhausted(&self) -> u64 {
        self.exhausted
    }

    pub(crate) const fn used(&self) -> usize {
        self.slots - self.free.len() - self.lent.is_some() as usize
    }

    pub(crate) const fn high_water(&self) -> usize {
        self.high_water
    }
}

impl Outbox for Slab {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        if capacity > DATAGRAM_LEN_MAX {
            return None;
        }
        if self.lent.is_none() {
            self.lent = self.free.pop();
        }
        let Some(slot) = self.lent else {
            self.exhausted += 1;
            return None;
        };
        let start = slot as usize * DATAGRAM_LEN_MAX;
        self.bytes.get_mut(start..start + capacity)
    }

    fn has_room(&self, precedence: Precedence) -> bool {
        precedence.may_have(self.free.len() + usize::from(self.lent.is_some()), self.slots)
    }

    fn send(&mut self, path: &Path, len: usize) {
        debug_assert!(len <= DATAGRAM_LEN_MAX, "longer than what was lent");
        if let Some(slot) = self.lent.take() {
            self.departures.push(Departure { slot, len: len.min(DATAGRAM_LEN_MAX), path: *path });
            self.high_water = self.high_water.max(self.slots - self.free.len());
        }
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn relay(&mut self, to: WorkerIndex, packet: &Relayed, bytes: &[u8]) -> bool {
        self.relays.to(to).is_some_and(|outgoing| outgoing.relay(packet, bytes))
    }

    fn demand(&mut self, to: WorkerIndex, demand: Demand) -> bool {
        self.relays.to(to).is_some_and(|outgoing| outgoing.note(Note::Demand(demand)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::path::Protocol;
    use std::net::Ipv4Addr;

    fn path() -> Path {
        let address = Ipv4Addr::LOCALHOST;
        Path { protocol: Protocol::Udp, local: address.into(), remote: (address, 9).into() }
    }

    #[test]
    fn a_lent_buffer_that_is_not_sent_is_lent_again() {
        let mut slab = Slab::new(1);
        slab.lend(3).unwrap().copy_from_slice(b"one");
        slab.lend(3).unwrap().copy_from_slice(b"two");
        slab.send(&path(), 3);
        let departures = slab.take_departures(true);
        assert_eq!(departures.len(), 1);
        assert_eq!(&slab.buffer(departures[0].slot)[..3], b"two");
    }

    #[test]
    fn exhaustion_is_counted_and_ends_with_a_release() {
        let mut slab = Slab::new(2);
        for _ in 0..2 {
            assert!(slab.lend(10).is_some());
            slab.send(&path(), 10);
        }
        assert!(slab.lend(10).is_none());
        assert_eq!(slab.exhausted(), 1);
        let departures = slab.take_departures(true);
        assert_eq!(slab.used(), 2);
        slab.release(departures[0].slot);
        assert_eq!(slab.used(), 1);
        assert!(slab.lend(10).is_some());
        assert_eq!(slab.high_water(), 2);
    }

    #[test]
    fn the_last_buffers_are_kept_for_what_matters_most() {
        let mut slab = Slab::new(16);
        let all = [Precedence::Probe, Precedence::Retransmission, Precedence::Video];
        let mut ended = Vec::new();
        for sent in 0..=16 {
            let refused = all.iter().filter(|one| !slab.has_room(**one)).count();
            ended.resize(refused, sent);
            if slab.lend(1).is_some() {
                slab.send(&path(), 1);
            }
        }
        assert_eq!(ended, [8, 12, 14], "probes, retransmissions, video");
        assert!(slab.has_room(Precedence::Audio), "as long as there is a buffer");
    }

    #[test]
    fn more_than_a_datagram_is_not_lent() {
        assert!(Slab::new(1).lend(DATAGRAM_LEN_MAX + 1).is_none());
    }
}
