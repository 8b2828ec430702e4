//! A packet of media from arrival to its copies: open, learn, restore, and forward to each subscription.

use core::time::Duration;

use forward::facts::{Class, Facts, Reference};
use forward::scalable::Scalability;
use srtp::cipher::Cipher;
use srtp::inbound::OpenError;
use units::handle::{PeerId, PublicationId};
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;
use wire::rtp::{Header, without_padding};
use wire::rtx;

use crate::arrivals::Origin;
use crate::command::{MediaKind, PayloadCodec, UplinkFeedback};
use crate::discard::Reason;
use crate::engine::relaying::PassedOn;
use crate::engine::{Engine, Outcome};
use crate::event::Event;
use crate::ingress::capture::Captured;
use crate::ingress::codec::{Picture, class};
use crate::ingress::elements::ExtensionIds;
use crate::ingress::source::Assignment;
use crate::ingress::{Head, Source};
use crate::outbox::Outbox;
use crate::quality::Totals;
use crate::slots::Slot;

/// A packet that was learnt from and is to be forwarded.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) publication: Slot<PublicationId>,
    pub(super) layer: u8,
    pub(super) ssrc: Ssrc,
    /// The stream's identity.
    pub(super) source: Ssrc,
    pub(super) sequence: Seq,
    pub(super) out_of_order: bool,
    /// How many packets before this one have not come.
    pub(super) missing: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) codec: PayloadCodec,
    /// Header and payload in the clear, without padding.
    pub(super) bytes: &'a mut [u8],
    pub(super) header_len: usize,
}

/// What all copies of a packet are made by, here and on other workers.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) facts: Facts,
    pub(super) layers: Scalability,
    /// The publisher's.
    pub(super) ids: ExtensionIds,
    pub(super) captured: Option<Captured>,
}

/// Where a packet stands: from whom, of which stream, under which number.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: Slot<PeerId>,
    assignment: Assignment,
    head: Head,
    sequence: Seq,
    payload_len: usize,
}

impl<C: Cipher> Engine<C> {
    pub(crate) fn media(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        let head = Head::of(&Header::parse(datagram).map_err(|_| Reason::RtpMalformed)?);
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let inbound = peer.transport.inbound.as_mut().ok_or(Reason::NoKeys)?;
        if inbound.is_duplicate(head.ssrc, head.sequence) {
            return self.duplicate(slot, &head, datagram);
        }
        let opened = inbound.open_rtp(datagram, head.header_len).map_err(refused)?;
        let packet = datagram.get_mut(..opened.len).ok_or(Reason::RtpMalformed)?;
        let place = self.learn_transport(now, slot, head, opened.sequence, packet)?;
        let packet = packet.get_mut(..head.header_len + place.payload_len).ok_or(Reason::RtpMalformed)?;
        let arrival = if place.assignment.repair {
            match self.restore(now, &place, packet)? {
                Some(arrival) => arrival,
                None => return Ok(Outcome::Consumed),
            }
        } else {
            self.learn(now, &place, packet, out)?
        };
        self.forward(now, slot, arrival, out)
    }

    /// A packet that was opened before may be a bandwidth probe: then transport feedback learns of it, and nothing else.
    fn duplicate(&mut self, slot: Slot<PeerId>, head: &Head, datagram: &mut [u8]) -> Result<Outcome, Reason> {
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let number =
            Header::parse(datagram).ok().and_then(|header| peer.ingress.ids.transport_sequence(&header));
        if let (Some(number), Some(inbound)) = (number, &peer.transport.inbound) {
            inbound.open_duplicate_rtp(datagram, head.header_len).map_err(refused)?;
            if peer.ingress.twcc.received_again(self.received, number) {
                self.counters.probes_received += 1;
                self.feedback_pending(slot);
            }
        }
        Err(Reason::Duplicate)
    }

