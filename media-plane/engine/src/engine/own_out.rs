//! The way out of packets of our own: into a stream like copies of the publisher's, under its numbers.

use forward::rewrite::Rewrite;
use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::Seq;
use units::time::{Instant, NtpTime};

use crate::counters::Counters;
use crate::discard::CopyReason;
use crate::egress::own::{Content, OwnPacket};
use crate::egress::sent::{Copied as Remembered, Origin};
use crate::egress::{Copied, Egress, Plain, Stream, send_copy};
use crate::ingress::elements::ExtensionIds;
use crate::outbox::Outbox;
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

impl<C: Cipher, O: Outbox> OwnOut<'_, C, O> {
    /// Sends a packet under the numbers that the forwarder gave it, so that a NACK finds it again.
    pub(super) fn send(&mut self, content: Content, rewrite: Rewrite, to: &mut Target<'_>) {
        match self.try_send(content, rewrite, to) {
            Ok(len) => {
                self.counters.own_packets_sent += 1;
                self.counters.own_bytes_sent += len as u64;
            }
            Err(reason) => self.counters.discard_copy(reason),
        }
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
        let mut own = OwnPacket::new(content, self.trailer).ok_or(CopyReason::TooLong)?;
        let header_len = own.header_len();
        let copied = Copied {
            payload_type: to.payload_types.1,
            ssrc: stream.ssrc,
            index,
            timestamp: rewrite.timestamp,
            marker: rewrite.marker,
            padded: content == Content::Padding,
            mid: to.mid,
            passed: &[],
            written: &[],
            stamp,
            prefix: rewrite.patch.as_ref().map_or(&[], |patch| patch.as_bytes()),
            replaces: 0,
            cut: 0,
            again: None,
        };
        let ids = ExtensionIds::default();
        let mut packet = Plain { bytes: own.bytes_mut(), header_len, ids: &ids };
        let payload_len = packet.bytes.len() - header_len + copied.prefix.len();
        let sent = send_copy(&self.path, &mut packet, &copied, &self.egress.ids, self.outbound, self.out);
        let header_digest = match sent {
            Ok(sent) => Some(sent.header_digest),
            Err(_) => None,
        };
        stream.sent.remember(Remembered {
            layer: 0,
            source: Ssrc(0),
            source_sequence: Seq(0),
            origin: Origin::Own(content),
            cut: 0,
            payload_types: to.payload_types,
            rewrite,
            stamp,
            header_digest,
            sent_at: self.now,
            resent: 0,
        });
        let len = sent?.len;
        stream.packets += 1;
        stream.payload_bytes += payload_len as u64;
        stream.budget.sent(self.now, len);
        Ok(len)
    }
}
