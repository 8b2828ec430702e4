//! Where in a RED payload frames of Opus lie, for subscribers without RED: the one that the packet was sent for, and
//! repeated ones whose own packets are missing (RFC 2198 §3).

use units::rtp::PayloadType;
use units::sequence::Seq;
use wire::red::Redundant;

use crate::command::Codec;

/// One block of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub payload_type: PayloadType,
    /// What of the payload comes before it and behind it.
    pub offset: usize,
    pub behind: usize,
}

impl Frame {
    /// The last block: it goes to the end, behind all headers and repeated frames. `None` if the payload is not RED,
    /// or is malformed.
    #[must_use]
    pub fn primary(codec: Codec, payload: &[u8]) -> Option<Self> {
        if codec != Codec::Red {
            return None;
        }
        let primary = Redundant::parse(payload).ok()?.primary();
        let offset = payload.len().checked_sub(primary.data.len())?;
        Some(Self { payload_type: primary.payload_type, offset, behind: 0 })
    }
}

/// A frame whose own packet is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub frame: Frame,
    pub sequence: Seq,
    pub timestamp: u32,
}

/// The repeated frames in the packet `sequence` of those `missing` that come directly before it, oldest first.
///
/// Senders repeat the frames of consecutive packets (RFC 2198 tells timestamps only): so the last block is that of the
/// packet before, and so on. A packet whose blocks are not in the order of time tells nothing.
pub fn missed(payload: &[u8], sequence: Seq, timestamp: u32, missing: u64) -> impl Iterator<Item = Missed> {
    let red = Redundant::parse(payload).ok().filter(|_| missing > 0);
    let red = red.filter(|red| {
        red.redundant().map(|block| block.timestamp_offset).is_sorted_by(|older, newer| older > newer)
    });
    let primary_len = red.map_or(0, |red| red.primary().data.len());
    let blocks = move || red.into_iter().flat_map(|red| red.redundant());
    let count = blocks().count();
    let blocks_len: usize = blocks().map(|block| block.data.len()).sum();
    let first = payload.len().saturating_sub(primary_len + blocks_len);
    let blocks = blocks().scan(first, |at, block| {
        let offset = core::mem::replace(at, *at + block.data.len());
        Some((offset, block))
    });
    (1..=count as u64).rev().zip(blocks).filter_map(move |(back, (offset, block))| {
        let is_told = back <= missing && block.timestamp_offset > 0 && !block.data.is_empty();
        let behind = payload.len().checked_sub(offset + block.data.len())?;
        is_told.then_some(Missed {
            frame: Frame { payload_type: block.payload_type, offset, behind },
            sequence: Seq(sequence.0.checked_sub(back)?),
            timestamp: timestamp.wrapping_sub(block.timestamp_offset.into()),
        })
    })
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
            let expected = expected.map(|offset| Frame { payload_type: PayloadType(111), offset, behind: 0 });
            assert_eq!(Frame::primary(codec, payload), expected, "{name}");
        }
    }

    #[test]
    fn repeated_frames_take_the_numbers_of_the_packets_before() {
        const R: u8 = 0x80 | 111;
        // 1,920 and 960 ticks before.
        let two = [R, 0x1e, 0, 2, R, 0x0f, 0, 1, 111, 1, 2, 3, 4, 5];
        let frame = |offset, behind| Frame { payload_type: PayloadType(111), offset, behind };
        let told = |payload: &[u8], missing| -> Vec<_> {
            let told = missed(payload, Seq(100), 500, missing);
            told.map(|missed| (missed.sequence.0, missed.timestamp, missed.frame)).collect()
        };
        let (older, newer) =
            ((98, 500_u32.wrapping_sub(1_920), frame(9, 3)), (99, 500_u32.wrapping_sub(960), frame(11, 2)));
        for (name, payload, missing, expected) in [
            ("nothing is missing", &two[..], 0, &[][..]),
            ("one", &two, 1, &[newer]),
            ("two", &two, 2, &[older, newer]),
            ("more than are repeated", &two, 9, &[older, newer]),
            ("nothing is repeated", &[111, 4, 5], 2, &[]),
            ("an empty frame", &[R, 0x0f, 0, 0, 111, 4, 5], 2, &[]),
            ("at the packet's own time", &[R, 0, 0, 1, 111, 3, 4], 2, &[]),
            ("newer before older", &[R, 0x0f, 0, 2, R, 0x1e, 0, 1, 111, 1, 2, 3, 4], 2, &[]),
            ("twice the same", &[R, 0x0f, 0, 1, R, 0x0f, 0, 1, 111, 1, 2, 3, 4], 2, &[]),
            ("malformed", &[R, 0x0f, 0, 9, 111, 1], 2, &[]),
        ] {
            assert_eq!(told(payload, missing), expected, "{name}");
        }
        assert_eq!(missed(&two, Seq(1), 0, 9).count(), 1, "no number before the first one");
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
            let primary = Frame::primary(Codec::Red, &payload).unwrap();
            prop_assert_eq!(&payload[primary.offset..], &frame[..]);
        }

        #[test]
        fn nothing_is_read_beyond_the_payload(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(primary) = Frame::primary(Codec::Red, &payload) {
                prop_assert!((1..=payload.len()).contains(&primary.offset));
            }
            for Missed { frame, .. } in missed(&payload, Seq(1_000), 0, 16) {
                prop_assert!(frame.offset > 0 && frame.offset + frame.behind < payload.len());
            }
        }
    }
}
