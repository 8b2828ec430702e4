//! Claims about packets that come in one wake: copies are made at its end, subscriber by subscriber.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use units::handle::{PeerId, PublicationId, WorkerIndex};
use units::rtp::Ssrc;
use units::time::NtpTime;
use wire::rtcp::build::Builder;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::{Compound, Packet};
use wire::rtp::without_padding;

use super::client::{Client, Recorder, Rtp, World};
use super::specs::{audio_spec, simulcast_spec, subscription_spec};
use crate::arrivals::{COPIES_MAX, PACKETS_MAX};
use crate::command::{Command, SubscriptionSpec};
use crate::config::Config;
use crate::egress::history;
use crate::event::Event;
use crate::outbox::Outbox;
use crate::path::Path;

/// Peers 1 and 2 publish audio, and 3 and 4 get both.
fn two_to_two() -> (World, [Client; 2], [Client; 2]) {
    two_to_two_in(World::new())
}

fn two_to_two_in(mut world: World) -> (World, [Client; 2], [Client; 2]) {
    let [one, two, three, four] = [1, 2, 3, 4].map(|id| world.join(id));
    for publisher in [1, 2] {
        world.must(Command::UpsertPublication(audio_spec(publisher, publisher).into()));
        for subscriber in [3, 4] {
            let ssrc = u32::try_from(60 + publisher).unwrap();
            let spec = subscription_spec(publisher * 10 + subscriber, subscriber, publisher, ssrc);
            world.must(Command::UpsertSubscription(spec.into()));
        }
    }
    world.events();
    (world, [one, two], [three, four])
}

fn audio(sequence: u16, mark: u8) -> Rtp {
    Rtp { payload: vec![mark; 40], ..Rtp::audio(sequence) }
}

fn send_with_more(world: &mut World, client: &mut Client, packet: &Rtp) {
    let datagram = client.seal(packet);
    world.receive_with_more(client.path, datagram);
}

fn destinations(world: &World) -> Vec<u16> {
    world.out.sent.iter().map(|(path, _)| path.remote.port()).collect()
}

/// What came, by stream: the packets' first bytes.
fn marks(packets: &[Rtp], ssrc: u32) -> Vec<u8> {
    packets.iter().filter(|packet| packet.ssrc == Ssrc(ssrc)).map(|packet| packet.payload[0]).collect()
}

