//! What a room does when its time comes: tell speakers and quality, and notice layers that ended.

use alloc::vec::Vec;

use forward::facts::Facts;
use forward::scalable::Scalability;
use srtp::cipher::Cipher;
use units::handle::{PublicationId, RoomId};
use units::time::Instant;

use crate::command::MediaKind;
use crate::engine::Engine;
use crate::event::Event;
use crate::ingress::key_frame::Wish;
use crate::outbox::Outbox;
use crate::quality::Totals;
use crate::room::publication::Publication;
use crate::room::{LAYERS_INTERVAL, QUALITY_INTERVAL, Room, interval};
use crate::slots::{Slot, Slots};

impl<C: Cipher> Engine<C> {
    pub(super) fn room_due(&mut self, now: Instant, slot: Slot<RoomId>, out: &mut impl Outbox) {
        let Some(room) = self.rooms.get_mut(slot) else { return };
        if room.speakers_at <= now {
            room.speakers_at = now + interval(&room.audio_levels);
            tell_speakers(now, room, &self.publications, out);
        }
        let settle = room.layers_at <= now;
        let quality = room.quality_at <= now;
        if settle {
            room.layers_at = now + LAYERS_INTERVAL;
        }
        if quality {
            room.quality_at = now + QUALITY_INTERVAL;
        }
        if settle {
            self.settle_layers(now, slot, out);
        }
        if quality {
            self.tell_quality(slot, out);
        }
    }

    /// Lets each subscription of a publication get the best layer that there is now.
    pub(super) fn retarget(&mut self, now: Instant, slot: Slot<PublicationId>) {
        let Some(publication) = self.publications.get_mut(slot) else { return };
        publication.fit_edges();
        let mut wanted_layers = 0_u8;
        for subscriber in &publication.subscribers {
            let Some(subscription) = self.subscriptions.get_mut(subscriber.subscription) else { continue };
            subscription.apply(publication);
            let wanted = subscription.running().and_then(|forwarder| forwarder.needs_key_frame());
            wanted_layers |= wanted.map_or(0, |layer| 1_u8.checked_shl(u32::from(layer)).unwrap_or(0));
        }
        if wanted_layers != 0 {
            self.want_key_frames(now, slot, wanted_layers, Wish::Lock);
        }
        self.demand_changed(now, slot);
    }

    /// Temporal layers that are chosen by their frame rates follow them.
    pub(super) fn learn_frame_rate(
        &mut self,
        now: Instant,
        slot: Slot<PublicationId>,
        facts: &Facts,
        layers: &Scalability,
    ) {
        if facts.out_of_order || facts.payload_len == 0 {
            return;
        }
        let Some(publication) = self.publications.get_mut(slot) else { return };
        if publication.spec.kind == MediaKind::Audio {
            return;
        }
        let of_vp8 = facts.vp8.and_then(|descriptor| descriptor.temporal).map(|temporal| temporal.id);
        let temporal = of_vp8.or_else(|| layers.temporal()).unwrap_or(0);
        let Some(encoding) = publication.encoding_mut(facts.layer) else { return };
        if encoding.frame_rate.observe(now, facts.timestamp, temporal) {
            self.retarget(now, slot);
        }
    }

    fn settle_layers(&mut self, now: Instant, slot: Slot<RoomId>, out: &mut impl Outbox) {
        let count = self.rooms.get(slot).map_or(0, |room| room.publications.len());
        for index in 0..count {
            let publication = self.rooms.get(slot).and_then(|room| room.publications.get(index)).copied();
            let Some(publication) = publication else { continue };
            self.expire_edges(now, publication);
            self.tell_sources(now, publication, out);
            self.tell_stalled(now, publication, out);
            if let Some(publication) = self.publications.get_mut(publication) {
                publication.release_silent(now, &mut self.pool);
            }
            if self.publications.get_mut(publication).is_some_and(Publication::settle_layers) {
                self.retarget(now, publication);
            }
        }
    }

    /// Tells of streams that began too soon after others to be told of at once.
    fn tell_sources(&mut self, now: Instant, slot: Slot<PublicationId>, out: &mut impl Outbox) {
        let Some(publication) = self.publications.get_mut(slot) else { return };
        let Some(peer) = publication.peer().and_then(|peer| self.peers.get(peer)) else { return };
        for layer in 0..forward::facts::LAYERS {
            if let Some(ssrc) = publication.tell_source(now, layer)
                && let Some(source) = peer.ingress.source(ssrc)
            {
                let (id, payload_type) = (publication.spec.id, source.payload_type);
                out.event(Event::SourceStarted { publication: id, layer, ssrc, payload_type });
            }
        }
    }

