//! Packets of publications whose home is here, on their way to other workers; and what those say they need.

use srtp::cipher::Cipher;
use units::handle::{PublicationId, WorkerIndex};
use units::time::Instant;

use crate::command::MediaKind;
use crate::discard::RelayReason;
use crate::engine::Engine;
use crate::engine::media::{Arrival, Learnt};
use crate::ingress::codec::is_needed;
use crate::ingress::key_frame::Wish;
use crate::outbox::Outbox;
use crate::relay::edges::Heard;
use crate::relay::{Demand, Relayed, bit, layers};
use crate::slots::Slot;

/// What became of a packet for other workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOn {
    /// No other worker needs it.
    Nowhere,
    /// None of them could be given it.
    NoRoom,
    Relayed,
}

impl<C: Cipher> Engine<C> {
    /// Another worker tells what its subscribers need of a publication that has its home here.
    pub fn demand(&mut self, now: Instant, from: WorkerIndex, demand: &Demand) {
        self.counters.demands_received += 1;
        let slot = self.publications.find(demand.publication);
        let publication = slot.and_then(|slot| self.publications.get_mut(slot));
        let (Some(slot), Some(publication)) = (slot, publication.filter(|one| one.peer().is_some())) else {
            // Its home may be about to be here: the demand is repeated.
            self.counters.demands_refused += u64::from(!demand.is_nothing());
            return;
        };
        if publication.edges.hear(now, from, demand) == Heard::TooMany {
            self.counters.demands_refused += 1;
            return;
        }
        publication.fit_edges();
        for reason in [Wish::Repair, Wish::Lock, Wish::Lost] {
            let wished = layers(u8::MAX).zip(demand.key_frames).filter(|(_, wish)| *wish == Some(reason));
            let wished = wished.fold(0, |layers, (layer, _)| layers | bit(layer));
            if wished != 0 {
                self.want_key_frames(now, slot, wished, reason);
            }
        }
    }

    /// Hands a packet to each worker that needs its layer: as it is, one copy for all of that worker's subscribers.
    pub(super) fn pass_on(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        learnt: &Learnt,
        out: &mut impl Outbox,
    ) -> PassedOn {
        let Learnt { facts, layers, ids, captured } = learnt;
        let Some(publication) = self.publications.get_mut(arrival.publication) else {
            return PassedOn::Nowhere;
        };
        if publication.edges.is_empty() {
            return PassedOn::Nowhere;
        }
        let (id, live, kind) = (publication.spec.id, publication.live(), publication.spec.kind);
        let mut relayed = None;
        let (mut sent, mut is_missed) = (0, false);
        for edge in publication.edges.iter_mut() {
            if !edge.takes(arrival.layer, arrival.marker) {
                continue;
            }
            let relayed = relayed.get_or_insert_with(|| Relayed {
                publication: id,
                facts: *facts,
                layers: *layers,
                payload_type: arrival.codec.payload_type,
                header_len: u16::try_from(arrival.header_len).unwrap_or(u16::MAX),
                ids: *ids,
                captured: *captured,
                missing: 0,
                live,
            });
            relayed.missing = edge.missing(arrival.missing);
            let had_room = out.relay(edge.to, relayed, arrival.bytes);
            edge.noted(had_room, arrival.missing);
            if had_room {
                sent += 1;
            } else {
                self.counters.discard_relayed(RelayReason::NoRoom);
                is_missed |= edge.current & bit(arrival.layer) != 0;
            }
        }
        if relayed.is_none() {
            return PassedOn::Nowhere;
        }
        self.counters.packets_relayed += sent;
        let payload = arrival.bytes.get(arrival.header_len..).unwrap_or_default();
        if is_missed
            && kind == MediaKind::Video
            && !payload.is_empty()
            && is_needed(arrival.codec.codec, payload, facts, layers)
        {
            // Nothing is kept for a worker that is behind: what is missing there is made up for by a key frame.
            self.want_key_frames(now, arrival.publication, bit(arrival.layer), Wish::Lost);
        }
        if sent == 0 { PassedOn::NoRoom } else { PassedOn::Relayed }
    }

    /// Ends what no other worker has asked for in a while.
    pub(super) fn expire_edges(&mut self, now: Instant, slot: Slot<PublicationId>) {
        if let Some(publication) = self.publications.get_mut(slot) {
            self.counters.edges_expired += publication.edges.expire(now);
        }
    }
}
