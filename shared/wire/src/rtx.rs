//! Retransmissions on a stream of their own: the original sequence number before the payload (RFC 4588 §4).

use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;

use crate::rtp::{FIXED_LEN, Patch};

/// Bytes before the original payload.
pub const ORIGINAL_SEQUENCE_LEN: usize = 2;

/// The sequence number that the retransmitted packet had; `None` for a payload that is only padding (a probe).
#[must_use]
pub const fn original_sequence(payload: &[u8]) -> Option<Seq16> {
    match payload {
        [high, low, ..] => Some(Seq16(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// Turns a decrypted retransmission, whose header is `header_len` bytes long, into the packet that it repeats.
///
/// The header moves up over the original sequence number, as it is shorter than the payload. `None` if the payload is
/// too short; strip its padding before: a probe may be nothing else.
#[must_use]
pub fn restore(
    packet: &mut [u8],
    header_len: usize,
    payload_type: PayloadType,
    ssrc: Ssrc,
) -> Option<&mut [u8]> {
    if header_len < FIXED_LEN {
        return None;
    }
    let sequence = original_sequence(packet.get(header_len..)?)?;
    packet.copy_within(..header_len, ORIGINAL_SEQUENCE_LEN);
    let original = packet.get_mut(ORIGINAL_SEQUENCE_LEN..)?;
    let mut patch = Patch::new(original)?;
    patch.set_payload_type(payload_type);
    patch.set_sequence(sequence);
    patch.set_ssrc(ssrc);
    Some(original)
}
