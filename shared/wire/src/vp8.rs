//! The VP8 payload descriptor: what it says of a packet, and a rewritten one (RFC 7741 §4.2, §4.3).

use crate::cursor::{NoRoom, Reader, Writer};
use crate::picture_id::PictureId;

/// The longest descriptor that is written: all optional fields and a 15-bit picture id.
pub const DESCRIPTOR_LEN_MAX: usize = 6;

/// Why a payload does not begin with a VP8 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Cut off, or no byte of the picture follows.
    Short,
    /// A TL0PICIDX without a temporal layer (RFC 7741 §4.2: L requires T).
    LayerWithoutTemporal,
}

/// What a payload descriptor, and the picture header behind it, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor: where the VP8 payload begins.
    pub len: usize,
    /// N: no other picture refers to this one.
    pub non_reference: bool,
    /// S: the packet begins a partition.
    pub start_of_partition: bool,
    /// PID: which partition.
    pub partition: u8,
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: counts pictures of temporal layer 0.
    pub tl0_picture_index: Option<u8>,
    pub temporal: Option<Temporal>,
    /// KEYIDX: counts key frames, 5 bits.
    pub key_index: Option<u8>,
    /// The packet begins a key frame.
    pub key_frame: bool,
    /// Width and height; on the first packet of a key frame.
    pub dimensions: Option<(u16, u16)>,
}

/// TID and Y: the picture's temporal layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Temporal {
    /// 0 to 3.
    pub id: u8,
    /// Y: the picture depends on layer 0 only, so that a receiver may begin with this layer here.
    pub sync: bool,
}

