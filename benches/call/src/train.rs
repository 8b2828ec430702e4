//! Facts of packets in a row, for the forwarder alone: VP8 with three temporal layers, or audio.

use forward::facts::Facts;
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;
use wire::picture_id::PictureId;
use wire::vp8::Descriptor;

use crate::media::temporal;

/// 120 packets a second. The first picture of video is a key frame.
#[derive(Debug)]
pub struct Train {
    packet: fn(u64) -> Facts,
    arrangement: fn(u64) -> u64,
    came: u64,
    highest: Option<u64>,
}

impl Train {
    #[must_use]
    pub fn new(packet: fn(u64) -> Facts, arrangement: fn(u64) -> u64) -> Self {
        Self { packet, arrangement, came: 0, highest: None }
    }

    /// The packet that comes next, and when.
    pub fn next_packet(&mut self) -> (Instant, Facts) {
        let index = (self.arrangement)(self.came);
        let out_of_order = self.highest.is_some_and(|highest| index < highest);
        self.highest = self.highest.max(Some(index));
        self.came += 1;
        (Instant(self.came * 33_333_333 / PACKETS), Facts { out_of_order, ..(self.packet)(index) })
    }
}

/// Of the packet of video with this index in the order of sending.
#[must_use]
pub fn video(index: u64) -> Facts {
    let (picture, packet) = (index / PACKETS, index % PACKETS);
    let [low, high, ..] = picture.to_le_bytes();
    let key_frame = index == 0;
    let temporal = temporal(picture);
    let descriptor = Descriptor {
        len: 6,
        non_reference: temporal.id == 2,
        start_of_partition: packet == 0,
        partition: 0,
        picture_id: Some(PictureId::Fifteen(u16::from_le_bytes([low, high]) & 0x7fff)),
        tl0_picture_index: Some((picture / 4).to_le_bytes()[0]),
        temporal: Some(temporal),
        key_index: Some(0),
        key_frame,
        dimensions: None,
    };
    Facts {
        marker: packet == PACKETS - 1,
        payload_len: 1_100,
        key_frame,
        vp8: Some(descriptor),
        ..facts(index, picture * 3_000)
    }
}

/// Of the packet of audio with this index.
#[must_use]
pub fn audio(index: u64) -> Facts {
    facts(index, index * 960)
}

#[must_use]
pub fn in_order(came: u64) -> u64 {
    came
}

/// But for the first two, which the forwarder begins with.
#[must_use]
pub fn swapped(came: u64) -> u64 {
    if came < 2 { came } else { came ^ 1 }
}

fn facts(index: u64, ticks: u64) -> Facts {
    let [a, b, c, d, ..] = ticks.to_le_bytes();
    Facts {
        source: Ssrc(1),
        layer: 0,
        sequence: Seq(index),
        out_of_order: false,
        timestamp: u32::from_le_bytes([a, b, c, d]),
        marker: false,
        payload_len: 80,
        key_frame: false,
        vp8: None,
        reference: None,
    }
}

/// Of each picture.
const PACKETS: u64 = 4;
