//! A model of what a browser's VP8 encoder makes of 720p: three simulcast layers, each with three temporal layers.
//!
//! Sizes and numbering are real, pictures are not: nothing between sender and receiver decodes them.

use rand::Rng;
use rand::rngs::StdRng;
use wire::picture_id::PictureId;
use wire::vp8::{DESCRIPTOR_LEN_MAX, Descriptor, Temporal};

use crate::stamp;

/// One encoding of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    pub rid: &'static str,
    pub width: u16,
    pub height: u16,
    pub bitrate: u32,
    /// Of three pictures that the camera takes, so many are encoded.
    pub of_three: u32,
}

/// What livekit-client chooses for a camera of 720p: 20, 20 and 30 pictures a second.
pub const LAYERS: [Layer; 3] = [
    Layer { rid: "q", width: 320, height: 180, bitrate: 160_000, of_three: 2 },
    Layer { rid: "h", width: 640, height: 360, bitrate: 450_000, of_three: 2 },
    Layer { rid: "f", width: 1280, height: 720, bitrate: 1_700_000, of_three: 3 },
];

pub const PICTURES_PER_SECOND: u32 = 30;

/// A picture before it is divided into packets.
#[derive(Clone, Debug)]
pub struct Picture {
    descriptor: Descriptor,
    /// Bytes behind the descriptors, of all packets together.
    pub len: usize,
}

#[derive(Debug)]
pub struct Encoder {
    layer: Layer,
    /// 15 bits.
    picture_id: u16,
    tl0_picture_index: u8,
    /// 5 bits.
    key_index: u8,
    /// In the pattern of [`PATTERN`].
    position: usize,
}

impl Encoder {
    pub fn new(layer: Layer, random: &mut StdRng) -> Self {
        Self {
            layer,
            picture_id: random.random_range(0..0x8000),
            tl0_picture_index: random.random(),
            key_index: random.random_range(0..0x20),
            position: 0,
        }
    }

