//! The RTP header as a view, its extension elements, and its writer (RFC 3550 §5.1, RFC 8285).

use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;

use crate::cursor::{NoRoom, Reader, Writer};

/// Bytes of a header without contributing sources and extension.
pub const FIXED_LEN: usize = 12;

/// Extension elements of one packet that are looked at; what follows is ignored.
pub const EXTENSIONS_MAX: usize = 16;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the fixed header.
    Short,
    /// The version is not 2.
    Version,
    /// The contributing sources reach beyond the packet.
    ContributingSources,
    /// The header extension reaches beyond the packet.
    Extension,
    /// The padding count is zero or reaches beyond the payload.
    Padding,
}

/// An RTP header whose lengths were checked.
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
// |                           timestamp                           |
// |           synchronization source (SSRC) identifier            |
// |            contributing source (CSRC) identifiers ...         |
// |      defined by profile       |     words that follow         |
// |                        header extension ...                   |
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; FIXED_LEN],
    extensions: Extensions<'a>,
    len: usize,
}

impl<'a> Header<'a> {
    /// Reads the header at the front of `packet`, which may still be encrypted.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(packet);
        let fixed: &[u8; FIXED_LEN] = reader.array().ok_or(Malformed::Short)?;
        if fixed[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        reader.bytes(usize::from(fixed[0] & 0x0f) << 2).ok_or(Malformed::ContributingSources)?;
        let extensions = if fixed[0] & 0x10 == 0 {
            Extensions::EMPTY
        } else {
            let profile = reader.u16().ok_or(Malformed::Extension)?;
            let words = reader.u16().ok_or(Malformed::Extension)?;
            Extensions::new(profile, reader.bytes(usize::from(words) << 2).ok_or(Malformed::Extension)?)
        };
        Ok(Self { fixed, extensions, len: packet.len().saturating_sub(reader.rest().len()) })
    }

    #[must_use]
    pub const fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        PayloadType(self.fixed[1] & 0x7f)
    }

    #[must_use]
    pub const fn sequence(&self) -> Seq16 {
        Seq16(u16::from_be_bytes([self.fixed[2], self.fixed[3]]))
    }

    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.fixed[8], self.fixed[9], self.fixed[10], self.fixed[11]]))
    }

    /// Whether the last byte of the payload, once decrypted, counts bytes of padding.
    #[must_use]
    pub const fn has_padding(&self) -> bool {
        self.fixed[0] & 0x20 != 0
    }

    /// Bytes of the whole header: where the payload begins.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.len
    }

    /// The extension elements in the order of the packet, at most [`EXTENSIONS_MAX`].
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'a> {
        self.extensions
    }

    /// The first extension element with this id.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|element| element.id == id).map(|element| element.data)
    }
}

/// The payload without its padding; `payload` is decrypted and `padded` is [`Header::has_padding`].
pub fn without_padding(payload: &[u8], padded: bool) -> Result<&[u8], Malformed> {
    if !padded {
        return Ok(payload);
    }
    let count = usize::from(*payload.last().ok_or(Malformed::Padding)?);
    if count == 0 {
        return Err(Malformed::Padding);
    }
    let len = payload.len().checked_sub(count).ok_or(Malformed::Padding)?;
    payload.get(..len).ok_or(Malformed::Padding)
}

/// One element of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub id: u8,
    pub data: &'a [u8],
}

/// The elements of a header extension; ends at the first one that is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    form: Form,
    left: usize,
    reader: Reader<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Extensions<'a> {
    const EMPTY: Self = Self { form: Form::OneByte, left: 0, reader: Reader::new(&[]) };

    const fn new(profile: u16, bytes: &'a [u8]) -> Self {
        let form = match profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            // RFC 8285 §4.3: the low four bits are for the application.
            TWO_BYTE_PROFILE..=0x100f => Form::TwoByte,
            _ => return Self::EMPTY,
        };
        Self { form, left: EXTENSIONS_MAX, reader: Reader::new(bytes) }
    }

    fn element(&mut self) -> Option<Element<'a>> {
        let mut first = self.reader.u8()?;
        while first == 0 {
            first = self.reader.u8()?; // RFC 8285 §4.1.2: bytes of padding.
        }
        let (id, len) = match self.form {
            // RFC 8285 §4.2: id 15 ends the reading, and so does an id of 0 with a length.
            Form::OneByte if matches!(first >> 4, 0 | 15) => return None,
            Form::OneByte => (first >> 4, usize::from(first & 0x0f).saturating_add(1)),
            Form::TwoByte => (first, usize::from(self.reader.u8()?)),
        };
        Some(Element { id, data: self.reader.bytes(len)? })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        let element = self.element();
        if element.is_none() {
            self.left = 0;
        }
        element
    }
}

