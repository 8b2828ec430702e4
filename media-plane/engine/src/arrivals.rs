//! The packets of one wake that wait for its end, and whose turn it is then: destination by destination.

use alloc::boxed::Box;
use alloc::vec::Vec;

use forward::facts::{Facts, LAYERS};
use forward::scalable::Scalability;
use units::handle::{PeerId, PublicationId, SubscriptionId};
use units::time::Instant;

use crate::command::PayloadCodec;
use crate::egress::header::Passed;
use crate::egress::redundant::Encoded;
use crate::engine::relaying::PassedOn;
use crate::ingress::capture::Captured;
use crate::ingress::elements::ExtensionIds;
use crate::ingress::red::Frame;
use crate::outbox::DATAGRAM_LEN_MAX;
use crate::pool::{Handle, Pool};
use crate::room::publication::Subscriber;
use crate::slots::Slot;

/// Packets by publication, each in the order in which they came.
#[derive(Debug)]
pub struct Arrivals {
    pub waiting: Vec<Waiting>,
    /// What the packets tell of layers; by the same index, as it is large and most tell nothing.
    pub layers: Vec<Scalability>,
    pub groups: Vec<Group>,
    pub round: Round,
    /// Holds the one packet for which the pool had no buffer.
    pub spare: Box<[u8; DATAGRAM_LEN_MAX]>,
    /// How many copies are to be made at most.
    copies: usize,
    /// The packet of which a copy is being made, and for whom.
    pub in_hand: Option<(u16, Slot<PeerId>)>,
}

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was opened here, and went to other workers too.
    Peer(PeerId, PassedOn),
    /// Another worker, on which its publisher is.
    Worker,
}

/// A packet that was learnt from, with what its copies have in common.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub arrived: Instant,
    pub origin: Origin,
    pub facts: Facts,
    pub codec: PayloadCodec,
    /// How many packets of the source before it have not come.
    pub missing: u64,
    /// The frame of a well-formed RED packet that goes to who takes only Opus.
    pub frame: Option<Frame>,
    pub captured: Option<Captured>,
    /// Pictures that follow may depend on its own.
    pub is_needed: bool,
    pub passed: Option<Passed>,
    /// Of the application's trailer, at the end of the payload.
    pub trailer_len: u8,
    /// The publisher's.
    pub ids: ExtensionIds,
    /// Header and payload in the clear, without padding. `None`: in [`Arrivals::spare`].
    pub held: Option<Handle>,
    pub len: usize,
    pub header_len: usize,
    /// The same as RED, once somebody wanted it so.
    pub encoded: Option<(Encoded, Handle)>,
    /// It may be made as long as the others of its frame.
    pub is_levelled: bool,
    /// The first packet of the same frame, which knows the longest payload of them.
    pub frame_first: u16,
    pub payload_len_max: usize,
    /// Bytes of padding that are behind it.
    pub padding: u8,
    /// How many copies were sent.
    pub sent: u32,
    /// The engine panicked over one of its copies.
    pub faulty: bool,
    /// Of the same publication.
    pub next: Option<u16>,
}

/// The packets of one publication.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub publication: Slot<PublicationId>,
    pub first: u16,
    last: u16,
    /// By layer, the first packet of the frame that came last.
    frames: [u16; LAYERS as usize],
    /// Key frames of which are wanted, one bit each: subscribers wait for them.
    pub wanted_layers: u8,
}

/// Who is to get copies of one group's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub subscription: Slot<SubscriptionId>,
    pub group: u16,
    /// To the same peer.
    next: u32,
}

/// All deliveries, those to one peer in a row; which peer begins changes from round to round.
#[derive(Debug, Default)]
pub struct Round {
    deliveries: Vec<Delivery>,
    destinations: Vec<Destination>,
    /// By the slots of peers: their destinations, or [`NONE`].
    by_peer: Vec<u32>,
    /// Counts rounds.
    count: usize,
    /// Of the destination whose turn is next, and how many are left.
    destination: usize,
    left: usize,
    delivery: u32,
}

#[derive(Clone, Copy, Debug)]
struct Destination {
    peer: Slot<PeerId>,
    first: u32,
    last: u32,
}

