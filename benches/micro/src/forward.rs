//! What becomes of one packet's copy for one subscriber: VP8 in order, with temporal layers dropped, out of order.

mod timing;

use criterion::BatchSize;
use forward::discard::Reason;
use forward::facts::{Class, Facts};
use forward::forwarder::Forwarder;
use forward::rewrite::Rewrite;
use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::Instant;
use wire::picture_id::PictureId;
use wire::vp8::{Descriptor, Temporal};

fn main() {
    let mut criterion = timing::criterion();
    let mut group = criterion.benchmark_group("forward VP8");
    for (name, temporal_max, arrangement, forwarded) in [
        ("in order", 2, in_order as fn(u64) -> u64, TRIED),
        ("to temporal layer 0 of 3", 0, in_order, TRIED / 4),
        ("each two packets swapped", 2, swapped, TRIED),
    ] {
        let count = forwarded_when_tried(temporal_max, arrangement);
        assert_eq!(count, forwarded, "{name}");
        println!("note: forward VP8, {name}: {count} of {TRIED} packets are forwarded");
        group.bench_function(name, |bencher| {
            let mut forwarder = forwarder(temporal_max);
            let mut camera = Camera::new(arrangement);
            bencher.iter_batched_ref(|| camera.next(), |(now, facts)| forwarder.forward(*now, facts), BATCH);
        });
    }
    group.finish();
    criterion.final_summary();
}

fn forwarder(temporal_max: u8) -> Forwarder {
    let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
    forwarder.set_target(Some(0), temporal_max);
    forwarder
}

/// That the bench measures what its name says.
fn forwarded_when_tried(temporal_max: u8, arrangement: fn(u64) -> u64) -> usize {
    let mut forwarder = forwarder(temporal_max);
    let mut camera = Camera::new(arrangement);
    let mut outcome = || -> Result<Rewrite, Reason> {
        let (now, facts) = camera.next();
        forwarder.forward(now, &facts)
    };
    (0..TRIED).filter(|_| outcome().is_ok()).count()
}

/// 30 pictures of 4 packets per second with three temporal layers; the first is a key frame.
struct Camera {
    arrangement: fn(u64) -> u64,
    came: u64,
    highest: Option<u64>,
}

impl Camera {
    fn new(arrangement: fn(u64) -> u64) -> Self {
        Self { arrangement, came: 0, highest: None }
    }

    /// The packet that comes next, and when.
    fn next(&mut self) -> (Instant, Facts) {
        let index = (self.arrangement)(self.came);
        let out_of_order = self.highest.is_some_and(|highest| index < highest);
        self.highest = self.highest.max(Some(index));
        self.came += 1;
        (Instant(self.came * 33_333_333 / PACKETS), Facts { out_of_order, ..facts(index) })
    }
}

/// Of the packet with this index in the order of sending.
fn facts(index: u64) -> Facts {
    let (picture, packet) = (index / PACKETS, index % PACKETS);
    let [low, high, ..] = picture.to_le_bytes();
    let key_frame = index == 0;
    let temporal = match picture % 4 {
        0 => Temporal { id: 0, sync: false },
        2 => Temporal { id: 1, sync: true },
        _ => Temporal { id: 2, sync: picture % 4 == 1 },
    };
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
    let [a, b, c, d, ..] = (picture * 3_000).to_le_bytes();
    Facts {
        source: Ssrc(1),
        layer: 0,
        sequence: Seq(index),
        out_of_order: false,
        timestamp: u32::from_le_bytes([a, b, c, d]),
        marker: packet == PACKETS - 1,
        payload_len: 1_100,
        key_frame,
        vp8: Some(descriptor),
        reference: None,
    }
}

fn in_order(came: u64) -> u64 {
    came
}

/// But for the first two, which the forwarder begins with.
fn swapped(came: u64) -> u64 {
    if came < 2 { came } else { came ^ 1 }
}

const PACKETS: u64 = 4;
const TRIED: usize = 1_600; // 100 cycles of the temporal layers
const BATCH: BatchSize = BatchSize::NumIterations(512);
