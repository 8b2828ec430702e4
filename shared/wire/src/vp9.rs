//! The VP9 payload descriptor: layers, and where pictures and key pictures begin (RFC 9628 §4.2).

use crate::cursor::Reader;
use crate::picture_id::PictureId;

/// Spatial layers that a scalability structure can describe.
pub const SPATIAL_LAYERS_MAX: usize = 8;

/// Flags, a picture id of two bytes, the layer and TL0PICIDX.
pub const HEAD_LEN_MAX: usize = 5;

/// Why a payload does not begin with a VP9 payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Short,
    /// More than three reference indices.
    References,
}

/// What a payload descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor: where the VP9 payload begins.
    pub len: usize,
    pub picture_id: Option<PictureId>,
    /// P: refers to an earlier picture.
    pub inter_picture_predicted: bool,
    /// F: references are in each packet.
    pub flexible: bool,
    /// B: the packet begins a frame (of one spatial layer).
    pub start_of_frame: bool,
    /// E: the packet ends a frame.
    pub end_of_frame: bool,
    /// Z: no higher spatial layer refers to this one.
    pub not_for_inter_layer: bool,
    pub layer: Option<Layer>,
    /// TL0PICIDX: counts pictures of temporal layer 0; only in non-flexible mode.
    pub tl0_picture_index: Option<u8>,
    pub structure: Option<Structure>,
}

/// The frame's place among the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// TID, 0 to 7.
    pub temporal: u8,
    /// U: a receiver may begin with this temporal layer here.
    pub switching_up: bool,
    /// SID, 0 to 7.
    pub spatial: u8,
    /// D: refers to the next lower spatial layer of the same picture.
    pub inter_layer_dependent: bool,
}

/// What a scalability structure says of the spatial layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// 1 to 8.
    pub spatial_layer_count: u8,
    /// Width and height, lowest layer first; `None` if the structure does not say.
    pub sizes: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
}

impl Descriptor {
    //         0 1 2 3 4 5 6 7
    //        +-+-+-+-+-+-+-+-+
    //        |I|P|L|F|B|E|V|Z|
    //   I:   |M| PICTURE ID  |  and a second byte if M
    //   L:   | TID |U| SID |D|
    //        |   TL0PICIDX   |  not if F
    //   P,F: | P_DIFF      |N|  up to three times
    //   V:   | SS ...
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8().ok_or(Malformed::Short)?;
        let mut descriptor = Self {
            len: 0,
            picture_id: None,
            inter_picture_predicted: flags & 0x40 != 0,
            flexible: flags & 0x10 != 0,
            start_of_frame: flags & 0x08 != 0,
            end_of_frame: flags & 0x04 != 0,
            not_for_inter_layer: flags & 0x01 != 0,
            layer: None,
            tl0_picture_index: None,
            structure: None,
        };
        if flags & 0x80 != 0 {
            descriptor.picture_id = Some(PictureId::read(&mut reader).ok_or(Malformed::Short)?);
        }
        if flags & 0x20 != 0 {
            descriptor.layer = Some(Layer::read(&mut reader).ok_or(Malformed::Short)?);
            if !descriptor.flexible {
                descriptor.tl0_picture_index = Some(reader.u8().ok_or(Malformed::Short)?);
            }
        }
        if descriptor.flexible && descriptor.inter_picture_predicted {
            skip_references(&mut reader)?;
        }
        if flags & 0x02 != 0 {
            descriptor.structure = Some(Structure::read(&mut reader).ok_or(Malformed::Short)?);
        }
        descriptor.len = payload.len().saturating_sub(reader.rest().len());
        Ok(descriptor)
    }

    /// Bytes up to the TL0PICIDX, where no flexible references or structure have begun.
    #[must_use]
    pub fn head_len(&self) -> usize {
        let id = match self.picture_id {
            None => 0,
            Some(PictureId::Seven(_)) => 1,
            Some(PictureId::Fifteen(_)) => 2_usize,
        };
        let layer = usize::from(self.layer.is_some());
        id.saturating_add(layer)
            .saturating_add(usize::from(self.tl0_picture_index.is_some()))
            .saturating_add(1)
    }

    /// Writes the descriptor up to the TL0PICIDX; what follows in a packet may stay as it is. Returns the length.
    #[must_use]
    pub fn write_head(&self, out: &mut [u8; HEAD_LEN_MAX]) -> usize {
        let flags = [
            self.picture_id.is_some(),
            self.inter_picture_predicted,
            self.layer.is_some(),
            self.flexible,
            self.start_of_frame,
            self.end_of_frame,
            self.structure.is_some(),
            self.not_for_inter_layer,
        ];
        let flags = flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag));
        let [id_high, id_low] = match self.picture_id {
            None => [None, None],
            Some(PictureId::Seven(id)) => [Some(id & 0x7f), None],
            Some(PictureId::Fifteen(id)) => id.to_be_bytes().map(Some),
        };
        let is_wide = id_low.is_some();
        let id_high = id_high.map(|high| if is_wide { high | 0x80 } else { high });
        let bytes = [Some(flags), id_high, id_low, self.layer.map(Layer::write), self.tl0_picture_index];
        for (slot, byte) in out.iter_mut().zip(bytes.into_iter().flatten()) {
            *slot = byte;
        }
        self.head_len()
    }

    /// Whether the packet begins a key picture: the first frame of a picture that refers to none before it.
    #[must_use]
    pub fn key_frame(&self) -> bool {
        let lowest = self.layer.is_none_or(|layer| layer.spatial == 0);
        self.start_of_frame && !self.inter_picture_predicted && lowest
    }
}

