//! What we send to a peer: encrypted from a received buffer into a lent one, and authenticated.

use units::sequence::Seq;

use crate::cipher::Cipher;
use crate::derive::Protocol;
use crate::keys::Keys;
use crate::protection::{Position, Protection, RTCP_CLEAR_LEN};

/// Seals all that is sent to one peer.
pub struct Outbound<C: Cipher> {
    rtp: Protection<C>,
    rtcp: Protection<C>,
    /// Of the last SRTCP packet. One for all of our sources: an index is not used twice with a source all the more.
    rtcp_index: u64,
}

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// `out` is too short for header, payload and what the profile adds.
    NoRoom,
    /// The header is shorter than a fixed one, or has another sequence number than was said.
    Header,
    /// Every index of these keys is used (RFC 3711 §9.2): the peer needs new keys.
    Exhausted,
}

impl<C: Cipher> Outbound<C> {
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            rtp: Protection::new(keys.profile(), &keys.local, Protocol::Rtp),
            rtcp: Protection::new(keys.profile(), &keys.local, Protocol::Rtcp),
            rtcp_index: 0,
        }
    }

    /// Encrypts `payload` behind the header in `out[..header_len]` and says how long the packet is.
    ///
    /// A source begins with a sequence number below 2^16 (the receiver's roll-over counter begins with zero), and never
    /// seals two different packets with one number: that would give both payloads away, with GCM the authentication key too.
    pub fn seal_rtp(
        &mut self,
        sequence: Seq,
        out: &mut [u8],
        header_len: usize,
        payload: &[u8],
    ) -> Result<usize, SealError> {
        let len = header_len + payload.len() + self.rtp.tag_len();
        let (at, header, data) = split_rtp(sequence, out, header_len, len)?;
        self.rtp.seal_rtp(at, header, payload, data);
        Ok(len)
    }

    /// Like [`Self::seal_rtp`], where the payload is in `out[header_len..len]` already.
    pub fn seal_rtp_in_place(
        &mut self,
        sequence: Seq,
        out: &mut [u8],
        header_len: usize,
        len: usize,
    ) -> Result<usize, SealError> {
        if len < header_len {
            return Err(SealError::Header);
        }
        let len = len + self.rtp.tag_len();
        let (at, header, data) = split_rtp(sequence, out, header_len, len)?;
        self.rtp.seal_rtp_in_place(at, header, data);
        Ok(len)
    }

    /// Encrypts the compound RTCP packet in `out[..len]` in place and says how long it is now.
    pub fn seal_rtcp(&mut self, out: &mut [u8], len: usize) -> Result<usize, SealError> {
        if len < RTCP_CLEAR_LEN {
            return Err(SealError::Header);
        }
        let sealed_len = len + self.rtcp.overhead_rtcp();
        let packet = out.get_mut(..sealed_len).ok_or(SealError::NoRoom)?;
        let ssrc = u32::from_be_bytes(*packet[4..].first_chunk().ok_or(SealError::Header)?);
        if self.rtcp_index >= RTCP_INDEX_MAX {
            return Err(SealError::Exhausted);
        }
        self.rtcp_index += 1;
        self.rtcp.seal_rtcp(Position { ssrc, index: self.rtcp_index }, packet);
        Ok(sealed_len)
    }

    /// Bytes that sealing adds to an RTP packet.
    #[must_use]
    pub const fn rtp_overhead(&self) -> usize {
        self.rtp.tag_len()
    }

    /// Bytes that sealing adds to an RTCP packet.
    #[must_use]
    pub const fn rtcp_overhead(&self) -> usize {
        self.rtcp.overhead_rtcp()
    }
}

impl<C: Cipher> core::fmt::Debug for Outbound<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbound").field("rtcp_index", &self.rtcp_index).finish_non_exhaustive()
    }
}

/// The packet's position, its header, and the `len - header_len` bytes behind.
fn split_rtp(
    sequence: Seq,
    out: &mut [u8],
    header_len: usize,
    len: usize,
) -> Result<(Position, &[u8], &mut [u8]), SealError> {
    if sequence.0 > RTP_INDEX_MAX {
        return Err(SealError::Exhausted);
    }
    let (header, data) = out.get_mut(..len).ok_or(SealError::NoRoom)?.split_at_mut(header_len);
    let [_, _, high, low, _, _, _, _, ssrc @ ..] = *header.first_chunk::<12>().ok_or(SealError::Header)?;
    if u16::from_be_bytes([high, low]) != sequence.low().0 {
        return Err(SealError::Header);
    }
    Ok((Position { ssrc: u32::from_be_bytes(ssrc), index: sequence.0 }, header, data))
}

const RTP_INDEX_MAX: u64 = (1 << 48) - 1; // RFC 3711 §9.2
const RTCP_INDEX_MAX: u64 = (1 << 31) - 1;