#[test]
fn copies_leave_destination_by_destination_and_each_stream_in_order() {
    let (mut world, [mut one, mut two], [mut three, mut four]) = two_to_two();
    for (wake, expected) in [(0, [3, 3, 3, 3, 4, 4, 4, 4]), (1, [4, 4, 4, 4, 3, 3, 3, 3])] {
        for packet in [2 * wake, 2 * wake + 1] {
            send_with_more(&mut world, &mut one, &audio(10 + packet, 1));
            send_with_more(&mut world, &mut two, &audio(20 + packet, 2));
        }
        assert_eq!(destinations(&world), [], "nothing leaves before the end of the wake");
        world.flush();
        assert_eq!(destinations(&world), expected, "the other one begins");
        for client in [&mut three, &mut four] {
            let received = world.media(client);
            assert_eq!((marks(&received, 61), marks(&received, 62)), (vec![1, 1], vec![2, 2]));
            let sequences: Vec<u16> = received.iter().map(|packet| packet.sequence).collect();
            assert!(sequences.chunks(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
        }
    }
    assert_eq!(world.counter("datagrams_forwarded"), 8);
    world.assert_accounted();
}

#[test]
fn commands_ticks_and_key_frame_requests_come_after_what_waits() {
    let (mut world, [mut one, _two], [mut three, _four]) = two_to_two();
    world.send(&mut one, &audio(9, 1));
    world.out.sent.clear();
    for (name, sequence) in [("command", 10), ("tick", 11), ("picture loss", 12)] {
        send_with_more(&mut world, &mut one, &audio(sequence, 1));
        assert_eq!(destinations(&world), [], "{name}");
        match name {
            "command" => world.must(Command::RequestKeyFrame(PublicationId(1))),
            "tick" => world.engine.tick(world.now, &mut world.out),
            _ => {
                let (sender, media) = (Ssrc(1), Ssrc(61));
                let mut datagram = vec![0; 1_500];
                let mut builder = Builder::new(&mut datagram);
                builder.picture_loss_indication(PictureLossIndication { sender, media }).unwrap();
                let len = builder.len();
                let len = three.outbound.seal_rtcp(&mut datagram, len).unwrap();
                datagram.truncate(len);
                world.receive_with_more(three.path, datagram);
            }
        }
        let media = world.media(&mut three);
        assert_eq!(media.len(), 1, "{name}");
        world.out.sent.clear();
    }
}

#[test]
fn packet_that_the_history_loses_while_it_waits_is_sent_unharmed() {
    let (mut world, [mut one, _two], [mut three, _four]) = two_to_two();
    let later = 10 + u16::try_from(history::AUDIO).unwrap();
    send_with_more(&mut world, &mut one, &audio(10, 1));
    send_with_more(&mut world, &mut one, &audio(later, 2));
    send_with_more(&mut world, &mut one, &audio(later + 1, 3));
    world.flush();
    assert_eq!(marks(&world.media(&mut three), 61), [1, 2, 3]);
    assert_eq!(world.engine.counters().history_exhausted, 0);
    world.must(Command::DeletePublication(PublicationId(1)));
    assert_eq!(world.counter("history_buffers"), 0, "each buffer was given back");
}

#[test]
fn without_buffers_to_wait_in_packets_are_forwarded_at_once_and_in_order() {
    let mut config = Config::new(WorkerIndex(0), 7, NtpTime(0xe000_0000_0000_0000));
    config.limits.history_small_buffers = 2;
    let (mut world, [mut one, mut two], [mut three, _four]) =
        two_to_two_in(World::with_config(config, b"trailer"));
    for sequence in 10..13 {
        send_with_more(&mut world, &mut one, &audio(sequence, sequence.to_be_bytes()[1]));
        send_with_more(&mut world, &mut two, &audio(sequence, sequence.to_be_bytes()[1]));
    }
    assert_eq!(destinations(&world).len(), 12, "nothing waits");
    let received = world.media(&mut three);
    assert_eq!((marks(&received, 61), marks(&received, 62)), (vec![10, 11, 12], vec![10, 11, 12]));
    assert_eq!(world.counter("history_exhausted"), 4);
    world.assert_accounted();
}

#[test]
fn wake_that_grows_too_large_is_flushed_before_its_end() {
    let (mut world, [mut one, _two], _) = two_to_two();
    let max = u16::try_from(PACKETS_MAX).unwrap();
    for sequence in 0..=max {
        assert_eq!(destinations(&world), []);
        send_with_more(&mut world, &mut one, &audio(100 + sequence, 1));
    }
    assert_eq!(destinations(&world).len(), 2 * PACKETS_MAX);
    const { assert!(2 * PACKETS_MAX < COPIES_MAX, "it is the number of packets that was too large") };
    world.flush();
    assert_eq!(destinations(&world).len(), 2 * (PACKETS_MAX + 1));
}

#[test]
fn key_frame_that_came_in_the_same_wake_is_not_asked_for() {
    for (name, is_key_frame, expected) in [("a key frame comes", true, false), ("none does", false, true)] {
        let mut world = World::new();
        let (mut publisher, mut subscriber) = (world.join(1), world.join(2));
        world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
        for (paused, sequence) in [(false, 1), (true, 2)] {
            let spec = subscription_spec(2, 2, 2, 80);
            world.must(Command::UpsertSubscription(SubscriptionSpec { paused, ..spec }.into()));
            world.send(&mut publisher, &Rtp::video(0, sequence, true));
        }
        world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
        world.media(&mut subscriber);
        send_with_more(&mut world, &mut publisher, &Rtp::video(0, 3, false));
        send_with_more(&mut world, &mut publisher, &Rtp::video(0, 4, is_key_frame));
        world.flush();
        assert_eq!(world.media(&mut subscriber).len(), usize::from(is_key_frame), "{name}");
        world.pass(1_000);
        assert_eq!(asked(&mut world, &mut publisher) > 0, expected, "{name}");
    }
}

fn asked(world: &mut World, publisher: &mut Client) -> usize {
    let (_, rtcp) = world.drain(publisher);
    let members = rtcp.iter().flat_map(|compound| Compound::new(compound));
    members.filter(|member| matches!(member, Ok(Packet::PictureLossIndication(_)))).count()
}

/// Panics when a copy goes to one peer.
struct Faulty<'a>(&'a mut Recorder, u16);

impl Outbox for Faulty<'_> {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        self.0.lend(capacity)
    }

    fn send(&mut self, path: &Path, len: usize) {
        assert!(path.remote.port() != self.1, "a fault in the engine's work");
        self.0.send(path, len);
    }

    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}

