//! Claims about packets of media: who gets them, under which numbers, and what stops them.

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use units::handle::{PublicationId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtcp::{Compound, Packet};

use super::client::{Client, Rtp, World, ms};
use super::specs::{RTX_PT, audio_spec, peer_spec, simulcast_spec, subscription_spec};
use crate::command::{Command, Refusal};
use crate::event::Event;

/// Peer 1 publishes audio (1) and simulcast (2), peer 2 subscribes to both (1 on SSRC 70, 2 on SSRC 80).
fn call() -> (World, Client, Client) {
    let mut world = World::new();
    let publisher = world.join(1);
    let subscriber = world.join(2);
    world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
    world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
    world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
    world.events();
    (world, publisher, subscriber)
}

/// SSRCs of the layers that the publisher was asked key frames of.
fn asked_key_frames(world: &mut World, publisher: &mut Client) -> Vec<u32> {
    let (_, rtcp) = world.drain(publisher);
    let mut asked = Vec::new();
    for compound in &rtcp {
        for member in Compound::new(compound) {
            if let Packet::PictureLossIndication(indication) = member.unwrap() {
                asked.push(indication.media.0);
            }
        }
    }
    asked
}

#[test]
fn audio_is_forwarded_with_the_subscribers_numbers_and_extensions() {
    let (mut world, mut publisher, mut subscriber) = call();
    for sequence in 10..13 {
        let mut packet = Rtp::audio(sequence);
        packet.extensions.push((4, vec![0x80 | 20]));
        world.send(&mut publisher, &packet);
    }
    let received = world.media(&mut subscriber);
    assert_eq!(received.len(), 3);
    let first = received[0].sequence;
    for (index, packet) in (0..).zip(&received) {
        assert_eq!((packet.ssrc, packet.payload_type), (Ssrc(70), PayloadType(63)));
        assert_eq!(packet.sequence, first + index);
        assert_eq!(packet.timestamp - received[0].timestamp, u32::from(index) * 960);
        assert_eq!(packet.payload, [0x5a; 40]);
        assert_eq!(packet.extension(7), Some(&[0x80 | 20][..]), "audio level under the subscriber's id");
        assert_eq!(packet.extension(9), Some(&b"5"[..]), "the subscriber's MID");
        assert_eq!(packet.extension(8).map(<[u8]>::len), Some(3), "when it was sent");
        assert_eq!(packet.extensions.len(), 3, "and nothing else");
    }
    let events = world.events();
    let started = |event: &&Event| matches!(event, Event::SourceStarted { .. });
    assert_eq!(events.iter().filter(started).count(), 1);
    let first_copy = events.iter().any(|event| {
        matches!(event, Event::SubscriptionStarted { subscription } if *subscription == SubscriptionId(1))
    });
    assert!(first_copy);
    assert_eq!(world.counter("datagrams_forwarded"), 3);
    world.assert_accounted();
}

#[test]
fn packet_that_is_not_authentic_teaches_nothing() {
    let (mut world, mut publisher, mut subscriber) = call();
    let mut forged = publisher.seal(&Rtp::audio(5));
    *forged.last_mut().unwrap() ^= 1;
    world.receive(publisher.path, forged);
    assert_eq!(world.counter("discarded_authentication"), 1);
    let datagram = world.send(&mut publisher, &Rtp::audio(5));
    world.receive(publisher.path, datagram);
    assert_eq!(world.counter("discarded_duplicate"), 1);
    assert_eq!(world.media(&mut subscriber).len(), 1);
    world.assert_accounted();
}

#[test]
fn best_layer_within_the_wish_is_forwarded_from_a_key_frame_on() {
    let (mut world, mut publisher, mut subscriber) = call();
    for layer in 0..3 {
        world.send(&mut publisher, &Rtp::video(layer, 1, false));
    }
    assert!(world.media(&mut subscriber).is_empty(), "nothing before a key frame");
    world.pass(5);
    assert!(asked_key_frames(&mut world, &mut publisher).contains(&2_002), "the top layer is asked for");

    let mut sequence = 2;
    let mut step = |world: &mut World, publisher: &mut Client, key_frame_of: Option<u8>| {
        for layer in 0..3 {
            world.send(publisher, &Rtp::video(layer, sequence, key_frame_of == Some(layer)));
        }
        sequence += 1;
        world.pass(33);
    };
    step(&mut world, &mut publisher, Some(2));
    step(&mut world, &mut publisher, None);
    let mut received = world.media(&mut subscriber);
    assert_eq!(received.iter().map(Rtp::layer).collect::<Vec<_>>(), [2, 2]);

    world.pass(1_000);
    let mut wish = subscription_spec(2, 2, 2, 80);
    wish.layer_max = 0;
    world.must(Command::UpsertSubscription(wish.into()));
    asked_key_frames(&mut world, &mut publisher);
    step(&mut world, &mut publisher, None);
    assert!(asked_key_frames(&mut world, &mut publisher).contains(&2_000), "the lower layer is asked for");
    step(&mut world, &mut publisher, Some(0));
    step(&mut world, &mut publisher, None);
    received.extend(world.media(&mut subscriber));
    assert_eq!(received.iter().map(Rtp::layer).collect::<Vec<_>>(), [2, 2, 2, 0, 0]);
    for pair in received.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "one stream for the subscriber");
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 90_000, "whose time goes on");
    }
    world.assert_accounted();
}

