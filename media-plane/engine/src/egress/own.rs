//! Packets of our own: frames that show black or say nothing, and padding.

use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use wire::rtp::{FIXED_LEN, Fields, write_header};

use crate::command::SIF_TRAILER_LEN_MAX;

/// What a packet of our own carries. Its bytes are always the same, so that it can be sent again without being kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing but padding.
    Padding,
    Frame {
        blank: Blank,
        /// It ends with the room's trailer, by which clients tell it from frames that are encrypted end to end.
        marked: bool,
    },
}

/// A frame that fits one packet and that any decoder can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    Opus,
    /// Opus in a block of this payload type, with nothing redundant (RFC 2198 §3).
    Red(PayloadType),
    Pcmu,
    Pcma,
    Vp8,
    H264,
}

impl Blank {
    /// Of audio, frames of 20 ms.
    #[must_use]
    pub const fn frames_per_second(self) -> u32 {
        match self {
            Self::Opus | Self::Red(_) | Self::Pcmu | Self::Pcma => 50,
            Self::Vp8 | Self::H264 => 30,
        }
    }

    #[must_use]
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Vp8 | Self::H264)
    }
}

/// A packet of our own in the clear. Its header is a form: what is sent has one of the stream's.
#[derive(Debug)]
pub struct OwnPacket {
    bytes: [u8; LEN_MAX],
    len: usize,
}

impl OwnPacket {
    /// `None` if the trailer is too long.
    #[must_use]
    pub fn new(content: Content, trailer: &[u8]) -> Option<Self> {
        let mut packet = Self { bytes: [0; LEN_MAX], len: 0 };
        let form = Fields {
            marker: false,
            payload_type: PayloadType(0),
            sequence: Seq16(0),
            timestamp: 0,
            ssrc: Ssrc(0),
            padding: false,
        };
        packet.len = write_header(&mut packet.bytes, &form, &[]).ok()?;
        match content {
            Content::Padding => {
                // RFC 3550 §5.1: the last byte of the padding counts it.
                packet.push(&[0; PADDING_LEN as usize - 1])?;
                packet.push(&[PADDING_LEN])?;
            }
            Content::Frame { blank, marked } => {
                packet.push_frame(blank, if marked { trailer } else { &[] })?
            }
        }
        Some(packet)
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    #[must_use]
    pub const fn header_len(&self) -> usize {
        FIXED_LEN
    }

    fn push_frame(&mut self, blank: Blank, trailer: &[u8]) -> Option<()> {
        match blank {
            Blank::Opus => self.push_opus()?,
            Blank::Red(block) => {
                self.push(&[block.0])?;
                self.push_opus()?;
            }
            Blank::Pcmu => self.push(&[PCMU_SILENCE; PCM_SAMPLES])?,
            Blank::Pcma => self.push(&[PCMA_SILENCE; PCM_SAMPLES])?,
            Blank::Vp8 => self.push(VP8_KEY_FRAME)?,
            Blank::H264 => {
                // RFC 6184 §5.7.1: the parameter sets and the picture in one aggregation packet. The trailer is part
                // of the last unit, as the receiver sees the frame and not the packet.
                self.push(&[STAP_A])?;
                self.push_unit(H264_SEQUENCE_PARAMETERS, &[])?;
                self.push_unit(H264_PICTURE_PARAMETERS, &[])?;
                return self.push_unit(H264_KEY_FRAME, trailer);
            }
        }
        self.push(trailer)
    }

    fn push_opus(&mut self) -> Option<()> {
        self.push(&OPUS_SILENCE)?;
        self.push(&[0; OPUS_LEN - OPUS_SILENCE.len()])
    }

    fn push_unit(&mut self, unit: &[u8], trailer: &[u8]) -> Option<()> {
        let len = u16::try_from(unit.len() + trailer.len()).ok()?;
        self.push(&len.to_be_bytes())?;
        self.push(unit)?;
        self.push(trailer)
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + part.len())?.copy_from_slice(part);
        self.len += part.len();
        Some(())
    }
}

/// What a packet of padding has behind its header.
pub const PADDING_LEN: u8 = 255;

const PCM_SAMPLES: usize = 160; // 20 ms at 8 kHz
/// G.711's codes for zero.
const PCMU_SILENCE: u8 = 0xff;
const PCMA_SILENCE: u8 = 0xd5;