impl Arrivals {
    #[must_use]
    pub fn new() -> Self {
        Self {
            waiting: Vec::with_capacity(PACKETS_MAX),
            layers: Vec::with_capacity(PACKETS_MAX),
            groups: Vec::with_capacity(PACKETS_MAX),
            round: Round::default(),
            spare: Box::new([0; DATAGRAM_LEN_MAX]),
            copies: 0,
            in_hand: None,
        }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a packet to so many subscribers may join the others. The first one always may.
    #[must_use]
    pub const fn has_room(&self, subscribers: usize) -> bool {
        let is_small = self.waiting.len() < PACKETS_MAX && self.copies + subscribers <= COPIES_MAX;
        self.waiting.is_empty() || (is_small && !self.round.has_begun())
    }

    /// Adds a packet behind those of its publication, whose group is `group` if it has one; and returns that.
    pub fn push(
        &mut self,
        group: Option<u16>,
        publication: Slot<PublicationId>,
        subscribers: usize,
        waiting: Waiting,
        layers: Scalability,
    ) -> Option<u16> {
        let index = u16::try_from(self.waiting.len()).ok()?;
        let existing = group.and_then(|group| Some((group, self.groups.get_mut(usize::from(group))?)));
        let mut waiting = waiting;
        waiting.frame_first = index;
        let mut frames = [index; LAYERS as usize];
        let known = existing.map_or(&mut frames, |(_, group)| &mut group.frames);
        if let Some(first) = known.get_mut(usize::from(waiting.facts.layer)) {
            match self.waiting.get_mut(usize::from(*first)).filter(|first| first.is_alike(&waiting)) {
                Some(found) => {
                    found.payload_len_max = found.payload_len_max.max(waiting.facts.payload_len);
                    waiting.frame_first = *first;
                }
                None => *first = index,
            }
        }
        self.waiting.push(waiting);
        self.layers.push(layers);
        self.copies += subscribers;
        let existing = group.and_then(|group| Some((group, self.groups.get_mut(usize::from(group))?)));
        if let Some((group, existing)) = existing {
            if let Some(last) = self.waiting.get_mut(usize::from(existing.last)) {
                last.next = Some(index);
            }
            existing.last = index;
            return Some(group);
        }
        let group = u16::try_from(self.groups.len()).ok()?;
        self.groups.push(Group { publication, first: index, last: index, frames, wanted_layers: 0 });
        Some(group)
    }

    /// Pads packets that are a few bytes shorter than the longest one of their frame: senders cut frames into pieces of
    /// nearly the same length, and only equal ones leave as one train.
    pub fn level(&mut self, pool: &mut Pool) {
        for index in 0..self.waiting.len() {
            let Some(packet) = self.waiting.get(index).filter(|packet| packet.is_levelled) else { continue };
            let longest = self.waiting.get(usize::from(packet.frame_first));
            let longest = longest.map_or(0, |first| first.payload_len_max);
            let short_by = longest.saturating_sub(packet.facts.payload_len);
            let padding = u8::try_from(short_by).ok().filter(|padding| (1..=PADDING_MAX).contains(padding));
            if let (Some(padding), Some(held)) = (padding, packet.held)
                && pool.padded(held, packet.len, padding).is_some()
                && let Some(packet) = self.waiting.get_mut(index)
            {
                packet.padding = padding;
            }
        }
    }

    /// All copies were made.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.layers.clear();
        self.groups.clear();
        self.round.clear();
        self.copies = 0;
        self.in_hand = None;
    }
}

impl Waiting {
    /// Of the same frame, and with the same elements in its header.
    fn is_alike(&self, next: &Self) -> bool {
        self.is_levelled
            && next.is_levelled
            && (self.facts.layer, self.facts.timestamp) == (next.facts.layer, next.facts.timestamp)
            && (self.facts.source, self.passed.is_some()) == (next.facts.source, next.passed.is_some())
            && self.captured.is_some() == next.captured.is_some()
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::new()
    }
}