#[test]
fn layer_that_ends_gives_way_to_the_next_lower_one() {
    let (mut world, mut publisher, mut subscriber) = call();
    for layer in 0..3 {
        world.send(&mut publisher, &Rtp::video(layer, 1, true));
    }
    assert_eq!(world.media(&mut subscriber).len(), 3, "from layer to layer as they come to life");
    for sequence in 2..100 {
        let key_frame = sequence == 2 || sequence == 90;
        for layer in 0..if sequence < 10 { 3 } else { 2 } {
            world.send(&mut publisher, &Rtp::video(layer, sequence, key_frame));
        }
        world.pass(33);
    }
    let layers: Vec<u8> = world.media(&mut subscriber).iter().map(Rtp::layer).collect();
    assert_eq!((layers[0], layers.last()), (2, Some(&1)));
}

#[test]
fn mute_and_pause_stop_copies_and_their_end_asks_for_a_key_frame() {
    let mute = |muted| {
        let mut spec = simulcast_spec(2, 1);
        spec.muted = muted;
        Command::UpsertPublication(spec.into())
    };
    let pause = |paused| {
        let mut spec = subscription_spec(2, 2, 2, 80);
        spec.paused = paused;
        Command::UpsertSubscription(spec.into())
    };
    for (name, stop, go) in [("mute", mute(true), mute(false)), ("pause", pause(true), pause(false))] {
        let (mut world, mut publisher, mut subscriber) = call();
        world.send(&mut publisher, &Rtp::video(0, 1, true));
        assert_eq!(world.media(&mut subscriber).len(), 1, "{name}");
        world.must(stop);
        world.send(&mut publisher, &Rtp::video(0, 2, true));
        assert_eq!(world.media(&mut subscriber).len(), 0, "{name}");
        world.pass(2_000);
        asked_key_frames(&mut world, &mut publisher);
        world.must(go);
        world.pass(5);
        assert_eq!(asked_key_frames(&mut world, &mut publisher), [2_000], "{name}");
        world.send(&mut publisher, &Rtp::video(0, 3, false));
        assert_eq!(world.media(&mut subscriber).len(), 0, "{name}: only from a key frame on");
        world.send(&mut publisher, &Rtp::video(0, 4, true));
        assert_eq!(world.media(&mut subscriber).len(), 1, "{name}");
        world.assert_accounted();
    }
}