/// 20 ms of CELT, fullband, mono, whose silence flag is set (RFC 6716 §3.1, §4.3); the decoder reads no further.
/// It is as long as livekit-client wants it: with end-to-end encryption, that passes on frames of ours by their hash.
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
const OPUS_LEN: usize = 80;

/// One black picture of 8x8 pixels: `ffmpeg -f lavfi -i color=black:s=8x8 -frames:v 1 -c:v libvpx -b:v 20k -f ivf`.
const VP8_KEY_FRAME: &[u8] = &[
    0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x85,
    0x84, 0x88, 0x02, 0x02, 0x00, 0x0c, 0x0d, 0x60, 0x00, 0xfe, 0xff, 0xab, 0x50, 0x80,
];

/// One black picture of 2x2 pixels: `ffmpeg -f lavfi -i color=black:s=2x2 -frames:v 1 -pix_fmt yuv420p -c:v libx264
/// -profile:v baseline -level 1.0 -x264-params keyint=1 -f h264`, without its SEI.
const H264_SEQUENCE_PARAMETERS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0a, 0xdd, 0xf8, 0x88, 0x8c, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x0f,
    0x03, 0xc4, 0x89, 0xe0,
];
const H264_PICTURE_PARAMETERS: &[u8] = &[0x68, 0xce, 0x0f, 0x2c, 0x80];
const H264_KEY_FRAME: &[u8] = &[0x65, 0x88, 0x84, 0x04, 0xbc, 0x98, 0xa0, 0x00, 0x38, 0xa3, 0x80];
const STAP_A: u8 = 24;

/// Header, the longest content, and the trailer.
const LEN_MAX: usize = FIXED_LEN + PADDING_LEN as usize + SIF_TRAILER_LEN_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    use wire::rtp::{Header, without_padding};
    use wire::{h264, red};

    fn payload(content: Content, trailer: &[u8]) -> Vec<u8> {
        let mut packet = OwnPacket::new(content, trailer).unwrap();
        let header_len = packet.header_len();
        assert_eq!(Header::parse(packet.bytes_mut()).unwrap().header_len(), header_len);
        packet.bytes_mut()[header_len..].to_vec()
    }

    #[test]
    fn frames_are_whole_and_end_with_the_trailer_where_they_are_marked() {
        const BLOCK: PayloadType = PayloadType(111);
        let trailer = [0x7e; SIF_TRAILER_LEN_MAX];
        for (blank, len) in [
            (Blank::Opus, 80),
            (Blank::Red(BLOCK), 81),
            (Blank::Pcmu, 160),
            (Blank::Pcma, 160),
            (Blank::Vp8, 31),
            (Blank::H264, 1 + 2 + 21 + 2 + 5 + 2 + 11),
        ] {
            let plain = payload(Content::Frame { blank, marked: false }, &trailer);
            assert_eq!(plain.len(), len, "{blank:?}");
            let marked = payload(Content::Frame { blank, marked: true }, &trailer);
            assert_eq!((marked.len(), marked.ends_with(&trailer)), (len + trailer.len(), true), "{blank:?}");
        }
        let opus = payload(Content::Frame { blank: Blank::Opus, marked: false }, &[]);
        let red = payload(Content::Frame { blank: Blank::Red(BLOCK), marked: false }, &[]);
        let red = red::Redundant::parse(&red).unwrap();
        assert_eq!((red.primary().payload_type, red.primary().data), (BLOCK, &opus[..]));
        assert_eq!(red.redundant().count(), 0);
    }

    #[test]
    fn pictures_are_key_frames_to_our_own_readers() {
        let vp8 = payload(Content::Frame { blank: Blank::Vp8, marked: false }, &[]);
        let descriptor = wire::vp8::Descriptor::parse(&[&[0x10], &vp8[..]].concat()).unwrap();
        assert_eq!((descriptor.key_frame, descriptor.dimensions), (true, Some((8, 8))));
        for marked in [false, true] {
            let h264 = payload(Content::Frame { blank: Blank::H264, marked }, b"trailer");
            assert!(h264::Units::parse(&h264).unwrap().key_frame(), "marked: {marked}");
        }
    }

    #[test]
    fn padding_is_all_of_its_packet() {
        let payload = payload(Content::Padding, b"trailer");
        assert_eq!(payload.len(), 255);
        assert!(without_padding(&payload, true).unwrap().is_empty());
    }

    #[test]
    fn trailer_that_does_not_fit_makes_no_packet() {
        let marked = Content::Frame { blank: Blank::Pcmu, marked: true };
        assert!(OwnPacket::new(marked, &[0; 200]).is_none());
    }
}