    /// What an authentic packet tells whatever it carries: its transport-wide number, and its stream.
    fn learn_transport(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        head: Head,
        sequence: Seq,
        packet: &[u8],
    ) -> Result<Place, Reason> {
        let Ok(header) = Header::parse(packet) else { return Err(Reason::RtpMalformed) };
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let ingress = &mut peer.ingress;
        if let Some(number) = ingress.ids.transport_sequence(&header) {
            // Of the network's delay, not of ours.
            ingress.twcc.received(self.received, number);
        }
        let payload = packet.get(head.header_len..).ok_or(Reason::RtpMalformed)?;
        let payload = without_padding(payload, head.padded).map_err(|_| Reason::RtpMalformed)?;
        let source = ingress.source_of(&head, &header).map_err(|_| Reason::TooManySources)?;
        let assignment = source.assignment.ok_or(Reason::UnknownSource);
        let payload_len = payload.len();
        if peer.timers.reports_at.is_none() {
            let at = now + FIRST_REPORT_AFTER;
            peer.timers.reports_at = Some(at);
            self.peer_timers.bring_forward(slot, at);
        }
        self.feedback_pending(slot);
        Ok(Place { slot, assignment: assignment?, head, sequence, payload_len })
    }

    /// Learns from a packet of a publication's own stream.
    fn learn<'a>(
        &mut self,
        now: Instant,
        place: &Place,
        packet: &'a mut [u8],
        out: &mut impl Outbox,
    ) -> Result<Arrival<'a>, Reason> {
        let Place { slot, assignment, head, sequence, payload_len } = *place;
        let publication = self.publications.get_mut(assignment.publication).ok_or(Reason::UnknownSource)?;
        let codec = publication.codec(head.payload_type).ok_or(Reason::UnknownPayloadType)?;
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let identity = peer.ingress.identity(head.ssrc);
        let source = peer.ingress.source_mut(head.ssrc).ok_or(Reason::UnknownSource)?;
        let before = source.seen.highest();
        source.reception.set_clock_rate(codec.clock_rate);
        if !source.seen.insert(sequence) {
            // It overtook nothing but its own retransmission: it was not lost.
            source.reception.received(now, sequence, head.timestamp, packet.len());
            return Err(Reason::Duplicate);
        }
        let given_up = source.learn(now, sequence, head.timestamp, packet.len(), publication.spec.nack);
        self.counters.packets_given_up += u64::from(given_up);
        if before.is_some_and(|before| sequence > before.next()) {
            self.peer_timers.bring_forward(slot, now + NACK_AFTER);
        }
        let elapsed =
            source.timestamp.replace(head.timestamp).map(|before| head.timestamp.wrapping_sub(before));
        if publication.spec.kind == MediaKind::Audio
            && let Ok(header) = Header::parse(packet)
            && let Some(level) = peer.ingress.ids.audio_level(&header)
            && let Some(room) = self.rooms.get(publication.room)
            && !publication.spec.muted
        {
            let duration = elapsed.map_or(Duration::ZERO, |elapsed| covered(elapsed, codec.clock_rate));
            publication.speaker.observe(now, level.level, duration, &room.audio_levels);
        }
        let first = before.is_none();
        self.note_source(now, assignment, &head, first, out)?;
        Ok(Arrival {
            publication: assignment.publication,
            layer: assignment.layer,
            ssrc: head.ssrc,
            source: identity,
            sequence,
            out_of_order: before.is_some_and(|before| sequence < before),
            missing: before.map_or(0, |before| sequence.0.saturating_sub(before.0 + 1)),
            timestamp: head.timestamp,
            marker: head.marker,
            codec,
            bytes: packet,
            header_len: head.header_len,
        }
        .with_payload(payload_len))
    }

    /// Tells of an encoding's first packet, and lets a layer that came to life be forwarded.
    ///
    /// Of two streams of one encoding the one that began last counts.
    fn note_source(
        &mut self,
        now: Instant,
        assignment: Assignment,
        head: &Head,
        first: bool,
        out: &mut impl Outbox,
    ) -> Result<(), Reason> {
        let publication = self.publications.get_mut(assignment.publication).ok_or(Reason::UnknownSource)?;
        let encoding = publication.encoding_mut(assignment.layer).ok_or(Reason::UnknownSource)?;
        let started = encoding.source != Some(head.ssrc);
        if started && !first && encoding.source.is_some() {
            return Err(Reason::Superseded);
        }
        let superseded = encoding.source.replace(head.ssrc).filter(|_| started);
        let alive = publication.packet_came(now, assignment.layer);
        if started && let Some(ssrc) = publication.tell_source(now, assignment.layer) {
            out.event(Event::SourceStarted {
                publication: publication.spec.id,
                layer: assignment.layer,
                ssrc,
                payload_type: head.payload_type,
            });
        }
        if let Some(superseded) = superseded {
            let peer = publication.peer().and_then(|peer| self.peers.get(peer));
            let source = peer.and_then(|peer| peer.ingress.source(superseded));
            publication.past = publication.past.plus(source.map_or_else(Totals::default, Source::totals));
        }
        if alive || started {
            self.retarget(now, assignment.publication);
        }
        Ok(())
    }

    /// Turns a retransmission into the packet that it repeats. `None` for a probe of nothing but padding.
    fn restore<'a>(
        &mut self,
        now: Instant,
        place: &Place,
        packet: &'a mut [u8],
    ) -> Result<Option<Arrival<'a>>, Reason> {
        let Place { slot, assignment, head, sequence, payload_len } = *place;
        let publication = self.publications.get_mut(assignment.publication).ok_or(Reason::UnknownSource)?;
        let peer = self.peers.get_mut(slot).ok_or(Reason::UnknownPath)?;
        let repair = peer.ingress.source_mut(head.ssrc).ok_or(Reason::UnknownSource)?;
        repair.learn(now, sequence, head.timestamp, packet.len(), false);
        let payload = packet.get(head.header_len..).ok_or(Reason::RtxUnusable)?;
        let Some(original) = rtx::original_sequence(payload) else { return Ok(None) };
        let codec = publication.codec_of_rtx(head.payload_type).ok_or(Reason::UnknownPayloadType)?;
        let ssrc = publication.encoding(assignment.layer).and_then(|encoding| encoding.source);
        let ssrc = ssrc.ok_or(Reason::RtxUnusable)?;
        let identity = peer.ingress.identity(ssrc);
        let source = peer.ingress.source_mut(ssrc).ok_or(Reason::RtxUnusable)?;
        let original = source.extend(original).ok_or(Reason::RtxUnusable)?;
        let before = source.seen.highest();
        if !source.seen.insert(original) {
            return Err(Reason::RtxDuplicate);
        }
        if publication.spec.nack {
            self.counters.packets_given_up += u64::from(source.nack.received(now, original));
        }
        self.counters.packets_restored += 1;
        let restored = rtx::restore(packet, head.header_len, codec.payload_type, ssrc);
        let bytes = restored.ok_or(Reason::RtxUnusable)?;
        Ok(Some(
            Arrival {
                publication: assignment.publication,
                layer: assignment.layer,
                ssrc,
                source: identity,
                sequence: original,
                out_of_order: before.is_some_and(|before| original < before),
                missing: 0,
                timestamp: head.timestamp,
                marker: head.marker,
                codec,
                bytes,
                header_len: head.header_len,
            }
            .with_payload(payload_len.saturating_sub(rtx::ORIGINAL_SEQUENCE_LEN)),
        ))
    }

    /// Hands the packet to whoever takes it, here and on other workers.
    fn forward(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        arrival: Arrival<'_>,
        out: &mut impl Outbox,
    ) -> Result<Outcome, Reason> {
        let mut layers = Scalability::default();
        let facts = self.facts(now, slot, &arrival, &mut layers);
        self.learn_frame_rate(now, arrival.publication, &facts, &layers);
        let publication = self.publications.get_mut(arrival.publication).ok_or(Reason::UnknownSource)?;
        let encoding = publication.encoding_mut(arrival.layer).ok_or(Reason::UnknownSource)?;
        if facts.key_frame {
            encoding.key_frame.key_frame_arrived();
        }
        if publication.spec.muted {
            return Err(Reason::Muted);
        }
        let is_wanted_here = !publication.subscribers.is_empty();
        if !is_wanted_here && publication.edges.is_empty() {
            return Err(Reason::NotWanted);
        }
        let peer = self.peers.get(slot).ok_or(Reason::UnknownSource)?;
        let (id, ids, clock) = (peer.id, peer.ingress.ids, peer.ingress.clock.offset());
        let captured = Captured::read(arrival.bytes, &ids, clock);
        let learnt = Learnt { facts, layers, ids, captured };
        let passed_on = self.pass_on(now, &arrival, &learnt, out);
        if is_wanted_here {
            self.await_flush(now, Origin::Peer(id, passed_on), &arrival, &learnt, out);
            return Ok(Outcome::Waiting);
        }
        match passed_on {
            PassedOn::Nowhere => Err(Reason::NotWanted),
            PassedOn::NoRoom => Err(Reason::NotRelayed),
            PassedOn::Relayed => Ok(Outcome::Forwarded),
        }
    }

    /// What forwarding has to know of the packet, for all subscriptions.
    fn facts(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        arrival: &Arrival<'_>,
        layers: &mut Scalability,
    ) -> Facts {
        let payload = arrival.bytes.get(arrival.header_len..).unwrap_or_default();
        let picture = Picture::read(arrival.codec.codec, payload, layers);
        let ingress = self.peers.get_mut(slot).map(|peer| &mut peer.ingress);
        let (source, key_frame) = match (ingress, class(arrival.codec.codec)) {
            (Some(ingress), class) if !payload.is_empty() && may_have_dependencies(class, &picture) => {
                let told = ingress.learn_layers(now, arrival.ssrc, arrival.bytes, layers);
                (ingress.source_mut(arrival.ssrc), told.unwrap_or(picture.key_frame))
            }
            (ingress, _) => (ingress.and_then(|ingress| ingress.source_mut(arrival.ssrc)), picture.key_frame),
        };
        let report = source.as_ref().and_then(|source| source.reception.last_sender_report());
        let facts = Facts {
            source: arrival.source,
            layer: arrival.layer,
            sequence: arrival.sequence,
            out_of_order: arrival.out_of_order,
            timestamp: arrival.timestamp,
            marker: arrival.marker,
            payload_len: payload.len(),
            key_frame,
            vp8: picture.vp8,
            reference: report.map(|report| Reference {
                received: report.arrived_at,
                ntp: report.ntp,
                rtp: report.timestamp,
            }),
        };
        if let Some(source) = source {
            source.learn_picture(&facts, layers);
        }
        facts
    }

    /// Transport feedback has something to tell.
    fn feedback_pending(&mut self, slot: Slot<PeerId>) {
        let peer = self.peers.get(slot).filter(|peer| peer.uplink.feedback == UplinkFeedback::TransportCc);
        let next = peer.and_then(|peer| peer.ingress.twcc.next_at());
        if let Some(at) = next {
            self.peer_timers.bring_forward(slot, at);
        }
    }
}

