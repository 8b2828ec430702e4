//! Frames of our own in the place of a publisher's: silence for one that was muted, black or silence at a stream's end.

use alloc::boxed::Box;

use forward::forwarder::own::Padding;
use srtp::cipher::Cipher;
use units::handle::{PeerId, PublicationId, SubscriptionId};
use units::rtp::PayloadType;
use units::time::Instant;

use crate::command::{Codec, MediaKind};
use crate::egress::own::{Blank, Content};
use crate::engine::Engine;
use crate::engine::own_out::{OwnOut, Target};
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::peer::blanks::{Ended, LINGER_MAX, Of, Run};
use crate::room::Room;
use crate::room::publication::{Publication, Subscriber};
use crate::room::subscription::Subscription;
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    /// The publication was muted: subscribers hear silence for a while instead of what their clients make of nothing.
    pub(super) fn begin_silence(&mut self, now: Instant, slot: Slot<PublicationId>) {
        let Some(publication) = self.publications.get(slot) else { return };
        let Some(room) = self.rooms.get(publication.room) else { return };
        if publication.spec.kind != MediaKind::Audio {
            return; // A picture is covered by clients: they are told.
        }
        for Subscriber { subscription: slot, .. } in &publication.subscribers {
            let Some(subscription) = self.subscriptions.get(*slot).filter(|one| !one.spec.paused) else {
                continue;
            };
            let Some(peer) = self.peers.get_mut(subscription.peer) else { continue };
            let Some(frame) = blank_frame(subscription, publication, room) else { continue };
            let run = Run::new(now, frame.blank, frame.marked, frame.payload_types, Of::Muted(*slot));
            peer.blanks.add(run);
            self.peer_timers.bring_forward(subscription.peer, now);
        }
    }

    /// The frame that a subscription which is gone from its slot ends with, if it needs one.
    pub(super) fn last_frame(
        &mut self,
        slot: Slot<SubscriptionId>,
        subscription: &Subscription,
    ) -> Option<OwnFrame> {
        let silenced = self.peers.get_mut(subscription.peer)?.blanks.forget(slot);
        let publication = self.publications.get(subscription.publication)?;
        let is_silent = publication.spec.kind == MediaKind::Audio && publication.spec.muted && !silenced;
        let room = self.rooms.get(publication.room).filter(|_| !is_silent)?;
        blank_frame(subscription, publication, room)
    }

    /// A subscription ended: its stream lingers until it has shown black or said nothing for a moment.
    pub(super) fn linger(&mut self, now: Instant, subscription: Subscription, frame: OwnFrame) {
        let peer_slot = subscription.peer;
        let Some(peer) = self.peers.get_mut(peer_slot) else { return };
        let Some((forwarder, stream, mid)) = subscription.into_stream() else { return };
        let ended = Ended { stream, forwarder, mid, until: now + LINGER_MAX };
        let OwnFrame { blank, marked, payload_types } = frame;
        if peer.blanks.add(Run::new(now, blank, marked, payload_types, Of::Ended(Box::new(ended)))) {
            self.peer_timers.bring_forward(peer_slot, now);
        } else {
            self.counters.streams_cut_off += 1;
        }
    }

    /// Sends the frames that are due to one peer.
    pub(super) fn blanks_due(&mut self, now: Instant, slot: Slot<PeerId>, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get(slot) else { return };
        if peer.blanks.next_at().is_none_or(|at| at > now) {
            return;
        }
        let wall_clock = self.wall_clock(now);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let trailer = self.rooms.get(peer.room).map_or(&[][..], |room| &room.sif_trailer);
        let path = peer.destination();
        let Peer { blanks, transport, egress, .. } = peer;
        let Some((path, outbound)) = path.zip(transport.outbound.as_mut()) else {
            return blanks.clear(); // Nobody is there to see or hear them.
        };
        let counters = &mut self.counters;
        let mut own = OwnOut { now, wall_clock, path, trailer, egress, outbound, counters, out };
        let (publications, subscriptions) = (&self.publications, &mut self.subscriptions);
        blanks.retain(|run| {
            let Some(at) = run.take(now) else { return !run.is_over(now) };
            let (blank, payload_types) = (run.blank, run.payload_types);
            let content = Content::Frame { blank, marked: run.marked };
            match &mut run.of {
                Of::Muted(slot) => {
                    let Some(subscription) = subscriptions.get_mut(*slot) else { return false };
                    let publication = publications.get(subscription.publication);
                    if subscription.spec.paused
                        || publication.is_none_or(|publication| !publication.spec.muted)
                    {
                        return false;
                    }
                    let Some((forwarder, stream, mid)) = subscription.stream_mut() else { return false };
                    let Some(rewrite) = forwarder.insert(at, blank.frames_per_second()) else { return false };
                    own.send(content, rewrite, &mut Target { stream, mid, payload_types });
                }
                Of::Ended(ended) => {
                    let Ended { stream, forwarder, mid, .. } = &mut **ended;
                    let mut target = Target { stream, mid, payload_types };
                    if !forwarder.is_between_frames() {
                        // Nobody waits for the rest of the frame that was under way.
                        let padding = Padding { count: 1, frames_per_second: 0, force: true };
                        let closing = forwarder.pad(at, padding).into_iter().flatten();
                        closing.for_each(|rewrite| {
                            own.send(Content::Padding, rewrite, &mut target);
                        });
                    }
                    let Some(rewrite) = forwarder.insert(at, blank.frames_per_second()) else { return false };
                    own.send(content, rewrite, &mut target);
                }
            }
            !run.is_over(now)
        });
    }
}

/// Which frame of our own a stream may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnFrame {
    blank: Blank,
    marked: bool,
    payload_types: (PayloadType, PayloadType),
}

/// The frame that can follow what was sent last; `None` if nothing was, or its codec has none.
fn blank_frame(subscription: &Subscription, publication: &Publication, room: &Room) -> Option<OwnFrame> {
    let marked = publication.spec.encrypted;
    if marked && room.sif_trailer.is_empty() {
        return None; // Who can't tell it from the others would decrypt it.
    }
    let (from, to) = subscription.stream.sent.last_copy()?.payload_types;
    let opus = || publication.spec.codecs.iter().find(|codec| codec.codec == Codec::Opus);
    let opus_to = || subscription.mapping(opus()?.payload_type).map(|mapping| mapping.to);
    let blank = match publication.codec(from)?.codec {
        Codec::Opus => {
            subscription.mapping(from).and_then(|mapping| mapping.red).map_or(Blank::Opus, Blank::Red)
        }
        Codec::Red if opus_to() == Some(to) => Blank::Opus,
        Codec::Red => Blank::Red(opus()?.payload_type),
        Codec::Pcmu => Blank::Pcmu,
        Codec::Pcma => Blank::Pcma,
        Codec::Vp8 => Blank::Vp8,
        Codec::H264 => Blank::H264,
        Codec::Vp9 | Codec::Av1 | Codec::H265 => return None,
    };
    Some(OwnFrame { blank, marked, payload_types: (from, to) })
}
