//! Claims about temporal layers that are chosen by their frame rates.

extern crate std;

use core::num::NonZeroU32;

use super::client::{Client, Rtp, World};
use super::specs::{simulcast_spec, subscription_spec};
use crate::command::Command;

/// Peer 1 publishes simulcast in three temporal layers, 30 pictures a second; peer 2 subscribes.
struct Call {
    world: World,
    publisher: Client,
    subscriber: Client,
    sequence: u16,
}

impl Call {
    fn wish(&mut self, frame_rate_max: u32) {
        let mut wish = subscription_spec(1, 2, 2, 80);
        wish.frame_rate_max = NonZeroU32::new(frame_rate_max);
        self.world.must(Command::UpsertSubscription(wish.into()));
    }

    /// How many pictures the subscriber gets of so many, of the top layer.
    fn send(&mut self, pictures: u16, temporal: [u8; 4]) -> usize {
        let first = self.sequence;
        for sequence in first..first + pictures {
            let packet = Rtp::video_of(2, sequence, sequence == 0, temporal[usize::from(sequence % 4)]);
            self.world.send(&mut self.publisher, &packet);
            self.world.pass(33);
        }
        self.sequence += pictures;
        self.world.media(&mut self.subscriber).len()
    }
}

#[test]
fn no_more_temporal_layers_go_out_than_the_wanted_frame_rate_takes() {
    const L1T3: [u8; 4] = [0, 2, 1, 2];
    const L1T1: [u8; 4] = [0; 4];
    let mut world = World::new();
    let (publisher, subscriber) = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    let mut call = Call { world, publisher, subscriber, sequence: 0 };
    call.wish(15);
    assert_eq!(call.send(40, L1T3), 40, "it is not known yet what there is");
    call.send(60, L1T3);
    assert_eq!(call.send(40, L1T3), 20, "half");
    call.wish(7);
    assert_eq!(call.send(40, L1T3), 10, "a quarter");
    call.wish(0);
    call.send(8, L1T3);
    assert_eq!(call.send(40, L1T3), 40, "no limit");
    call.wish(15);
    call.send(4, L1T3);
    call.send(140, L1T1);
    assert_eq!(call.send(40, L1T1), 40, "there is nothing to choose from any more");
}