#[test]
fn panic_over_one_copy_costs_others_nothing() {
    let (mut world, [mut one, mut two], [mut three, mut four]) = two_to_two();
    send_with_more(&mut world, &mut one, &audio(10, 1));
    send_with_more(&mut world, &mut two, &audio(20, 2));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.engine.flush(world.now, &mut Faulty(&mut world.out, 3));
    }));
    assert!(unwound.is_err());
    assert_eq!(world.engine.at_work(), Some(PeerId(1)), "whose packet it was");
    world.engine.evict(world.now, PeerId(1), &mut world.out);
    assert_eq!(world.engine.at_work(), None);
    for client in [&mut three, &mut four] {
        let received = world.media(client);
        assert_eq!((marks(&received, 61), marks(&received, 62)), (vec![], vec![2]));
    }
    assert_eq!((world.counter("discarded_panic"), world.counter("datagrams_forwarded")), (1, 1));
    world.assert_accounted();
    world.send(&mut two, &audio(21, 3));
    assert_eq!(marks(&world.media(&mut three), 62), [3]);
    world.must(Command::DeletePeer(PeerId(2)));
    assert_eq!(world.counter("history_buffers"), 0, "each buffer was given back");
}

/// A packet of one of the streams: audio of two publishers, and three layers of video.
fn packet(stream: usize, sequence: u16) -> (usize, Rtp) {
    match stream {
        0 | 1 => (stream, audio(sequence, sequence.to_be_bytes()[1])),
        layer => (0, Rtp::video(u8::try_from(layer - 2).unwrap(), sequence, sequence.is_multiple_of(16))),
    }
}

/// What each subscriber gets by stream if some packets come with the next ones.
fn received(packets: &[(usize, bool)]) -> Vec<Vec<(u16, u32, Vec<u8>)>> {
    let (mut world, mut publishers, mut subscribers) = two_to_two();
    world.must(Command::UpsertPublication(simulcast_spec(5, 1).into()));
    for (subscription, peer) in [(50, 3), (51, 4)] {
        world.must(Command::UpsertSubscription(subscription_spec(subscription, peer, 5, 80).into()));
    }
    let mut sequences = [0; 5];
    let mut next = |stream: usize| {
        sequences[stream] += 1;
        packet(stream, 15 + sequences[stream])
    };
    for stream in 0..5 {
        let (publisher, packet) = next(stream);
        world.send(&mut publishers[publisher], &packet);
    }
    for (stream, with_more) in packets {
        let (publisher, packet) = next(*stream);
        send_with_more(&mut world, &mut publishers[publisher], &packet);
        if !with_more {
            world.flush();
        }
    }
    world.flush();
    world.assert_accounted();
    let mut streams = Vec::new();
    for client in &mut subscribers {
        let received = world.media(client);
        for ssrc in [61, 62, 80] {
            let stream = received.iter().filter(|packet| packet.ssrc == Ssrc(ssrc));
            streams.push(
                stream.map(|packet| (packet.sequence, packet.timestamp, packet.payload.clone())).collect(),
            );
        }
    }
    streams
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_packets_fall_into_wakes_changes_no_stream(
        packets in proptest::collection::vec((0_usize..5, any::<bool>()), 1..100),
    ) {
        let one_by_one: Vec<_> = packets.iter().map(|(stream, _)| (*stream, false)).collect();
        prop_assert_eq!(received(&packets), received(&one_by_one));
    }
}