impl Arrival<'_> {
    /// Cuts off what follows the payload.
    fn with_payload(mut self, payload_len: usize) -> Self {
        let bytes = core::mem::take(&mut self.bytes);
        let len = bytes.len().min(self.header_len + payload_len);
        self.bytes = bytes.split_at_mut(len).0;
        self
    }
}

/// VP8 whose own descriptors tell of its pictures is forwarded by those.
fn may_have_dependencies(class: Class, picture: &Picture) -> bool {
    match class {
        Class::Audio => false,
        Class::Vp8 => picture.vp8.is_some_and(|descriptor| descriptor.is_bare()),
        Class::Vp9 | Class::Video => true,
    }
}

/// How much time an audio packet stands for; a longer step of its timestamp is a pause.
fn covered(elapsed: u32, clock_rate: u32) -> Duration {
    let micros = (u64::from(elapsed) * 1_000_000).checked_div(u64::from(clock_rate)).unwrap_or(0);
    if micros > 120_000 { Duration::ZERO } else { Duration::from_micros(micros) }
}

pub(super) const fn refused(error: OpenError) -> Reason {
    match error {
        OpenError::Short => Reason::Short,
        OpenError::Replay => Reason::Duplicate,
        OpenError::Unauthentic => Reason::Authentication,
        OpenError::TooManySources => Reason::TooManySources,
    }
}

/// When missing packets are asked for first; the queue knows better when it is looked at.
const NACK_AFTER: Duration = Duration::from_millis(20);
const FIRST_REPORT_AFTER: Duration = Duration::from_secs(1);