#[test]
fn key_frame_requests_of_subscribers_are_passed_on_within_the_throttle() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::video(0, 1, true));
    world.pass(1_000);
    asked_key_frames(&mut world, &mut publisher);
    let lost = PictureLossIndication { sender: Ssrc(1), media: Ssrc(80) };
    for _ in 0..9 {
        world.send_rtcp(&mut subscriber, |builder| builder.picture_loss_indication(lost));
        world.pass(20);
    }
    assert_eq!(asked_key_frames(&mut world, &mut publisher), [2_000]);
    world.pass(50);
    assert_eq!(asked_key_frames(&mut world, &mut publisher), [2_000], "again, as none came");
    world.send(&mut publisher, &Rtp::video(0, 2, true));
    world.pass(50);
    world.send_rtcp(&mut subscriber, |builder| builder.picture_loss_indication(lost));
    world.pass(3_000);
    assert_eq!(asked_key_frames(&mut world, &mut publisher), [], "it came, and the request crossed it");
    for wait in [3_000, 80] {
        world.pass(wait);
        world.send(&mut publisher, &Rtp::video(0, 3 + u16::from(wait == 80), true));
        world.pass(80);
        world.send_rtcp(&mut subscriber, |builder| builder.picture_loss_indication(lost));
        world.pass(5);
    }
    assert_eq!(asked_key_frames(&mut world, &mut publisher), [2_000], "the second one has to wait");
    world.pass(400);
    assert_eq!(asked_key_frames(&mut world, &mut publisher), [2_000], "until half a second after the first");
    assert_eq!(world.counter("key_frame_requests_received"), 12);
    assert_eq!(world.counter("key_frame_requests_answered"), 1);
}

