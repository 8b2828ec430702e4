//! A view of a data track's packet: whose it is, and the copy under another handle.
//!
//! The layout is that of LiveKit's clients; numbers are big-endian. Of it the server reads no more than it must check:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+---+-+---+---------------+-------------------------------+
//! |  V  | M |X| 0 |   reserved    |            handle             |
//! +-----+---+-+---+---------------+-------------------------------+
//! |           sequence            |             frame             |
//! +-------------------------------+-------------------------------+
//! |                           timestamp                           |
//! +-------------------------------+-------------------------------+
//! | X: words of extensions - 1    |          extensions ...       |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! V is the version, 0. M tells the packet's place in its frame. What comes behind is the payload, and may be encrypted.
#![deny(clippy::arithmetic_side_effects)]

use bytes::Bytes;

const HEADER_LEN: usize = 12;
const VERSION_SHIFT: u8 = 5;
const EXTENDED: u8 = 0b100;
const HANDLE: std::ops::Range<usize> = 2..4;
/// The count of words takes part of the first one.
const WORD_LEN: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackPacket<'a> {
    bytes: &'a Bytes,
    pub handle: u16,
}

impl<'a> TrackPacket<'a> {
    /// # Errors
    /// If it is too short for what it says to be, of a later version, or of no track.
    pub fn parse(bytes: &'a Bytes) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed)?;
        let [first, _, high, low, ..] = *header;
        let handle = u16::from_be_bytes([high, low]);
        if first >> VERSION_SHIFT != 0 || handle == 0 {
            return Err(Malformed);
        }
        if first & EXTENDED != 0 {
            let (words, _) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
            let words = usize::from(u16::from_be_bytes(*words)).saturating_add(1);
            if rest.len() < words.saturating_mul(WORD_LEN) {
                return Err(Malformed);
            }
        }
        Ok(Self { bytes, handle })
    }

    /// The same packet under another handle.
    #[must_use]
    pub fn under(&self, handle: u16) -> Bytes {
        if handle == self.handle {
            return self.bytes.clone();
        }
        let mut copy = self.bytes.to_vec();
        if let Some(place) = copy.get_mut(HANDLE) {
            place.copy_from_slice(&handle.to_be_bytes());
        }
        copy.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A whole frame in one packet, as livekit-client 2.23 makes it: handle 0x0102, with a user timestamp.
    const WHOLE: [u8; 26] =
        [0b0001_1100, 0, 1, 2, 0, 9, 0, 4, 0, 0, 0, 7, 0, 2, 2, 8, 1, 1, 1, 1, 1, 1, 1, 1, b'h', b'i'];

    #[test]
    fn packet_is_its_publishers_and_nothing_but_the_handle_is_changed() {
        let bytes = Bytes::from_static(&WHOLE);
        let packet = TrackPacket::parse(&bytes).unwrap();
        assert_eq!(packet.handle, 0x0102);
        let mut expected = WHOLE;
        expected[2..4].copy_from_slice(&[0xff, 0xfe]);
        assert_eq!(packet.under(0xfffe), expected[..]);
        assert_eq!(packet.under(0x0102).as_ptr(), bytes.as_ptr(), "nothing to change, nothing to copy");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (name, len, change, expected) in [
            ("as it is", 26, (0, 0x1c), true),
            ("no payload", 24, (0, 0x1c), true),
            ("extensions cut", 23, (0, 0x1c), false),
            ("no extensions", 12, (0, 0x18), true),
            ("no words", 13, (0, 0x1c), false),
            ("header cut", 11, (0, 0x18), false),
            ("nothing", 0, (0, 0), false),
            ("version 1", 26, (0, 0x3c), false),
            ("handle of the high byte", 26, (3, 0), true),
            ("many words", 26, (12, 1), false),
        ] {
            let mut bytes = WHOLE[..len].to_vec();
            if let Some(byte) = bytes.get_mut(change.0) {
                *byte = change.1;
            }
            assert_eq!(TrackPacket::parse(&bytes.into()).is_ok(), expected, "{name}");
        }
        let mut nobody = WHOLE;
        nobody[2..4].fill(0);
        assert_eq!(TrackPacket::parse(&Bytes::copy_from_slice(&nobody)), Err(Malformed), "handle 0");
    }

    proptest! {
        #[test]
        fn copy_reads_as_the_packet_did(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            handle in 1_u16..,
        ) {
            let bytes = Bytes::from(bytes);
            if let Ok(packet) = TrackPacket::parse(&bytes) {
                let copy = packet.under(handle);
                prop_assert_eq!(TrackPacket::parse(&copy).unwrap().handle, handle);
                prop_assert_eq!(&copy[4..], &bytes[4..]);
                prop_assert_eq!(&copy[..2], &bytes[..2]);
            }
        }
    }
}
