//! The end of a wake: copies of all packets that came in it are made, subscriber by subscriber.

use forward::facts::Facts;
use forward::scalable::Scalability;
use srtp::cipher::Cipher;
use units::time::Instant;
use wire::trailer::trailer_len;

use crate::arrivals::{self, Arrivals, Delivery, Waiting};
use crate::command::MediaKind;
use crate::discard::{CopyReason, Reason, RelayReason};
use crate::egress::Plain;
use crate::egress::header::Passed;
use crate::egress::sent::Origin;
use crate::engine::Engine;
use crate::engine::copying::{Copying, passed};
use crate::engine::media::{Arrival, Learnt};
use crate::engine::recover::recover;
use crate::engine::relaying::PassedOn;
use crate::event::Event;
use crate::ingress::codec::is_needed;
use crate::ingress::key_frame::Wish;
use crate::ingress::red::Frame;
use crate::outbox::Outbox;
use crate::overload::Restraint;
use crate::room::publication::Publication;

impl<C: Cipher> Engine<C> {
    /// Makes the copies of all packets that came since the last time. To be called when there is nothing more to
    /// receive; commands and ticks do it first.
    ///
    /// Copies for one peer leave in a row, so that a driver can send them together; each stream's in the order in which
    /// its packets came.
    pub fn flush(&mut self, now: Instant, out: &mut impl Outbox) {
        self.make_copies(now, out);
        self.keep_up(now, out);
    }

    pub(super) fn make_copies(&mut self, now: Instant, out: &mut impl Outbox) {
        if self.arrivals.is_empty() {
            return;
        }
        // After a panic, a round that had begun goes on.
        if let Some((packet, _)) = self.arrivals.in_hand.take()
            && let Some(packet) = self.arrivals.waiting.get_mut(usize::from(packet))
        {
            packet.faulty = true;
        }
        if !self.arrivals.round.has_begun() {
            let Arrivals { groups, round, .. } = &mut self.arrivals;
            for (index, group) in (0..).zip(groups) {
                let publication = self.publications.get(group.publication);
                round.add(index, publication.map_or(&[], |publication| &publication.subscribers));
            }
            round.begin();
            self.arrivals.level(&mut self.pool);
        }
        while let Some(delivery) = self.arrivals.round.next_delivery() {
            self.deliver(now, delivery, out);
        }
        self.settle(now);
    }

    /// Keeps a packet for retransmission, and lets it wait for the end of the wake, when its copies are made: now, if the
    /// pool has no buffer to wait in.
    pub(super) fn await_flush(
        &mut self,
        now: Instant,
        origin: arrivals::Origin,
        arrival: &Arrival<'_>,
        learnt: &Learnt,
        out: &mut impl Outbox,
    ) {
        let Learnt { facts, layers, ids, captured } = learnt;
        let count = |publication: &Publication| publication.subscribers.len();
        let subscribers = self.publications.get(arrival.publication).map_or(0, count);
        if !self.arrivals.has_room(subscribers) {
            self.make_copies(now, out);
        }
        let Some(publication) = self.publications.get_mut(arrival.publication) else { return };
        let is_video = publication.spec.kind == MediaKind::Video;
        let passed = Passed::find(arrival.bytes, ids, passed(publication));
        let held = if facts.payload_len == 0 {
            self.pool.store(arrival.bytes) // Nobody asks for padding again.
        } else {
            let clock = captured.map(|captured| captured.clock);
            let encoding = publication.encoding_mut(arrival.layer);
            let held = encoding.and_then(|encoding| {
                let Arrival { source, sequence, bytes, .. } = arrival;
                encoding.history.keep(now, *source, *sequence, bytes, clock, &mut self.pool)
            });
            self.counters.history_exhausted += u64::from(held.is_none());
            held
        };
        if held.is_none() {
            self.make_copies(now, out);
            if let Some(spare) = self.arrivals.spare.get_mut(..arrival.bytes.len()) {
                spare.copy_from_slice(arrival.bytes);
            }
        }
        let payload = arrival.bytes.get(arrival.header_len..).unwrap_or_default();
        let ends_frame = is_video && (facts.marker || layers.ends_frame());
        let trailer_len = if ends_frame { trailer_len(payload) } else { 0 };
        let ends_in_trailer = trailer_len > 0;
        let waiting = Waiting {
            arrived: now,
            origin,
            facts: *facts,
            codec: arrival.codec,
            missing: arrival.missing,
            frame: Frame::primary(arrival.codec.codec, payload),
            captured: *captured,
            is_needed: is_needed(arrival.codec.codec, payload, facts, layers),
            passed,
            trailer_len,
            ids: *ids,
            held,
            len: arrival.bytes.len(),
            header_len: arrival.header_len,
            encoded: None,
            is_levelled: is_video && facts.payload_len > 0 && !ends_in_trailer,
            frame_first: 0,
            payload_len_max: facts.payload_len,
            padding: 0,
            sent: 0,
            faulty: false,
            next: None,
        };
        let Some(publication) = self.publications.get_mut(arrival.publication) else { return };
        let group = publication.group;
        publication.group =
            self.arrivals.push(group, arrival.publication, publication.subscribers.len(), waiting, *layers);
        if held.is_none() {
            self.make_copies(now, out);
        }
    }

