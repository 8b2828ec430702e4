//! Claims about what repair can't bring: pictures that are given up for a key frame, and requests that it makes moot.

use alloc::vec;
use alloc::vec::Vec;

use units::rtp::Ssrc;
use units::sequence::Seq16;
use wire::picture_id::PictureId;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::{Compound, Packet};
use wire::vp8::{Descriptor, Temporal};

use super::client::{Client, Rtp, World};
use super::specs::{RTX_PT, simulcast_spec, subscription_spec};
use crate::command::Command;

/// Peer 1 publishes simulcast (2), peer 2 subscribes (SSRC 80 with RTX 81).
fn call() -> (World, Client, Client) {
    let mut world = World::new();
    let publisher = world.join(1);
    let subscriber = world.join(2);
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    let mut video = subscription_spec(2, 2, 2, 80);
    video.rtx_ssrc = Some(Ssrc(81));
    world.must(Command::UpsertSubscription(video.into()));
    world.events();
    (world, publisher, subscriber)
}

/// A picture of one packet of the lowest layer.
fn picture(sequence: u16, tl0: u8, temporal: u8) -> Rtp {
    let descriptor = Descriptor {
        len: 0,
        non_reference: false,
        start_of_partition: true,
        partition: 0,
        picture_id: Some(PictureId::Fifteen(sequence)),
        tl0_picture_index: Some(tl0),
        temporal: Some(Temporal { id: temporal, sync: false }),
        key_index: None,
        key_frame: sequence == 1,
        dimensions: None,
    };
    let mut payload = vec![0; 8];
    let len = descriptor.write(&mut payload).unwrap();
    payload.truncate(len);
    payload.push(u8::from(sequence != 1));
    payload.extend([0; 50]);
    Rtp { payload, ..Rtp::video(0, sequence, false) }
}

/// How many key frames the publisher was asked for.
fn requests(world: &mut World, publisher: &mut Client) -> usize {
    let (_, rtcp) = world.drain(publisher);
    let members = rtcp.iter().flat_map(|compound| Compound::new(compound));
    members.filter(|member| matches!(member, Ok(Packet::PictureLossIndication(_)))).count()
}

#[test]
fn picture_that_never_comes_is_given_up_for_a_key_frame_if_others_need_it() {
    for (name, pictures, expected) in [
        ("base is missing", &[(2, 1, 0), (4, 3, 0)][..], 1),
        ("enhancement is missing", &[(2, 1, 0), (4, 2, 0)], 0),
        ("nothing is missing", &[(2, 1, 0), (3, 2, 0)], 0),
        ("enhancement, and then a base", &[(2, 1, 2), (4, 2, 0), (6, 4, 0)], 1),
    ] {
        let (mut world, mut publisher, _) = call();
        world.send(&mut publisher, &picture(1, 0, 0));
        for (sequence, tl0, temporal) in pictures {
            world.send(&mut publisher, &picture(*sequence, *tl0, *temporal));
        }
        world.pass(495);
        assert_eq!(requests(&mut world, &mut publisher), 0, "{name}: there is still time");
        world.pass(20);
        assert_eq!(requests(&mut world, &mut publisher), expected, "{name}");
        assert_eq!(world.counter("pictures_given_up"), expected as u64, "{name}");
        world.assert_accounted();
    }
}

#[test]
fn picture_that_nobody_would_get_is_given_up_without_a_key_frame() {
    let (mut world, mut publisher, _) = call();
    let mut paused = subscription_spec(2, 2, 2, 80);
    (paused.rtx_ssrc, paused.paused) = (Some(Ssrc(81)), true);
    for (name, to_do) in [
        ("paused", Command::UpsertSubscription(paused.into())),
        ("nobody", Command::DeleteSubscription(units::handle::SubscriptionId(2))),
    ] {
        world.send(&mut publisher, &picture(1, 0, 0));
        world.must(to_do);
        let base = if name == "paused" { 10 } else { 20 };
        world.send(&mut publisher, &picture(base, 1, 0));
        world.send(&mut publisher, &picture(base + 2, 3, 0));
        world.pass(1_000);
        assert_eq!(requests(&mut world, &mut publisher), 0, "{name}");
    }
    assert_eq!(world.counter("pictures_given_up"), 0);
    assert!(world.counter("packets_given_up") > 0);
}

