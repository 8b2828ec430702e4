//! One protocol of one direction: keys, nonces and layouts of both kinds of profile (RFC 3711, RFC 7714).

use zeroize::Zeroizing;

use crate::cipher::{self, Cipher, Unauthentic};
use crate::counter_mode::{self, CounterMode};
use crate::derive::{Protocol, SessionKeys};
use crate::keys::{Master, Profile};

/// Seals and opens the packets of one protocol in one direction.
#[expect(clippy::large_enum_variant, reason = "a C is an expanded key too, and about as large")]
pub(crate) enum Protection<C: Cipher> {
    Gcm { cipher: C, salt: Zeroizing<[u8; 12]> },
    CounterMode(CounterMode),
}

/// A packet's place in its stream: for SRTP the roll-over counter and sequence number, for SRTCP the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) ssrc: u32,
    pub(crate) index: u64,
}

impl<C: Cipher> Protection<C> {
    pub(crate) fn new(profile: Profile, master: &Master, protocol: Protocol) -> Self {
        let keys = SessionKeys::derive(profile, master, protocol);
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let salt = keys.salt.first_chunk().expect("a session salt has 14 bytes");
                Self::Gcm { cipher: C::new(&keys.cipher[..profile.key_len()]), salt: Zeroizing::new(*salt) }
            }
            Profile::Aes128CmSha1_80 => Self::CounterMode(CounterMode::new(&keys)),
        }
    }

    /// Bytes that sealing adds, without SRTCP's index.
    pub(crate) const fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => cipher::TAG_LEN,
            Self::CounterMode(_) => counter_mode::TAG_LEN,
        }
    }

    /// Bytes that sealing adds to an RTCP packet.
    pub(crate) const fn overhead_rtcp(&self) -> usize {
        self.tag_len() + TRAILER_LEN
    }

    /// Encrypts from `payload` to `out`, which is just as long and the tag longer.
    pub(crate) fn seal_rtp(&self, at: Position, header: &[u8], payload: &[u8], out: &mut [u8]) {
        match self {
            Self::Gcm { cipher, salt } => cipher.seal(gcm_nonce(salt, at), header, payload, out),
            Self::CounterMode(mode) => {
                let (body, tag) = out.split_at_mut(payload.len());
                mode.encrypt_from(at, payload, body);
                tag.copy_from_slice(&mode.tag(&[header, body, &roll_over(at)]));
            }
        }
    }

    /// `data` is the payload and, behind it, room for the tag.
    pub(crate) fn seal_rtp_in_place(&self, at: Position, header: &[u8], data: &mut [u8]) {
        let (payload, tag) = data.split_at_mut(data.len() - self.tag_len());
        match self {
            Self::Gcm { cipher, salt } => {
                tag.copy_from_slice(&cipher.seal_in_place(gcm_nonce(salt, at), header, payload));
            }
            Self::CounterMode(mode) => {
                mode.apply(at, payload);
                tag.copy_from_slice(&mode.tag(&[header, payload, &roll_over(at)]));
            }
        }
    }

    /// `data` is the encrypted payload and, behind it, the tag.
    pub(crate) fn open_rtp(&self, at: Position, header: &[u8], data: &mut [u8]) -> Result<(), Unauthentic> {
        let (payload, tag) = data.split_at_mut(data.len() - self.tag_len());
        match self {
            Self::Gcm { cipher, salt } => {
                let tag = tag.first_chunk().ok_or(Unauthentic)?;
                cipher.open_in_place(gcm_nonce(salt, at), header, payload, tag)
            }
            Self::CounterMode(mode) => {
                mode.verify(&[header, payload, &roll_over(at)], tag)?;
                mode.apply(at, payload);
                Ok(())
            }
        }
    }

    /// `packet` is an RTCP packet and, behind it, room for tag and index.
    pub(crate) fn seal_rtcp(&self, at: Position, packet: &mut [u8]) {
        let trailer = trailer(at.index, Encrypted::Yes);
        let (header, rest) = packet.split_at_mut(RTCP_CLEAR_LEN);
        let (body, end) = rest.split_at_mut(rest.len() - self.tag_len() - TRAILER_LEN);
        match self {
            // RFC 7714 §9.2: header, encrypted body, tag, index.
            Self::Gcm { cipher, salt } => {
                let mut associated = [0; RTCP_CLEAR_LEN + TRAILER_LEN];
                associated[..RTCP_CLEAR_LEN].copy_from_slice(header);
                associated[RTCP_CLEAR_LEN..].copy_from_slice(&trailer);
                let tag = cipher.seal_in_place(gcm_nonce(salt, at), &associated, body);
                end[..cipher::TAG_LEN].copy_from_slice(&tag);
                end[cipher::TAG_LEN..].copy_from_slice(&trailer);
            }
            // RFC 3711 §3.4: header, encrypted body, index, tag.
            Self::CounterMode(mode) => {
                mode.apply(at, body);
                end[..TRAILER_LEN].copy_from_slice(&trailer);
                end[TRAILER_LEN..].copy_from_slice(&mode.tag(&[header, body, &trailer]));
            }
        }
    }

    /// Where SRTCP's index stands; `None` if `packet` is too short for one.
    pub(crate) fn rtcp_index(&self, packet: &[u8]) -> Option<(u64, Encrypted)> {
        let body_end = packet.len().checked_sub(self.tag_len() + TRAILER_LEN)?;
        if body_end < RTCP_CLEAR_LEN {
            return None;
        }
        let at = match self {
            Self::Gcm { .. } => body_end + cipher::TAG_LEN,
            Self::CounterMode(_) => body_end,
        };
        let word = u32::from_be_bytes(*packet.get(at..)?.first_chunk()?);
        let encrypted = if word & ENCRYPTED == 0 { Encrypted::No } else { Encrypted::Yes };
        Some(((word & !ENCRYPTED).into(), encrypted))
    }

    /// Opens `packet`, whose index [`Self::rtcp_index`] gave.
    pub(crate) fn open_rtcp(
        &self,
        at: Position,
        encrypted: Encrypted,
        packet: &mut [u8],
    ) -> Result<(), Unauthentic> {
        let trailer = trailer(at.index, encrypted);
        let body_end = packet.len() - self.tag_len() - TRAILER_LEN;
        match self {
            Self::Gcm { cipher, salt } => {
                let nonce = gcm_nonce(salt, at);
                let tag = *packet[body_end..].first_chunk().ok_or(Unauthentic)?;
                if encrypted == Encrypted::No {
                    // RFC 7714 §9.3: all is associated data, the index as well, which moves up to the rest for that.
                    packet[body_end..body_end + TRAILER_LEN].copy_from_slice(&trailer);
                    return cipher.open_in_place(nonce, &packet[..body_end + TRAILER_LEN], &mut [], &tag);
                }
                let (header, rest) = packet.split_at_mut(RTCP_CLEAR_LEN);
                let mut associated = [0; RTCP_CLEAR_LEN + TRAILER_LEN];
                associated[..RTCP_CLEAR_LEN].copy_from_slice(header);
                associated[RTCP_CLEAR_LEN..].copy_from_slice(&trailer);
                cipher.open_in_place(nonce, &associated, &mut rest[..body_end - RTCP_CLEAR_LEN], &tag)
            }
            Self::CounterMode(mode) => {
                let (protected, tag) = packet.split_at_mut(body_end + TRAILER_LEN);
                // An unencrypted packet carries its tag all the same: RFC 3711 §3.4.
                mode.verify(&[protected], tag)?;
                if encrypted == Encrypted::Yes {
                    mode.apply(at, &mut protected[RTCP_CLEAR_LEN..body_end]);
                }
                Ok(())
            }
        }
    }
}

