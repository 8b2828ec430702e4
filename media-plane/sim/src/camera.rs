//! Sources of media: a VP8 simulcast camera with three temporal layers (L3T3 in simulcast), and a microphone.

use std::time::Duration;

use wire::picture_id::PictureId;
use wire::vp8::{DESCRIPTOR_LEN_MAX, Descriptor, Temporal};

use crate::random::Random;
use crate::stamp::Stamp;

pub const LAYERS: u8 = 3;
pub const VIDEO_CLOCK_RATE: u32 = 90_000;
pub const AUDIO_CLOCK_RATE: u32 = 48_000;
pub const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);
pub const AUDIO_INTERVAL: Duration = Duration::from_millis(20);

/// A packet's payload, before it has a sequence number.
#[derive(Clone, Debug)]
pub struct Captured {
    pub layer: u8,
    pub marker: bool,
    /// Since the source began.
    pub ticks: u32,
    pub payload: Vec<u8>,
}

/// The truth about one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub layer: u8,
    pub number: u32,
    pub temporal: u8,
    /// The pictures that it refers to.
    pub needs: Vec<u32>,
}

#[derive(Debug)]
pub struct Camera {
    encoders: Vec<Encoder>,
    frame: u32,
    random: Random,
}

#[derive(Debug)]
struct Encoder {
    layer: u8,
    number: u32,
    picture_id: u16,
    tl0_index: u8,
    key_index: u8,
    key_wanted: bool,
    /// The newest picture of each temporal layer.
    newest: [Option<u32>; 3],
}

impl Camera {
    #[must_use]
    pub fn new(layers: u8, mut random: Random) -> Self {
        let encoders = (0..layers.min(LAYERS))
            .map(|layer| Encoder {
                layer,
                number: 0,
                // Some begin close to their wrap.
                picture_id: u16::try_from(0x7fff - random.below(300) * random.below(100)).unwrap_or(0),
                tl0_index: 250,
                key_index: 30,
                key_wanted: true,
                newest: [None; 3],
            })
            .collect();
        Self { encoders, frame: 0, random }
    }

    pub fn want_key_frame(&mut self, layer: u8) {
        if let Some(encoder) = self.encoders.get_mut(usize::from(layer)) {
            encoder.key_wanted = true;
        }
    }

    /// The next frame in all layers: its packets, and the truth about its pictures.
    pub fn capture(&mut self) -> (Vec<Captured>, Vec<Picture>) {
        let ticks = self.frame * (VIDEO_CLOCK_RATE / 30);
        let temporal = TEMPORAL_PATTERN[self.frame as usize % TEMPORAL_PATTERN.len()];
        self.frame += 1;
        let mut packets = Vec::new();
        let mut pictures = Vec::new();
        for encoder in &mut self.encoders {
            pictures.push(encoder.encode(temporal, ticks, &mut self.random, &mut packets));
        }
        (packets, pictures)
    }
}

impl Encoder {
    fn encode(
        &mut self,
        temporal: u8,
        ticks: u32,
        random: &mut Random,
        packets: &mut Vec<Captured>,
    ) -> Picture {
        let key_frame = std::mem::take(&mut self.key_wanted);
        let temporal = if key_frame { 0 } else { temporal };
        let (needs, sync) = self.refer(key_frame, temporal, random);
        let picture = Picture { layer: self.layer, number: self.number, temporal, needs };
        if temporal == 0 {
            self.tl0_index = self.tl0_index.wrapping_add(1);
        }
        self.key_index = (self.key_index + u8::from(key_frame)) % 32;
        self.picture_id = (self.picture_id + 1) & 0x7fff;

        let count = (1 + self.layer) * if key_frame { 4 } else { 1 } + u8::from(random.per_mille(300));
        for index in 0..count {
            let descriptor = Descriptor {
                len: 0,
                non_reference: temporal == 2,
                start_of_partition: index == 0,
                partition: 0,
                picture_id: Some(PictureId::Fifteen(self.picture_id)),
                tl0_picture_index: Some(self.tl0_index),
                temporal: Some(Temporal { id: temporal, sync }),
                key_index: Some(self.key_index),
                key_frame: key_frame && index == 0,
                dimensions: None,
            };
            let stamp = Stamp { layer: self.layer, picture: self.number, index, count };
            let payload = payload(&descriptor, self.layer, stamp, random);
            packets.push(Captured { layer: self.layer, marker: index + 1 == count, ticks, payload });
        }
        if let Some(newest) = self.newest.get_mut(usize::from(temporal)) {
            *newest = Some(self.number);
        }
        self.number += 1;
        picture
    }

