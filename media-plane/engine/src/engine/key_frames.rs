//! Key frames: who wants them, which pictures are given up for them, and the requests to publishers.

use core::time::Duration;

use srtp::cipher::Cipher;
use units::handle::{PeerId, PublicationId, SubscriptionId};
use units::rtp::Ssrc;
use units::time::Instant;
use wire::rtcp::feedback::{FullIntraEntry, PictureLossIndication};

use crate::command::MediaKind;
use crate::engine::Engine;
use crate::engine::rtcp_out::Batch;
use crate::ingress::key_frame::Wish;
use crate::ingress::source::Assignment;
use crate::outbox::Outbox;
use crate::room::publication::Publication;
use crate::room::subscription::Subscription;
use crate::slots::{Slot, Slots};

impl<C: Cipher> Engine<C> {
    /// A key frame of the layer that the subscription should get is wanted.
    pub(super) fn want_key_frame_for(&mut self, now: Instant, slot: Slot<SubscriptionId>, wish: Wish) {
        let Some(subscription) = self.subscriptions.get_mut(slot) else { return };
        let Some(publication) = self.publications.get(subscription.publication) else { return };
        if subscription.is_paused(publication) {
            return;
        }
        let best = publication.best_layer(subscription.layer_max(publication));
        let slot = subscription.publication;
        let current = subscription.running().and_then(|forwarder| forwarder.current_layer());
        if let Some(layer) = current.or(best) {
            self.want_key_frames(now, slot, 1_u8.checked_shl(u32::from(layer)).unwrap_or(0), wish);
        }
    }

    /// Key frames of some layers, one bit each, are wanted.
    pub(super) fn want_key_frames(
        &mut self,
        now: Instant,
        slot: Slot<PublicationId>,
        layers: u8,
        wish: Wish,
    ) {
        let Some(publication) = self.publications.get_mut(slot) else { return };
        if publication.spec.kind == MediaKind::Audio || publication.spec.muted {
            return;
        }
        for (layer, encoding) in publication.encodings.iter_mut().enumerate() {
            if layers >> layer & 1 == 1 {
                encoding.key_frame.want(wish);
            }
        }
        let Some(publisher) = publication.peer() else {
            return self.key_frames_wanted_of_home(now, slot);
        };
        let rtt = self.peers.get(publisher).and_then(|peer| peer.rtt);
        if let Some(at) = next_key_frame_request(publication, rtt) {
            self.peer_timers.bring_forward(publisher, at.max(now));
        }
    }

    /// Does without what a publisher was asked for too often or too long; and asks for a key frame where that hurts.
    pub(super) fn give_up(&mut self, now: Instant, slot: Slot<PeerId>) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for (_, source) in peer.ingress.sources_mut() {
            self.counters.packets_given_up += u64::from(source.nack.give_up(now));
        }
        while let Some(broken) = self.take_broken(slot) {
            let Some(Assignment { publication, layer, .. }) = broken else { continue };
            if self.is_forwarded(publication, layer) {
                self.counters.pictures_given_up += 1;
                let layers = 1_u8.checked_shl(u32::from(layer)).unwrap_or(0);
                self.want_key_frames(now, publication, layers, Wish::Lost);
            }
        }
    }

    /// One of the sources that miss something for good, each once; and what it is.
    fn take_broken(&mut self, slot: Slot<PeerId>) -> Option<Option<Assignment>> {
        let mut sources = self.peers.get_mut(slot)?.ingress.sources_mut();
        sources.find_map(|(_, source)| source.nack.take_broken().then(|| source.media()))
    }

    fn is_forwarded(&mut self, publication: Slot<PublicationId>, layer: u8) -> bool {
        let Some(publication) = self.publications.get(publication) else { return false };
        publication.edges.show(layer)
            || publication.subscribers.iter().any(|subscriber| {
                let forwarder =
                    self.subscriptions.get_mut(subscriber.subscription).and_then(Subscription::running);
                forwarder.is_some_and(|forwarder| forwarder.current_layer() == Some(layer))
            })
    }
}

pub(super) fn next_key_frame_request(publication: &Publication, rtt: Option<Duration>) -> Option<Instant> {
    if publication.spec.muted || !(publication.spec.pli || publication.spec.fir) {
        return None;
    }
    // A home elsewhere is asked for any layer: it knows the sources.
    let is_away = publication.away().is_some();
    let encodings = (0..).zip(&publication.encodings);
    let encodings = encodings.filter(|(_, encoding)| is_away || encoding.source.is_some());
    encodings.filter_map(|(layer, encoding)| encoding.key_frame.next_at(layer, rtt)).min()
}

/// PLI or FIR (RFC 4585 §6.3.1, RFC 5104 §4.3.1) for each encoding whose time has come.
pub(super) fn key_frame_requests<C: Cipher, O: Outbox>(
    now: Instant,
    sender: Ssrc,
    rtt: Option<Duration>,
    slots: &[Slot<PublicationId>],
    publications: &mut Slots<PublicationId, Publication>,
    batch: &mut Batch<'_, C, O>,
) {
    for slot in slots {
        let Some(publication) = publications.get_mut(*slot) else { continue };
        if next_key_frame_request(publication, rtt).is_none_or(|at| now < at) {
            continue;
        }
        let pli = publication.spec.pli;
        for (layer, encoding) in (0..).zip(&mut publication.encodings) {
            let Some(media) = encoding.source else { continue };
            if !encoding.key_frame.ask(now, layer, rtt) {
                continue;
            }
            let entry = FullIntraEntry { ssrc: media, command: encoding.key_frame.fir_sequence };
            let asked = batch.add(|builder| {
                if pli {
                    builder.picture_loss_indication(PictureLossIndication { sender, media })
                } else {
                    builder.full_intra_request(sender, &[entry])
                }
            });
            batch.counters().key_frame_requests_sent += u64::from(asked.is_ok());
        }
    }
}