impl Descriptor {
    //       0 1 2 3 4 5 6 7
    //      +-+-+-+-+-+-+-+-+
    //      |X|R|N|S|R| PID |  required
    // X:   |I|L|T|K|  RSV  |
    // I:   |M| PictureID   |  and a second byte if M
    // L:   |   TL0PICIDX   |
    // T/K: |TID|Y| KEYIDX  |
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let first = reader.u8().ok_or(Malformed::Short)?;
        let mut descriptor = Self {
            len: 0,
            non_reference: first & NON_REFERENCE != 0,
            start_of_partition: first & START != 0,
            partition: first & 0x07,
            picture_id: None,
            tl0_picture_index: None,
            temporal: None,
            key_index: None,
            key_frame: false,
            dimensions: None,
        };
        if first & EXTENDED != 0 {
            descriptor.parse_extended(&mut reader)?;
        }
        descriptor.len = payload.len().saturating_sub(reader.rest().len());
        descriptor.parse_picture(reader)?;
        Ok(descriptor)
    }

    fn parse_extended(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let flags = reader.u8().ok_or(Malformed::Short)?;
        if flags & HAS_TL0 != 0 && flags & HAS_TEMPORAL == 0 {
            return Err(Malformed::LayerWithoutTemporal);
        }
        if flags & HAS_PICTURE_ID != 0 {
            self.picture_id = Some(PictureId::read(reader).ok_or(Malformed::Short)?);
        }
        if flags & HAS_TL0 != 0 {
            self.tl0_picture_index = Some(reader.u8().ok_or(Malformed::Short)?);
        }
        if flags & (HAS_TEMPORAL | HAS_KEY_INDEX) != 0 {
            let both = reader.u8().ok_or(Malformed::Short)?;
            self.temporal =
                (flags & HAS_TEMPORAL != 0).then_some(Temporal { id: both >> 6, sync: both & SYNC != 0 });
            self.key_index = (flags & HAS_KEY_INDEX != 0).then_some(both & 0x1f);
        }
        Ok(())
    }

    // RFC 7741 §4.3: |Size0|H| VER |P| and two bytes of size; RFC 6386 §9.1: a key frame goes on with
    // the start code 9d 01 2a, then 14 bits of width and of height, each below 2 bits of scale, little-endian.
    fn parse_picture(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let first = reader.u8().ok_or(Malformed::Short)?;
        // In a later partition or packet this byte is any byte of the picture.
        self.key_frame = self.start_of_partition && self.partition == 0 && first & INTER_FRAME == 0;
        if !self.key_frame {
            return Ok(());
        }
        if let Some([_, _, 0x9d, 0x01, 0x2a, width_low, width_high, height_low, height_high]) = reader.array()
        {
            let width = u16::from_le_bytes([*width_low, *width_high]) & 0x3fff;
            let height = u16::from_le_bytes([*height_low, *height_high]) & 0x3fff;
            self.dimensions = Some((width, height));
        }
        Ok(())
    }

    /// Whether the packet begins a picture.
    #[must_use]
    pub const fn start_of_picture(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }

    /// Whether it tells neither pictures nor layers apart.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.picture_id.is_none() && self.tl0_picture_index.is_none() && self.temporal.is_none()
    }

    /// Writes the descriptor with the values that its fields now have and says how long it is.
    ///
    /// A field is written if it is present; reserved bits are zero. `len` is that of the descriptor that was read.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        let flags = self.flags();
        writer.u8(self.first_byte(flags != 0))?;
        if flags == 0 {
            return Ok(writer.len());
        }
        writer.u8(flags)?;
        match self.picture_id {
            None => {}
            Some(PictureId::Seven(value)) => writer.u8(value & 0x7f)?,
            Some(PictureId::Fifteen(value)) => writer.u16(0x8000 | value)?,
        }
        if let Some(index) = self.tl0_picture_index {
            writer.u8(index)?;
        }
        if self.temporal.is_some() || self.key_index.is_some() {
            let temporal =
                self.temporal.map_or(0, |Temporal { id, sync }| id << 6 | if sync { SYNC } else { 0 });
            writer.u8(temporal | self.key_index.unwrap_or(0) & 0x1f)?;
        }
        Ok(writer.len())
    }

    /// The descriptor's first byte; whether others follow is told.
    #[must_use]
    pub const fn first_byte(&self, extended: bool) -> u8 {
        let extended = if extended { EXTENDED } else { 0 };
        let non_reference = if self.non_reference { NON_REFERENCE } else { 0 };
        let start = if self.start_of_partition { START } else { 0 };
        extended | non_reference | start | self.partition & 0x07
    }

    fn flags(&self) -> u8 {
        let flag = |present: bool, flag| if present { flag } else { 0 };
        flag(self.picture_id.is_some(), HAS_PICTURE_ID)
            | flag(self.tl0_picture_index.is_some(), HAS_TL0)
            | flag(self.temporal.is_some(), HAS_TEMPORAL)
            | flag(self.key_index.is_some(), HAS_KEY_INDEX)
    }
}

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const START: u8 = 0x10;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0: u8 = 0x40;
const HAS_TEMPORAL: u8 = 0x20;
const HAS_KEY_INDEX: u8 = 0x10;
const SYNC: u8 = 0x20;
const INTER_FRAME: u8 = 0x01;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use proptest::prelude::*;

    const PLAIN: Descriptor = Descriptor {
        len: 1,
        non_reference: false,
        start_of_partition: false,
        partition: 0,
        picture_id: None,
        tl0_picture_index: None,
        temporal: None,
        key_index: None,
        key_frame: false,
        dimensions: None,
    };

    #[test]
    fn descriptors_are_read_field_by_field() {
        let start = Descriptor { start_of_partition: true, ..PLAIN };
        let temporal = Some(Temporal { id: 2, sync: true });
        for (name, payload, expected) in [
            ("nothing set", &[0x00, 0xff][..], PLAIN),
            ("later partition", &[0x23, 0xff], Descriptor { non_reference: true, partition: 3, ..PLAIN }),
            ("start of an inter frame", &[0x10, 0x01], start),
            ("start of a key frame", &[0x10, 0x00], Descriptor { key_frame: true, ..start }),
            ("even byte at a later partition", &[0x11, 0x00], Descriptor { partition: 1, ..start }),
            ("even byte within a partition", &[0x00, 0x00], PLAIN),
            (
                "key frame with its size",
                &[0x10, 0x10, 2, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x81, 0xff],
                Descriptor { key_frame: true, dimensions: Some((640, 360)), ..start },
            ),
            (
                "key frame without the start code",
                &[0x10, 0x10, 2, 0, 0x9d, 0x01, 0x2b, 0x80, 0x02, 0x68, 0x01],
                Descriptor { key_frame: true, ..start },
            ),
            (
                "7-bit picture id",
                &[0x80, 0x80, 0x7f, 0xff],
                Descriptor { len: 3, picture_id: Some(PictureId::Seven(127)), ..PLAIN },
            ),
            (
                "everything",
                &[0x80, 0xf0, 0xb4, 0x9b, 233, 0xa0 | 23, 0xff],
                Descriptor {
                    len: 6,
                    picture_id: Some(PictureId::Fifteen(13467)),
                    tl0_picture_index: Some(233),
                    temporal,
                    key_index: Some(23),
                    ..PLAIN
                },
            ),
            ("extended without a field", &[0x80, 0x00, 0xff], Descriptor { len: 2, ..PLAIN }),
            ("temporal alone", &[0x80, 0x20, 0xbf, 0xff], Descriptor { len: 3, temporal, ..PLAIN }),
            (
                "key index alone",
                &[0x80, 0x10, 0xff, 0xff],
                Descriptor { len: 3, key_index: Some(31), ..PLAIN },
            ),
        ] {
            assert_eq!(Descriptor::parse(payload), Ok(expected), "{name}");
        }
    }

    #[test]
    fn descriptor_that_tells_nothing_of_pictures_and_layers_is_bare() {
        for (name, payload, expected) in [
            ("one byte", &[0x10, 0xff][..], true),
            ("extended without a field", &[0x80, 0x00, 0xff], true),
            ("key index alone", &[0x80, 0x10, 0xff, 0xff], true),
            ("picture id", &[0x80, 0x80, 0x7f, 0xff], false),
            ("temporal alone", &[0x80, 0x20, 0xbf, 0xff], false),
        ] {
            assert_eq!(Descriptor::parse(payload).unwrap().is_bare(), expected, "{name}");
        }
    }

    #[test]
    fn malformed_descriptors_are_refused() {
        for (name, payload, expected) in [
            ("nothing", &[][..], Malformed::Short),
            ("no picture", &[0x10], Malformed::Short),
            ("no extension byte", &[0x80], Malformed::Short),
            ("no picture id", &[0x80, 0x80], Malformed::Short),
            ("half a picture id", &[0x80, 0x80, 0x80], Malformed::Short),
            ("picture id and no picture", &[0x80, 0x80, 0x80, 1], Malformed::Short),
            ("no TL0PICIDX", &[0x80, 0x60], Malformed::Short),
            ("no temporal layer", &[0x80, 0x20], Malformed::Short),
            ("TL0PICIDX without temporal layer", &[0x80, 0x40, 1, 1], Malformed::LayerWithoutTemporal),
        ] {
            assert_eq!(Descriptor::parse(payload), Err(expected), "{name}");
        }
    }

    #[test]
    fn rewritten_picture_id_takes_its_shortest_form() {
        let payload = [0x90, 0xf0, 0x80, 0x7f, 1, 0xa0, 0x01];
        let mut descriptor = Descriptor::parse(&payload).unwrap();
        for (name, value, expected) in [
            ("below 128", 127, &[0x90, 0xf0, 0x7f, 1, 0xa0][..]),
            ("from 128 on", 128, &[0x90, 0xf0, 0x80, 0x80, 1, 0xa0]),
            ("beyond 15 bits", 0x8001, &[0x90, 0xf0, 0x01, 1, 0xa0]),
        ] {
            descriptor.picture_id = Some(PictureId::shortest(value));
            let mut out = [0; 8];
            let len = descriptor.write(&mut out).unwrap();
            assert_eq!(&out[..len], expected, "{name}");
            assert!(len <= DESCRIPTOR_LEN_MAX, "{name}");
        }
        assert_eq!(descriptor.write(&mut [0; 4]), Err(NoRoom));
    }

    proptest! {
        #[test]
        fn descriptor_is_written_as_it_was_read(payload: [u8; 12]) {
            // Reserved bits are written as zero; a bit that only an absent field would use is not kept.
            if let Ok(descriptor) = Descriptor::parse(&payload) {
                let mut rewritten = [0; DESCRIPTOR_LEN_MAX];
                let len = descriptor.write(&mut rewritten).unwrap();
                let again: Vec<u8> = rewritten[..len].iter().chain(&payload[descriptor.len..]).copied().collect();
                prop_assert_eq!(Descriptor::parse(&again), Ok(Descriptor { len, ..descriptor }));
            }
        }
    }
}
