//! What one peer sends: its sources, and what is learnt from each packet once it is authenticated.

pub mod capture;
pub mod codec;
pub mod dependency;
pub mod edge;
pub mod elements;
pub mod frame_rate;
pub mod key_frame;
pub mod nack;
pub mod reception;
pub mod red;
pub mod reference_time;
pub mod seen;
pub mod source;
pub mod spatial;
pub mod twcc;

use alloc::boxed::Box;
use forward::facts::Facts;
use forward::scalable::Scalability;

use indexmap::IndexMap;
use units::handle::PublicationId;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use units::time::Instant;
use wire::rtp::Header;

use crate::command::ExtensionKind;
use crate::hash::Seeded;
use crate::ingress::capture::PublisherClock;
use crate::ingress::dependency::Dependencies;
use crate::ingress::edge::Edge;
use crate::ingress::elements::ExtensionIds;
use crate::ingress::nack::Nack;
use crate::ingress::reception::Reception;
use crate::ingress::reference_time::ReferenceTimes;
use crate::ingress::seen::Seen;
use crate::ingress::source::{Assignment, Names, Signalled};
use crate::ingress::twcc::Twcc;
use crate::quality::Totals;
use crate::slots::Slot;

/// The receiving half of a peer.
#[derive(Debug)]
pub struct Ingress {
    pub signalled: Signalled,
    pub ids: ExtensionIds,
    pub twcc: Twcc,
    /// By the sender reports of all sources.
    pub clock: PublisherClock,
    pub reference_times: ReferenceTimes,
    sources: IndexMap<Ssrc, Source, Seeded>,
    sources_max: usize,
    /// Another one after each change of keys, and in each engine.
    generation: u32,
}

/// One stream of a peer.
#[derive(Debug)]
pub struct Source {
    names: Names,
    /// `None` while no publication has such a stream.
    pub assignment: Option<Assignment>,
    pub reception: Reception,
    pub nack: Nack,
    pub seen: Seen,
    pub payload_type: PayloadType,
    /// `None` before the first dependency descriptor.
    pub dependencies: Option<Box<Dependencies>>,
    /// Of the packet before, for the duration that an audio level covers.
    pub timestamp: Option<u32>,
    /// The newest packet with payload, and what it tells of its picture.
    edge: Option<(Seq, Option<Edge>)>,
}

/// The fixed header's fields, apart from the packet's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub ssrc: Ssrc,
    pub sequence: Seq16,
    pub payload_type: PayloadType,
    pub timestamp: u32,
    pub marker: bool,
    pub padded: bool,
    pub header_len: usize,
}

impl Head {
    #[must_use]
    pub const fn of(header: &Header<'_>) -> Self {
        Self {
            ssrc: header.ssrc(),
            sequence: header.sequence(),
            payload_type: header.payload_type(),
            timestamp: header.timestamp(),
            marker: header.marker(),
            padded: header.has_padding(),
            header_len: header.header_len(),
        }
    }
}

/// The peer sends more streams than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySources;

impl Ingress {
    #[must_use]
    pub fn new(ids: ExtensionIds, sources_max: usize, seed: Seeded) -> Self {
        Self {
            signalled: Signalled::default(),
            ids,
            twcc: Twcc::default(),
            clock: PublisherClock::default(),
            reference_times: ReferenceTimes::default(),
            sources: IndexMap::with_hasher(seed),
            sources_max,
            generation: first_generation(seed),
        }
    }

    /// The source of an authenticated packet, with its publication if one has such a stream.
    pub fn source_of(&mut self, head: &Head, header: &Header<'_>) -> Result<&mut Source, TooManySources> {
        if !self.sources.contains_key(&head.ssrc) && self.sources.len() >= self.sources_max {
            // One that a publication left behind has waited long enough for another one.
            let waiting = self.sources.values().position(|source| source.assignment.is_none());
            self.sources.shift_remove_index(waiting.ok_or(TooManySources)?);
        }
        let source = self.sources.entry(head.ssrc).or_insert_with(|| Source::new(head.payload_type));
        source.payload_type = head.payload_type;
        if source.assignment.is_none() {
            source.names.learn(self.ids.names(header));
            source.assignment = self.signalled.resolve(head.ssrc, &source.names, head.payload_type);
        }
        Ok(source)
    }

    /// Reads the dependency descriptor of a stream's packet, if it has one. It knows key frames better than the payload,
    /// which may be encrypted from end to end: returns whether one begins, unless that is not known.
    pub fn learn_layers(
        &mut self,
        now: Instant,
        ssrc: Ssrc,
        packet: &[u8],
        layers: &mut Scalability,
    ) -> Option<bool> {
        let id = self.ids.id(ExtensionKind::DependencyDescriptor)?;
        let header = Header::parse(packet).ok()?;
        let data = header.extension(id)?;
        let told = self.source_mut(ssrc)?.dependencies.get_or_insert_default().read(now, data)?;
        layers.dependency = Some(told.dependency);
        told.key_frame
    }

