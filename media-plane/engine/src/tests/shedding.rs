//! What is given up when send buffers run short, and in which order.

use alloc::vec::Vec;

use units::handle::PeerId;
use units::rtp::Ssrc;
use units::sequence::Seq16;

use crate::command::Command;
use crate::engine::probe::PADDED_LEN_MAX;
use crate::tests::client::{Client, Rtp, World, path};
use crate::tests::specs::{audio_spec, subscription_spec, video_spec};

/// Peer 1 publishes audio and video, peer 2 gets them on the SSRCs 70 and 80. A key frame and four pictures are there.
fn call() -> (World, Client, Client, Vec<Rtp>) {
    let mut world = World::new();
    let (mut publisher, mut subscriber) = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(video_spec(2, 1).into()));
    world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
    for number in 1..6 {
        world.send(&mut publisher, &Rtp::video(0, number, number == 1).plain());
    }
    let sent = world.media(&mut subscriber);
    world.pass(500);
    world.out.sent.clear();
    world.out.buffers = Some(8);
    (world, publisher, subscriber, sent)
}

#[test]
fn audio_flows_when_a_tiny_pool_has_nothing_left_for_video() {
    let (mut world, mut publisher, mut subscriber, _) = call();
    for number in 6..16 {
        world.send(&mut publisher, &Rtp::video(0, number, false).plain());
    }
    assert_eq!((world.out.sent.len(), world.counter("copy_discarded_shed")), (7, 3));
    for number in 1..3 {
        world.send(&mut publisher, &Rtp::audio(number));
    }
    assert_eq!((world.out.sent.len(), world.counter("copy_discarded_no_buffer")), (8, 1));
    assert_eq!(world.counter("copy_discarded_shed"), 3, "audio is not shed");
    world.assert_accounted();
    let received = world.media(&mut subscriber);
    let ssrcs: Vec<u32> = received.iter().map(|packet| packet.ssrc.0).collect();
    assert_eq!(ssrcs, [80, 80, 80, 80, 80, 80, 80, 70]);
}

#[test]
fn probes_end_first_then_retransmissions_then_video() {
    let (mut world, mut publisher, mut subscriber, sent) = call();
    let mut outcomes = Vec::new();
    for (number, (missing, used)) in (6..).zip(sent.iter().zip([0, 4, 6, 7, 8])) {
        let mut happens = |what: &mut dyn FnMut(&mut World)| {
            world.out.sent.clear();
            world.out.sent.resize(used, (path(9), Vec::new()));
            what(&mut world);
            world.out.sent.len() > used
        };
        let probed = happens(&mut |world| {
            world.engine.pad(world.now, PeerId(2), PADDED_LEN_MAX, &mut world.out);
        });
        let resent = happens(&mut |world| {
            let missing = [Seq16(missing.sequence)];
            world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
        });
        let forwarded = happens(&mut |world| {
            world.send(&mut publisher, &Rtp::video(0, number, false).plain());
        });
        let heard = happens(&mut |world| {
            world.send(&mut publisher, &Rtp::audio(number));
        });
        outcomes.push((used, [probed, resent, forwarded, heard]));
    }
    let expected = [
        (0, [true; 4]),
        (4, [false, true, true, true]),
        (6, [false, false, true, true]),
        (7, [false, false, false, true]),
        (8, [false; 4]),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(world.counter("nacks_shed"), 3);
    world.assert_accounted();
}
