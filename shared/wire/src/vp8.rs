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

    /// Writes the descriptor with the values that its fields now have and says how long it is.
    ///
    /// A field is written if it is present; reserved bits are zero. `len` is that of the descriptor that was read.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        let flags = self.flags();
        let extended = if flags == 0 { 0 } else { EXTENDED };
        let non_reference = if self.non_reference { NON_REFERENCE } else { 0 };
        let start = if self.start_of_partition { START } else { 0 };
        writer.u8(extended | non_reference | start | self.partition & 0x07)?;
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