#[test]
fn nacks_rest_while_a_key_frame_is_on_its_way_and_for_what_is_older() {
    let (mut world, mut publisher, mut subscriber) = call();
    for sequence in 1..5 {
        world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
    }
    let sent: Vec<u16> = world.media(&mut subscriber).iter().map(|packet| packet.sequence).collect();
    let nack = |world: &mut World, subscriber: &mut Client, number: u16| {
        let missing = [Seq16(number)];
        world.send_rtcp(subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
        world.media(subscriber).len()
    };
    world.pass(200);
    assert_eq!(nack(&mut world, &mut subscriber, sent[1]), 1);
    let lost = PictureLossIndication { sender: Ssrc(1), media: Ssrc(80) };
    world.send_rtcp(&mut subscriber, |builder| builder.picture_loss_indication(lost));
    assert_eq!(requests(&mut world, &mut publisher), 0);
    world.pass(5);
    assert_eq!(requests(&mut world, &mut publisher), 1);
    world.pass(100);
    assert_eq!(nack(&mut world, &mut subscriber, sent[2]), 0);
    assert_eq!(world.counter("nacks_awaiting_key_frame"), 1);

    world.send(&mut publisher, &Rtp::video(0, 5, true));
    let key_frame = world.media(&mut subscriber)[0].sequence;
    world.pass(100);
    assert_eq!(nack(&mut world, &mut subscriber, sent[2]), 0);
    assert_eq!(world.counter("nacks_before_key_frame"), 1);
    assert_eq!(nack(&mut world, &mut subscriber, key_frame), 1);
}

#[test]
fn packet_that_comes_after_its_retransmission_was_not_lost() {
    let (mut world, mut publisher, _) = call();
    let lost = |world: &mut World, publisher: &mut Client| {
        world.pass(1_005);
        let rtcp = world.drain(publisher).1;
        let members = rtcp.iter().flat_map(|compound| Compound::new(compound));
        let blocks = members.flat_map(|member| match member.unwrap() {
            Packet::ReceiverReport(report) => report.blocks().collect(),
            _ => Vec::new(),
        });
        let block = blocks.filter(|block| block.ssrc == Ssrc(2_000)).last().unwrap();
        (block.fraction_lost, block.cumulative_lost)
    };
    world.send(&mut publisher, &picture(1, 0, 0));
    let late = publisher.seal(&picture(2, 1, 0));
    world.send(&mut publisher, &picture(3, 2, 0));
    let mut again = picture(2, 1, 0);
    again.payload.splice(0..0, [0, 2]);
    again.extensions = vec![(1, b"1".to_vec()), (3, b"q".to_vec())];
    world.send(&mut publisher, &Rtp { ssrc: Ssrc(9_000), payload_type: RTX_PT, ..again });
    assert_eq!(world.counter("packets_restored"), 1);
    assert_eq!(lost(&mut world, &mut publisher), (85, 1), "restored, yet lost on the way");
    world.receive(publisher.path, late);
    assert_eq!(world.counter("discarded_duplicate"), 1, "and forwarded once");
    assert_eq!(lost(&mut world, &mut publisher), (0, 0));
}

#[test]
fn packet_that_can_not_be_brought_to_a_subscriber_is_given_up_for_a_key_frame() {
    for (name, temporal, expected) in [("base", 0, 1), ("enhancement", 2, 0)] {
        let (mut world, mut publisher, mut subscriber) = call();
        world.send(&mut publisher, &picture(1, 0, 0));
        world.send(&mut publisher, &picture(2, 1, temporal));
        let number = world.media(&mut subscriber)[1].sequence;
        let mut resent = 0;
        for _ in 0..8 {
            world.pass(100);
            let missing = [Seq16(number)];
            world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
            resent += world.media(&mut subscriber).len();
        }
        world.pass(5);
        assert_eq!(resent, 4, "{name}");
        assert_eq!(world.counter("pictures_given_up"), expected, "{name}: once");
        assert_eq!(requests(&mut world, &mut publisher) > 0, expected > 0, "{name}");
    }
}

#[test]
fn picture_for_which_there_is_no_budget_is_given_up_for_a_key_frame() {
    let (mut world, mut publisher, mut subscriber) = call();
    for sequence in 1..=10 {
        let mut packet = Rtp::video(0, sequence, sequence == 1);
        packet.payload.extend([0; 1_000]);
        world.send(&mut publisher, &packet);
    }
    let sent: Vec<Seq16> = world.media(&mut subscriber).iter().map(|packet| Seq16(packet.sequence)).collect();
    for (wait, expected) in [(150, 0), (100, 1), (20, 1)] {
        world.pass(wait);
        let missing = sent.clone();
        world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
        world.pass(5);
        assert_eq!(world.counter("pictures_given_up"), expected, "{wait} ms later");
        assert_eq!(requests(&mut world, &mut publisher) > 0, wait == 100, "{wait} ms later");
    }
    assert_eq!(world.counter("packets_resent"), 5, "half of what was sent");
}
