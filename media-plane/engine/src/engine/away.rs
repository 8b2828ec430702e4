//! Publications whose home is on another worker: their packets come from there, and what is needed of them is told there.

use srtp::cipher::Cipher;
use units::handle::{PeerId, PublicationId, RoomId, WorkerIndex};
use units::time::Instant;

use crate::arrivals::Origin;
use crate::command::{Home, PublicationSpec, Refusal};
use crate::discard::RelayReason;
use crate::engine::key_frames::next_key_frame_request;
use crate::engine::media::{Arrival, Learnt};
use crate::engine::{Engine, TICK_MIN};
use crate::outbox::Outbox;
use crate::relay::away::Away;
use crate::relay::{Demand, Relayed, bit, bits_up_to};
use crate::room::publication::{Publication, Publisher};
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    /// A packet of a publication whose home is another worker. It goes the way of those that are opened here, from the
    /// history on, and waits for [`Self::flush`] like them.
    pub fn relayed(
        &mut self,
        now: Instant,
        from: WorkerIndex,
        packet: &Relayed,
        bytes: &mut [u8],
        out: &mut impl Outbox,
    ) {
        self.counters.relayed_received += 1;
        if let Err(reason) = self.forward_relayed(now, from, packet, bytes, out) {
            self.counters.discard_relayed(reason);
        }
    }

    fn forward_relayed(
        &mut self,
        now: Instant,
        from: WorkerIndex,
        packet: &Relayed,
        bytes: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<(), RelayReason> {
        let slot = self.publications.find(packet.publication);
        let publication = slot.and_then(|slot| self.publications.get_mut(slot));
        let publication =
            publication.filter(|publication| publication.away().is_some_and(|away| away.home == from));
        let (Some(slot), Some(publication)) = (slot, publication) else {
            // It does not know yet that nobody here needs it any more.
            self.tell_demand(from, Demand::nothing(packet.publication), out);
            return Err(RelayReason::UnknownPublication);
        };
        let codec = publication.codec(packet.payload_type).ok_or(RelayReason::UnknownPayloadType)?;
        let layer = packet.facts.layer;
        let encoding = publication.encoding_mut(layer).ok_or(RelayReason::UnknownLayer)?;
        if packet.facts.key_frame {
            encoding.key_frame.key_frame_arrived();
            // Who waited for it may need other layers now.
            self.demand_timers.bring_forward(slot, now);
        }
        let missing = publication.away_mut().map_or(0, |away| away.arrived(packet));
        let is_changed = publication.set_live(packet.live | bit(layer));
        publication.packet_came(now, layer);
        if is_changed {
            self.retarget(now, slot);
        }
        let Relayed { facts, layers, ids, captured, .. } = *packet;
        self.learn_frame_rate(now, slot, &facts, &layers);
        let publication = self.publications.get(slot).ok_or(RelayReason::UnknownPublication)?;
        if publication.spec.muted {
            return Err(RelayReason::Muted);
        }
        if publication.subscribers.is_empty() {
            return Err(RelayReason::NotWanted);
        }
        let arrival = Arrival {
            publication: slot,
            layer,
            ssrc: facts.source,
            source: facts.source,
            sequence: facts.sequence,
            out_of_order: facts.out_of_order,
            missing,
            timestamp: facts.timestamp,
            marker: facts.marker,
            codec,
            bytes,
            header_len: packet.header_len.into(),
        };
        self.await_flush(now, Origin::Worker, &arrival, &Learnt { facts, layers, ids, captured }, out);
        Ok(())
    }

    /// Something may have changed in what is needed of a publication; if its home is elsewhere, it is told.
    pub(super) fn demand_changed(&mut self, now: Instant, slot: Slot<PublicationId>) {
        if self.publications.get(slot).is_some_and(|publication| publication.away().is_some()) {
            self.demand_timers.bring_forward(slot, now);
        }
    }

    /// Key frames are wanted of a publication whose home is elsewhere.
    pub(super) fn key_frames_wanted_of_home(&mut self, now: Instant, slot: Slot<PublicationId>) {
        if let Some(at) =
            self.publications.get(slot).and_then(|publication| next_key_frame_request(publication, None))
        {
            self.demand_timers.bring_forward(slot, at.max(now));
        }
    }

    /// Tells homes what is needed, where that changed or is to be told again.
    pub(super) fn tell_demands(&mut self, now: Instant, out: &mut impl Outbox) {
        let mut cursor = 0;
        while let Some(slot) = self.demand_timers.take_due(now, &mut cursor) {
            let next = self.demand_due(now, slot, out);
            self.demand_timers.set(slot, next.map(|at| at.max(now + TICK_MIN)));
        }
    }

    fn demand_due(
        &mut self,
        now: Instant,
        slot: Slot<PublicationId>,
        out: &mut impl Outbox,
    ) -> Option<Instant> {
        let mut demand = self.needed(slot)?;
        let publication = self.publications.get_mut(slot)?;
        let home = publication.away()?.home;
        if !demand.is_nothing() && next_key_frame_request(publication, None).is_some_and(|at| at <= now) {
            let encodings = (0..).zip(&mut publication.encodings);
            for (wished, (layer, encoding)) in demand.key_frames.iter_mut().zip(encodings) {
                let wish = encoding.key_frame.wish();
                *wished = wish.filter(|_| encoding.key_frame.ask(now, layer, None));
            }
        }
        if publication.away()?.is_due(now, &demand) {
            let has_left = self.tell_demand(home, demand, out);
            let publication = self.publications.get_mut(slot)?;
            publication.away_mut()?.told(now, &demand, has_left);
            if !has_left {
                want_again(publication, &demand);
            }
        }
        let publication = self.publications.get(slot)?;
        let key_frame = next_key_frame_request(publication, None).filter(|_| !demand.is_nothing());
        publication.away()?.again_at().into_iter().chain(key_frame).min()
    }

    fn tell_demand(&mut self, home: WorkerIndex, demand: Demand, out: &mut impl Outbox) -> bool {
        let has_left = out.demand(home, demand);
        self.counters.demands_sent += u64::from(has_left);
        self.counters.demands_dropped += u64::from(!has_left);
        has_left
    }

    /// What the subscribers here need of a publication: what they may get, and what they do until that comes.
    fn needed(&mut self, slot: Slot<PublicationId>) -> Option<Demand> {
        let publication = self.publications.get(slot)?;
        let mut demand = Demand::nothing(publication.spec.id);
        let last = u8::try_from(publication.encodings.len()).ok()?.checked_sub(1)?;
        for subscriber in &publication.subscribers {
            let Some(subscription) = self.subscriptions.get_mut(subscriber.subscription) else { continue };
            if subscription.is_paused(publication) {
                continue;
            }
            let layer_max = subscription.layer_max(publication).min(last);
            demand.layers_max |= bit(layer_max);
            let current = subscription.running().and_then(|forwarder| forwarder.current_layer());
            // Who has none yet begins with the first key frame of any.
            demand.current |= current.map_or_else(|| bits_up_to(layer_max), |layer| bit(layer.min(last)));
        }
        Some(demand)
    }

    /// Who publishes, and in which room, as `spec` has it.
    pub(super) fn publisher_of(&self, spec: &PublicationSpec) -> Result<(Publisher, Slot<RoomId>), Refusal> {
        match spec.home.filter(|home| home.worker != self.config.worker) {
            Some(Home { worker, room }) => {
                let room = self.rooms.find(room).ok_or(Refusal::UnknownRoom)?;
                Ok((Publisher::Away(Away::new(worker)), room))
            }
            None => {
                let slot = self.peers.find(spec.peer).ok_or(Refusal::UnknownPeer)?;
                let peer = self.peers.get(slot).ok_or(Refusal::UnknownPeer)?;
                Ok((Publisher::Here(slot), peer.room))
            }
        }
    }

    /// The publisher is on another worker than before, or comes from there. What goes to subscribers goes on with its
    /// next key frame.
    pub(super) fn move_publication(
        &mut self,
        slot: Slot<PublicationId>,
        publisher: Publisher,
    ) -> Result<(), Refusal> {
        let publication = self.publications.get_mut(slot).ok_or(Refusal::UnknownPublication)?;
        let before = publication.peer();
        if let (Some(_), Publisher::Here(_)) = (before, &publisher) {
            return Err(Refusal::Taken);
        }
        if let Publisher::Here(peer) = publisher {
            let peer = self.peers.get_mut(peer).ok_or(Refusal::UnknownPeer)?;
            if peer.publications.len() >= self.config.limits.publications_per_peer {
                return Err(Refusal::Limit);
            }
            peer.publications.push(slot);
        }
        publication.publisher = publisher;
        publication.edges.clear();
        if let Some(before) = before {
            publication.sources_gone();
            self.withdraw(before, slot);
        }
        Ok(())
    }

    /// A peer does not publish it any more: its streams wait for another publication.
    pub(super) fn withdraw(&mut self, peer: Slot<PeerId>, publication: Slot<PublicationId>) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        peer.publications.retain(|other| *other != publication);
        let inbound = &mut peer.transport.inbound;
        peer.ingress.release(publication, |ssrc| {
            if let Some(inbound) = inbound {
                inbound.forget(ssrc);
            }
        });
    }
}

/// What could not be asked for is asked for as soon as it may be.
fn want_again(publication: &mut Publication, demand: &Demand) {
    for (encoding, wish) in publication.encodings.iter_mut().zip(demand.key_frames) {
        if let Some(wish) = wish {
            encoding.key_frame.want(wish);
        }
    }
}
