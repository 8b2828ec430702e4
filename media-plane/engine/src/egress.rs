//! One stream to one subscriber: its numbers, what was sent under them, and how a packet leaves.

pub mod compact;
pub mod header;
pub mod history;
pub mod own;
pub mod playout;
pub mod recovery;
pub mod redundant;
pub mod report;
pub mod rtx_budget;
pub mod sent;
pub mod splice;

use core::hash::{BuildHasher, Hasher};

use forward::rewrite::Renumbered;
use srtp::cipher::Cipher;
use srtp::outbound::{Outbound, SealError};
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use units::time::NtpTime;
use wire::av1::dependency::rewrite;
use wire::rtp::{Fields, Header, write_header};

use crate::command::ExtensionKind;
use crate::discard::CopyReason;
use crate::egress::compact::Compact;
use crate::egress::header::{Elements, Passed, Stamp, Written};
use crate::egress::recovery::Recovery;
use crate::egress::report::Reporting;
use crate::egress::rtx_budget::RtxBudget;
use crate::egress::sent::Sent;
use crate::hash::Seeded;
use crate::ingress::elements::ExtensionIds;
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox};
use crate::path::Path;

/// The state of a subscription's stream and of its retransmissions.
#[derive(Debug)]
pub struct Stream {
    pub ssrc: Ssrc,
    pub sent: Sent,
    pub budget: RtxBudget,
    pub recovery: Recovery,
    pub reporting: Reporting,
    pub rtx: Option<Rtx>,
    /// Added to by each copy, not by retransmissions.
    pub packets: u64,
    pub payload_bytes: u64,
    /// What lies between a sequence number and its SRTP index: the cycles before the present keys' first packet.
    cycles_before_keys: Option<u64>,
}

/// The stream of retransmissions (RFC 4588).
#[derive(Debug)]
pub struct Rtx {
    pub ssrc: Ssrc,
    /// Of the next packet.
    pub sequence: Seq,
}

impl Stream {
    #[must_use]
    pub fn new(ssrc: Ssrc, rtx: Option<Rtx>, history: usize) -> Self {
        Self {
            ssrc,
            sent: Sent::new(history),
            budget: RtxBudget::default(),
            recovery: Recovery::default(),
            reporting: Reporting::default(),
            rtx,
            packets: 0,
            payload_bytes: 0,
            cycles_before_keys: None,
        }
    }

    /// From now on other keys seal: the receiver's roll-over counters begin with zero.
    pub fn rekeyed(&mut self) {
        self.cycles_before_keys = None;
        if let Some(rtx) = &mut self.rtx {
            rtx.sequence = Seq(rtx.sequence.0 & 0xffff);
        }
    }

    /// The SRTP index of a packet; `None` if it was sent under older keys.
    pub fn index(&mut self, sequence: Seq) -> Option<Seq> {
        let before = *self.cycles_before_keys.get_or_insert(sequence.0 & !0xffff);
        sequence.0.checked_sub(before).map(Seq)
    }
}

/// The sending half of a peer.
#[derive(Debug)]
pub struct Egress {
    pub ids: ExtensionIds,
    /// Of the next packet (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    pub transport_sequence: Seq16,
}

impl Egress {
    /// What the next packet's header is stamped with.
    pub const fn stamp(&mut self, wall_clock: NtpTime, playout_delay: Option<[u8; 3]>) -> Stamp {
        let number = self.transport_sequence;
        self.transport_sequence = Seq16(number.0.wrapping_add(1));
        Stamp::new(wall_clock, number, playout_delay)
    }
}

/// A received packet in the clear, without padding.
#[derive(Debug)]
pub struct Plain<'a> {
    pub bytes: &'a mut [u8],
    pub header_len: usize,
    /// How many of the bytes, at their end, are padding all the same, for copies that are to be longer.
    pub padding: u8,
    pub passed: Option<Passed>,
    /// The publisher's ids.
    pub ids: &'a ExtensionIds,
}

/// What one copy differs in.
#[derive(Debug)]
pub struct Copied<'a> {
    pub payload_type: PayloadType,
    pub ssrc: Ssrc,
    /// With its roll-over counter, by the present keys.
    pub index: Seq,
    pub timestamp: u32,
    pub marker: bool,
    /// All of the payload is padding.
    pub padded: bool,
    /// The packet's padding goes along.
    pub keeps_padding: bool,
    pub mid: &'a Mid,
    /// In the place of a received element.
    pub written: Option<Written<'a>>,
    /// The dependency descriptor is passed on with these changes, and otherwise not at all.
    pub descriptor: Option<Renumbered>,
    pub stamp: Stamp,
    /// Comes in the place of the first `replaces` bytes of the payload.
    pub prefix: &'a [u8],
    pub replaces: usize,
    /// How many bytes of the payload's end are left out: a trailer.
    pub cut: usize,
    /// Sent before under this index, with a header of this digest: only the very same packet may be sealed.
    pub again: Option<u64>,
}

/// A copy that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentCopy {
    pub len: usize,
    pub header_digest: u64,
}

/// Seals a copy of `packet` into a lent buffer and sends it.
pub fn send_copy<C: Cipher>(
    path: &Path,
    packet: &mut Plain<'_>,
    copied: &Copied<'_>,
    to: &ExtensionIds,
    outbound: &mut Outbound<C>,
    out: &mut impl Outbox,
) -> Result<SentCopy, CopyReason> {
    match copied.descriptor {
        None => seal_copy(path, packet, copied, None, to, outbound, out),
        Some(renumbered) => send_renumbered(path, packet, copied, &renumbered, to, outbound, out),
    }
}

