//! The picture id of VP8 and VP9: 7 or 15 bits wide (RFC 7741 §4.2, RFC 9628 §4.2).

use crate::cursor::Reader;

/// A picture id as it stands in a payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureId {
    Seven(u8),
    Fifteen(u16),
}

impl PictureId {
    /// The low 15 bits of `value` in the shortest form.
    #[must_use]
    pub const fn shortest(value: u16) -> Self {
        match value & 0x7fff {
            #[expect(clippy::cast_possible_truncation, reason = "below 128")]
            short @ 0..=0x7f => Self::Seven(short as u8),
            long => Self::Fifteen(long),
        }
    }

    #[must_use]
    pub const fn value(self) -> u16 {
        match self {
            Self::Seven(value) => value as u16,
            Self::Fifteen(value) => value,
        }
    }

    //      +-+-+-+-+-+-+-+-+
    //      |M| PictureID   |
    //      |   PictureID   |  if M
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.u8()?;
        if first & 0x80 == 0 {
            return Some(Self::Seven(first));
        }
        Some(Self::Fifteen(u16::from_be_bytes([first & 0x7f, reader.u8()?])))
    }
}