    /// A stream as forwarding tells it from others: under other keys its numbers begin anew, so that it is another one.
    #[must_use]
    pub const fn identity(&self, ssrc: Ssrc) -> Ssrc {
        Ssrc(ssrc.0 ^ self.generation.reverse_bits())
    }

    /// A publication is gone: its streams wait for another one that has their names. Calls `released` with each.
    pub fn release(&mut self, publication: Slot<PublicationId>, mut released: impl FnMut(Ssrc)) {
        self.signalled.remove(publication);
        for (ssrc, source) in &mut self.sources {
            if source.assignment.is_some_and(|assignment| assignment.publication == publication) {
                *source = Source { names: source.names, ..Source::new(source.payload_type) };
                released(*ssrc);
            }
        }
    }

    /// The peer says that the stream ended.
    pub fn end(&mut self, ssrc: Ssrc) -> Option<Source> {
        self.sources.shift_remove(&ssrc)
    }

    /// Forgets all streams: the peer has new keys, and SRTP counts anew.
    pub fn restart(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.sources.clear();
        self.twcc = Twcc::default();
        self.clock = PublisherClock::default();
        self.reference_times = ReferenceTimes::default();
    }

    pub fn source_mut(&mut self, ssrc: Ssrc) -> Option<&mut Source> {
        self.sources.get_mut(&ssrc)
    }

    #[must_use]
    pub fn source(&self, ssrc: Ssrc) -> Option<&Source> {
        self.sources.get(&ssrc)
    }

    pub fn sources_mut(&mut self) -> impl Iterator<Item = (Ssrc, &mut Source)> {
        self.sources.iter_mut().map(|(ssrc, source)| (*ssrc, source))
    }

    pub fn sources(&self) -> impl Iterator<Item = (Ssrc, &Source)> {
        self.sources.iter().map(|(ssrc, source)| (*ssrc, source))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}

impl Source {
    fn new(payload_type: PayloadType) -> Self {
        Self {
            names: Names::default(),
            assignment: None,
            reception: Reception::new(0),
            nack: Nack::default(),
            seen: Seen::default(),
            payload_type,
            dependencies: None,
            timestamp: None,
            edge: None,
        }
    }

    /// The sequence number of a restored packet: the one nearest to what came.
    ///
    /// `None` if it is far ahead: it repeats a packet of another stream, and would make those of this one old.
    #[must_use]
    pub fn extend(&self, sequence: Seq16) -> Option<Seq> {
        let highest = self.seen.highest()?;
        Some(highest.nearest(sequence)).filter(|extended| extended.0 <= highest.0 + RESTORED_AHEAD_MAX)
    }

    /// Learns from a packet of the stream, which is new. Returns how many missing packets were given up.
    pub fn learn(&mut self, now: Instant, sequence: Seq, timestamp: u32, len: usize, nack: bool) -> u32 {
        self.reception.received(now, sequence, timestamp, len);
        if nack { self.nack.received(now, sequence) } else { 0 }
    }

    /// Learns from a packet with payload what those that miss around it are good for.
    pub fn learn_picture(&mut self, facts: &Facts, layers: &Scalability) {
        if facts.key_frame {
            self.nack.key_frame(facts.sequence, facts.vp8.is_some());
        }
        let tells_nothing = facts.vp8.is_none() && self.edge.is_none();
        if tells_nothing || facts.out_of_order || facts.payload_len == 0 {
            return;
        }
        let edge = facts.vp8.as_ref().and_then(|descriptor| Edge::of(descriptor, layers, facts.marker));
        if let Some((before, Some(edge_before))) = self.edge.replace((facts.sequence, edge))
            && facts.sequence > before.next()
            && edge.is_some_and(|edge| edge_before.misses_only_enhancements(&edge))
        {
            self.nack.disposable_from(before);
        }
    }

    /// What came so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            packets: self.reception.packets(),
            lost: i64::from(self.reception.cumulative_lost()),
            bytes: self.reception.bytes(),
        }
    }

    /// Whether the stream is a publication's media, not its repair.
    #[must_use]
    pub fn media(&self) -> Option<Assignment> {
        self.assignment.filter(|assignment| !assignment.repair)
    }
}

/// Another one in each engine: streams are told from those of an engine that was there before, by other workers, too.
const fn first_generation(seed: Seeded) -> u32 {
    (seed.0 >> 32) as u32
}

/// How far ahead of what came itself a retransmission may be: some losses in a row, found by a probe.
const RESTORED_AHEAD_MAX: u64 = 256;