/// Apart, as the room for the descriptor is large.
#[inline(never)]
fn send_renumbered<C: Cipher>(
    path: &Path,
    packet: &mut Plain<'_>,
    copied: &Copied<'_>,
    renumbered: &Renumbered,
    to: &ExtensionIds,
    outbound: &mut Outbound<C>,
    out: &mut impl Outbox,
) -> Result<SentCopy, CopyReason> {
    let mut room = [0; rewrite::LEN_MAX];
    let id = to.id(ExtensionKind::DependencyDescriptor);
    let descriptor = id.and_then(|id| Some((id, renumber(packet, renumbered, &mut room)?)));
    seal_copy(path, packet, copied, descriptor, to, outbound, out)
}

/// The received dependency descriptor as it is sent.
fn renumber<'a>(
    packet: &Plain<'_>,
    renumbered: &Renumbered,
    room: &'a mut [u8; rewrite::LEN_MAX],
) -> Option<&'a [u8]> {
    let header = Header::parse(packet.bytes).ok()?;
    let data = packet.ids.find(&header, ExtensionKind::DependencyDescriptor)?;
    rewrite::rewrite(data, renumbered.frame_number, renumbered.active, room)
}

/// In each of the two ways that lead here, so that the common one does not pay for the other.
#[inline(always)]
fn seal_copy<C: Cipher>(
    path: &Path,
    packet: &mut Plain<'_>,
    copied: &Copied<'_>,
    descriptor: Option<(u8, &[u8])>,
    to: &ExtensionIds,
    outbound: &mut Outbound<C>,
    out: &mut impl Outbox,
) -> Result<SentCopy, CopyReason> {
    let rest = packet.header_len + copied.replaces;
    let cut = if copied.keeps_padding { 0 } else { copied.cut + usize::from(packet.padding) };
    let end = packet.bytes.len().checked_sub(cut).ok_or(CopyReason::Malformed)?;
    let payload_len = end.checked_sub(rest).ok_or(CopyReason::Malformed)? + copied.prefix.len();
    let sealed_len = payload_len + outbound.rtp_overhead();
    let fields = Fields {
        marker: copied.marker,
        payload_type: copied.payload_type,
        sequence: copied.index.low(),
        timestamp: copied.timestamp,
        ssrc: copied.ssrc,
        padding: copied.padded || copied.keeps_padding && packet.padding > 0,
    };
    let mut compact = compact(&fields, packet, copied, descriptor, to);
    let (buffer, header_len) = if let Some(header) = compact.finish() {
        let Some(buffer) = out.lend((header.len() + sealed_len).min(DATAGRAM_LEN_MAX)) else {
            return Err(CopyReason::NoBuffer);
        };
        buffer.get_mut(..header.len()).ok_or(CopyReason::TooLong)?.copy_from_slice(header);
        (buffer, header.len())
    } else {
        general(&fields, packet, copied, descriptor, to, sealed_len, out)?
    };
    let header_digest = digest(buffer.get(..header_len).unwrap_or_default());
    if copied.again.is_some_and(|before| before != header_digest) {
        return Err(CopyReason::Changed);
    }
    let bytes = packet.bytes.get_mut(..end).ok_or(CopyReason::Malformed)?;
    let sealed = splice::with_prefix(bytes, rest, copied.prefix, |payload| {
        outbound.seal_rtp(copied.index, buffer, header_len, payload)
    });
    let len = sealed.ok_or(CopyReason::Malformed)?.map_err(|error| match error {
        SealError::NoRoom => CopyReason::TooLong,
        SealError::Header | SealError::Exhausted => CopyReason::Seal,
    })?;
    out.send(path, len);
    Ok(SentCopy { len, header_digest })
}

#[inline]
fn compact(
    fields: &Fields,
    packet: &Plain<'_>,
    copied: &Copied<'_>,
    descriptor: Option<(u8, &[u8])>,
    to: &ExtensionIds,
) -> Compact {
    let mut header = Compact::new(fields);
    header.add_slice(to.id(ExtensionKind::Mid), copied.mid.as_bytes());
    header.add(to.id(ExtensionKind::AbsSendTime), &copied.stamp.abs_send_time);
    header.add(to.id(ExtensionKind::TransportCc), &copied.stamp.transport_sequence);
    if let Some(delay) = &copied.stamp.playout_delay {
        header.add(to.id(ExtensionKind::PlayoutDelay), delay);
    }
    if let Some(element) = copied.written {
        header.add_slice(to.id(element.kind), element.data);
    }
    if let Some(element) = &packet.passed {
        header.add_slice(to.id(element.kind), element.data());
    }
    if let Some((id, data)) = descriptor {
        header.add_slice(Some(id), data);
    }
    header
}

/// A lent buffer with a header of any form, for `sealed_len` bytes behind it; and how long the header is.
#[cold]
fn general<'o>(
    fields: &Fields,
    packet: &Plain<'_>,
    copied: &Copied<'_>,
    descriptor: Option<(u8, &[u8])>,
    to: &ExtensionIds,
    sealed_len: usize,
    out: &'o mut impl Outbox,
) -> Result<(&'o mut [u8], usize), CopyReason> {
    let mut elements = Elements::new(to, packet.passed.as_ref(), copied.written, &copied.stamp, copied.mid);
    if let Some((id, data)) = descriptor {
        elements.add(Some(id), Some(data));
    }
    let len_max = (elements.header_len_max() + sealed_len).min(DATAGRAM_LEN_MAX);
    let buffer = out.lend(len_max).ok_or(CopyReason::NoBuffer)?;
    let len = write_header(buffer, fields, elements.as_slice()).map_err(|_| CopyReason::TooLong)?;
    Ok((buffer, len))
}

fn digest(header: &[u8]) -> u64 {
    let mut hasher = Seeded(0).build_hasher();
    hasher.write(header);
    hasher.finish()
}
