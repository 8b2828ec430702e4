//! The way out of packets of our own: into a stream like copies of the publisher's, under its numbers.

use forward::rewrite::Rewrite;
use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::Seq;
use units::time::{Instant, NtpTime};

use crate::counters::Counters;
use crate::discard::CopyReason;
use crate::egress::header::Stamp;
use crate::egress::own::{Content, OwnPacket};
use crate::egress::sent::{Copied as Remembered, Origin};
use crate::egress::{Copied, Egress, Plain, SentCopy, Stream, send_copy};
use crate::ingress::elements::ExtensionIds;
use crate::outbox::{Outbox, Precedence};
use crate::path::Path;

/// What all packets of our own to one peer have in common.
pub(super) struct OwnOut<'a, C: Cipher, O: Outbox> {
    pub now: Instant,
    pub wall_clock: NtpTime,
    pub path: Path,
    /// Of the room.
    pub trailer: &'a [u8],
    /// The peer's.
    pub egress: &'a mut Egress,
    pub outbound: &'a mut Outbound<C>,
    pub counters: &'a mut Counters,
    pub out: &'a mut O,
}

/// The stream that a packet goes into.
pub(super) struct Target<'a> {
    pub stream: &'a mut Stream,
    pub mid: &'a Mid,
    /// The publisher's and the subscriber's.
    pub payload_types: (PayloadType, PayloadType),
}

/// The numbers of one packet.
struct Numbers {
    payload_type: PayloadType,
    ssrc: Ssrc,
    index: Seq,
    timestamp: u32,
    marker: bool,
}

impl<C: Cipher, O: Outbox> OwnOut<'_, C, O> {
    /// Sends a packet under the numbers that the forwarder gave it, so that a NACK finds it again. Returns its length.
    pub(super) fn send(&mut self, content: Content, rewrite: Rewrite, to: &mut Target<'_>) -> usize {
        let sent = self.try_send(content, rewrite, to);
        self.count(sent)
    }

    /// Sends padding on the stream of retransmissions, where it may come at any time and nobody misses it.
    pub(super) fn pad_rtx(&mut self, payload_type: PayloadType, to: &mut Target<'_>) -> usize {
        let last = to.stream.sent.last_copy().map(|copied| copied.rewrite.timestamp);
        let (Some(timestamp), Some(rtx)) = (last, &mut to.stream.rtx) else { return 0 };
        let index = rtx.sequence;
        rtx.sequence = index.next();
        let numbers = Numbers { payload_type, ssrc: rtx.ssrc, index, timestamp, marker: false };
        let stamp = self.egress.stamp(self.wall_clock, None);
        let sent = self.seal(Content::Padding, &numbers, &[], stamp, to.mid).map(|(copy, _)| copy.len);
        self.count(sent)
    }

    fn try_send(
        &mut self,
        content: Content,
        rewrite: Rewrite,
        to: &mut Target<'_>,
    ) -> Result<usize, CopyReason> {
        let stream = &mut *to.stream;
        let index = stream.index(rewrite.sequence).ok_or(CopyReason::TooLate)?;
        let stamp = self.egress.stamp(self.wall_clock, None);
        let numbers = Numbers {
            payload_type: to.payload_types.1,
            ssrc: stream.ssrc,
            index,
            timestamp: rewrite.timestamp,
            marker: rewrite.marker,
        };
        let prefix = rewrite.patch.as_ref().map_or(&[][..], |patch| patch.as_bytes());
        let sent = self.seal(content, &numbers, prefix, stamp, to.mid);
        let header_digest = match sent {
            Ok((copy, _)) => Some(copy.header_digest),
            Err(_) => None,
        };
        stream.sent.remember(Remembered {
            layer: 0,
            source: Ssrc(0),
            source_sequence: Seq(0),
            origin: Origin::Own(content),
            captured: false,
            is_needed: true,
            cut: 0,
            padding: 0,
            payload_types: to.payload_types,
            rewrite,
            stamp,
            header_digest,
            sent_at: self.now,
            resent: 0,
        });
        let (SentCopy { len, .. }, payload_len) = sent?;
        stream.packets += 1;
        // RFC 3550 §6.4.1: padding doesn't count.
        stream.payload_bytes += if content == Content::Padding { 0 } else { payload_len as u64 };
        stream.budget.sent(self.now, len);
        Ok(len)
    }

    /// What was sent, and how long its payload is.
    fn seal(
        &mut self,
        content: Content,
        numbers: &Numbers,
        prefix: &[u8],
        stamp: Stamp,
        mid: &Mid,
    ) -> Result<(SentCopy, usize), CopyReason> {
        let precedence = match content {
            Content::Padding => Precedence::Probe,
            _ => Precedence::Audio,
        };
        if !self.out.has_room(precedence) {
            return Err(CopyReason::Shed);
        }
        let mut own = OwnPacket::new(content, self.trailer).ok_or(CopyReason::TooLong)?;
        let header_len = own.header_len();
        let copied = Copied {
            payload_type: numbers.payload_type,
            ssrc: numbers.ssrc,
            index: numbers.index,
            timestamp: numbers.timestamp,
            marker: numbers.marker,
            padded: content == Content::Padding,
            keeps_padding: false,
            mid,
            written: None,
            descriptor: None,
            stamp,
            prefix,
            replaces: 0,
            cut: 0,
            again: None,
        };
        let ids = ExtensionIds::default();
        let mut packet = Plain { bytes: own.bytes_mut(), header_len, padding: 0, passed: None, ids: &ids };
        let payload_len = packet.bytes.len() - header_len + prefix.len();
        let sent = send_copy(&self.path, &mut packet, &copied, &self.egress.ids, self.outbound, self.out)?;
        Ok((sent, payload_len))
    }

    fn count(&mut self, sent: Result<usize, CopyReason>) -> usize {
        match sent {
            Ok(len) => {
                self.counters.own_packets_sent += 1;
                self.counters.own_bytes_sent += len as u64;
                len
            }
            Err(reason) => {
                self.counters.discard_copy(reason);
                0
            }
        }
    }
}
