//! Opus as RED for subscribers that want it so: each packet repeats the two before it (RFC 2198).

use alloc::boxed::Box;

use forward::facts::Facts;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use wire::rtp::Header;

use crate::egress::history::History;
use crate::outbox::DATAGRAM_LEN_MAX;
use crate::pool::Pool;

/// The one packet that is encoded at a time, with the header that it was received with.
#[derive(Debug)]
pub struct Redundant {
    bytes: Box<[u8; DATAGRAM_LEN_MAX]>,
    len: usize,
}

/// Where the blocks of an encoded packet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    header_len: usize,
    len: usize,
    /// How many frames are repeated.
    repeated: usize,
}

/// A frame to repeat.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    sequence: Seq,
    timestamp_offset: u16,
    header_len: usize,
    len: u16,
}

impl Default for Redundant {
    fn default() -> Self {
        Self { bytes: Box::new([0; DATAGRAM_LEN_MAX]), len: 0 }
    }
}

impl Redundant {
    /// Encodes `packet` with what `history` has of the packets directly before it, as far as RFC 2198's fields can tell
    /// them. One that is too long even alone becomes an empty one.
    pub fn encode(
        &mut self,
        packet: &[u8],
        header_len: usize,
        facts: &Facts,
        history: Option<&History>,
        pool: &Pool,
    ) -> Encoded {
        self.len = 0;
        let nothing = Encoded { header_len, len: 0, repeated: 0 };
        let (Some(primary), Some(history)) = (packet.get(header_len..), history) else { return nothing };
        let Facts { source, sequence, .. } = *facts;
        let mut repeated = [None; REPEATED_MAX];
        let mut len = 1 + primary.len();
        for (back, slot) in (1..).zip(&mut repeated) {
            let Some(before) = sequence.0.checked_sub(back).map(Seq) else { break };
            let Some(found) = repeatable(packet, source, before, history, pool) else { break };
            len += BLOCK_HEADER_LEN + usize::from(found.len);
            if len >= LEN_MAX {
                break; // Nothing older either, as blocks are those of consecutive packets.
            }
            *slot = Some(found);
        }
        if self.write(packet, header_len, source, &repeated, history, pool).is_none() {
            self.len = 0;
            return nothing;
        }
        Encoded { header_len, len: self.len, repeated: repeated.iter().flatten().count() }
    }

    /// The packet that was encoded last.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    //  0                   1                    2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // |1|   block PT  |  timestamp offset         |   block length    |  per repeated block, oldest first
    // |0|   block PT  |  the primary one, up to the end
    fn write(
        &mut self,
        packet: &[u8],
        header_len: usize,
        source: Ssrc,
        repeated: &[Option<Repeated>],
        history: &History,
        pool: &Pool,
    ) -> Option<()> {
        let (header, primary) = packet.split_at_checked(header_len)?;
        let oldest_first = || repeated.iter().rev().flatten();
        self.push(header)?;
        for one in oldest_first() {
            let [_, high, middle, low] =
                (u32::from(one.timestamp_offset) << 10 | u32::from(one.len)).to_be_bytes();
            self.push(&[0, high, middle, low])?;
        }
        self.push(&[0])?;
        for one in oldest_first() {
            let packet = history.bytes(source, one.sequence, pool)?;
            self.push(packet.get(one.header_len..)?)?;
        }
        self.push(primary)
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + part.len())?.copy_from_slice(part);
        self.len += part.len();
        Some(())
    }
}

impl Encoded {
    /// The packet in `bytes`, with `block` for the payload type of its blocks.
    pub fn packet_mut<'a>(&self, bytes: &'a mut [u8], block: PayloadType) -> &'a mut [u8] {
        let packet = bytes.get_mut(..self.len).unwrap_or_default();
        for header in 0..=self.repeated {
            let last = header == self.repeated;
            if let Some(byte) = packet.get_mut(self.header_len + header * BLOCK_HEADER_LEN) {
                *byte = if last { block.0 } else { 0x80 | block.0 };
            }
        }
        packet
    }

    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.len.saturating_sub(self.header_len)
    }
}

/// The packet `before` one, if a block can tell its frame: of the same payload type, not empty, and not too long ago.
fn repeatable(packet: &[u8], source: Ssrc, before: Seq, history: &History, pool: &Pool) -> Option<Repeated> {
    let header = Header::parse(packet).ok()?;
    let older_packet = history.bytes(source, before, pool)?;
    let older = Header::parse(older_packet).ok()?;
    let offset = header.timestamp().wrapping_sub(older.timestamp());
    let timestamp_offset = u16::try_from(offset).ok().filter(|offset| (1..=OFFSET_MAX).contains(offset))?;
    let header_len = older.header_len();
    let len = u16::try_from(older_packet.len().checked_sub(header_len)?).ok()?;
    let fits = older.payload_type() == header.payload_type() && (1..=BLOCK_LEN_MAX).contains(&len);
    fits.then_some(Repeated { sequence: before, timestamp_offset, header_len, len })
}