    /// Tells of videos that somebody waits for in vain. Whoever does not want one now waits for nothing.
    fn tell_stalled(&mut self, now: Instant, slot: Slot<PublicationId>, out: &mut impl Outbox) {
        if self.publications.get(slot).is_some_and(|one| one.has_stalled(now)) {
            self.tell_waiting(slot, out);
        }
    }

    /// Tells that nothing comes to those who want it.
    pub(super) fn tell_waiting(&mut self, slot: Slot<PublicationId>, out: &mut impl Outbox) {
        let Some(publication) = self.publications.get(slot) else { return };
        for subscriber in &publication.subscribers {
            let Some(subscription) = self.subscriptions.get_mut(subscriber.subscription) else { continue };
            if subscription.flowing && !subscription.spec.paused {
                subscription.flowing = false;
                out.event(Event::StreamState { subscription: subscription.spec.id, stalled: true });
            }
        }
    }

    fn tell_quality(&mut self, slot: Slot<RoomId>, out: &mut impl Outbox) {
        let Some(room) = self.rooms.get(slot) else { return };
        let is_here =
            |slot: &&Slot<PublicationId>| self.publications.get(**slot).is_some_and(|it| it.away().is_none());
        let mut publications = Vec::with_capacity(room.publications.iter().filter(is_here).count());
        let subscribers = |slot| self.publications.get(slot).map_or(0, |it| it.subscribers.len());
        let mut subscriptions = Vec::with_capacity(room.publications.iter().copied().map(subscribers).sum());
        for slot in &room.publications {
            let Some(publication) = self.publications.get_mut(*slot) else { continue };
            let peer = publication.peer().and_then(|peer| self.peers.get(peer));
            let mut totals = publication.past;
            let mut jitter_us = 0;
            for source in publication.encodings.iter().filter_map(|encoding| encoding.source) {
                let Some(source) = peer.and_then(|peer| peer.ingress.source(source)) else { continue };
                totals = totals.plus(source.totals());
                jitter_us = jitter_us.max(source.reception.jitter_us());
            }
            let rtt_us = micros(peer.and_then(|peer| peer.rtt));
            // Of one whose home is on another worker, that one tells.
            if publication.away().is_none() {
                publications.push(totals.since(publication.told, publication.spec.id, rtt_us, jitter_us));
                publication.told = totals;
            }
            for subscriber in &publication.subscribers {
                let Some(subscription) = self.subscriptions.get_mut(subscriber.subscription) else {
                    continue;
                };
                let clock_rate = publication.spec.codecs.first().map_or(0, |codec| codec.clock_rate);
                let stream = &subscription.stream;
                let totals = Totals {
                    packets: stream.packets,
                    lost: i64::from(stream.reporting.cumulative_lost),
                    bytes: stream.payload_bytes,
                };
                let jitter_us = u64::from(stream.reporting.jitter) * 1_000_000;
                let jitter_us = jitter_us.checked_div(u64::from(clock_rate)).unwrap_or(0);
                let jitter_us = u32::try_from(jitter_us).unwrap_or(u32::MAX);
                let rtt_us = micros(stream.reporting.rtt);
                subscriptions.push(totals.since(subscription.told, subscription.spec.id, rtt_us, jitter_us));
                subscription.told = totals;
            }
        }
        if !publications.is_empty() || !subscriptions.is_empty() {
            out.event(Event::Quality { room: room.id, publications, subscriptions });
        }
    }
}

fn tell_speakers(
    now: Instant,
    room: &mut Room,
    publications: &Slots<PublicationId, Publication>,
    out: &mut impl Outbox,
) {
    let speakers = &mut room.speakers_now;
    speakers.clear();
    for publication in room.publications.iter().filter_map(|slot| publications.get(*slot)) {
        if let Some(level) = publication.speaker.level(now, &room.audio_levels) {
            speakers.push((publication.spec.id, level));
        }
    }
    // Equally loud ones keep their order.
    speakers.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    if *speakers != room.speakers {
        room.speakers.clone_from(speakers);
        out.event(Event::Speakers { room: room.id, speakers: speakers.clone() });
    }
}

fn micros(time: Option<core::time::Duration>) -> u32 {
    time.map_or(0, |time| u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}