    /// What the picture refers to, and whether that is the base layer only.
    fn refer(&mut self, key_frame: bool, temporal: u8, random: &mut Random) -> (Vec<u32>, bool) {
        if key_frame {
            self.newest = [None; 3];
            return (Vec::new(), false);
        }
        let own = self.newest.get(usize::from(temporal)).copied().flatten();
        let sync = temporal > 0 && (own.is_none() || random.per_mille(250));
        let up_to = if sync { 0 } else { usize::from(temporal) };
        (self.newest.iter().take(up_to + 1).flatten().copied().collect(), sync)
    }
}

fn payload(descriptor: &Descriptor, layer: u8, stamp: Stamp, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; DESCRIPTOR_LEN_MAX];
    let len = descriptor.write(&mut bytes).expect("room for the longest descriptor");
    bytes.truncate(len);
    if descriptor.key_frame {
        let width = 320_u16 << layer;
        bytes.extend([0x10, 0, 0, 0x9d, 0x01, 0x2a]); // RFC 6386 §9.1: bit 0 clear, then the start code
        bytes.extend(width.to_le_bytes());
        bytes.extend((width / 4 * 3).to_le_bytes());
    } else {
        bytes.extend([0x11, 0, 0]);
    }
    let filled = bytes.len();
    // Small, as each byte is encrypted several times over.
    let size = 40 + usize::from(layer) * 60 + random.below(60) as usize;
    bytes.resize(filled + size, 0);
    if let Some(content) = bytes.get_mut(filled..) {
        random.fill(content);
    }
    stamp.write(&mut bytes);
    bytes
}

/// 20 ms of Opus at a time.
#[derive(Debug)]
pub struct Microphone {
    number: u32,
    random: Random,
}

impl Microphone {
    #[must_use]
    pub const fn new(random: Random) -> Self {
        Self { number: 0, random }
    }

    pub fn capture(&mut self) -> Captured {
        let number = self.number;
        self.number += 1;
        let mut payload = vec![0; 40 + self.random.below(80) as usize];
        self.random.fill(&mut payload);
        Stamp { layer: 0, picture: number, index: 0, count: 1 }.write(&mut payload);
        Captured { layer: 0, marker: number == 0, ticks: number * (AUDIO_CLOCK_RATE / 50), payload }
    }
}

/// Of libvpx with three temporal layers.
const TEMPORAL_PATTERN: [u8; 4] = [0, 2, 1, 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_what_the_parser_reads() {
        let mut camera = Camera::new(LAYERS, Random::new(7));
        for frame in 0..8 {
            let (packets, pictures) = camera.capture();
            assert_eq!(pictures.len(), usize::from(LAYERS));
            for packet in packets {
                let descriptor = Descriptor::parse(&packet.payload).unwrap();
                let stamp = Stamp::read(&packet.payload).unwrap();
                assert_eq!(descriptor.key_frame, frame == 0 && stamp.index == 0);
                assert_eq!(descriptor.start_of_picture(), stamp.index == 0);
                let temporal = if frame == 0 { 0 } else { TEMPORAL_PATTERN[frame % 4] };
                assert_eq!(descriptor.temporal.unwrap().id, temporal);
                assert_eq!(packet.marker, stamp.index + 1 == stamp.count);
                if descriptor.key_frame {
                    assert_eq!(descriptor.dimensions, Some((320 << packet.layer, 240 << packet.layer)));
                }
            }
        }
    }
}