    /// Sends one subscriber its copies of one publication's packets.
    fn deliver(&mut self, now: Instant, delivery: Delivery, out: &mut impl Outbox) {
        let wall_clock = self.wall_clock(now);
        let Arrivals { waiting, layers, groups, spare, in_hand, .. } = &mut self.arrivals;
        let Some(group) = groups.get_mut(usize::from(delivery.group)) else { return };
        let Some(publication) = self.publications.get(group.publication) else { return };
        let Some(subscription) = self.subscriptions.get_mut(delivery.subscription) else { return };
        let subscriber = subscription.peer;
        let Some(peer) = self.peers.get_mut(subscriber) else { return };
        let mut is_refused = false;
        let mut next = Some(group.first);
        while let Some(index) = next {
            let Some(packet) = waiting.get_mut(usize::from(index)) else { break };
            *in_hand = Some((index, subscriber));
            next = packet.next;
            if packet.faulty {
                continue;
            }
            let mut copying = Copying {
                now,
                wall_clock,
                arrived: packet.arrived,
                publication,
                facts: &packet.facts,
                layers: layers.get(usize::from(index)).unwrap_or(&Scalability::NONE),
                codec: &packet.codec,
                frame: packet.frame,
                carrier: packet.facts.sequence,
                origin: Origin::Publisher,
                captured: packet.captured,
                is_needed: packet.is_needed,
                trailer_len: packet.trailer_len,
            };
            let encoded;
            let mut padding = 0;
            let header_len = packet.header_len;
            let bytes = if let Some(block) = subscription.red_block(&packet.codec)
                && packet.facts.payload_len > 0
            {
                let (places, kept) = match packet.encoded {
                    Some((places, kept)) => (places, Some(kept)),
                    None => {
                        let encoding = publication.encoding(packet.facts.layer);
                        let history = encoding.map(|encoding| &encoding.history);
                        let plain = match packet.held {
                            Some(handle) => self.pool.bytes(handle),
                            None => &spare[..],
                        };
                        let plain = plain.get(..packet.len).unwrap_or_default();
                        let places =
                            self.redundant.encode(plain, header_len, &packet.facts, history, &self.pool);
                        let kept = self.pool.store(self.redundant.bytes_mut());
                        packet.encoded = kept.map(|kept| (places, kept));
                        (places, kept)
                    }
                };
                encoded = Facts { payload_len: places.payload_len(), ..packet.facts };
                copying.facts = &encoded;
                copying.origin = Origin::Redundant;
                let bytes = match kept {
                    Some(handle) => self.pool.bytes_mut(handle),
                    None => self.redundant.bytes_mut(),
                };
                places.packet_mut(bytes, block)
            } else {
                let bytes = match packet.held {
                    Some(handle) => self.pool.bytes_mut(handle),
                    None => &mut spare[..],
                };
                padding = packet.padding;
                bytes.get_mut(..packet.len + usize::from(padding)).unwrap_or_default()
            };
            let mut plain = Plain { bytes, header_len, padding, passed: packet.passed, ids: &packet.ids };
            if packet.missing > 0 {
                let counters = &mut self.counters;
                recover(&copying, packet.missing, subscription, peer, &mut plain, counters, out);
            }
            match copying.send(subscription, peer, &mut plain, out) {
                Ok(len) => {
                    packet.sent += 1;
                    self.counters.copies_padded += u64::from(padding > 0);
                    self.counters.copies_sent += 1;
                    self.counters.copy_bytes_sent += len as u64;
                    if !core::mem::replace(&mut subscription.flowing, true) {
                        let id = subscription.spec.id;
                        if core::mem::replace(&mut subscription.started, true) {
                            out.event(Event::StreamState { subscription: id, stalled: false });
                        } else {
                            out.event(Event::SubscriptionStarted { subscription: id });
                            peer.timers.sender_reports_at = Some(now);
                            self.peer_timers.bring_forward(subscriber, now);
                        }
                    }
                }
                Err(reason) => {
                    let is_left_out = publication.restraint != Restraint::NONE
                        && subscription.is_left_out(publication, copying.facts, copying.layers, reason);
                    self.counters.discard_copy(if is_left_out { CopyReason::Shed } else { reason });
                    is_refused = true;
                }
            }
        }
        *in_hand = None;
        if is_refused {
            // Not before the last one: it may be the key frame.
            let wanted = subscription.running().and_then(|forwarder| forwarder.needs_key_frame());
            group.wanted_layers |= wanted.map_or(0, |layer| 1_u8.checked_shl(u32::from(layer)).unwrap_or(0));
        }
    }

    /// All copies are made: how each packet ended is counted, and key frames are asked for.
    fn settle(&mut self, now: Instant) {
        for packet in &self.arrivals.waiting {
            for handle in packet.held.into_iter().chain(packet.encoded.map(|(_, handle)| handle)) {
                self.pool.give_back(handle);
            }
            let is_sent = packet.sent > 0;
            match packet.origin {
                arrivals::Origin::Peer(..) if packet.faulty => self.counters.discard(Reason::Panic),
                arrivals::Origin::Peer(_, PassedOn::Nowhere) if !is_sent => {
                    self.counters.discard(Reason::NotWanted);
                }
                arrivals::Origin::Peer(_, PassedOn::NoRoom) if !is_sent => {
                    self.counters.discard(Reason::NotRelayed);
                }
                arrivals::Origin::Peer(..) => self.counters.datagrams_forwarded += 1,
                arrivals::Origin::Worker if packet.faulty => {
                    self.counters.discard_relayed(RelayReason::Panic);
                }
                arrivals::Origin::Worker if !is_sent => {
                    self.counters.discard_relayed(RelayReason::NotWanted);
                }
                arrivals::Origin::Worker => self.counters.relayed_forwarded += 1,
            }
        }
        for index in 0..self.arrivals.groups.len() {
            let Some(group) = self.arrivals.groups.get(index).copied() else { break };
            if let Some(publication) = self.publications.get_mut(group.publication) {
                publication.group = None;
            }
            if group.wanted_layers != 0 {
                self.want_key_frames(now, group.publication, group.wanted_layers, Wish::Lock);
            }
        }
        self.arrivals.clear();
    }
}
