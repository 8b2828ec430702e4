//! Where H.264 key frames begin: parameter sets and IDR slices in any packetization (RFC 6184 §5.2 to §5.8).

use crate::cursor::Reader;

/// What of a key frame a packet holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// A sequence parameter set: a decoder may begin here.
    pub sequence_parameters: bool,
    /// An IDR slice, or its first fragment.
    pub idr: bool,
}

/// Why a payload is no H.264 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// A unit of an aggregation reaches beyond the payload.
    Aggregation,
}

impl Units {
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let first = kind(reader.u8().ok_or(Malformed::Short)?);
        let mut units = Self::default();
        match first {
            // RFC 6184 §5.7.1: |size (16)|unit|, again and again.
            STAP_A => {
                while !reader.is_empty() {
                    let len = reader.u16().ok_or(Malformed::Aggregation)?;
                    let unit = reader.bytes(len.into()).ok_or(Malformed::Aggregation)?;
                    units.add(kind(unit.first().copied().ok_or(Malformed::Aggregation)?));
                }
            }
            // RFC 6184 §5.8: |S|E|R| type (5) |
            FU_A => {
                let header = reader.u8().ok_or(Malformed::Short)?;
                if header & 0x80 != 0 {
                    units.add(kind(header));
                }
            }
            _ => units.add(first),
        }
        Ok(units)
    }

    /// Whether the packet belongs to the beginning of a key frame.
    #[must_use]
    pub const fn key_frame(self) -> bool {
        self.sequence_parameters || self.idr
    }

    const fn add(&mut self, kind: u8) {
        match kind {
            SEQUENCE_PARAMETERS => self.sequence_parameters = true,
            IDR => self.idr = true,
            _ => {}
        }
    }
}

/// |F|NRI| type (5) |
const fn kind(header: u8) -> u8 {
    header & 0x1f
}

const IDR: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_found_in_every_packetization() {
        let none = Units::default();
        let sps = Units { sequence_parameters: true, idr: false };
        let idr = Units { sequence_parameters: false, idr: true };
        let both = Units { sequence_parameters: true, idr: true };
        for (name, payload, expected) in [
            ("single SPS", &[0x67, 1, 2][..], Ok(sps)),
            ("single IDR slice", &[0x65, 1], Ok(idr)),
            ("single non-IDR slice", &[0x41, 1], Ok(none)),
            ("PPS alone", &[0x68, 1], Ok(none)),
            ("STAP-A of SPS, PPS", &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68], Ok(sps)),
            ("STAP-A of SPS, IDR", &[0x78, 0, 2, 0x67, 1, 0, 1, 0x65], Ok(both)),
            ("STAP-A of SEI and slice", &[0x78, 0, 1, 0x06, 0, 1, 0x41], Ok(none)),
            ("empty STAP-A", &[0x78], Ok(none)),
            ("first fragment of an IDR slice", &[0x7c, 0x85, 1], Ok(idr)),
            ("later fragment of an IDR slice", &[0x7c, 0x05, 1], Ok(none)),
            ("first fragment of a slice", &[0x7c, 0x81, 1], Ok(none)),
            ("nothing", &[], Err(Malformed::Short)),
            ("fragment without its header", &[0x7c], Err(Malformed::Short)),
            ("STAP-A unit cut off", &[0x78, 0, 3, 0x67, 1], Err(Malformed::Aggregation)),
            ("STAP-A size cut off", &[0x78, 0], Err(Malformed::Aggregation)),
            ("STAP-A unit of no bytes", &[0x78, 0, 0], Err(Malformed::Aggregation)),
        ] {
            assert_eq!(Units::parse(payload), expected, "{name}");
        }
        assert!(both.key_frame() && sps.key_frame() && idr.key_frame() && !none.key_frame());
    }
}