#[test]
fn identical_upserts_change_nothing() {
    let (mut world, mut publisher, mut subscriber) = call();
    let mut received = Vec::new();
    for sequence in 1..20 {
        world.must(Command::UpsertRoom(super::specs::room_spec(1)));
        world.must(Command::UpsertPeer(peer_spec(1, 1).into()));
        world.must(Command::UpsertPeer(peer_spec(2, 1).into()));
        world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
        world.must(Command::UpsertPublication(simulcast_spec(2, 1).into()));
        world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
        world.must(Command::UpsertSubscription(subscription_spec(2, 2, 2, 80).into()));
        world.send(&mut publisher, &Rtp::audio(sequence));
        world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
        received.extend(world.media(&mut subscriber));
    }
    for ssrc in [70, 80] {
        let stream: Vec<&Rtp> = received.iter().filter(|packet| packet.ssrc == Ssrc(ssrc)).collect();
        assert_eq!(stream.len(), 19);
        assert!(stream.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
    }
    let started = world.events().iter().filter(|event| matches!(event, Event::SourceStarted { .. })).count();
    assert_eq!(started, 2);
    assert_eq!(world.counter("subscriptions"), 2);
}

#[test]
fn delete_frees_everything() {
    for (name, delete) in [
        ("room", vec![Command::DeleteRoom(units::handle::RoomId(1))]),
        (
            "one by one, and twice",
            vec![
                Command::DeleteSubscription(SubscriptionId(1)),
                Command::DeleteSubscription(SubscriptionId(1)),
                Command::DeletePublication(PublicationId(1)),
                Command::DeletePublication(PublicationId(1)),
                Command::DeletePeer(units::handle::PeerId(1)),
                Command::DeletePeer(units::handle::PeerId(1)),
                Command::DeletePeer(units::handle::PeerId(2)),
                Command::DeleteRoom(units::handle::RoomId(1)),
                Command::DeleteRoom(units::handle::RoomId(1)),
            ],
        ),
    ] {
        let (mut world, mut publisher, _) = call();
        world.send(&mut publisher, &Rtp::audio(1));
        world.send(&mut publisher, &Rtp::video(0, 1, true));
        assert_eq!(world.counter("history_buffers"), 0, "counted with the next command or tick");
        world.pass(10);
        assert_eq!(world.counter("history_buffers"), 2);
        for command in delete {
            world.must(command);
        }
        let gauges =
            ["rooms", "peers", "publications", "subscriptions", "paths", "ufrags", "history_buffers"];
        for gauge in gauges {
            assert_eq!(world.counter(gauge), 0, "{name}: {gauge}");
        }
        world.pass(1_000);
        assert_eq!(world.engine.next_deadline(), None, "{name}");
        world.send(&mut publisher, &Rtp::audio(2));
        assert_eq!(world.counter("discarded_unknown_path"), 1, "{name}");
    }
}

#[test]
fn evicted_peer_is_told_and_gone_while_others_go_on() {
    let (mut world, mut publisher, mut subscriber) = call();
    let _third = world.join(3);
    world.must(Command::UpsertSubscription(subscription_spec(3, 3, 1, 90).into()));
    world.events();
    world.engine.evict(world.now, units::handle::PeerId(3), &mut world.out);
    let events = world.events();
    let [Event::Transport { peer: units::handle::PeerId(3), state }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(*state, crate::event::TransportState::Failed(crate::event::FailureReason::Panic));
    assert_eq!((world.counter("peers"), world.counter("peers_evicted")), (2, 1));
    world.send(&mut publisher, &Rtp::audio(1));
    assert_eq!(world.media(&mut subscriber).len(), 1);
}

/// Panics when a copy goes to peer 2.
struct Faulty(super::client::Recorder);

impl crate::outbox::Outbox for Faulty {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        self.0.lend(capacity)
    }

    fn send(&mut self, path: &crate::path::Path, len: usize) {
        assert!(*path != super::client::path(2), "a fault in the engine's work");
        self.0.send(path, len);
    }

    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}

#[test]
fn panic_is_blamed_on_the_datagrams_sender_and_the_datagram_is_counted() {
    let (mut world, mut publisher, mut subscriber) = call();
    let mut datagram = publisher.seal(&Rtp::audio(1));
    let mut faulty = Faulty(super::client::Recorder::default());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.engine.receive(world.now, publisher.path, &mut datagram, &mut faulty);
        world.engine.flush(world.now, &mut faulty);
    }));
    assert!(unwound.is_err());
    let culprit = world.engine.at_work().unwrap();
    assert_eq!(culprit, units::handle::PeerId(1));
    world.engine.evict(world.now, culprit, &mut world.out);
    assert_eq!(world.engine.at_work(), None);
    assert_eq!((world.counter("discarded_panic"), world.counter("peers")), (1, 1));
    world.assert_accounted();
    let answer = world.check(subscriber.path, &super::specs::credentials(2, 0), true);
    assert!(answer.is_some() && world.media(&mut subscriber).is_empty(), "the other peer lives on");
}

#[test]
fn newest_stream_of_an_encoding_counts() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    let other = |sequence| Rtp { ssrc: Ssrc(1_001), ..Rtp::audio(sequence) };
    world.send(&mut publisher, &other(700));
    world.send(&mut publisher, &Rtp::audio(2));
    world.send(&mut publisher, &other(701));
    assert_eq!(world.counter("discarded_superseded"), 1);
    let received = world.media(&mut subscriber);
    let order: Vec<u16> = received.iter().map(|packet| packet.sequence - received[0].sequence).collect();
    assert_eq!(order, [0, 1, 2]);
    world.pass(600);
    let started = world.events().iter().filter(|event| matches!(event, Event::SourceStarted { .. })).count();
    assert_eq!(started, 2);
}

#[test]
fn streams_go_on_under_new_keys_of_the_subscriber() {
    let (mut world, mut publisher, mut subscriber) = call();
    // Over the wrap of the outgoing number: the receiver of new keys begins with a roll-over counter of zero.
    for index in (0..70_000_u64).step_by(10_000) {
        let sequence = u16::try_from(index % 65_536).unwrap();
        let datagram = publisher.seal_at(&Rtp::audio(sequence), Seq(index));
        world.receive(publisher.path, datagram);
        assert_eq!(world.media(&mut subscriber).len(), 1);
    }
    world.out.sent.clear();
    let keys = |we_are_client| super::client::keys(we_are_client, 1);
    world.must(Command::Keys { peer: units::handle::PeerId(2), keys: keys(false).into() });
    subscriber.inbound = srtp::inbound::Inbound::new(&keys(true));
    let datagram = publisher.seal_at(&Rtp::audio(4_464), Seq(70_000));
    world.receive(publisher.path, datagram);
    assert_eq!(world.media(&mut subscriber).len(), 1);
}

