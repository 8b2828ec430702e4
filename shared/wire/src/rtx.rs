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

#[cfg(test)]
mod tests {
    use units::rtp::{PayloadType, Ssrc};

    use super::*;
    use crate::rtp::{Fields, Header, write_header};

    const REPEATED: Fields = Fields {
        marker: true,
        payload_type: PayloadType(97),
        sequence: Seq16(7),
        timestamp: 90_000,
        ssrc: Ssrc(2),
        padding: false,
    };

    #[test]
    fn retransmission_becomes_the_original() {
        let mut packet = [0; 64];
        let header_len = write_header(&mut packet, &REPEATED, &[(3, &[1, 2])]).unwrap();
        packet[header_len..header_len + 5].copy_from_slice(&[0xff, 0xfe, 10, 11, 12]);
        let original = restore(&mut packet[..header_len + 5], header_len, PayloadType(96), Ssrc(1)).unwrap();

        let mut expected = [0; 64];
        let fields =
            Fields { payload_type: PayloadType(96), sequence: Seq16(0xfffe), ssrc: Ssrc(1), ..REPEATED };
        let len = write_header(&mut expected, &fields, &[(3, &[1, 2])]).unwrap();
        expected[len..len + 3].copy_from_slice(&[10, 11, 12]);
        assert_eq!(original, &expected[..len + 3]);
        assert_eq!(Header::parse(original).unwrap().extension(3), Some(&[1, 2][..]));
    }

    #[test]
    fn payload_without_a_sequence_number_is_refused() {
        let mut packet = [0x80; 13];
        assert!(restore(&mut packet, 12, PayloadType(96), Ssrc(1)).is_none());
        assert!(restore(&mut packet, 14, PayloadType(96), Ssrc(1)).is_none());
        assert!(restore(&mut packet, 4, PayloadType(96), Ssrc(1)).is_none());
        assert_eq!(original_sequence(&[1]), None);
    }
}
