//! Redundant audio: earlier frames in front of the present one (RFC 2198 §3).

use units::rtp::PayloadType;

use crate::cursor::Reader;

/// Redundant blocks that are read; libwebrtc sends one or two.
pub const REDUNDANT_MAX: usize = 16;

/// Why a payload is not redundant audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The headers are cut off.
    Header,
    /// The blocks are longer than the payload.
    Length,
    TooMany,
}

/// One frame of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub payload_type: PayloadType,
    /// What the frame's timestamp is before the packet's, 14 bits; zero for the primary one.
    pub timestamp_offset: u16,
    pub data: &'a [u8],
}

/// A payload whose lengths were checked.
#[derive(Clone, Copy, Debug)]
pub struct Redundant<'a> {
    primary: Block<'a>,
    headers: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Redundant<'a> {
    //  0                   1                    2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // |1|   block PT  |  timestamp offset         |   block length    |  per redundant block, oldest first
    // |0|   block PT  |  the primary one, up to the end
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let mut redundant_len = 0_usize;
        for count in 0..=REDUNDANT_MAX {
            let first = *reader.rest().first().ok_or(Malformed::Header)?;
            if first & 0x80 == 0 {
                let headers = payload.get(..count.saturating_mul(HEADER_LEN)).ok_or(Malformed::Header)?;
                reader.u8();
                let blocks = reader.bytes(redundant_len).ok_or(Malformed::Length)?;
                let primary =
                    Block { payload_type: PayloadType(first), timestamp_offset: 0, data: reader.rest() };
                return Ok(Self { primary, headers, blocks });
            }
            let (_, len) = block_header(*reader.array().ok_or(Malformed::Header)?);
            redundant_len = redundant_len.saturating_add(len);
        }
        Err(Malformed::TooMany)
    }

    /// The frame that the packet was sent for.
    #[must_use]
    pub const fn primary(&self) -> Block<'a> {
        self.primary
    }

    /// The repeated frames, oldest first.
    pub fn redundant(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut blocks = Reader::new(self.blocks);
        self.headers.as_chunks().0.iter().filter_map(move |header: &[u8; HEADER_LEN]| {
            let (timestamp_offset, len) = block_header(*header);
            let payload_type = PayloadType(header[0] & 0x7f);
            Some(Block { payload_type, timestamp_offset, data: blocks.bytes(len)? })
        })
    }
}

/// Timestamp offset and length.
fn block_header([_, high, middle, low]: [u8; HEADER_LEN]) -> (u16, usize) {
    let offset = u16::from_be_bytes([high, middle]) >> 2;
    let len = u16::from_be_bytes([middle & 0x03, low]);
    (offset, len.into())
}

const HEADER_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(payload_type: u8, timestamp_offset: u16, data: &[u8]) -> Block<'_> {
        Block { payload_type: PayloadType(payload_type), timestamp_offset, data }
    }

    #[test]
    fn blocks_are_told_apart() {
        let payload = [0x80 | 111, 0x1e, 0x00, 2, 0x80 | 111, 0x0f, 0x00, 1, 111, 1, 2, 3, 4, 5];
        let red = Redundant::parse(&payload).unwrap();
        assert_eq!(red.primary(), block(111, 0, &[4, 5]));
        assert!(red.redundant().eq([block(111, 1920, &[1, 2]), block(111, 960, &[3])]));
    }

    #[test]
    fn primary_alone_and_empty_blocks_are_accepted() {
        let red = Redundant::parse(&[111, 7]).unwrap();
        assert_eq!(red.primary(), block(111, 0, &[7]));
        assert_eq!(red.redundant().count(), 0);
        let red = Redundant::parse(&[0x80 | 111, 0, 0, 0, 111]).unwrap();
        assert!(red.primary().data.is_empty());
        assert!(red.redundant().eq([block(111, 0, &[])]));
    }

    #[test]
    fn length_takes_ten_bits_and_offset_fourteen() {
        assert_eq!(block_header([0x80, 0xff, 0xfd, 0x01]), (0x3fff, 0x101));
        assert_eq!(block_header([0x80, 0x00, 0x03, 0xff]), (0, 0x3ff));
    }

    #[test]
    fn cut_off_payloads_are_malformed() {
        for (name, payload, expected) in [
            ("nothing", &[][..], Malformed::Header),
            ("half a header", &[0x80, 0, 0], Malformed::Header),
            ("no primary header", &[0x80, 0, 0, 0], Malformed::Header),
            ("block longer than the rest", &[0x80, 0, 0, 2, 0, 1], Malformed::Length),
            ("too many blocks", &[0x80; 4 * 18], Malformed::TooMany),
        ] {
            assert_eq!(Redundant::parse(payload).map(|_| ()), Err(expected), "{name}");
        }
    }
}
