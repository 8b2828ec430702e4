//! Requests to a sender: NACK and PLI (RFC 4585 §6), FIR (RFC 5104 §4.3.1).

use units::rtp::Ssrc;
use units::sequence::Seq16;

use crate::cursor::Reader;

/// Packets of one source that did not arrive.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    pub sender: Ssrc,
    pub media: Ssrc,
    pairs: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (sender, media) = (Ssrc(reader.u32()?), Ssrc(reader.u32()?));
        let pairs = reader.rest();
        (!pairs.is_empty() && pairs.len() & 3 == 0).then_some(Self { sender, media, pairs })
    }

    /// The missing sequence numbers, in order; at most 17 per pair.
    pub fn sequences(&self) -> impl Iterator<Item = Seq16> + 'a {
        self.pairs.as_chunks().0.iter().flat_map(|&[id_high, id_low, mask_high, mask_low]| {
            let id = u16::from_be_bytes([id_high, id_low]);
            // RFC 4585 §6.2.1: bit 0 of the mask stands for the packet after `id`.
            let mask = u32::from(u16::from_be_bytes([mask_high, mask_low])) << 1 | 1;
            (0_u16..=16).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| Seq16(id.wrapping_add(bit)))
        })
    }
}

/// A receiver lost a picture and wants a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLossIndication {
    pub sender: Ssrc,
    pub media: Ssrc,
}

impl PictureLossIndication {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        Some(Self { sender: Ssrc(reader.u32()?), media: Ssrc(reader.u32()?) })
    }
}

/// Commands to send a key frame, each with a number by which repetitions are told.
#[derive(Clone, Copy, Debug)]
pub struct FullIntraRequest<'a> {
    pub sender: Ssrc,
    entries: &'a [u8],
}

/// One source of a [`FullIntraRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullIntraEntry {
    pub ssrc: Ssrc,
    pub command: u8,
}

impl<'a> FullIntraRequest<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let sender = Ssrc(reader.u32()?);
        // RFC 5104 §4.3.1.2: the media source is not used, the sources are in the entries.
        reader.u32()?;
        let entries = reader.rest();
        (!entries.is_empty() && entries.len() & 7 == 0).then_some(Self { sender, entries })
    }

    pub fn entries(&self) -> impl Iterator<Item = FullIntraEntry> + 'a {
        self.entries.as_chunks().0.iter().map(|&[a, b, c, d, command, _, _, _]| FullIntraEntry {
            ssrc: Ssrc(u32::from_be_bytes([a, b, c, d])),
            command,
        })
    }
}