/// What a written header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    pub marker: bool,
    pub payload_type: PayloadType,
    pub sequence: Seq16,
    pub timestamp: u32,
    pub ssrc: Ssrc,
    /// The payload will end with a count of padding bytes.
    pub padding: bool,
}

/// Why a header can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    NoRoom,
    /// An extension id of 0, an element of more than 255 bytes, or more than [`EXTENSIONS_MAX`] elements.
    Extension,
}

impl From<NoRoom> for WriteError {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Writes a header into the front of `out` and says how long it is.
///
/// The elements take the one-byte form if all of them fit it, else the two-byte form.
pub fn write_header(
    out: &mut [u8],
    fields: &Fields,
    extensions: &[(u8, &[u8])],
) -> Result<usize, WriteError> {
    let mut writer = Writer::new(out);
    let flags = 0x80 | u8::from(fields.padding) << 5 | u8::from(!extensions.is_empty()) << 4;
    writer.u8(flags)?;
    writer.u8(u8::from(fields.marker) << 7 | fields.payload_type.0 & 0x7f)?;
    writer.u16(fields.sequence.0)?;
    writer.u32(fields.timestamp)?;
    writer.u32(fields.ssrc.0)?;
    if !extensions.is_empty() {
        write_extensions(&mut writer, extensions)?;
    }
    Ok(writer.len())
}

fn write_extensions(writer: &mut Writer<'_>, extensions: &[(u8, &[u8])]) -> Result<(), WriteError> {
    if extensions.len() > EXTENSIONS_MAX || extensions.iter().any(|(id, _)| *id == 0) {
        return Err(WriteError::Extension);
    }
    let one_byte = extensions.iter().all(|(id, data)| *id <= 14 && (1..=16).contains(&data.len()));
    writer.u16(if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE })?;
    let length_at = writer.len();
    writer.u16(0)?;
    let start = writer.len();
    for (id, data) in extensions {
        let len = u8::try_from(data.len()).map_err(|_| WriteError::Extension)?;
        if one_byte {
            writer.u8(id << 4 | len.saturating_sub(1))?;
        } else {
            writer.u8(*id)?;
            writer.u8(len)?;
        }
        writer.bytes(data)?;
    }
    while writer.len() & 3 != 0 {
        writer.u8(0)?;
    }
    let words = writer.len().saturating_sub(start) >> 2;
    writer.patch_u16(length_at, u16::try_from(words).map_err(|_| WriteError::Extension)?)?;
    Ok(())
}

/// A header in place, for changes that keep its length.
#[derive(Debug)]
pub struct Patch<'a>(&'a mut [u8; FIXED_LEN]);

impl<'a> Patch<'a> {
    /// `None` if `packet` is shorter than a fixed header.
    #[must_use]
    pub const fn new(packet: &'a mut [u8]) -> Option<Self> {
        match packet.first_chunk_mut() {
            Some(fixed) => Some(Self(fixed)),
            None => None,
        }
    }

    pub fn set_marker(&mut self, marker: bool) {
        self.0[1] = u8::from(marker) << 7 | self.0[1] & 0x7f;
    }

    pub const fn set_payload_type(&mut self, payload_type: PayloadType) {
        self.0[1] = self.0[1] & 0x80 | payload_type.0 & 0x7f;
    }

    pub const fn set_sequence(&mut self, sequence: Seq16) {
        [self.0[2], self.0[3]] = sequence.0.to_be_bytes();
    }

