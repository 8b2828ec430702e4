//! A subscriber's NACK answered: the packet is found by the number under which it was sent, and sealed again from the history.

use core::time::Duration;

use srtp::cipher::Cipher;
use units::handle::PeerId;
use units::rtp::Ssrc;
use units::sequence::Seq16;
use units::time::Instant;
use wire::rtp::Header;

use crate::command::MediaKind;
use crate::egress::header::Passed;
use crate::egress::own::{Content, OwnPacket};
use crate::egress::recovery::Moot;
use crate::egress::sent::{NotResent, Origin};
use crate::egress::splice::PREFIX_LEN_MAX;
use crate::egress::{Copied, Plain, send_copy};
use crate::engine::Engine;
use crate::engine::copying::passed;
use crate::ingress::capture::Captured;
use crate::ingress::key_frame::Wish;
use crate::outbox::{Outbox, Precedence};
use crate::room::publication::Publisher;
use crate::slots::Slot;

impl<C: Cipher> Engine<C> {
    /// Sends again what the peer misses of the stream with `ssrc`; `left` is how many of it are still looked for.
    pub(super) fn resend(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        ssrc: Ssrc,
        missing: impl Iterator<Item = Seq16>,
        left: &mut usize,
        out: &mut impl Outbox,
    ) {
        for number in missing {
            self.counters.nacks_received += 1;
            if *left == 0 {
                self.counters.nacks_over_budget += 1;
                continue;
            }
            *left -= 1;
            let counter = match self.resend_one(now, slot, ssrc, number, out) {
                Ok(()) => &mut self.counters.packets_resent,
                Err(NotSent::Not(NotResent::Unknown)) => &mut self.counters.nacks_unknown,
                Err(NotSent::Not(NotResent::Recent)) => &mut self.counters.nacks_recent,
                Err(NotSent::Not(NotResent::Exhausted)) => &mut self.counters.nacks_exhausted,
                Err(NotSent::Moot(Moot::AwaitingKeyFrame)) => &mut self.counters.nacks_awaiting_key_frame,
                Err(NotSent::Moot(Moot::BeforeKeyFrame)) => &mut self.counters.nacks_before_key_frame,
                Err(NotSent::Lost) => {
                    self.picture_given_up(now, slot, ssrc);
                    &mut self.counters.nacks_exhausted
                }
                Err(NotSent::OverBudget) => &mut self.counters.nacks_over_budget,
                Err(NotSent::LostOverBudget) => {
                    self.picture_given_up(now, slot, ssrc);
                    &mut self.counters.nacks_over_budget
                }
                Err(NotSent::Unsendable) => &mut self.counters.nacks_unsendable,
                Err(NotSent::Shed) => &mut self.counters.nacks_shed,
            };
            *counter += 1;
        }
    }

    fn picture_given_up(&mut self, now: Instant, slot: Slot<PeerId>, ssrc: Ssrc) {
        let subscription = self.peers.get(slot).and_then(|peer| peer.streams.get(&ssrc)).copied();
        if let Some(subscription) = subscription {
            self.want_key_frame_for(now, subscription, Wish::Repair);
        }
    }

