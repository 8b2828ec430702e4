//! A VP8 simulcast camera with three temporal layers that says of each packet what it really is.

use forward::facts::{Facts, Reference};
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::{Instant, NtpTime};
use wire::picture_id::PictureId;
use wire::vp8::{Descriptor, Temporal};

use crate::random::Random;

pub const LAYERS: u8 = 3;
pub const TICKS_A_FRAME: u32 = 3_000;

/// A packet and the truth about it, of which forwarding sees only the facts.
#[derive(Clone, Debug)]
pub struct Packet {
    pub facts: Facts,
    /// The picture's number, which never wraps.
    pub picture: i64,
    pub temporal: u8,
    /// Pictures that this one refers to.
    pub needs: Vec<i64>,
    /// When it was captured, in frames.
    pub frame: u32,
}

impl Packet {
    #[must_use]
    pub fn is_padding(&self) -> bool {
        self.facts.payload_len == 0
    }
}

#[derive(Debug)]
pub struct Camera {
    encoders: Vec<Encoder>,
    frame: u32,
    has_reports: bool,
    is_opaque: bool,
}

#[derive(Debug)]
struct Encoder {
    layer: u8,
    sequence: u64,
    picture: i64,
    is_wide: bool,
    timestamp: u32,
    tl0_index: u8,
    key_index: u8,
    /// The newest picture of each temporal layer.
    newest: [Option<i64>; 3],
}

impl Camera {
    #[must_use]
    pub fn new(random: &mut Random, is_wide: impl Fn(u8) -> bool, is_opaque: bool) -> Self {
        let encoders = (0..LAYERS)
            .map(|layer| Encoder {
                layer,
                // Near the wraps, as nothing interesting happens far from them.
                sequence: 0x1_0000 + random.below(3) * 0x8000 - 100 + random.below(200),
                picture: if is_wide(layer) { 32_700 } else { 100 } + i64::try_from(random.below(60)).unwrap(),
                is_wide: is_wide(layer),
                timestamp: u32::MAX - u32::try_from(random.below(500_000)).unwrap(),
                tl0_index: 250,
                key_index: 30,
                newest: [None; 3],
            })
            .collect();
        Self { encoders, frame: 0, has_reports: random.once_in(2), is_opaque }
    }

    /// The next frame in all layers.
    pub fn capture(&mut self, random: &mut Random) -> Vec<Packet> {
        let frame = self.frame;
        self.frame += 1;
        let has_reports = self.has_reports;
        let mut packets: Vec<Packet> =
            self.encoders.iter_mut().flat_map(|encoder| encoder.encode(frame, has_reports, random)).collect();
        if self.is_opaque {
            packets.iter_mut().for_each(|packet| packet.facts.vp8 = None);
        }
        packets
    }
}

impl Encoder {
    fn encode(&mut self, frame: u32, has_reports: bool, random: &mut Random) -> Vec<Packet> {
        let is_key = frame == 0 || random.once_in(25);
        let temporal = if is_key { 0 } else { [0, 2, 1, 2][frame as usize % 4] };
        let (needs, is_sync) = self.refer(is_key, temporal, random);
        if temporal == 0 {
            self.tl0_index = self.tl0_index.wrapping_add(1);
        }
        self.key_index = (self.key_index + u8::from(is_key)) % 32;
        let count = 1 + random.below(3);
        let mut packets = Vec::new();
        for index in 0..count {
            let descriptor = self.descriptor(temporal, is_sync, is_key && index == 0, index == 0);
            packets.push(self.packet(frame, Some(descriptor), index + 1 == count, temporal, needs.clone()));
            if random.once_in(40) {
                packets.push(self.packet(frame, None, false, temporal, Vec::new()));
            }
        }
        self.newest[usize::from(temporal)] = Some(self.picture);
        self.picture += 1;
        if has_reports {
            for packet in &mut packets {
                packet.facts.reference = Some(self.report());
            }
        }
        packets
    }

    fn refer(&mut self, is_key: bool, temporal: u8, random: &mut Random) -> (Vec<i64>, bool) {
        if is_key {
            self.newest = [None; 3];
            return (Vec::new(), false);
        }
        let base = self.newest[0].into_iter();
        let is_sync = temporal > 0 && (random.once_in(4) || self.newest[usize::from(temporal)].is_none());
        if is_sync {
            return (base.collect(), true);
        }
        (self.newest[..=usize::from(temporal)].iter().flatten().copied().collect(), false)
    }

    fn descriptor(&self, temporal: u8, is_sync: bool, key_frame: bool, is_first: bool) -> Descriptor {
        let mask = if self.is_wide { 0x7fff } else { 0x7f };
        let id = u16::try_from(self.picture & mask).unwrap();
        let picture_id =
            if self.is_wide { PictureId::Fifteen(id) } else { PictureId::Seven(u8::try_from(id).unwrap()) };
        Descriptor {
            len: if self.is_wide { 6 } else { 5 },
            non_reference: false,
            start_of_partition: is_first,
            partition: 0,
            picture_id: Some(picture_id),
            tl0_picture_index: Some(self.tl0_index),
            temporal: Some(Temporal { id: temporal, sync: is_sync }),
            key_index: Some(self.key_index),
            key_frame,
            dimensions: None,
        }
    }

    fn packet(
        &mut self,
        frame: u32,
        vp8: Option<Descriptor>,
        marker: bool,
        temporal: u8,
        needs: Vec<i64>,
    ) -> Packet {
        let facts = Facts {
            source: Ssrc(u32::from(self.layer) + 1),
            layer: self.layer,
            sequence: Seq(self.sequence),
            out_of_order: false,
            timestamp: self.timestamp.wrapping_add(frame * TICKS_A_FRAME),
            marker,
            payload_len: if vp8.is_some() { 500 } else { 0 },
            key_frame: vp8.is_some_and(|descriptor| descriptor.key_frame),
            vp8,
            reference: None,
        };
        self.sequence += 1;
        Packet { facts, picture: self.picture, temporal, needs, frame }
    }

    /// All layers' reports are of frame 0, which was captured at second 1000 of the publisher's clock.
    fn report(&self) -> Reference {
        Reference { received: Instant(0), ntp: NtpTime(1_000 << 32), rtp: self.timestamp }
    }
}