/// SRTCP's E bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encrypted {
    Yes,
    No,
}

/// Two zero bytes, SSRC, then for SRTP the roll-over counter and sequence number (RFC 7714 §8.1), for SRTCP two zero
/// bytes and the index (RFC 7714 §9.1); XORed with the salt.
fn gcm_nonce(salt: &[u8; 12], at: Position) -> [u8; 12] {
    let mut nonce = *salt;
    let place = u128::from(at.ssrc) << 48 | u128::from(at.index);
    xor(&mut nonce, &place.to_be_bytes()[4..]);
    nonce
}

/// XORs `bytes` with as much of `mask`.
pub(crate) fn xor(bytes: &mut [u8], mask: &[u8]) {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// RFC 3711 §4.2: of SRTP the tag covers the roll-over counter too, which is not sent.
fn roll_over(at: Position) -> [u8; 4] {
    #[expect(clippy::cast_possible_truncation, reason = "an index has 48 bits")]
    ((at.index >> 16) as u32).to_be_bytes()
}

fn trailer(index: u64, encrypted: Encrypted) -> [u8; TRAILER_LEN] {
    #[expect(clippy::cast_possible_truncation, reason = "SRTCP's index has 31 bits")]
    let index = index as u32;
    match encrypted {
        Encrypted::Yes => (index | ENCRYPTED).to_be_bytes(),
        Encrypted::No => index.to_be_bytes(),
    }
}

/// The first header and the sender's SSRC stay in the clear.
pub(crate) const RTCP_CLEAR_LEN: usize = 8;
const TRAILER_LEN: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

#[cfg(test)]
mod tests;
