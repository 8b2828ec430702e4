//! Where H.265 key frames begin: parameter sets and intra random access pictures in any packetization (RFC 7798 §4.4).

use crate::cursor::Reader;

/// What of a key frame a packet holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// A video or sequence parameter set: a decoder may begin here.
    pub parameter_sets: bool,
    /// A slice of an intra random access picture, or its first fragment.
    pub random_access: bool,
    /// Of the packet, 0 to 6.
    pub temporal: u8,
}

/// Why a payload is no H.265 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// A unit of an aggregation reaches beyond the payload.
    Aggregation,
    /// A temporal id plus one of zero (RFC 7798 §1.1.4).
    Temporal,
}

impl Units {
    // |F|  type (6) |  layer id (6)   |TID+1|
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let [first, second] = *reader.array().ok_or(Malformed::Short)?;
        let temporal = (second & 0x07).checked_sub(1).ok_or(Malformed::Temporal)?;
        let mut units = Self { temporal, ..Self::default() };
        match kind(first) {
            // RFC 7798 §4.4.2: |size (16)|unit|, again and again; decoding order numbers are not negotiated.
            AGGREGATION => {
                while !reader.is_empty() {
                    let len = reader.u16().ok_or(Malformed::Aggregation)?;
                    let unit = reader.bytes(len.into()).ok_or(Malformed::Aggregation)?;
                    units.add(kind(unit.first().copied().ok_or(Malformed::Aggregation)?));
                }
            }
            // RFC 7798 §4.4.3: |S|E| type (6) |
            FRAGMENT => {
                let header = reader.u8().ok_or(Malformed::Short)?;
                if header & 0x80 != 0 {
                    units.add(header & 0x3f);
                }
            }
            single => units.add(single),
        }
        Ok(units)
    }

    /// Whether the packet belongs to the beginning of a key frame.
    #[must_use]
    pub const fn key_frame(self) -> bool {
        self.parameter_sets || self.random_access
    }

    const fn add(&mut self, kind: u8) {
        match kind {
            BLA_FIRST..=CRA => self.random_access = true,
            VIDEO_PARAMETERS | SEQUENCE_PARAMETERS => self.parameter_sets = true,
            _ => {}
        }
    }
}

const fn kind(first: u8) -> u8 {
    first >> 1 & 0x3f
}

const BLA_FIRST: u8 = 16;
const CRA: u8 = 21;
const VIDEO_PARAMETERS: u8 = 32;
const SEQUENCE_PARAMETERS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_found_in_every_packetization() {
        let none = Units::default();
        let sets = Units { parameter_sets: true, ..none };
        let random = Units { random_access: true, ..none };
        let both = Units { parameter_sets: true, ..random };
        for (name, payload, expected) in [
            ("single VPS", &[32 << 1, 1, 9][..], Ok(sets)),
            ("single SPS", &[33 << 1, 1, 9], Ok(sets)),
            ("single PPS", &[34 << 1, 1, 9], Ok(none)),
            ("IDR slice", &[19 << 1, 1, 9], Ok(random)),
            ("CRA slice", &[21 << 1, 1, 9], Ok(random)),
            ("reserved type behind CRA", &[22 << 1, 1, 9], Ok(none)),
            ("trailing slice of temporal layer 2", &[1 << 1, 3, 9], Ok(Units { temporal: 2, ..none })),
            ("aggregation of SPS and IDR", &[48 << 1, 1, 0, 2, 66, 1, 0, 2, 38, 1], Ok(both)),
            ("first fragment of an IDR slice", &[49 << 1, 1, 0x80 | 19, 9], Ok(random)),
            ("later fragment of an IDR slice", &[49 << 1, 1, 19, 9], Ok(none)),
            ("half a header", &[32 << 1], Err(Malformed::Short)),
            ("fragment without its header", &[49 << 1, 1], Err(Malformed::Short)),
            ("aggregated unit cut off", &[48 << 1, 1, 0, 3, 66, 1], Err(Malformed::Aggregation)),
            ("aggregated unit of no bytes", &[48 << 1, 1, 0, 0], Err(Malformed::Aggregation)),
            ("no temporal id", &[32 << 1, 0], Err(Malformed::Temporal)),
        ] {
            assert_eq!(Units::parse(payload), expected, "{name}");
        }
        assert!(both.key_frame() && sets.key_frame() && random.key_frame() && !none.key_frame());
    }
}
