//! Claims about frames of our own: silence after a mute, and what a stream ends with.

use alloc::vec;
use alloc::vec::Vec;

use units::handle::{PeerId, PublicationId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};
use units::sequence::Seq16;
use wire::h264::Units;
use wire::vp8::Descriptor;

use super::client::{Client, Rtp, World, keys};
use super::specs::{AUDIO_PT, audio_spec, subscription_spec, video_spec};
use crate::command::{Codec, Command, PayloadCodec, PayloadMapping, PublicationSpec, Refusal};

/// Peer 1 publishes, peer 2 subscribes on SSRC 70.
fn call(publication: &PublicationSpec) -> (World, Client, Client) {
    let mut world = World::new();
    let clients = (world.join(1), world.join(2));
    world.must(Command::UpsertPublication(publication.clone().into()));
    world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
    (world, clients.0, clients.1)
}

fn audio_of(codec: Codec, clock_rate: u32) -> PublicationSpec {
    let mut spec = audio_spec(1, 1);
    spec.codecs = vec![PayloadCodec { codec, clock_rate, ..spec.codecs[0] }];
    spec
}

fn mute(world: &mut World, publication: &PublicationSpec, muted: bool) {
    world.must(Command::UpsertPublication(PublicationSpec { muted, ..publication.clone() }.into()));
}

/// What comes within `ms`, with the time when it came.
fn receive_for(world: &mut World, client: &mut Client, ms: u64) -> Vec<(u64, Rtp)> {
    let start = world.now;
    let mut received = Vec::new();
    for _ in 0..ms / 5 {
        world.pass(5);
        let at = (world.now.0 - start.0) / 1_000_000;
        received.extend(world.media(client).into_iter().map(|packet| (at, packet)));
    }
    received
}

fn opus_silence() -> Vec<u8> {
    [&[0xf8, 0xff, 0xfe][..], &[0; 77]].concat()
}

#[test]
fn mute_is_a_second_of_silence_in_time_and_the_publisher_goes_on_behind_it() {
    for (name, codec, clock_rate, expected) in [
        ("Opus", Codec::Opus, 48_000, opus_silence()),
        ("PCMU", Codec::Pcmu, 8_000, vec![0xff; 160]),
        ("PCMA", Codec::Pcma, 8_000, vec![0xd5; 160]),
    ] {
        let spec = audio_of(codec, clock_rate);
        let (mut world, mut publisher, mut subscriber) = call(&spec);
        let step = clock_rate / 50;
        let packet = |sequence: u16| Rtp { timestamp: u32::from(sequence) * step, ..Rtp::audio(sequence) };
        for sequence in 10..13 {
            world.send(&mut publisher, &packet(sequence));
            world.pass(20);
        }
        let before = world.media(&mut subscriber).pop().unwrap();
        mute(&mut world, &spec, true);
        let silence = receive_for(&mut world, &mut subscriber, 2_000);
        assert_eq!(silence.len(), 50, "{name}");
        for (index, (at, packet)) in (0_u16..).zip(&silence) {
            assert_eq!(*at, (u64::from(index) * 20).max(5), "{name}: evenly apart");
            assert_eq!(packet.sequence, before.sequence + 1 + index, "{name}");
            assert_eq!(packet.timestamp, before.timestamp + step * u32::from(index + 1), "{name}");
            assert_eq!((packet.ssrc, packet.payload_type), (Ssrc(70), before.payload_type), "{name}");
            assert_eq!((&packet.payload, packet.marker), (&expected, false), "{name}");
            assert_eq!(packet.extension(9), Some(&b"5"[..]), "{name}: the subscriber's MID");
        }
        let last = silence.last().unwrap().1.clone();
        mute(&mut world, &spec, false);
        world.send(&mut publisher, &packet(13 + 100));
        let resumed = world.media(&mut subscriber);
        assert_eq!(resumed.len(), 1, "{name}");
        assert_eq!(resumed[0].sequence, last.sequence + 1, "{name}");
        assert_eq!(resumed[0].timestamp, before.timestamp + 101 * step, "{name}: the publisher's own clock");
        assert_eq!(world.counter("own_packets_sent"), 50, "{name}");
        world.assert_accounted();
    }
}

#[test]
fn silence_ends_with_the_mute_and_with_the_subscribers_pause() {
    for (name, unmute) in [("unmuted", true), ("paused", false)] {
        let spec = audio_spec(1, 1);
        let (mut world, mut publisher, mut subscriber) = call(&spec);
        world.send(&mut publisher, &Rtp::audio(10));
        mute(&mut world, &spec, true);
        assert_eq!(receive_for(&mut world, &mut subscriber, 105).len(), 1 + 6, "{name}");
        if unmute {
            mute(&mut world, &spec, false);
        } else {
            let mut subscription = subscription_spec(1, 2, 1, 70);
            subscription.paused = true;
            world.must(Command::UpsertSubscription(subscription.into()));
        }
        assert!(receive_for(&mut world, &mut subscriber, 1_000).is_empty(), "{name}");
    }
}

