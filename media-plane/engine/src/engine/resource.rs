//! Resources come and go: idempotent upserts that change only what changed, and deletes that free everything.

use srtp::cipher::Cipher;
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::rtp::Ssrc;
use units::time::Instant;

use crate::command::{
    MediaKind, PeerSpec, PublicationSpec, Refusal, RoomSpec, SIF_TRAILER_LEN_MAX, SubscriptionSpec,
};
use crate::engine::Engine;
use crate::hash::Seeded;
use crate::ingress::key_frame::Wish;
use crate::peer::Peer;
use crate::room::Room;
use crate::room::publication::{Publication, Publisher, Subscriber};
use crate::room::subscription::Subscription;
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    pub(super) fn upsert_room(&mut self, now: Instant, spec: &RoomSpec) -> Result<(), Refusal> {
        if spec.sif_trailer.len() > SIF_TRAILER_LEN_MAX {
            return Err(Refusal::Limit);
        }
        if let Some(room) = self.rooms.find(spec.id).and_then(|slot| self.rooms.get_mut(slot)) {
            // Frames that end with it may still be asked for again, and then have to be the same.
            if room.sif_trailer != spec.sif_trailer {
                return Err(Refusal::Taken);
            }
            room.audio_levels = spec.audio_levels;
            return Ok(());
        }
        self.rooms.insert(spec.id, Room::new(now, spec)).map(|_| ()).ok_or(Refusal::Limit)
    }

    pub(super) fn delete_room(&mut self, now: Instant, id: RoomId) -> Result<(), Refusal> {
        let Some(slot) = self.rooms.find(id) else { return Ok(()) };
        while let Some(peer) = self.rooms.get(slot).and_then(|room| room.peers.last()).copied() {
            let Some(id) = self.peers.get(peer).map(|peer| peer.id) else { break };
            self.delete_peer(now, id)?;
        }
        // Those whose peers are on other workers.
        while let Some(publication) = self.rooms.get(slot).and_then(|room| room.publications.last()).copied()
        {
            let Some(id) = self.publications.get(publication).map(|publication| publication.spec.id) else {
                break;
            };
            self.delete_publication(now, id)?;
        }
        self.rooms.remove(id);
        self.room_timers.set(slot, None);
        Ok(())
    }

    pub(super) fn upsert_peer(&mut self, spec: &PeerSpec) -> Result<(), Refusal> {
        let room = self.rooms.find(spec.room).ok_or(Refusal::UnknownRoom)?;
        let slot = self.peers.find(spec.id);
        self.check_peer(spec, room, slot)?;
        let slot = match slot {
            Some(slot) => slot,
            None => self.add_peer(spec, room)?,
        };
        let Some(peer) = self.peers.get_mut(slot) else { return Err(Refusal::UnknownPeer) };
        for ufrag in peer.ice.ufrags() {
            self.demux.remove_ufrag(ufrag);
        }
        peer.update(spec);
        for ufrag in peer.ice.ufrags() {
            self.demux.add_ufrag(ufrag, slot);
        }
        Ok(())
    }

    pub(super) fn delete_peer(&mut self, now: Instant, id: PeerId) -> Result<(), Refusal> {
        let Some(slot) = self.peers.find(id) else { return Ok(()) };
        while let Some(subscription) =
            self.peers.get(slot).and_then(|peer| peer.subscriptions.last()).copied()
        {
            let Some(id) = self.subscriptions.get(subscription).map(|subscription| subscription.spec.id)
            else {
                break;
            };
            self.delete_subscription(now, id)?;
        }
        while let Some(publication) = self.peers.get(slot).and_then(|peer| peer.publications.last()).copied()
        {
            let Some(id) = self.publications.get(publication).map(|publication| publication.spec.id) else {
                break;
            };
            self.delete_publication(now, id)?;
        }
        let Some(peer) = self.peers.remove(id) else { return Ok(()) };
        for ufrag in peer.ice.ufrags() {
            self.demux.remove_ufrag(ufrag);
        }
        for path in peer.ice.paths() {
            self.demux.remove_path(path, slot);
        }
        if let Some(room) = self.rooms.get_mut(peer.room) {
            room.peers.retain(|other| *other != slot);
        }
        self.peer_timers.set(slot, None);
        Ok(())
    }

    pub(super) fn upsert_publication(&mut self, now: Instant, spec: PublicationSpec) -> Result<(), Refusal> {
        let (publisher, room) = self.publisher_of(&spec)?;
        if spec.encodings.len() > ENCODINGS_MAX || spec.codecs.len() > CODECS_MAX {
            return Err(Refusal::Limit);
        }
        let Some(slot) = self.publications.find(spec.id) else {
            return self.add_publication(now, spec, publisher, room);
        };
        let Some(publication) = self.publications.get_mut(slot) else {
            return Err(Refusal::UnknownPublication);
        };
        if publication.room != room || publication.spec.kind != spec.kind {
            return Err(Refusal::Taken);
        }
        if !publication.publisher.is_same(&publisher) {
            self.move_publication(slot, publisher)?;
        }
        let Some(publication) = self.publications.get_mut(slot) else {
            return Err(Refusal::UnknownPublication);
        };
        let unmuted = publication.spec.muted && !spec.muted;
        let muted = !publication.spec.muted && spec.muted;
        if let Some(peer) = publication.peer().and_then(|peer| self.peers.get_mut(peer)) {
            peer.ingress.signalled.upsert(slot, &spec);
        }
        publication.update(spec, &mut self.pool);
        if unmuted {
            publication.expected_since = Some(now);
        }
        self.retarget(now, slot);
        if unmuted {
            self.want_key_frames_for_all(now, slot);
        }
        if muted {
            self.begin_silence(now, slot);
        }
        Ok(())
    }

    pub(super) fn delete_publication(&mut self, now: Instant, id: PublicationId) -> Result<(), Refusal> {
        let Some(slot) = self.publications.find(id) else { return Ok(()) };
        while let Some(subscriber) =
            self.publications.get(slot).and_then(|publication| publication.subscribers.last()).copied()
        {
            let Some(id) =
                self.subscriptions.get(subscriber.subscription).map(|subscription| subscription.spec.id)
            else {
                break;
            };
            self.delete_subscription(now, id)?;
        }
        let Some(mut publication) = self.publications.remove(id) else { return Ok(()) };
        publication.clear(&mut self.pool);
        self.demand_timers.set(slot, None);
        if let Some(peer) = publication.peer() {
            self.withdraw(peer, slot);
        }
        if let Some(room) = self.rooms.get_mut(publication.room) {
            room.publications.retain(|other| *other != slot);
        }
        Ok(())
    }

    pub(super) fn upsert_subscription(
        &mut self,
        now: Instant,
        spec: SubscriptionSpec,
    ) -> Result<(), Refusal> {
        let peer_slot = self.peers.find(spec.peer).ok_or(Refusal::UnknownPeer)?;
        let publication_slot = self.publications.find(spec.publication).ok_or(Refusal::UnknownPublication)?;
        if spec.payloads.len() > CODECS_MAX || spec.cname.len() > CNAME_LEN_MAX {
            return Err(Refusal::Limit);
        }
        let Some(slot) = self.subscriptions.find(spec.id) else {
            return self.add_subscription(now, spec, peer_slot, publication_slot);
        };
        let publication = self.publications.get_mut(publication_slot).ok_or(Refusal::UnknownPublication)?;
        let Some(subscription) = self.subscriptions.get_mut(slot) else {
            return Err(Refusal::UnknownPublication);
        };
        let before = &subscription.spec;
        // Another place or other SSRCs make it another subscription.
        if subscription.peer != peer_slot
            || subscription.publication != publication_slot
            || (before.ssrc, before.rtx_ssrc) != (spec.ssrc, spec.rtx_ssrc)
        {
            return Err(Refusal::Taken);
        }
        let more = (before.paused && !spec.paused) || before.layer_max < spec.layer_max;
        if before.paused && !spec.paused {
            publication.expected_since = Some(now);
        }
        subscription.update(spec);
        subscription.apply(publication);
        let wanted = subscription.running().and_then(|forwarder| forwarder.needs_key_frame());
        if let Some(layer) = wanted {
            self.want_key_frames(
                now,
                publication_slot,
                1_u8.checked_shl(u32::from(layer)).unwrap_or(0),
                Wish::Lock,
            );
        } else if more
            && self.subscriptions.get_mut(slot).is_some_and(|subscription| subscription.running().is_none())
        {
            self.want_key_frame_for(now, slot, Wish::Lock);
        }
        self.demand_changed(now, publication_slot);
        Ok(())
    }

    pub(super) fn delete_subscription(&mut self, now: Instant, id: SubscriptionId) -> Result<(), Refusal> {
        let Some(slot) = self.subscriptions.find(id) else { return Ok(()) };
        let Some(subscription) = self.subscriptions.remove(id) else { return Ok(()) };
        let frame = self.last_frame(slot, &subscription);
        if let Some(publication) = self.publications.get_mut(subscription.publication) {
            publication.subscribers.retain(|other| other.subscription != slot);
            if publication.subscribers.is_empty() {
                publication.clear(&mut self.pool);
            }
        }
        self.demand_changed(now, subscription.publication);
        if let Some(peer) = self.peers.get_mut(subscription.peer) {
            peer.subscriptions.retain(|other| *other != slot);
            for ssrc in subscription.ssrcs() {
                peer.streams.shift_remove(&ssrc);
                if subscription.started {
                    peer.retired.insert(ssrc);
                }
            }
        }
        if let Some(frame) = frame {
            self.linger(now, subscription, frame);
        }
        Ok(())
    }

    pub(super) fn request_key_frame(&mut self, now: Instant, id: PublicationId) -> Result<(), Refusal> {
        let slot = self.publications.find(id).ok_or(Refusal::UnknownPublication)?;
        self.want_key_frames_for_all(now, slot);
        Ok(())
    }

    fn check_peer(
        &self,
        spec: &PeerSpec,
        room: Slot<RoomId>,
        slot: Option<Slot<PeerId>>,
    ) -> Result<(), Refusal> {
        let extensions = [&spec.receive_extensions, &spec.send_extensions];
        if spec.local_ice.len() > CREDENTIALS_MAX
            || extensions.iter().any(|extensions| extensions.0.len() > EXTENSIONS_MAX)
        {
            return Err(Refusal::Limit);
        }
        let taken = |ufrag: &str| self.demux.by_ufrag(ufrag).is_some_and(|owner| Some(owner) != slot);
        if spec.local_ice.iter().any(|credentials| taken(&credentials.ufrag)) {
            return Err(Refusal::Taken);
        }
        let elsewhere = |slot| self.peers.get(slot).is_some_and(|peer| peer.room != room);
        if slot.is_some_and(elsewhere) { Err(Refusal::Taken) } else { Ok(()) }
    }

    fn add_peer(&mut self, spec: &PeerSpec, room: Slot<RoomId>) -> Result<Slot<PeerId>, Refusal> {
        let seed = Seeded(self.random.draw());
        let peer = Peer::new(spec, room, &self.config.limits, seed);
        let slot = self.peers.insert(spec.id, peer).ok_or(Refusal::Limit)?;
        if let Some(room) = self.rooms.get_mut(room) {
            room.peers.push(slot);
        }
        Ok(slot)
    }

    fn add_publication(
        &mut self,
        now: Instant,
        spec: PublicationSpec,
        publisher: Publisher,
        room_slot: Slot<RoomId>,
    ) -> Result<(), Refusal> {
        let id = spec.id;
        let publication = Publication::new(spec, publisher, room_slot);
        let mut peer = publication.peer().and_then(|peer| self.peers.get_mut(peer));
        if peer
            .as_ref()
            .is_some_and(|peer| peer.publications.len() >= self.config.limits.publications_per_peer)
        {
            return Err(Refusal::Limit);
        }
        let is_video = publication.spec.kind == MediaKind::Video;
        let slot = self.publications.insert(id, publication).ok_or(Refusal::Limit)?;
        if is_video && let Some(publication) = self.publications.get_mut(slot) {
            publication.restraint = self.overload.restraint(slot.index());
        }
        if let Some(peer) = &mut peer {
            peer.publications.push(slot);
            if let Some(publication) = self.publications.get(slot) {
                peer.ingress.signalled.upsert(slot, &publication.spec);
            }
        }
        if let Some(room) = self.rooms.get_mut(room_slot) {
            room.publications.push(slot);
            if let Some(at) = room.next_at() {
                self.room_timers.bring_forward(room_slot, at.max(now));
            }
        }
        Ok(())
    }

    fn add_subscription(
        &mut self,
        now: Instant,
        spec: SubscriptionSpec,
        peer_slot: Slot<PeerId>,
        publication_slot: Slot<PublicationId>,
    ) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let Some(publication) = self.publications.get_mut(publication_slot) else {
            return Err(Refusal::UnknownPublication);
        };
        let Some(peer) = self.peers.get_mut(peer_slot) else { return Err(Refusal::UnknownPeer) };
        if peer.subscriptions.len() >= limits.subscriptions_per_peer
            || peer.retired.len() >= RETIRED_MAX
            || self.subscriptions.is_full()
        {
            return Err(Refusal::Limit);
        }
        let used = |ssrc: Ssrc| peer.streams.contains_key(&ssrc) || peer.retired.contains(&ssrc);
        if used(spec.ssrc) || spec.rtx_ssrc.is_some_and(used) || spec.rtx_ssrc == Some(spec.ssrc) {
            return Err(Refusal::Taken);
        }
        let id = spec.id;
        let kind = publication.spec.kind;
        let subscription = Subscription::new(spec, peer_slot, publication_slot, kind, &mut self.random);
        let ssrcs = subscription.ssrcs();
        let slot = self.subscriptions.insert(id, subscription).ok_or(Refusal::Limit)?;
        publication.subscribers.push(Subscriber { subscription: slot, peer: peer_slot });
        peer.subscriptions.push(slot);
        for ssrc in ssrcs {
            peer.streams.insert(ssrc, slot);
        }
        self.want_key_frame_for(now, slot, Wish::Lock);
        self.demand_changed(now, publication_slot);
        Ok(())
    }

    /// Each subscription gets a key frame of what it should get.
    fn want_key_frames_for_all(&mut self, now: Instant, slot: Slot<PublicationId>) {
        let count = self.publications.get(slot).map_or(0, |publication| publication.subscribers.len());
        for index in 0..count {
            let publication = self.publications.get(slot);
            let subscriber = publication.and_then(|publication| publication.subscribers.get(index)).copied();
            if let Some(Subscriber { subscription, .. }) = subscriber {
                self.want_key_frame_for(now, subscription, Wish::Lock);
            }
        }
        let relayed = self.publications.get(slot).map_or(0, |publication| publication.edges.layers());
        if relayed != 0 {
            self.want_key_frames(now, slot, relayed, Wish::Lock);
        }
    }
}

const ENCODINGS_MAX: usize = forward::facts::LAYERS as usize;
/// Codecs of one publication: LiveKit offers 14 payload types of video.
const CODECS_MAX: usize = 32;
const CREDENTIALS_MAX: usize = 4;
const EXTENSIONS_MAX: usize = 16;
const CNAME_LEN_MAX: usize = 255;
/// SSRCs that a peer's ended subscriptions used under the present keys.
const RETIRED_MAX: usize = 65_536;