impl Round {
    /// Adds the subscribers of a group's publication.
    pub fn add(&mut self, group: u16, subscribers: &[Subscriber]) {
        for Subscriber { subscription, peer } in subscribers {
            let Ok(index) = u32::try_from(self.deliveries.len()) else { return };
            self.deliveries.push(Delivery { subscription: *subscription, group, next: NONE });
            if self.by_peer.len() <= peer.index() {
                self.by_peer.resize(peer.index() + 1, NONE);
            }
            let Some(at) = self.by_peer.get_mut(peer.index()) else { return };
            if let Some(destination) = self.destinations.get_mut(*at as usize) {
                if let Some(last) = self.deliveries.get_mut(destination.last as usize) {
                    last.next = index;
                }
                destination.last = index;
            } else {
                *at = u32::try_from(self.destinations.len()).unwrap_or(NONE);
                self.destinations.push(Destination { peer: *peer, first: index, last: index });
            }
        }
    }

    /// Begins: nothing is added any more.
    pub const fn begin(&mut self) {
        self.left = self.destinations.len();
        self.destination = match self.count.checked_rem(self.left) {
            Some(first) => first,
            None => 0,
        };
        self.count = self.count.wrapping_add(1);
        self.delivery = NONE;
    }

    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !self.destinations.is_empty()
    }

    pub fn next_delivery(&mut self) -> Option<Delivery> {
        if self.delivery == NONE {
            self.left = self.left.checked_sub(1)?;
            self.delivery = self.destinations.get(self.destination)?.first;
            self.destination += 1;
            if self.destination == self.destinations.len() {
                self.destination = 0;
            }
        }
        let delivery = *self.deliveries.get(self.delivery as usize)?;
        self.delivery = delivery.next;
        Some(delivery)
    }

    fn clear(&mut self) {
        for destination in self.destinations.drain(..) {
            if let Some(at) = self.by_peer.get_mut(destination.peer.index()) {
                *at = NONE;
            }
        }
        self.deliveries.clear();
        self.left = 0;
        self.delivery = NONE;
    }
}

const NONE: u32 = u32::MAX;
/// Bytes that a packet is padded with at most; Chromium's differ by one.
const PADDING_MAX: u8 = 3;
/// Packets that wait at most: a few pictures.
pub const PACKETS_MAX: usize = 64;
/// Copies that one round makes, but for a single packet to more: they have to fit the driver's send buffers, of which
/// it keeps half free.
pub const COPIES_MAX: usize = 1_536;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn subscribers(pairs: &[(u32, u32)]) -> Vec<Subscriber> {
        pairs
            .iter()
            .map(|(subscription, peer)| Subscriber {
                subscription: Slot::at(*subscription),
                peer: Slot::at(*peer),
            })
            .collect()
    }

    fn rounds(groups: &[&[(u32, u32)]], count: usize) -> Vec<Vec<(usize, u16)>> {
        let mut round = Round::default();
        let turns = |round: &mut Round| {
            for (group, pairs) in (0..).zip(groups) {
                round.add(group, &subscribers(pairs));
            }
            round.begin();
            let turns = core::iter::from_fn(|| round.next_delivery());
            let turns = turns.map(|delivery| (delivery.subscription.index(), delivery.group)).collect();
            round.clear();
            turns
        };
        (0..count).map(|_| turns(&mut round)).collect()
    }

    #[test]
    fn all_that_goes_to_one_peer_is_in_a_row_and_each_peer_begins_in_turn() {
        for (name, groups, expected) in [
            ("nobody", &[&[][..]][..], vec![vec![], vec![]]),
            ("one", &[&[(7, 0)]], vec![vec![(7, 0)], vec![(7, 0)]]),
            (
                "two publications to the same peers",
                &[&[(10, 1), (11, 2)], &[(20, 2), (21, 1)]],
                vec![vec![(10, 0), (21, 1), (11, 0), (20, 1)], vec![(11, 0), (20, 1), (10, 0), (21, 1)]],
            ),
            (
                "a peer that takes one twice",
                &[&[(1, 5), (2, 6), (3, 5)]],
                vec![vec![(1, 0), (3, 0), (2, 0)], vec![(2, 0), (1, 0), (3, 0)]],
            ),
        ] {
            assert_eq!(rounds(groups, 2), expected, "{name}");
        }
    }
}
