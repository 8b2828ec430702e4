//! Claims about padding that is asked for.

use alloc::vec::Vec;

use units::handle::PeerId;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;

use super::client::{Client, Rtp, World};
use super::specs::{subscription_spec, video_spec};
use crate::command::{Command, PublicationSpec};
use crate::engine::probe::PADDED_LEN_MAX;

/// Peer 1 publishes video, peer 2 subscribes on SSRC 70 and, if there is one, gets retransmissions on 71.
fn call(rtx: bool) -> (World, Client, Client) {
    let mut world = World::new();
    let clients = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(video_spec(1, 1).into()));
    let mut subscription = subscription_spec(1, 2, 1, 70);
    subscription.rtx_ssrc = rtx.then_some(Ssrc(71));
    world.must(Command::UpsertSubscription(subscription.into()));
    (world, clients.0, clients.1)
}

fn pad(world: &mut World, len_max: usize) -> usize {
    world.engine.pad(world.now, PeerId(2), len_max, &mut world.out)
}

fn is_padding(packet: &Rtp) -> bool {
    packet.payload.len() == 255 && packet.payload.ends_with(&[0, 255])
}

#[test]
fn padding_goes_out_as_retransmissions_where_there_are_any() {
    let (mut world, mut publisher, mut subscriber) = call(true);
    assert_eq!(pad(&mut world, 10_000), 0, "nothing began");
    world.send(&mut publisher, &Rtp { marker: false, ..Rtp::video(0, 10, true).plain() });
    let first = world.media(&mut subscriber).pop().unwrap();
    let len = pad(&mut world, 5 * PADDED_LEN_MAX + 1);
    let sent: usize = world.out.sent.iter().map(|(_, datagram)| datagram.len()).sum();
    assert_eq!(len, sent);
    let padding = world.media(&mut subscriber);
    assert_eq!(padding.len(), 5, "and no more than was asked for");
    for (before, packet) in padding.iter().zip(&padding[1..]) {
        assert_eq!(packet.sequence, before.sequence + 1);
    }
    for packet in &padding {
        assert!(is_padding(packet));
        assert_eq!((packet.ssrc, packet.payload_type), (Ssrc(71), PayloadType(101)));
        assert_eq!(packet.timestamp, first.timestamp);
    }
    world.send(&mut publisher, &Rtp::video(0, 11, false).plain());
    assert_eq!(world.media(&mut subscriber)[0].sequence, first.sequence + 1, "the stream itself goes on");
    pad(&mut world, usize::MAX);
    assert_eq!(world.media(&mut subscriber).len(), 64, "work per call is bounded");
    world.assert_accounted();
}

#[test]
fn without_retransmissions_padding_stands_between_frames_and_is_sent_again() {
    let (mut world, mut publisher, mut subscriber) = call(false);
    world.send(&mut publisher, &Rtp { marker: false, ..Rtp::video(0, 10, true).plain() });
    assert_eq!(pad(&mut world, 10_000), 0, "inside of a frame");
    world.send(&mut publisher, &Rtp::video(0, 11, false).plain());
    let last = world.media(&mut subscriber).pop().unwrap();
    assert!(pad(&mut world, 2 * PADDED_LEN_MAX) > 2 * 255);
    let sent: Vec<_> = world.out.sent.iter().map(|(_, datagram)| datagram.clone()).collect();
    let padding = world.media(&mut subscriber);
    assert_eq!(padding.len(), 2);
    for (ahead, packet) in (1..).zip(&padding) {
        assert!(is_padding(packet) && !packet.marker);
        assert_eq!((packet.ssrc, packet.sequence), (Ssrc(70), last.sequence + ahead));
        assert_eq!(packet.timestamp, last.timestamp);
    }
    world.send(&mut publisher, &Rtp::video(0, 12, false).plain());
    let next = world.media(&mut subscriber).pop().unwrap();
    assert_eq!(next.sequence, last.sequence + 3);
    world.pass(100);
    world.out.sent.clear();
    let missing = Seq16(last.sequence + 2);
    world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(70), [missing]).map(|_| ()));
    let again: Vec<_> = world.out.sent.iter().map(|(_, datagram)| datagram.clone()).collect();
    assert_eq!(again, [sent[1].clone()], "the picture behind it is not held up");
    world.assert_accounted();
}

#[test]
fn nothing_is_padded_that_does_not_flow() {
    let (mut world, mut publisher, mut subscriber) = call(true);
    world.send(&mut publisher, &Rtp::video(0, 10, true).plain());
    assert_eq!(world.media(&mut subscriber).len(), 1);
    world.must(Command::UpsertPublication(PublicationSpec { muted: true, ..video_spec(1, 1) }.into()));
    assert_eq!(pad(&mut world, 10_000), 0, "muted");
    world.must(Command::UpsertPublication(video_spec(1, 1).into()));
    assert!(pad(&mut world, 10_000) > 0);
    assert_eq!(world.engine.pad(world.now, PeerId(9), 10_000, &mut world.out), 0, "nobody");
    world.out.exhausted = true;
    assert_eq!(pad(&mut world, PADDED_LEN_MAX), 0, "no buffer");
    assert_eq!(world.counter("copy_discarded_no_buffer"), 1);
}