impl Layer {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let byte = reader.u8()?;
        Some(Self {
            temporal: byte >> 5,
            switching_up: byte & 0x10 != 0,
            spatial: byte >> 1 & 0x07,
            inter_layer_dependent: byte & 0x01 != 0,
        })
    }
}

impl Layer {
    const fn write(self) -> u8 {
        self.temporal << 5
            | (self.switching_up as u8) << 4
            | (self.spatial & 7) << 1
            | self.inter_layer_dependent as u8
    }
}

impl Structure {
    // | N_S |Y|G|-|-|-|
    // |     WIDTH     | two bytes, and two of HEIGHT, N_S + 1 times if Y
    // |      N_G      | if G
    // | TID |U| R |-|-| N_G times, each followed by R bytes of P_DIFF
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u8()?;
        let spatial_layer_count = (flags >> 5).saturating_add(1);
        let sizes = if flags & 0x10 == 0 {
            None
        } else {
            let mut sizes = [(0, 0); SPATIAL_LAYERS_MAX];
            for size in sizes.iter_mut().take(spatial_layer_count.into()) {
                *size = (reader.u16()?, reader.u16()?);
            }
            Some(sizes)
        };
        if flags & 0x08 != 0 {
            for _ in 0..reader.u8()? {
                let references = reader.u8()? >> 2 & 0x03;
                reader.bytes(references.into())?;
            }
        }
        Some(Self { spatial_layer_count, sizes })
    }
}

fn skip_references(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    for _ in 0..3 {
        let another_follows = reader.u8().ok_or(Malformed::Short)? & 0x01 != 0;
        if !another_follows {
            return Ok(());
        }
    }
    Err(Malformed::References)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_read_field_by_field() {
        let plain = Descriptor {
            len: 1,
            picture_id: None,
            inter_picture_predicted: false,
            flexible: false,
            start_of_frame: false,
            end_of_frame: false,
            not_for_inter_layer: false,
            layer: None,
            tl0_picture_index: None,
            structure: None,
        };
        let layer = Layer { temporal: 2, switching_up: true, spatial: 1, inter_layer_dependent: true };
        let mut sizes = [(0, 0); 8];
        sizes[0] = (320, 180);
        sizes[1] = (640, 360);
        for (name, bytes, expected) in [
            ("nothing set", &[0x00, 0xff][..], plain),
            ("start and end", &[0x0c], Descriptor { start_of_frame: true, end_of_frame: true, ..plain }),
            (
                "7-bit picture id",
                &[0x80, 0x7f],
                Descriptor { len: 2, picture_id: Some(PictureId::Seven(127)), ..plain },
            ),
            (
                "15-bit picture id, layers, TL0PICIDX",
                &[0xe1, 0x81, 0x02, 0b0101_0011, 9],
                Descriptor {
                    len: 5,
                    picture_id: Some(PictureId::Fifteen(0x102)),
                    inter_picture_predicted: true,
                    not_for_inter_layer: true,
                    layer: Some(layer),
                    tl0_picture_index: Some(9),
                    ..plain
                },
            ),
            (
                "flexible with three references",
                &[0x70, 0b0101_0011, 0x03, 0x05, 0x06],
                Descriptor {
                    len: 5,
                    inter_picture_predicted: true,
                    flexible: true,
                    layer: Some(layer),
                    ..plain
                },
            ),
            (
                "structure with sizes and a picture group",
                &[0x02, 0b0011_1000, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0b0000_0100, 1, 0b0010_1000, 1, 2],
                Descriptor {
                    len: 16,
                    structure: Some(Structure { spatial_layer_count: 2, sizes: Some(sizes) }),
                    ..plain
                },
            ),
        ] {
            assert_eq!(Descriptor::parse(bytes), Ok(expected), "{name}");
            let mut head = [0; HEAD_LEN_MAX];
            let len = expected.write_head(&mut head);
            assert_eq!(head[..len], bytes[..len], "{name}");
        }
    }

    #[test]
    fn cut_off_descriptors_are_malformed() {
        for (name, bytes, expected) in [
            ("empty", &[][..], Malformed::Short),
            ("no picture id", &[0x80], Malformed::Short),
            ("half a picture id", &[0x80, 0x80], Malformed::Short),
            ("no layer", &[0x20], Malformed::Short),
            ("no TL0PICIDX", &[0x20, 0], Malformed::Short),
            ("no reference", &[0x50], Malformed::Short),
            ("a fourth reference", &[0x50, 3, 3, 3, 2], Malformed::References),
            ("no structure", &[0x02], Malformed::Short),
            ("structure without its sizes", &[0x02, 0x10, 1, 2, 3], Malformed::Short),
            ("picture group without its references", &[0x02, 0x08, 1, 0x04], Malformed::Short),
        ] {
            assert_eq!(Descriptor::parse(bytes), Err(expected), "{name}");
        }
    }

    #[test]
    fn key_picture_begins_in_the_lowest_layer() {
        for (name, bytes, expected) in [
            ("first frame", &[0x08][..], true),
            ("lowest spatial layer", &[0x28, 0b0000_0000, 0], true),
            ("second spatial layer of a key picture", &[0x28, 0b0000_0011, 0], false),
            ("predicted", &[0x48], false),
            ("not its first packet", &[0x00], false),
        ] {
            assert_eq!(Descriptor::parse(bytes).unwrap().key_frame(), expected, "{name}");
        }
    }
}
