//! A packet's copy for one subscriber: what of it goes out, under which numbers, and what is remembered of it.

use forward::facts::Facts;
use forward::rewrite::{Patch, Rewrite};
use forward::scalable::Scalability;
use srtp::cipher::Cipher;
use units::rtp::PayloadType;
use units::sequence::Seq;
use units::time::Instant;

use crate::command::{Codec, ExtensionKind, MediaKind, PayloadCodec, PayloadMapping};
use crate::discard::CopyReason;
use crate::egress::sent::{Copied as Remembered, Origin};
use crate::egress::{Copied, Plain, header, send_copy};
use crate::ingress::capture::Captured;
use crate::ingress::red::Frame;
use crate::outbox::{Outbox, Precedence};
use crate::peer::Peer;
use crate::room::publication::Publication;
use crate::room::subscription::Subscription;

/// What all copies of one packet have in common.
#[derive(Clone, Copy)]
pub(super) struct Copying<'a> {
    pub(super) now: Instant,
    pub(super) wall_clock: units::time::NtpTime,
    /// When the packet came.
    pub(super) arrived: Instant,
    pub(super) publication: &'a Publication,
    pub(super) facts: &'a Facts,
    pub(super) layers: &'a Scalability,
    pub(super) codec: &'a PayloadCodec,
    /// The frame of a well-formed RED packet that goes to who takes only Opus.
    pub(super) frame: Option<Frame>,
    /// The packet of the source that has the bytes.
    pub(super) carrier: Seq,
    pub(super) origin: Origin,
    pub(super) captured: Option<Captured>,
    /// Pictures that follow may depend on the packet's own.
    pub(super) is_needed: bool,
    /// Of the application's trailer, at the end of the payload.
    pub(super) trailer_len: u8,
}

impl Copying<'_> {
    pub(super) fn send<C: Cipher>(
        &mut self,
        subscription: &mut Subscription,
        peer: &mut Peer<C>,
        packet: &mut Plain<'_>,
        out: &mut impl Outbox,
    ) -> Result<usize, CopyReason> {
        let path = peer.destination().ok_or(CopyReason::NotConnected)?;
        let outbound = peer.transport.outbound.as_mut().ok_or(CopyReason::NotConnected)?;
        let mapping = subscription.mapping(self.codec.payload_type).ok_or(CopyReason::NotMapped)?;
        let (front, behind) = self.cut_off(subscription, &mapping)?;
        let payload_len = self.facts.payload_len.saturating_sub(front + behind);
        let forwarder = subscription.forwarder(self.codec, self.publication).ok_or(CopyReason::OtherCodec)?;
        let rewrite = match front {
            0 => forwarder.forward_layered(self.arrived, self.facts, self.layers)?,
            _ => {
                let patch = Some(Patch::empty(front));
                Rewrite { patch, ..forwarder.forward(self.arrived, &Facts { payload_len, ..*self.facts })? }
            }
        };
        let index = subscription.stream.index(rewrite.sequence).ok_or(CopyReason::TooLate)?;
        let replaces = rewrite.patch.as_ref().map_or(0, |patch| usize::from(patch.replaces));
        let trailer_len = if subscription.spec.strip_packet_trailer { self.trailer_len } else { 0 };
        // A codec's own header is no trailer, whatever it looks like.
        let rest = u16::try_from(self.facts.payload_len.saturating_sub(replaces)).unwrap_or(u16::MAX);
        let cut = u16::from(trailer_len).max(u16::try_from(behind).unwrap_or(u16::MAX)).min(rest);
        let is_whole = cut == 0 && replaces < self.facts.payload_len;
        let padding = if is_whole { packet.padding } else { 0 };
        let keeps_padding = padding > 0;
        let playout_delay = peer.egress.ids.id(ExtensionKind::PlayoutDelay);
        let playout_delay =
            playout_delay.and_then(|_| subscription.playout_told_by(self.now, rewrite.sequence));
        let stamp = peer.egress.stamp(self.wall_clock, playout_delay);
        let written = self.captured.as_ref().map(Captured::written);
        let copied = Copied {
            payload_type: mapping.to,
            ssrc: subscription.stream.ssrc,
            index,
            timestamp: rewrite.timestamp,
            marker: rewrite.marker,
            padded: false,
            keeps_padding,
            mid: &subscription.spec.mid,
            written,
            descriptor: rewrite.descriptor,
            stamp,
            prefix: rewrite.patch.as_ref().map_or(&[], |patch| patch.as_bytes()),
            replaces,
            cut: cut.into(),
            again: None,
        };
        let precedence = match self.publication.spec.kind {
            MediaKind::Audio => Precedence::Audio,
            MediaKind::Video => Precedence::Video,
        };
        let sent = if out.has_room(precedence) {
            send_copy(&path, packet, &copied, &peer.egress.ids, outbound, out)
        } else {
            Err(CopyReason::Shed)
        };
        // What found no buffer is lost like on the way, and may be asked for like that.
        let header_digest = match sent {
            Ok(sent) => Some(sent.header_digest),
            Err(_) => None,
        };
        let stream = &mut subscription.stream;
        if self.facts.key_frame {
            stream.recovery.key_frame_sent(self.now, &rewrite);
        }
        stream.sent.remember(Remembered {
            layer: self.facts.layer,
            source: self.facts.source,
            source_sequence: self.carrier,
            origin: self.origin,
            payload_types: (self.codec.payload_type, mapping.to),
            rewrite,
            stamp,
            captured: self.captured.is_some(),
            is_needed: self.is_needed,
            cut,
            padding,
            header_digest,
            sent_at: self.now,
            resent: 0,
        });
        let len = sent?.len;
        stream.packets += 1;
        stream.payload_bytes += payload_len.saturating_sub(trailer_len.into()) as u64;
        stream.budget.sent(self.now, len);
        Ok(len)
    }

    /// How much of the payload's front and end this subscriber does not get: all of a RED packet but one frame, if
    /// its client takes only Opus.
    fn cut_off(
        &self,
        subscription: &Subscription,
        mapping: &PayloadMapping,
    ) -> Result<(usize, usize), CopyReason> {
        if self.codec.codec != Codec::Red || self.facts.payload_len == 0 {
            return Ok((0, 0));
        }
        let Some(opus) = opus_instead(self.publication, subscription, mapping) else { return Ok((0, 0)) };
        let frame = self.frame.filter(|frame| frame.payload_type == opus);
        let frame = frame.ok_or(CopyReason::Malformed)?;
        Ok((frame.offset, frame.behind))
    }
}

/// The publisher's payload type of Opus, if RED with this mapping goes out as Opus.
pub(super) fn opus_instead(
    publication: &Publication,
    subscription: &Subscription,
    mapping: &PayloadMapping,
) -> Option<PayloadType> {
    let opus = publication.spec.codecs.iter().find(|codec| codec.codec == Codec::Opus)?;
    let opus = subscription.mapping(opus.payload_type)?;
    (opus.to == mapping.to).then_some(opus.from)
}

/// Which extension elements of a publication are passed on.
pub(super) const fn passed(publication: &Publication) -> ExtensionKind {
    match publication.spec.kind {
        MediaKind::Audio => header::AUDIO,
        MediaKind::Video => header::VIDEO,
    }
}