#[test]
fn nothing_is_made_up_for_who_heard_nothing() {
    let spec = audio_spec(1, 1);
    let (mut world, mut publisher, mut subscriber) = call(&spec);
    mute(&mut world, &spec, true);
    assert!(receive_for(&mut world, &mut subscriber, 1_000).is_empty(), "nothing was sent before");
    mute(&mut world, &spec, false);
    world.send(&mut publisher, &Rtp::audio(10));
    mute(&mut world, &spec, true);
    mute(&mut world, &spec, true);
    assert_eq!(receive_for(&mut world, &mut subscriber, 2_000).len(), 1 + 50, "told twice, muted once");
    world.must(Command::DeleteSubscription(SubscriptionId(1)));
    assert!(receive_for(&mut world, &mut subscriber, 1_000).is_empty(), "it ended in silence");
}

#[test]
fn silence_speaks_red_to_whom_red_goes() {
    const RED: PayloadType = PayloadType(63);
    let mut spec = audio_spec(1, 1);
    spec.codecs.push(PayloadCodec { payload_type: RED, codec: Codec::Red, ..spec.codecs[0] });
    for (name, red_to, expected) in
        [("as RED", 101, [&[111][..], &opus_silence()].concat()), ("as Opus", 100, opus_silence())]
    {
        let (mut world, mut publisher, mut subscriber) = call(&spec);
        let mut subscription = subscription_spec(1, 2, 1, 70);
        subscription.payloads = [(AUDIO_PT, PayloadType(100)), (RED, PayloadType(red_to))]
            .map(|(from, to)| PayloadMapping { from, to, rtx: None, red: None })
            .into();
        world.must(Command::UpsertSubscription(subscription.into()));
        world.send(&mut publisher, &Rtp { payload_type: RED, payload: vec![111, 5], ..Rtp::audio(10) });
        mute(&mut world, &spec, true);
        let (_, silence) = receive_for(&mut world, &mut subscriber, 100).pop().unwrap();
        assert_eq!((silence.payload, silence.payload_type), (expected, PayloadType(red_to)), "{name}");
    }
}

#[test]
fn silence_that_was_lost_is_sent_again_as_it_was() {
    let spec = audio_spec(1, 1);
    let (mut world, mut publisher, mut subscriber) = call(&spec);
    world.send(&mut publisher, &Rtp::audio(10));
    mute(&mut world, &spec, true);
    world.pass(200);
    // The copy itself, then ten frames: the client misses the seventh of them.
    let sent: Vec<_> = world.out.sent.iter().filter(|(path, _)| *path == subscriber.path).cloned().collect();
    let received = world.media(&mut subscriber);
    let missing = Seq16(received[7].sequence);
    world.pass(100);
    world.media(&mut subscriber);
    world.send_rtcp(&mut subscriber, |builder| builder.nack(Ssrc(1), Ssrc(70), [missing]).map(|_| ()));
    assert_eq!(world.counter("packets_resent"), 1);
    assert_eq!(world.out.sent.last().unwrap().1, sent[7].1, "bit for bit: its SRTP index is used up");
}

#[test]
fn stream_ends_with_black_pictures_while_its_ssrc_is_taken() {
    let spec = video_spec(1, 1);
    let delete_publication = Command::DeletePublication(PublicationId(1));
    for (name, end) in [
        ("unsubscribed", Command::DeleteSubscription(SubscriptionId(1))),
        ("unpublished", delete_publication),
        ("publisher gone", Command::DeletePeer(PeerId(1))),
    ] {
        let (mut world, mut publisher, mut subscriber) = call(&spec);
        for sequence in 120..123 {
            world.send(&mut publisher, &Rtp::video(0, sequence, sequence == 120).plain());
            world.pass(33);
        }
        let before = world.media(&mut subscriber).pop().unwrap();
        let descriptor = Descriptor::parse(&before.payload).unwrap();
        world.must(end);
        assert_eq!(world.counter("subscriptions"), 0, "{name}: gone at once");
        world.must(Command::UpsertPublication(
            PublicationSpec { id: PublicationId(7), ..video_spec(7, 2) }.into(),
        ));
        let again = subscription_spec(9, 2, 7, 70);
        assert_eq!(world.command(Command::UpsertSubscription(again.into())), Err(Refusal::Taken), "{name}");

        let black = receive_for(&mut world, &mut subscriber, 500);
        assert_eq!(black.len(), 6, "{name}");
        assert!(black.iter().all(|(at, _)| *at <= 200), "{name}: {:?}", black.last());
        for (index, (_, packet)) in (1_u16..).zip(&black) {
            assert_eq!(packet.sequence, before.sequence + index, "{name}");
            let ahead = packet.timestamp.wrapping_sub(before.timestamp);
            assert!((3_000 * u32::from(index)..3_600 * u32::from(index)).contains(&ahead), "{name}: {ahead}");
            assert!(packet.marker, "{name}: a picture of one packet");
            let made = Descriptor::parse(&packet.payload).unwrap();
            assert_eq!((made.key_frame, made.dimensions), (true, Some((8, 8))), "{name}");
            let picture = |descriptor: &Descriptor| descriptor.picture_id.unwrap().value();
            assert_eq!(picture(&made), picture(&descriptor) + index, "{name}");
            let [_, index] = index.to_be_bytes();
            let expected = descriptor.tl0_picture_index.map(|before| before.wrapping_add(index));
            assert_eq!(made.tl0_picture_index, expected, "{name}");
        }
        let again = subscription_spec(9, 2, 7, 70);
        let late = world.command(Command::UpsertSubscription(again.into()));
        assert_eq!(late, Err(Refusal::Taken), "{name}: its SRTP indices are used up");
        world.assert_accounted();
    }
}