#[test]
fn streams_go_on_under_new_keys_of_the_publisher() {
    let (mut world, mut publisher, mut subscriber) = call();
    for index in [1, 20_000, 40_000, 60_000, 80_000] {
        let datagram = publisher.seal_at(&Rtp::audio(Seq(index).low().0), Seq(index));
        world.receive(publisher.path, datagram);
    }
    assert_eq!(world.media(&mut subscriber).len(), 5);
    let keys = |we_are_client| super::client::keys(we_are_client, 1);
    world.must(Command::Keys { peer: units::handle::PeerId(1), keys: keys(false).into() });
    publisher.outbound = srtp::outbound::Outbound::new(&keys(true));
    world.send(&mut publisher, &Rtp::audio(14_465));
    assert_eq!(world.media(&mut subscriber).len(), 1);
    world.assert_accounted();
}

#[test]
fn ssrc_that_sent_under_the_present_keys_is_not_used_again() {
    let (mut world, mut publisher, _) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    world.must(Command::DeleteSubscription(SubscriptionId(1)));
    let again = || Command::UpsertSubscription(subscription_spec(9, 2, 1, 70).into());
    assert_eq!(world.command(again()), Err(Refusal::Taken));
    let keys = super::client::keys(false, 1).into();
    world.must(Command::Keys { peer: units::handle::PeerId(2), keys });
    assert_eq!(world.command(again()), Ok(()));
}

#[test]
fn exhausted_pool_drops_copies_and_counts_them() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.out.exhausted = true;
    world.send(&mut publisher, &Rtp::audio(1));
    world.out.exhausted = false;
    world.send(&mut publisher, &Rtp::audio(2));
    assert_eq!(world.counter("copy_discarded_no_buffer"), 1);
    assert_eq!(world.media(&mut subscriber).len(), 1);
    world.assert_accounted();
}

#[test]
fn padding_alone_is_no_media() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::audio(1));
    let mut padding = Rtp::audio(2);
    padding.payload = Vec::new();
    world.send(&mut publisher, &padding);
    world.send(&mut publisher, &Rtp::audio(3));
    let received = world.media(&mut subscriber);
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].sequence, received[0].sequence + 1, "no hole");
    assert_eq!(world.counter("copy_discarded_padding"), 1);
}

#[test]
fn retransmission_of_a_publisher_fills_the_gap() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::video(0, 1, true));
    world.send(&mut publisher, &Rtp::video(0, 3, false));
    let original = Rtp::video(0, 2, false);
    let rtx = |sequence: u16| Rtp {
        ssrc: Ssrc(3_000),
        payload_type: RTX_PT,
        sequence,
        extensions: vec![(1, b"1".to_vec()), (3, b"q".to_vec())],
        payload: [&[0, 2][..], &original.payload].concat(),
        ..original.clone()
    };
    world.send(&mut publisher, &rtx(100));
    world.send(&mut publisher, &rtx(101));
    assert_eq!((world.counter("packets_restored"), world.counter("discarded_rtx_duplicate")), (1, 1));
    let received = world.media(&mut subscriber);
    let order: Vec<u16> = received.iter().map(|packet| packet.sequence - received[0].sequence).collect();
    assert_eq!(order, [0, 2, 1]);
    assert_eq!(received[2].payload[received[2].payload.len() - 100..], [0; 100]);
    assert!(received.iter().all(|packet| packet.payload_type == PayloadType(100)));
    let probe = Rtp { payload: Vec::new(), ..rtx(102) };
    world.send(&mut publisher, &probe);
    assert_eq!(world.counter("datagrams_consumed"), 3, "two checks and a probe");
    world.assert_accounted();
}

