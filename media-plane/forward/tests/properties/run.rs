//! One world: a camera, a channel, a subscriber that changes its mind; each copy is compared and remembered.

use forward::discard::Reason;
use forward::facts::Class;
use forward::forwarder::Forwarder;
use forward::rewrite::Rewrite;
use units::time::Instant;
use wire::vp8::Descriptor;

use crate::camera::{Camera, LAYERS, Packet};
use crate::channel::Channel;
use crate::model::{Model, Numbers};
use crate::random::Random;
use crate::seen::Seen;

pub(crate) struct Run {
    random: Random,
    camera: Camera,
    channel: Channel,
    forwarder: Forwarder,
    model: Model,
    seen: Seen,
    newest_sent_frame: u32,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_wide = !random.once_in(3);
        // 7 bits can tell 64 pictures back, no more.
        let reorder_max = if is_wide { 100 } else { 30 };
        Self {
            camera: Camera::new(&mut random, is_wide),
            channel: Channel::new(&mut random, reorder_max),
            random,
            forwarder: Forwarder::new(Class::Vp8, 90_000),
            model: Model::default(),
            seen: Seen::default(),
            newest_sent_frame: 0,
        }
    }

    /// Plays so many frames and says how many packets came.
    pub(crate) fn play(mut self, frames: u32) -> usize {
        self.retarget();
        let mut count = 0;
        for frame in 0..frames {
            if self.random.once_in(20) {
                self.retarget();
            }
            if self.random.once_in(100) {
                self.pause();
            }
            let packets = self.camera.capture(&mut self.random);
            for packet in packets {
                self.channel.send(packet, &mut self.random);
                for packet in self.channel.receive() {
                    self.receive(frame, &packet);
                    count += 1;
                }
            }
        }
        count
    }

    fn retarget(&mut self) {
        let layer = u8::try_from(self.random.below(u64::from(LAYERS))).unwrap();
        let layer = (!self.random.once_in(30)).then_some(layer);
        let temporal = u8::try_from(self.random.below(3)).unwrap();
        self.forwarder.set_target(layer, temporal);
        self.model.set_target(layer, temporal);
    }

    fn pause(&mut self) {
        self.forwarder.set_paused(true);
        self.forwarder.set_paused(false);
        self.model.pause();
    }

    fn receive(&mut self, frame: u32, packet: &Packet) {
        let now = Instant(u64::from(frame) * 33_333_333);
        let layer_before = self.forwarder.current_layer();
        let result = self.forwarder.forward(now, &packet.facts);
        if self.forwarder.current_layer() != layer_before {
            self.seen.switched(packet);
        }
        if result == Err(Reason::Behind) {
            assert!(packet.frame + 1 < self.newest_sent_frame, "refused, yet not behind: {packet:?}");
            return;
        }
        let copied = result.ok().map(|rewrite| numbers(&rewrite));
        assert_eq!(copied, self.model.forward(packet), "model differs for {packet:?}, which gave {result:?}");
        match result {
            Ok(rewrite) => {
                self.newest_sent_frame = self.newest_sent_frame.max(packet.frame);
                self.seen.forwarded(packet, &rewrite, &numbers(&rewrite));
            }
            Err(reason) => self.seen.discarded(packet, reason),
        }
    }
}

/// The numbers that stand in a copy, if it isn't empty; its descriptor is read back as a receiver would.
fn numbers(rewrite: &Rewrite) -> Numbers {
    let picture = rewrite.patch.filter(|patch| patch.len > 0).map(|patch| {
        let payload = [patch.as_bytes(), &[1, 0, 0]].concat();
        let descriptor = Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.len, patch.as_bytes().len());
        (
            descriptor.picture_id.unwrap().value(),
            descriptor.tl0_picture_index.unwrap(),
            descriptor.key_index.unwrap(),
        )
    });
    Numbers { sequence: rewrite.sequence.0, picture }
}