    fn resend_one(
        &mut self,
        now: Instant,
        slot: Slot<PeerId>,
        ssrc: Ssrc,
        number: Seq16,
        out: &mut impl Outbox,
    ) -> Result<(), NotSent> {
        let unknown = NotSent::Not(NotResent::Unknown);
        if !out.has_room(Precedence::Retransmission) {
            return Err(NotSent::Shed);
        }
        let wall_clock = self.wall_clock(now);
        let subscription = self.peers.get(slot).and_then(|peer| peer.streams.get(&ssrc)).copied();
        let subscription = self.subscriptions.get_mut(subscription.ok_or(unknown)?).ok_or(unknown)?;
        let publication = self.publications.get(subscription.publication).ok_or(unknown)?;
        let is_video = publication.spec.kind == MediaKind::Video;
        if is_video && self.overload.leaves_out(Precedence::Retransmission) {
            return Err(NotSent::Shed);
        }
        let ids = match &publication.publisher {
            Publisher::Here(peer) => self.peers.get(*peer).ok_or(unknown)?.ingress.ids,
            Publisher::Away(away) => away.ids,
        };
        let peer = self.peers.get_mut(slot).ok_or(unknown)?;
        let path = peer.destination().ok_or(NotSent::Unsendable)?;
        let outbound = peer.transport.outbound.as_mut().ok_or(NotSent::Unsendable)?;
        let stream = &mut subscription.stream;
        if ssrc != stream.ssrc {
            return Err(unknown);
        }
        let rtt = peer.rtt.unwrap_or(RTT_DEFAULT).max(RTT_MIN);
        let sent = stream.sent.find(number).ok_or(unknown)?;
        let refusal = sent.refusal(now, rtt);
        if refusal == Some(NotResent::Recent) {
            return Err(NotSent::Not(NotResent::Recent));
        }
        let encoding = publication.encoding(sent.layer).ok_or(unknown)?;
        let is_awaited = encoding.key_frame.is_awaited();
        if let Some(moot) = stream.recovery.moot(&sent.rewrite, stream.sent.newest(), is_awaited) {
            return Err(NotSent::Moot(moot));
        }
        let mut own;
        let bytes = match sent.origin {
            Origin::Publisher => {
                let history = &encoding.history;
                history
                    .packet(sent.source, sent.source_sequence, sent.padding, &mut self.pool)
                    .ok_or(unknown)?
            }
            Origin::Own(content) => {
                let trailer = self.rooms.get(peer.room).map_or(&[][..], |room| &room.sif_trailer);
                own = OwnPacket::new(content, trailer).ok_or(unknown)?;
                own.bytes_mut()
            }
            Origin::Redundant => return Err(NotSent::Unsendable),
        };
        let clock = if sent.captured {
            encoding.history.clock(sent.source, sent.source_sequence)
        } else {
            None // The packet may say it of another frame than the one that was taken out of it.
        };
        let captured = Captured::read(bytes, &ids, clock);
        let written = captured.as_ref().map(Captured::written);
        let header_len = Header::parse(bytes).map_err(|_| unknown)?.header_len();
        let is_needed = sent.is_needed;
        if let Some(refusal) = refusal {
            if is_needed && stream.recovery.give_up() {
                self.counters.pictures_given_up += 1;
                return Err(NotSent::Lost);
            }
            return Err(NotSent::Not(refusal));
        }
        if !stream.budget.take(now, bytes.len(), is_needed) {
            let is_overdue = now - sent.sent_at >= OVERDUE_AFTER;
            if is_needed && is_overdue && stream.recovery.give_up() {
                self.counters.pictures_given_up += 1;
                return Err(NotSent::LostOverBudget);
            }
            return Err(NotSent::OverBudget);
        }
        let mapping = subscription.spec.payloads.iter().find(|mapping| mapping.from == sent.payload_types.0);
        let rtx_payload_type = mapping.and_then(|mapping| mapping.rtx);
        let mut prefix = Prefix::default();
        let as_rtx = stream.rtx.as_mut().zip(rtx_payload_type);
        let (own_ssrc, payload_type, index, stamp, again) = match as_rtx {
            Some((rtx, payload_type)) => {
                let index = rtx.sequence;
                rtx.sequence = index.next();
                prefix.push(&sent.rewrite.sequence.low().0.to_be_bytes());
                (rtx.ssrc, payload_type, index, peer.egress.stamp(wall_clock, sent.stamp.playout_delay), None)
            }
            None => {
                let index = stream.index(sent.rewrite.sequence).ok_or(NotSent::Unsendable)?;
                (stream.ssrc, sent.payload_types.1, index, sent.stamp, sent.header_digest)
            }
        };
        let own_number = own_ssrc == stream.ssrc;
        prefix.push(sent.rewrite.patch.as_ref().map_or(&[], |patch| patch.as_bytes()));
        let copied = Copied {
            payload_type,
            ssrc: own_ssrc,
            index,
            timestamp: sent.rewrite.timestamp,
            marker: sent.rewrite.marker,
            padded: sent.origin == Origin::Own(Content::Padding),
            // Only the very same packet has to be as long as the other ones.
            keeps_padding: own_number && sent.padding > 0,
            mid: &subscription.spec.mid,
            written,
            descriptor: sent.rewrite.descriptor,
            stamp,
            prefix: prefix.as_bytes(),
            replaces: sent.rewrite.patch.as_ref().map_or(0, |patch| usize::from(patch.replaces)),
            cut: sent.cut.into(),
            again,
        };
        let passed = Passed::find(bytes, &ids, passed(publication));
        let mut packet = Plain { bytes, header_len, padding: sent.padding, passed, ids: &ids };
        let resent = send_copy(&path, &mut packet, &copied, &peer.egress.ids, outbound, out)
            .map_err(|_| NotSent::Unsendable)?;
        stream.sent.sent_again(now, sent.rewrite.sequence, own_number.then_some(resent.header_digest));
        Ok(())
    }
}

/// Why a packet that a subscriber misses is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotSent {
    Not(NotResent),
    Moot(Moot),
    /// Sent as often as is allowed; what follows can't be shown without it.
    Lost,
    /// The stream had its share of retransmissions.
    OverBudget,
    /// The same, and what follows can't be shown without it.
    LostOverBudget,
    /// No path, no keys, no buffer, or it would not be the same packet.
    Unsendable,
    /// The driver's last send buffers are kept for what matters more, or the worker does not keep up.
    Shed,
}

/// What comes before the rest of the payload.
#[derive(Default)]
struct Prefix {
    bytes: [u8; PREFIX_LEN_MAX],
    len: usize,
}

impl Prefix {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(super) const RTT_DEFAULT: Duration = Duration::from_millis(70);
/// Browsers on fast paths ask ten times within this, and then no more.
const OVERDUE_AFTER: Duration = Duration::from_millis(200);
const RTT_MIN: Duration = Duration::from_millis(10);
