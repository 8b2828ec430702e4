//! The AV1 aggregation header, and where key frames begin (AV1 RTP payload format §4.4).

pub mod dependency;

use crate::cursor::Reader;

/// What a packet's aggregation header and the kinds of its units say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregation {
    /// Z: the first element goes on with a unit of the packet before.
    pub continues: bool,
    /// Y: the last element goes on in the next packet.
    pub continued: bool,
    /// N: the first packet of a coded video sequence.
    pub new_sequence: bool,
    /// A sequence header begins in this packet.
    pub sequence_header: bool,
}

/// Why a payload is no AV1 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// An element reaches beyond the payload, or its length is not written as one.
    Element,
    /// A coded video sequence that begins with the rest of a unit.
    Continuation,
}

impl Aggregation {
    //  0 1 2 3 4 5 6 7
    // +-+-+-+-+-+-+-+-+
    // |Z|Y| W |N|-|-|-|
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8().ok_or(Malformed::Short)?;
        let mut aggregation = Self {
            continues: flags & 0x80 != 0,
            continued: flags & 0x40 != 0,
            new_sequence: flags & 0x08 != 0,
            sequence_header: false,
        };
        if aggregation.continues && aggregation.new_sequence {
            return Err(Malformed::Continuation);
        }
        let count = flags >> 4 & 0x03;
        let mut index = 0_u8;
        while !reader.is_empty() {
            index = index.saturating_add(1);
            // W elements: the last of them has no length. W of zero: each has one.
            let element = if index == count {
                reader.bytes(reader.rest().len())
            } else {
                length_and_bytes(&mut reader)
            };
            let element = element.ok_or(Malformed::Element)?;
            let is_rest = index == 1 && aggregation.continues;
            aggregation.sequence_header |= !is_rest && element.first().is_some_and(is_sequence_header);
        }
        Ok(aggregation)
    }

    /// Whether the packet begins a key frame.
    #[must_use]
    pub const fn key_frame(&self) -> bool {
        self.new_sequence || self.sequence_header
    }
}

fn length_and_bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = leb128(reader)?;
    reader.bytes(len)
}

/// AV1 §4.10.5: seven bits per byte, the lowest first; more than four bytes are longer than any packet.
fn leb128(reader: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// |F| type (4) |X|S|-|
const fn is_sequence_header(header: &u8) -> bool {
    *header >> 3 & 0x0f == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_found_by_flag_and_by_sequence_header() {
        for (name, payload, expected) in [
            ("new sequence", &[0x18, 0x30, 1][..], Ok(true)),
            ("one frame", &[0x10, 0x30, 1], Ok(false)),
            ("one sequence header", &[0x10, 0x08, 1], Ok(true)),
            ("sequence header, then frame", &[0x20, 2, 0x08, 1, 0x30, 1], Ok(true)),
            ("frame, then sequence header", &[0x20, 1, 0x30, 0x08], Ok(true)),
            ("each with a length", &[0x00, 1, 0x30, 1, 0x08], Ok(true)),
            ("rest of a unit that looks like a sequence header", &[0x90, 0x08, 1], Ok(false)),
            ("behind the rest of a unit", &[0xa0, 1, 0x30, 0x08], Ok(true)),
            ("length of two bytes", &[0x00, 0x81, 0x00, 0x08], Ok(true)),
            ("no element", &[0x10], Ok(false)),
            ("nothing", &[], Err(Malformed::Short)),
            ("element cut off", &[0x00, 3, 0x08], Err(Malformed::Element)),
            ("length cut off", &[0x00, 0x80], Err(Malformed::Element)),
            ("length of five bytes", &[0x00, 0x81, 0x80, 0x80, 0x80, 0x00, 0x08], Err(Malformed::Element)),
            ("new sequence with the rest of a unit", &[0x98, 0x08], Err(Malformed::Continuation)),
        ] {
            assert_eq!(Aggregation::parse(payload).map(|it| it.key_frame()), expected, "{name}");
        }
    }
}
