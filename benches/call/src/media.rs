//! What the publisher sends: VP8 with three temporal layers in bursts of packets, VP9 and AV1 with two spatial ones, Opus,
//! or Opus in RED.

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
    /// Two spatial layers, told by its own descriptors (RFC 9628).
    Vp9,
    /// Two spatial layers, told by dependency descriptors.
    Av1,
    Audio,
    /// Two frames repeated in each packet (RFC 2198).
    Red,
    /// Opus that goes out as RED.
    Encoded,
}

impl Media {
    #[must_use]
    pub fn payload_type(self) -> PayloadType {
        match self {
            Self::Video | Self::Vp9 | Self::Av1 => PayloadType(96),
            Self::Audio | Self::Encoded => OPUS,
            Self::Red => PayloadType(63),
        }
    }

    #[must_use]
    pub fn is_video(self) -> bool {
        matches!(self, Self::Video | Self::Vp9 | Self::Av1)
    }

    /// Packets that come at once, and the time to the next ones.
    #[must_use]
    pub fn rhythm(self) -> (u64, Duration) {
        match self {
            Self::Video | Self::Vp9 | Self::Av1 => (PACKETS, Duration::from_nanos(33_333_333)), // ~2.1 Mbit/s
            Self::Audio | Self::Red | Self::Encoded => (1, Duration::from_millis(20)),
        }
    }

    /// The sealed packet of this index; the first picture of video is a key frame.
    #[must_use]
    pub fn packet<C: Cipher>(self, outbound: &mut Outbound<C>, index: u64) -> Vec<u8> {
        let sequence = Seq(index);
        let (ticks, marker) = if self.is_video() {
            (index / PACKETS * 3_000, index % PACKETS == PACKETS - 1)
        } else {
            (index * 960, false)
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
        let descriptor = dependency_descriptor(index);
        let own: Option<(u8, &[u8])> = match self {
            Self::Video | Self::Vp9 => None,
            Self::Av1 => Some((DESCRIPTOR_ID, &descriptor)),
            Self::Audio | Self::Red | Self::Encoded => Some((4, &level)),
        };
        let elements: [(u8, &[u8]); 2] = [(1, b"1"), (5, &transport)];
        let elements: Vec<_> = elements.into_iter().chain(own).collect();
        let mut datagram = vec![0; 1_500];
        let header_len = write_header(&mut datagram, &fields, &elements).expect("there is room");
        let payload = match self {
            Self::Video => video_payload(index / PACKETS, index.is_multiple_of(PACKETS)),
            Self::Vp9 => vp9_payload(index),
            Self::Av1 => vec![0x10; VIDEO_LEN], // One OBU element, or a part of one.
            Self::Audio | Self::Encoded => vec![0x5a; FRAME_LEN],
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

/// Where in its picture of two spatial layers a packet is: its layer, and whether it begins and ends that.
fn place(index: u64) -> (u8, bool, bool) {
    let (spatial, at) = (index % PACKETS / (PACKETS / 2), index % (PACKETS / 2));
    (u8::from(spatial > 0), at == 0, at == PACKETS / 2 - 1)
}

/// RFC 9628 §4.2: I, P, L, B and E; 15 bits of picture id; the layer, and TL0PICIDX.
fn vp9_payload(index: u64) -> Vec<u8> {
    let picture = index / PACKETS;
    let (spatial, begins, ends) = place(index);
    let flags = 0xa0 | u8::from(picture > 0) << 6 | u8::from(begins) << 3 | u8::from(ends) << 2;
    let [low, high, ..] = picture.to_le_bytes();
    // A spatial layer above the lowest depends on the one below (D).
    let layer = spatial << 1 | u8::from(spatial > 0);
    let mut payload = vec![flags, 0x80 | high, low, layer, low];
    payload.resize(VIDEO_LEN, 0x5a);
    payload
}

/// Template 0 and 2 in the first picture, which brings the structure, 1 and 3 in others.
fn dependency_descriptor(index: u64) -> Vec<u8> {
    let picture = index / PACKETS;
    let (spatial, begins, ends) = place(index);
    let [low, high, ..] = (picture * 2 + u64::from(spatial)).to_le_bytes();
    let template = spatial * 2 + u8::from(picture > 0);
    let mut descriptor = vec![u8::from(begins) << 7 | u8::from(ends) << 6 | template, high, low];
    if index == 0 {
        descriptor.extend(structure());
    }
    descriptor
}

/// What stands behind the mandatory fields of a key frame: five flags, and a structure of two decode targets.
fn structure() -> Vec<u8> {
    const FIELDS: &[&str] = &[
        "10000",    // a structure and nothing else
        "000000",   // template ids from 0
        "00001",    // two decode targets
        "00100011", // S0, S0, S1, S1
        "1010",     // switch, switch
        "1011",     // switch, required
        "0010",     // not present, switch
        "0010",
        "0",           // frame differences: none
        "100010",      // 2
        "100000",      // 1
        "10001100000", // 2 and 1
        "11",          // two chains, one for each target
        "01",
        "00000000", // chain differences
        "00100001",
        "00010001",
        "00010001",
        "0", // no resolutions
    ];
    let bits: Vec<u8> = FIELDS.iter().flat_map(|field| field.bytes()).map(|bit| bit - b'0').collect();
    let byte = |bits: &[u8]| (0..).zip(bits).fold(0, |all, (at, bit)| all | bit << (7 - at));
    bits.chunks(8).map(byte).collect()
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

/// The publisher's id of dependency descriptors.
pub(crate) const DESCRIPTOR_ID: u8 = 12;
pub const OPUS: PayloadType = PayloadType(111);
pub const SOURCE: Ssrc = Ssrc(1_000);
const FRAME_LEN: usize = FRAME_LEN_BITS as usize;
const FRAME_LEN_BITS: u32 = 80;
const VIDEO_LEN: usize = 1_100;
/// Of each picture.
const PACKETS: u64 = 8;

#[cfg(test)]
mod tests {
    use wire::av1::dependency::Descriptor as Dependencies;
    use wire::av1::dependency::structure::Structure;
    use wire::vp9;

    use super::*;

    #[test]
    fn layers_are_told_as_they_are_read() {
        let structure = Structure::brought_by(&dependency_descriptor(0)).unwrap().unwrap();
        for (index, spatial, key) in [(0, 0, true), (4, 1, true), (8, 0, false), (15, 1, false)] {
            let descriptor = Dependencies::parse(&dependency_descriptor(index), &structure).unwrap();
            assert_eq!(
                (descriptor.spatial, descriptor.differences.is_empty()),
                (spatial, key && spatial == 0)
            );
            let descriptor = vp9::Descriptor::parse(&vp9_payload(index)).unwrap();
            assert_eq!(descriptor.layer.map(|layer| layer.spatial), Some(spatial));
            assert_eq!(descriptor.inter_picture_predicted, !key);
        }
    }
}