/// As LiveKit does.
const REPEATED_MAX: usize = 2;
/// Of a payload with something repeated: LiveKit's.
const LEN_MAX: usize = 1_024;
const BLOCK_HEADER_LEN: usize = 4;
const OFFSET_MAX: u16 = (1 << 14) - 1;
const BLOCK_LEN_MAX: u16 = (1 << 10) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    use units::sequence::Seq16;
    use units::time::Instant;
    use wire::red;
    use wire::rtp::{Fields, write_header};

    const SOURCE: Ssrc = Ssrc(1);
    const BLOCK: PayloadType = PayloadType(111);

    fn packet(payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let fields = Fields {
            marker: false,
            payload_type: PayloadType(payload_type),
            sequence: Seq16(0),
            timestamp,
            ssrc: SOURCE,
            padding: false,
        };
        let mut bytes = vec![0; 12];
        write_header(&mut bytes, &fields, &[]).unwrap();
        [&bytes, payload].concat()
    }

    fn facts(payload_len: usize) -> Facts {
        Facts {
            source: SOURCE,
            layer: 0,
            sequence: Seq(100),
            out_of_order: false,
            timestamp: 96_000,
            marker: false,
            payload_len,
            key_frame: false,
            vp8: None,
            reference: None,
        }
    }

    #[test]
    fn blocks_are_those_of_the_packets_directly_before() {
        let frame = |len: usize| vec![7; len];
        // Sequence number, payload type, timestamp and length of what came before packet 100 at 96,000; then the
        // offsets and lengths that it repeats.
        for (name, before, len, expected) in [
            ("nothing before", &[][..], 50, &[][..]),
            ("two", &[(98, 96, 94_080, 30), (99, 96, 95_040, 40)], 50, &[(1_920, 30), (960, 40)]),
            (
                "no more than two",
                &[(97, 96, 93_120, 1), (98, 96, 94_080, 2), (99, 96, 95_040, 3)],
                9,
                &[(1_920, 2), (960, 3)],
            ),
            ("the one before is missing", &[(98, 96, 94_080, 30)], 50, &[]),
            (
                "the one before that is missing",
                &[(97, 96, 93_120, 1), (99, 96, 95_040, 40)],
                50,
                &[(960, 40)],
            ),
            ("just within 14 bits", &[(99, 96, 96_000 - 16_383, 40)], 50, &[(16_383, 40)]),
            ("a pause longer than 14 bits", &[(98, 96, 94_080, 30), (99, 96, 96_000 - 16_384, 40)], 50, &[]),
            ("a clock that stood still", &[(99, 96, 96_000, 40)], 50, &[]),
            ("another codec", &[(99, 97, 95_040, 40)], 50, &[]),
            ("nothing in it", &[(99, 96, 95_040, 0)], 50, &[]),
            ("longest that fits", &[(99, 96, 95_040, 968)], 50, &[(960, 968)]),
            ("too long together", &[(99, 96, 95_040, 969)], 50, &[]),
            ("too long for the second", &[(98, 96, 94_080, 900), (99, 96, 95_040, 40)], 100, &[(960, 40)]),
            ("too long alone for more", &[(99, 96, 95_040, 1)], 1_100, &[]),
        ] {
            let mut pool = Pool::new(8, 8);
            let mut history = History::new(8);
            for (sequence, payload_type, timestamp, len) in before {
                let kept = packet(*payload_type, *timestamp, &frame(*len));
                let held = history.keep(Instant(0), SOURCE, Seq(*sequence), &kept, None, &mut pool);
                assert!(held.is_some(), "{name}");
            }
            let primary = vec![9; len];
            let mut redundant = Redundant::default();
            let arrived = packet(96, 96_000, &primary);
            let encoded = redundant.encode(&arrived, 12, &facts(len), Some(&history), &pool);
            let payload_len = encoded.payload_len();
            let bytes = encoded.packet_mut(redundant.bytes_mut(), BLOCK);
            assert_eq!((&bytes[..12], bytes.len()), (&arrived[..12], 12 + payload_len), "{name}");
            let read = red::Redundant::parse(&bytes[12..]).unwrap();
            assert_eq!((read.primary().payload_type, read.primary().data), (BLOCK, &primary[..]), "{name}");
            let blocks: Vec<_> = read
                .redundant()
                .map(|block| {
                    assert_eq!(block.payload_type, BLOCK, "{name}");
                    assert!(block.data.iter().all(|byte| *byte == 7), "{name}");
                    (block.timestamp_offset, block.data.len())
                })
                .collect();
            assert_eq!(blocks, expected, "{name}");
        }
    }

    #[test]
    fn packet_that_fits_no_datagram_becomes_empty() {
        let (pool, history) = (Pool::new(1, 1), History::new(1));
        let payload = [0; DATAGRAM_LEN_MAX - 12];
        let mut redundant = Redundant::default();
        let packet = packet(96, 0, &payload);
        let encoded = redundant.encode(&packet, 12, &facts(payload.len()), Some(&history), &pool);
        assert_eq!(encoded.payload_len(), 0);
        assert!(encoded.packet_mut(redundant.bytes_mut(), BLOCK).is_empty());
    }
}