    pub const fn set_timestamp(&mut self, timestamp: u32) {
        [self.0[4], self.0[5], self.0[6], self.0[7]] = timestamp.to_be_bytes();
    }

    pub const fn set_ssrc(&mut self, ssrc: Ssrc) {
        [self.0[8], self.0[9], self.0[10], self.0[11]] = ssrc.0.to_be_bytes();
    }
}

const ONE_BYTE_PROFILE: u16 = 0xbede;
const TWO_BYTE_PROFILE: u16 = 0x1000;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use proptest::prelude::*;

    const FIELDS: Fields = Fields {
        marker: true,
        payload_type: PayloadType(96),
        sequence: Seq16(0xabcd),
        timestamp: 0x0102_0304,
        ssrc: Ssrc(0x0506_0708),
        padding: false,
    };

    #[test]
    fn fixed_header_is_read() {
        let packet = [0xa0, 0xe0, 0xab, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1];
        let header = Header::parse(&packet).unwrap();
        assert!(header.marker() && header.has_padding());
        assert_eq!(header.payload_type(), PayloadType(96));
        assert_eq!(header.sequence(), Seq16(0xabcd));
        assert_eq!(header.timestamp(), 0x0102_0304);
        assert_eq!(header.ssrc(), Ssrc(0x0506_0708));
        assert_eq!(header.header_len(), 12);
        assert_eq!(header.extensions().count(), 0);
    }

    #[test]
    fn lengths_beyond_the_packet_are_malformed() {
        let with = |first: u8, tail: &[u8]| {
            let mut packet = [0; 12].to_vec();
            packet[0] = first;
            packet.extend_from_slice(tail);
            Header::parse(&packet).map(|header| header.header_len())
        };
        for (name, first, tail, expected) in [
            ("no extension", 0x80, &[][..], Ok(12)),
            ("version 1", 0x40, &[], Err(Malformed::Version)),
            ("two contributing sources", 0x82, &[0; 8], Ok(20)),
            ("the second cut off", 0x82, &[0; 7], Err(Malformed::ContributingSources)),
            ("extension without its header", 0x90, &[0xbe, 0xde, 0], Err(Malformed::Extension)),
            ("empty extension", 0x90, &[0xbe, 0xde, 0, 0], Ok(16)),
            ("one word of extension", 0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0, 0, 0xff], Ok(20)),
            ("the word cut off", 0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0], Err(Malformed::Extension)),
            ("as long as a length can say", 0x90, &[0xbe, 0xde, 0xff, 0xff], Err(Malformed::Extension)),
        ] {
            assert_eq!(with(first, tail), expected, "{name}");
        }
        assert_eq!(Header::parse(&[0x80; 11]).map(|_| ()), Err(Malformed::Short));
    }

    #[test]
    fn extension_elements_are_read_in_both_forms() {
        let elements = |profile: u16, bytes: &[u8]| {
            Extensions::new(profile, bytes).map(|it| (it.id, it.data.to_vec())).collect::<Vec<_>>()
        };
        for (name, profile, bytes, expected) in [
            ("one byte", 0xbede, &[0x10, 7, 0x21, 8, 9][..], &[(1, &[7][..]), (2, &[8, 9])][..]),
            ("padding between", 0xbede, &[0x10, 7, 0, 0, 0x20, 8], &[(1, &[7]), (2, &[8])]),
            ("id 15 ends", 0xbede, &[0x10, 7, 0xf0, 0, 0x20, 8], &[(1, &[7])]),
            ("id 0 with a length ends", 0xbede, &[0x10, 7, 0x01, 0, 0, 0x20, 8], &[(1, &[7])]),
            ("cut off", 0xbede, &[0x10, 7, 0x23, 8], &[(1, &[7])]),
            (
                "two bytes",
                0x1000,
                &[1, 1, 7, 0, 0, 15, 0, 200, 2, 8, 9],
                &[(1, &[7]), (15, &[]), (200, &[8, 9])],
            ),
            ("application bits", 0x100f, &[1, 1, 7], &[(1, &[7])]),
            ("two bytes cut off", 0x1000, &[1], &[]),
            ("another profile", 0x1234, &[0x10, 7], &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(id, data)| (*id, data.to_vec())).collect();
            assert_eq!(elements(profile, bytes), expected, "{name}");
        }
        assert_eq!(elements(0xbede, &[0x10; 80]).len(), EXTENSIONS_MAX, "no more than the limit");
    }

    #[test]
    fn padding_is_stripped_or_refused() {
        for (name, payload, padded, expected) in [
            ("not padded", &[1, 2, 9][..], false, Ok(&[1, 2, 9][..])),
            ("two bytes", &[1, 0, 2], true, Ok(&[1])),
            ("nothing else", &[0, 2], true, Ok(&[])),
            ("more than there is", &[0, 3], true, Err(Malformed::Padding)),
            ("none counted", &[1, 0], true, Err(Malformed::Padding)),
            ("empty", &[], true, Err(Malformed::Padding)),
        ] {
            assert_eq!(without_padding(payload, padded), expected, "{name}");
        }
    }

    #[test]
    fn form_follows_the_elements() {
        let mut out = [0; 300];
        for (name, extensions, expected) in [
            ("small", &[(1, &[7][..]), (14, &[1; 16])][..], Ok((0xbede, 16 + 20))),
            ("high id", &[(15, &[7])], Ok((0x1000, 16 + 4))),
            ("long element", &[(1, &[7; 17])], Ok((0x1000, 16 + 20))),
            ("empty element", &[(1, &[])], Ok((0x1000, 16 + 4))),
            ("id 0", &[(0, &[7])], Err(WriteError::Extension)),
            ("element too long", &[(1, &[7; 256])], Err(WriteError::Extension)),
            ("too many", &[(1, &[7][..]); 17], Err(WriteError::Extension)),
        ] {
            let written = write_header(&mut out, &FIELDS, extensions)
                .map(|len| (u16::from_be_bytes([out[12], out[13]]), len));
            assert_eq!(written, expected, "{name}");
        }
        assert_eq!(write_header(&mut out[..11], &FIELDS, &[]), Err(WriteError::NoRoom));
        assert_eq!(write_header(&mut out[..19], &FIELDS, &[(1, &[7])]), Err(WriteError::NoRoom));
    }

    #[test]
    fn patches_change_what_they_say_and_nothing_else() {
        let mut packet = [0; 14];
        let len = write_header(&mut packet, &FIELDS, &[]).unwrap();
        packet[len..].copy_from_slice(&[9, 9]);
        let mut patch = Patch::new(&mut packet).unwrap();
        patch.set_marker(false);
        patch.set_payload_type(PayloadType(127));
        patch.set_sequence(Seq16(1));
        patch.set_timestamp(2);
        patch.set_ssrc(Ssrc(3));
        assert_eq!(packet, [0x80, 127, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9]);
        assert!(Patch::new(&mut [0; 11]).is_none());
    }

    proptest! {
        #[test]
        fn header_is_read_as_written(
            marker: bool, padding: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            extensions in proptest::collection::vec((1_u8.., proptest::collection::vec(any::<u8>(), 0..20)), 0..=16),
        ) {
            let fields = Fields {
                marker, padding, timestamp,
                payload_type: PayloadType(payload_type), sequence: Seq16(sequence), ssrc: Ssrc(ssrc),
            };
            let elements: Vec<_> = extensions.iter().map(|(id, data)| (*id, data.as_slice())).collect();
            let mut out = [0xff; 600];
            let len = write_header(&mut out, &fields, &elements).unwrap();
            prop_assert_eq!(len % 4, 0);
            let header = Header::parse(&out[..len]).unwrap();
            prop_assert_eq!(header.header_len(), len);
            let read = Fields {
                marker: header.marker(), padding: header.has_padding(), timestamp: header.timestamp(),
                payload_type: header.payload_type(), sequence: header.sequence(), ssrc: header.ssrc(),
            };
            prop_assert_eq!(read, fields);
            prop_assert!(header.extensions().map(|it| (it.id, it.data)).eq(elements));
        }
    }
}