/// Peer 1 publishes simulcast, peer 2 gets it on SSRC 80; with an SSRC of its own for what is sent again, if there is one.
fn video_call(rtx_ssrc: Option<u32>) -> (World, Client, Client) {
    let mut world = World::new();
    let (mut publisher, mut subscriber) = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    let mut spec = subscription_spec(2, 2, 2, 80);
    spec.rtx_ssrc = rtx_ssrc.map(Ssrc);
    if rtx_ssrc.is_none() {
        spec.payloads.iter_mut().for_each(|mapping| mapping.rtx = None);
    }
    world.must(Command::UpsertSubscription(spec.into()));
    world.send(&mut publisher, &Rtp::video(0, 9, true));
    world.media(&mut subscriber);
    (world, publisher, subscriber)
}

/// Packets of one frame that are this much longer than the shortest, in one wake.
fn send_frame(world: &mut World, publisher: &mut Client, longer: &[usize]) {
    for (sequence, longer) in (10..).zip(longer) {
        let mut packet = Rtp::video(0, sequence, false);
        packet.timestamp = 30_000;
        packet.payload[0] &= 0xef; // One picture: no other packet begins it.
        packet.payload.extend(vec![0xee; *longer]);
        send_with_more(world, publisher, &packet);
    }
    world.flush();
}

#[test]
fn packets_of_a_frame_that_differ_by_little_go_out_equally_long() {
    for (name, longer, expected) in [
        ("shorter ones first, as Chromium cuts", &[0, 0, 1][..], &[1, 1, 0][..]),
        ("longer ones first", &[1, 1, 0], &[0, 0, 1]),
        ("three bytes", &[0, 3, 2], &[3, 0, 1]),
        ("a rest", &[90, 90, 0], &[0, 0, 0]),
        ("one that is much longer", &[0, 1, 9], &[0, 0, 0]),
        ("equal", &[5, 5], &[0, 0]),
        ("alone", &[0], &[0]),
    ] {
        let (mut world, mut publisher, mut subscriber) = video_call(None);
        send_frame(&mut world, &mut publisher, longer);
        let sent: Vec<Vec<u8>> = world.out.sent.iter().map(|(_, datagram)| datagram.clone()).collect();
        let received = world.media(&mut subscriber);
        assert_eq!(received.len(), longer.len(), "{name}");
        for (((packet, datagram), longer), padding) in received.iter().zip(&sent).zip(longer).zip(expected) {
            assert_eq!(datagram[0] & 0x20 != 0, *padding > 0, "{name}");
            let payload = without_padding(&packet.payload, *padding > 0).unwrap();
            assert_eq!(packet.payload.len() - payload.len(), *padding, "{name}");
            assert_eq!(payload.iter().filter(|byte| **byte == 0xee).count(), *longer, "{name}");
        }
        let padded = expected.iter().filter(|padding| **padding > 0).count();
        assert_eq!(world.counter("copies_padded"), padded as u64, "{name}");
    }
}

#[test]
fn padded_packet_is_sent_again_as_it_was_and_on_its_own_stream_without_padding() {
    for rtx_ssrc in [None, Some(81)] {
        let (mut world, mut publisher, mut subscriber) = video_call(rtx_ssrc);
        send_frame(&mut world, &mut publisher, &[0, 0, 1]);
        let first = world.out.sent[0].1.clone();
        let sequence = world.media(&mut subscriber)[0].sequence;
        world.pass(150);
        world.out.sent.clear();
        let missing = [units::sequence::Seq16(sequence)];
        world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(80), missing).map(|_| ()));
        let [(_, again)] = &world.out.sent[..] else { panic!("{:?}", world.out.sent.len()) };
        match rtx_ssrc {
            None => assert_eq!(*again, first, "its SRTP index is used up"),
            Some(_) => {
                assert_eq!(again[0] & 0x20, 0);
                assert_eq!(again.len(), first.len() - 1 + 2, "with its number, without padding");
            }
        }
    }
}