    /// `film_len`: what a film's picture of the largest layer has, of which this layer gets its share.
    pub fn picture(&mut self, key_frame: bool, film_len: Option<usize>, random: &mut StdRng) -> Picture {
        if key_frame {
            self.position = 0;
            self.key_index = (self.key_index + 1) & 0x1f;
        }
        let (id, sync, fifths) = PATTERN[self.position % PATTERN.len()];
        self.position += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if id == 0 {
            self.tl0_picture_index = self.tl0_picture_index.wrapping_add(1);
        }
        let descriptor = Descriptor {
            len: 0,
            non_reference: id == 2,
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId::Fifteen(self.picture_id)),
            tl0_picture_index: Some(self.tl0_picture_index),
            temporal: Some(Temporal { id, sync: sync && !key_frame }),
            key_index: Some(self.key_index),
            key_frame,
            dimensions: None,
        };
        let len = film_len.map_or_else(|| self.len(fifths, key_frame, random), |len| self.share(len));
        Picture { descriptor, len }
    }

    fn share(&self, len: usize) -> usize {
        let share = u64::from(self.layer.bitrate) * len as u64 / u64::from(LAYERS[LAYERS.len() - 1].bitrate);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    fn len(&self, fifths: u32, key_frame: bool, random: &mut StdRng) -> usize {
        let rate = PICTURES_PER_SECOND * self.layer.of_three / 3;
        let mean = self.layer.bitrate / 8 / rate;
        // Four pictures share five fifths of what four pictures have.
        let bytes = if key_frame { mean * KEY_FRAME } else { mean * 4 * fifths / 5 };
        let percent = random.random_range(75..=125);
        usize::try_from(bytes * percent / 100).unwrap_or(usize::MAX)
    }

    /// The payloads of a picture's packets, each at most `len_max` bytes long, with room for a stamp at the offset.
    pub fn packets(&self, picture: &Picture, len_max: usize) -> Vec<(Vec<u8>, usize)> {
        let mut descriptor = picture.descriptor;
        let lens = split(picture.len.max(CONTENT_LEN_MIN), len_max.saturating_sub(DESCRIPTOR_LEN_MAX));
        let mut packets = Vec::with_capacity(lens.len());
        for (index, len) in lens.into_iter().enumerate() {
            descriptor.start_of_partition = index == 0;
            let mut head = [0; DESCRIPTOR_LEN_MAX];
            let head_len = descriptor.write(&mut head).expect("the buffer has the longest one's length");
            let mut payload = head[..head_len].to_vec();
            payload.resize(head_len + len.max(CONTENT_LEN_MIN), FILLER);
            if index == 0 {
                self.write_picture_header(&mut payload[head_len..], picture);
            }
            packets.push((payload, head_len + stamp::VIDEO_OFFSET));
        }
        packets
    }

    /// RFC 6386 §9.1: the frame tag, and of a key frame the start code and the dimensions.
    fn write_picture_header(&self, content: &mut [u8], picture: &Picture) {
        let first_partition_len = u32::try_from(picture.len / 4).unwrap_or_default() & 0x7_ffff;
        let show = 1 << 4;
        let tag = u32::from(!picture.descriptor.key_frame) | show | first_partition_len << 5;
        content[..3].copy_from_slice(&tag.to_le_bytes()[..3]);
        if picture.descriptor.key_frame {
            content[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
            content[6..8].copy_from_slice(&self.layer.width.to_le_bytes());
            content[8..10].copy_from_slice(&self.layer.height.to_le_bytes());
        }
    }
}

/// Divides as libwebrtc does (`PayloadSizeLimits`, `SplitAboutEqually`): sizes differ by one byte, the larger ones last.
fn split(len: usize, len_max: usize) -> Vec<usize> {
    let count = len.div_ceil(len_max.max(1)).max(1);
    let (each, larger) = (len / count, len % count);
    (0..count).map(|index| if index < count - larger { each } else { each + 1 }).collect()
}

/// libvpx's pattern of three temporal layers: layer, whether it depends on layer 0 only, its share in fifths of the
/// bytes of four pictures (libwebrtc's allocation: 40 %, 60 % and 100 % of the rate up to each layer).
const PATTERN: [(u8, bool, u32); 4] = [(0, false, 2), (2, true, 1), (1, true, 1), (2, false, 1)];
/// A key frame is so many times as long as the mean.
const KEY_FRAME: u32 = 5;
const CONTENT_LEN_MIN: usize = stamp::VIDEO_OFFSET + stamp::LEN;
const FILLER: u8 = 0xa5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    const LEN_MAX: usize = 1_172;

    #[test]
    fn numbering_is_that_of_three_temporal_layers() {
        let mut random = StdRng::seed_from_u64(3);
        let mut encoder = Encoder::new(LAYERS[2], &mut random);
        let mut last: Option<Descriptor> = None;
        let mut tids = Vec::new();
        for index in 0..10 {
            let picture = encoder.picture(index == 0 || index == 6, None, &mut random);
            let packets = encoder.packets(&picture, LEN_MAX);
            let read = Descriptor::parse(&packets[0].0).unwrap();
            assert!(read.start_of_picture());
            assert_eq!(read.key_frame, index == 0 || index == 6);
            assert_eq!(read.dimensions, read.key_frame.then_some((1280, 720)));
            let temporal = read.temporal.unwrap();
            assert_eq!(read.non_reference, temporal.id == 2);
            tids.push((temporal.id, temporal.sync));
            if let Some(last) = last {
                let next = |id: PictureId| PictureId::Fifteen((id.value() + 1) & 0x7fff);
                assert_eq!(read.picture_id, last.picture_id.map(next));
                let step = u8::from(temporal.id == 0);
                assert_eq!(
                    read.tl0_picture_index,
                    last.tl0_picture_index.map(|index| index.wrapping_add(step))
                );
                let step = u8::from(read.key_frame);
                assert_eq!(read.key_index, last.key_index.map(|index| (index + step) & 0x1f));
            }
            last = Some(read);
            for (payload, _) in &packets[1..] {
                let follows = Descriptor::parse(payload).unwrap();
                assert!(!follows.start_of_picture());
                assert_eq!(follows.picture_id, read.picture_id);
            }
        }
        let expected = [(0, false), (2, true), (1, true), (2, false)];
        assert_eq!(tids[..4], expected);
        assert_eq!(tids[4..6], expected[..2]);
        assert_eq!(tids[6..], expected, "a key frame begins the pattern anew");
    }

    #[test]
    fn each_layer_has_its_bitrate() {
        for layer in LAYERS {
            let mut random = StdRng::seed_from_u64(4);
            let mut encoder = Encoder::new(layer, &mut random);
            let pictures = PICTURES_PER_SECOND * layer.of_three / 3 * 20;
            let bytes: usize = (0..pictures).map(|_| encoder.picture(false, None, &mut random).len).sum();
            let rate = bytes * 8 / 20;
            let target = usize::try_from(layer.bitrate).unwrap();
            assert!((target * 9 / 10..target * 11 / 10).contains(&rate), "{}: {rate}", layer.rid);
        }
    }

    proptest! {
        #[test]
        fn parts_are_about_equal_fit_and_lose_nothing(len in 1_usize..100_000, len_max in 40_usize..1_300) {
            let parts = split(len, len_max);
            prop_assert_eq!(parts.iter().sum::<usize>(), len);
            prop_assert!(parts.iter().all(|&part| part <= len_max));
            prop_assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
            prop_assert_eq!(parts.len(), len.div_ceil(len_max));
        }

        #[test]
        fn packets_fit_and_have_room_for_a_stamp(
            layer in 0_usize..3,
            seed: u64,
            key_frame: bool,
            film_len: Option<u16>,
        ) {
            let film_len = film_len.map(usize::from);
            let mut random = StdRng::seed_from_u64(seed);
            let mut encoder = Encoder::new(LAYERS[layer], &mut random);
            let picture = encoder.picture(key_frame, film_len, &mut random);
            for (mut payload, offset) in encoder.packets(&picture, LEN_MAX) {
                prop_assert!(payload.len() <= LEN_MAX);
                let stamp = stamp::Stamp { sent: units::time::Instant(3) };
                stamp.write(&mut payload[offset..]);
                prop_assert_eq!(stamp::Stamp::of_video(&payload), Some(stamp));
                let read = Descriptor::parse(&payload).unwrap();
                prop_assert_eq!(read.key_frame, key_frame && read.start_of_partition);
            }
        }
    }
}