#[test]
fn retransmission_of_what_can_not_have_been_sent_yet_moves_nothing() {
    for (name, original, restored) in
        [("ahead a little", 105, 1), ("far ahead", 20_000, 0), ("far behind", 45_000, 0)]
    {
        let (mut world, mut publisher, mut subscriber) = call();
        world.send(&mut publisher, &Rtp::video(0, 100, true));
        let packet = Rtp::video(0, original, false);
        let rtx = Rtp {
            ssrc: Ssrc(3_000),
            payload_type: RTX_PT,
            sequence: 7,
            extensions: vec![(1, b"1".to_vec()), (3, b"q".to_vec())],
            payload: [&original.to_be_bytes()[..], &packet.payload].concat(),
            ..packet
        };
        world.send(&mut publisher, &rtx);
        assert_eq!(world.counter("packets_restored"), restored, "{name}");
        world.media(&mut subscriber);
        world.send(&mut publisher, &Rtp::video(0, 106, false));
        assert_eq!(world.media(&mut subscriber).len(), 1, "{name}");
        world.assert_accounted();
    }
}

#[test]
fn stream_that_nobody_published_is_counted() {
    let (mut world, mut publisher, _) = call();
    let mut packet = Rtp::audio(1);
    packet.extensions = vec![(1, b"77".to_vec())];
    packet.ssrc = Ssrc(5);
    world.send(&mut publisher, &packet);
    assert_eq!(world.counter("discarded_unknown_source"), 1);
    world.send(&mut publisher, &Rtp::audio(1));
    let mut packet = Rtp::audio(2);
    packet.payload_type = PayloadType(99);
    world.send(&mut publisher, &packet);
    assert_eq!(world.counter("discarded_unknown_payload_type"), 1);
}

#[test]
fn republished_section_is_known_by_the_names_that_its_stream_once_had() {
    let (mut world, mut publisher, mut subscriber) = call();
    world.send(&mut publisher, &Rtp::video(1, 1, true));
    world.must(Command::DeletePublication(PublicationId(2)));
    world.must(Command::UpsertPublication(simulcast_spec(3, 1).into()));
    world.must(Command::UpsertSubscription(subscription_spec(3, 2, 3, 81).into()));
    world.media(&mut subscriber);
    let nameless = Rtp { extensions: Vec::new(), ..Rtp::video(1, 2, true) };
    world.send(&mut publisher, &nameless);
    assert_eq!(world.media(&mut subscriber).len(), 1);
}

#[test]
fn sources_of_a_peer_are_bounded() {
    let (mut world, mut publisher, _) = call();
    for source in 0..300 {
        let mut packet = Rtp::audio(1);
        packet.ssrc = Ssrc(10_000 + source);
        world.send(&mut publisher, &packet);
    }
    assert_eq!(world.counter("discarded_too_many_sources"), 44);
    world.now = ms(2_000);
    world.assert_accounted();
}

#[test]
fn peer_may_republish_for_ever_and_old_packets_stay_refused() {
    let (mut world, mut publisher, _) = call();
    let first = world.send(&mut publisher, &Rtp::audio(1));
    for round in 0..600_u32 {
        world.must(Command::DeletePublication(PublicationId(1)));
        world.must(Command::UpsertPublication(audio_spec(1, 1).into()));
        world.must(Command::UpsertSubscription(
            subscription_spec(10 + u64::from(round), 2, 1, 1_000 + round).into(),
        ));
        let mut packet = Rtp::audio(1);
        packet.ssrc = Ssrc(10_000 + round);
        world.send(&mut publisher, &packet);
        world.send_rtcp(&mut publisher, |builder| builder.receiver_report(packet.ssrc, &[]));
    }
    assert_eq!((world.counter("copies_sent"), world.counter("discarded_too_many_sources")), (601, 0));
    world.receive(publisher.path, first);
    assert_eq!((world.counter("copies_sent"), world.counter("discarded_duplicate")), (601, 1));
    world.assert_accounted();
}
