//! What the publisher sends: VP8 with three temporal layers in bursts of packets, Opus, or Opus in RED.

use core::time::Duration;

use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use wire::picture_id::PictureId;
use wire::rtp::{Fields, write_header};
use wire::vp8::{Descriptor, Temporal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Video,
    Audio,
    /// Two frames repeated in each packet (RFC 2198).
    Red,
}

impl Media {
    #[must_use]
    pub fn payload_type(self) -> PayloadType {
        match self {
            Self::Video => PayloadType(96),
            Self::Audio => OPUS,
            Self::Red => PayloadType(63),
        }
    }

    /// Packets that come at once, and the time to the next ones.
    #[must_use]
    pub fn rhythm(self) -> (u64, Duration) {
        match self {
            Self::Video => (PACKETS, Duration::from_nanos(33_333_333)), // ~2.1 Mbit/s
            Self::Audio | Self::Red => (1, Duration::from_millis(20)),
        }
    }

    /// The sealed packet of this index; the first picture of video is a key frame.
    #[must_use]
    pub fn packet<C: Cipher>(self, outbound: &mut Outbound<C>, index: u64) -> Vec<u8> {
        let sequence = Seq(index);
        let (ticks, marker) = match self {
            Self::Video => (index / PACKETS * 3_000, index % PACKETS == PACKETS - 1),
            Self::Audio | Self::Red => (index * 960, false),
        };
        let [a, b, c, d, ..] = ticks.to_le_bytes();
        let fields = Fields {
            marker,
            payload_type: self.payload_type(),
            sequence: sequence.low(),
            timestamp: u32::from_le_bytes([a, b, c, d]),
            ssrc: SOURCE,
            padding: false,
        };
        let transport: [u8; 2] = sequence.low().0.to_be_bytes();
        // 30 dB below overload, and speech (RFC 6464 §3).
        let level = [0x80 | 30];
        let elements: [(u8, &[u8]); 3] = [(1, b"1"), (5, &transport), (4, &level)];
        let elements = elements.get(..if self == Self::Video { 2 } else { 3 }).unwrap_or_default();
        let mut datagram = vec![0; 1_500];
        let header_len = write_header(&mut datagram, &fields, elements).expect("there is room");
        let payload = match self {
            Self::Video => video_payload(index / PACKETS, index.is_multiple_of(PACKETS)),
            Self::Audio => vec![0x5a; FRAME_LEN],
            Self::Red => red_payload(),
        };
        let len = outbound.seal_rtp(sequence, &mut datagram, header_len, &payload).expect("there is room");
        datagram.truncate(len);
        datagram
    }
}

/// The layer of a picture, with four to a cycle.
pub(crate) fn temporal(picture: u64) -> Temporal {
    match picture % 4 {
        0 => Temporal { id: 0, sync: false },
        2 => Temporal { id: 1, sync: true },
        _ => Temporal { id: 2, sync: picture % 4 == 1 },
    }
}

fn video_payload(picture: u64, start_of_picture: bool) -> Vec<u8> {
    let [low, high, ..] = picture.to_le_bytes();
    let temporal = temporal(picture);
    let descriptor = Descriptor {
        len: 0,
        non_reference: temporal.id == 2,
        start_of_partition: start_of_picture,
        partition: 0,
        picture_id: Some(PictureId::Fifteen(u16::from_le_bytes([low, high]) & 0x7fff)),
        tl0_picture_index: Some((picture / 4).to_le_bytes()[0]),
        temporal: Some(temporal),
        key_index: None,
        key_frame: false,
        dimensions: None,
    };
    let mut payload = vec![0x5a; VIDEO_LEN];
    let len = descriptor.write(&mut payload).expect("there is room");
    // P, the first bit of a picture, is 0 in a key frame (RFC 7741 §4.3).
    payload[len] = u8::from(picture > 0);
    payload
}

fn red_payload() -> Vec<u8> {
    let mut payload = Vec::new();
    for frames_ago in [2, 1] {
        // RFC 2198 §3: a bit that says that more follows, the codec; 14 bits of offset, 10 of length.
        let field: u32 = (frames_ago * 960) << 10 | FRAME_LEN_BITS;
        payload.push(0x80 | OPUS.0);
        payload.extend(field.to_be_bytes().into_iter().skip(1));
    }
    payload.push(OPUS.0);
    payload.resize(payload.len() + 3 * FRAME_LEN, 0x5a);
    payload
}

pub const OPUS: PayloadType = PayloadType(111);
pub const SOURCE: Ssrc = Ssrc(1_000);
const FRAME_LEN: usize = FRAME_LEN_BITS as usize;
const FRAME_LEN_BITS: u32 = 80;
const VIDEO_LEN: usize = 1_100;
/// Of each picture.
const PACKETS: u64 = 8;
