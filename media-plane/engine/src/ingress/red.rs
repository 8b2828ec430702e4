//! Where in a RED payload the frame lies that the packet was sent for, for subscribers without RED (RFC 2198 §3).

use units::rtp::PayloadType;
use wire::red::Redundant;

use crate::command::Codec;

/// The last block of a payload: it goes to the end, behind all headers and repeated frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary {
    pub payload_type: PayloadType,
    pub offset: usize,
}

impl Primary {
    /// `None` if the payload is not RED, or is malformed.
    #[must_use]
    pub fn read(codec: Codec, payload: &[u8]) -> Option<Self> {
        if codec != Codec::Red {
            return None;
        }
        let primary = Redundant::parse(payload).ok()?.primary();
        let offset = payload.len().checked_sub(primary.data.len())?;
        Some(Self { payload_type: primary.payload_type, offset })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn primary_lies_behind_headers_and_repeated_frames() {
        let (redundant, primary) = (0x80 | 111, 111);
        for (name, codec, payload, expected) in [
            (
                "two repeated",
                Codec::Red,
                &[redundant, 0, 0, 2, redundant, 0, 0, 1, primary, 1, 1, 2, 9][..],
                Some(12),
            ),
            ("alone", Codec::Red, &[primary, 9], Some(1)),
            ("empty primary", Codec::Red, &[redundant, 0, 0, 1, primary, 7], Some(6)),
            ("cut off", Codec::Red, &[redundant, 0, 0, 3, primary, 7], None),
            ("empty", Codec::Red, &[], None),
            ("not RED", Codec::Opus, &[primary, 9], None),
        ] {
            let expected = expected.map(|offset| Primary { payload_type: PayloadType(111), offset });
            assert_eq!(Primary::read(codec, payload), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_frame_that_was_put_in(
            repeated in proptest::collection::vec((0_u16..1 << 14, proptest::collection::vec(any::<u8>(), 0..200)), 0..=8),
            frame in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut payload = Vec::new();
            for (offset, block) in &repeated {
                let field = u32::from(*offset) << 10 | u32::try_from(block.len()).unwrap();
                payload.push(0x80 | 111);
                payload.extend_from_slice(&field.to_be_bytes()[1..]);
            }
            payload.push(111);
            repeated.iter().for_each(|(_, block)| payload.extend_from_slice(block));
            payload.extend_from_slice(&frame);
            let primary = Primary::read(Codec::Red, &payload).unwrap();
            prop_assert_eq!(&payload[primary.offset..], &frame[..]);
        }

        #[test]
        fn nothing_is_read_beyond_the_payload(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(primary) = Primary::read(Codec::Red, &payload) {
                prop_assert!((1..=payload.len()).contains(&primary.offset));
            }
        }
    }
}