#[test]
fn frame_that_was_under_way_is_ended_before_black_pictures() {
    let mut spec = video_spec(1, 1);
    spec.codecs[0].codec = Codec::H264;
    let (mut world, mut publisher, mut subscriber) = call(&spec);
    let key = Rtp { marker: false, payload: vec![0x65, 1, 2, 3], ..Rtp::video(0, 10, true).plain() };
    world.send(&mut publisher, &key);
    let before = world.media(&mut subscriber).pop().unwrap();
    world.must(Command::DeleteSubscription(SubscriptionId(1)));
    let ended = receive_for(&mut world, &mut subscriber, 500);
    assert_eq!(ended.len(), 1 + 6);
    let (_, closing) = &ended[0];
    assert_eq!((closing.timestamp, closing.marker), (before.timestamp, true));
    assert_eq!(closing.payload, [&[0; 254][..], &[255]].concat(), "padding");
    for (index, (_, packet)) in (1_u16..).zip(&ended) {
        assert_eq!(packet.sequence, before.sequence + index);
    }
    let (_, black) = &ended[1];
    assert!(black.marker && black.timestamp > before.timestamp);
    assert!(Units::parse(&black.payload).unwrap().key_frame());
}

#[test]
fn frames_among_encrypted_ones_carry_the_rooms_trailer() {
    for (name, sif_trailer, expected) in [("with a trailer", &b"trailer"[..], 50), ("without", b"", 0)] {
        let spec = PublicationSpec { encrypted: true, ..audio_spec(1, 1) };
        let mut world = World::with_trailer(sif_trailer);
        let (mut publisher, mut subscriber) = (world.join(1), world.join(2));
        world.must(Command::UpsertPublication(spec.clone().into()));
        world.must(Command::UpsertSubscription(subscription_spec(1, 2, 1, 70).into()));
        world.send(&mut publisher, &Rtp::audio(10));
        world.media(&mut subscriber);
        mute(&mut world, &spec, true);
        let silence = receive_for(&mut world, &mut subscriber, 1_500);
        assert_eq!(silence.len(), expected, "{name}");
        for (_, packet) in silence {
            assert_eq!(packet.payload, [&opus_silence()[..], sif_trailer].concat(), "{name}");
        }
    }
}

#[test]
fn other_keys_and_a_lost_subscriber_end_what_is_under_way() {
    let spec = audio_spec(1, 1);
    for (name, rekeyed) in [("other keys", true), ("no consent", false)] {
        let (mut world, mut publisher, mut subscriber) = call(&spec);
        world.send(&mut publisher, &Rtp::audio(10));
        world.media(&mut subscriber);
        if rekeyed {
            world.must(Command::DeleteSubscription(SubscriptionId(1)));
            world.must(Command::Keys { peer: PeerId(2), keys: keys(false, 1).into() });
        } else {
            world.pass(40_000);
            world.out.sent.clear();
            world.must(Command::DeleteSubscription(SubscriptionId(1)));
        }
        world.pass(1_000);
        assert_eq!(world.counter("own_packets_sent"), 0, "{name}");
    }
}

#[test]
fn streams_that_end_at_once_are_bounded() {
    let spec = audio_spec(1, 1);
    let (mut world, mut publisher, mut subscriber) = call(&spec);
    for id in 2..=70 {
        world.must(Command::UpsertSubscription(
            subscription_spec(id, 2, 1, 100 + u32::try_from(id).unwrap()).into(),
        ));
    }
    world.send(&mut publisher, &Rtp::audio(10));
    world.must(Command::DeletePublication(PublicationId(1)));
    assert_eq!(world.counter("streams_cut_off"), 6);
    world.pass(500);
    assert_eq!(world.counter("own_packets_sent"), 64 * 10, "0.2 s each");
    assert_eq!(world.media(&mut subscriber).len(), 70 + 640);
}
