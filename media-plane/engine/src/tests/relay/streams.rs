//! Claims about streams of every kind on another worker: what is told of them, cut off and chosen is as on the publisher's.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use units::handle::{PublicationId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};

use super::workers::{HOME, OTHER, Workers};
use crate::command::{Codec, Command, ExtensionKind, PlayoutDelayRange, SubscriptionSpec};
use crate::event::Event;
use crate::tests::client::{Client, Rtp};
use crate::tests::layers;
use crate::tests::specs::{VIDEO_PT, audio_spec, peer_spec, simulcast_spec, subscription_spec, video_spec};

/// A packet apart from where its numbers begin.
type Told = (u16, u32, bool, Vec<(u8, Vec<u8>)>, Vec<u8>);

/// A picture's packets.
type Make = fn(picture: u16, key: bool) -> Vec<Rtp>;

/// What a subscriber on that worker gets of 150 pictures, while it wishes for less and for more again.
fn play(at: usize, codec: Codec, make: Make, wish: &SubscriptionSpec) -> Vec<Told> {
    let mut workers = Workers::new(2);
    let mut spec = peer_spec(1, 1);
    spec.receive_extensions.0.push((12, ExtensionKind::DependencyDescriptor));
    workers.worlds[HOME].must(Command::UpsertPeer(spec.into()));
    let mut publisher = workers.worlds[HOME].connect(1);
    let mut spec = peer_spec(2, 1);
    spec.send_extensions.0.retain(|(_, kind)| *kind != ExtensionKind::AbsSendTime);
    spec.send_extensions
        .0
        .extend([(13, ExtensionKind::DependencyDescriptor), (14, ExtensionKind::PlayoutDelay)]);
    workers.worlds[at].must(Command::UpsertPeer(spec.into()));
    let mut subscriber = workers.worlds[at].connect(2);
    let mut spec = video_spec(2, 1);
    spec.codecs[0].codec = codec;
    workers.publish(&spec);
    let mut received = Vec::new();
    for picture in 0..150 {
        let layer_max = if (40..70).contains(&picture) { 0 } else { 2 };
        let wish = SubscriptionSpec { layer_max, ..wish.clone() };
        workers.worlds[at].must(Command::UpsertSubscription(wish.into()));
        workers.pass(5);
        for mut packet in make(picture, picture % 30 == 0) {
            if packet.marker {
                packet.payload.extend(b"abc\xf7LKTS");
            }
            workers.worlds[HOME].send(&mut publisher, &packet);
            workers.deliver();
        }
        workers.pass(28);
        received.extend(workers.worlds[at].media(&mut subscriber));
    }
    workers.assert_accounted();
    let (sequence, timestamp) = (received[0].sequence, received[0].timestamp);
    let told = received.into_iter().map(|packet| {
        let numbers = (packet.sequence.wrapping_sub(sequence), packet.timestamp.wrapping_sub(timestamp));
        (numbers.0, numbers.1, packet.marker, packet.extensions, packet.payload)
    });
    told.collect()
}

fn spatial(picture: u16, key: bool, told: fn(u16, u8, bool) -> layers::Told) -> Vec<Rtp> {
    let packet = |spatial| {
        let (descriptor, payload) = told(picture, spatial, key);
        let mut extensions = vec![(1, b"1".to_vec())];
        extensions.extend(descriptor.map(|descriptor| (12, descriptor)));
        Rtp {
            ssrc: Ssrc(2_000),
            payload_type: VIDEO_PT,
            sequence: picture * 2 + u16::from(spatial),
            timestamp: u32::from(picture) * 3_000,
            marker: spatial == 1,
            extensions,
            payload,
        }
    };
    [0, 1].map(packet).into()
}

#[test]
fn streams_of_all_kinds_are_the_same_on_another_worker() {
    let plain = subscription_spec(2, 2, 2, 80);
    let half = SubscriptionSpec { frame_rate_max: NonZeroU32::new(15), ..plain.clone() };
    let stripped = SubscriptionSpec { strip_packet_trailer: true, ..plain.clone() };
    let playout_delay = Some(PlayoutDelayRange { min_ms: 100, max_ms: 2_000 });
    let delayed = SubscriptionSpec { playout_delay, ..plain.clone() };
    let vp8: Make = |picture, key| {
        let temporal = if key { 0 } else { [0, 2, 1, 2][usize::from(picture % 4)] };
        vec![Rtp::video_of(0, picture, key, temporal).plain()]
    };
    let vp9: Make = |picture, key| spatial(picture, key, layers::vp9);
    let dependent: Make = |picture, key| spatial(picture, key, layers::dependency);
    let mut played = Vec::new();
    for (name, codec, make, wish) in [
        ("VP8", Codec::Vp8, vp8, &plain),
        ("half the pictures of VP8", Codec::Vp8, vp8, &half),
        ("VP8 without trailers", Codec::Vp8, vp8, &stripped),
        ("VP8 with a playout delay", Codec::Vp8, vp8, &delayed),
        ("VP9", Codec::Vp9, vp9, &plain),
        ("VP9 without trailers", Codec::Vp9, vp9, &stripped),
        ("AV1", Codec::Av1, dependent, &plain),
        ("AV1 with a playout delay", Codec::Av1, dependent, &delayed),
    ] {
        let other = play(OTHER, codec, make, wish);
        assert!(other == play(HOME, codec, make, wish), "{name}");
        assert!(other.len() > 90, "{name}: {}", other.len());
        assert!(!played.contains(&other), "{name} is not what was played before");
        played.push(other);
    }
}

/// Audio (1) and simulcast (2) go to a subscriber on another worker.
fn call() -> (Workers, Client, Client) {
    let mut workers = Workers::new(2);
    let publisher = workers.worlds[HOME].join(1);
    let subscriber = workers.worlds[OTHER].join(2);
    workers.publish(&audio_spec(1, 1));
    workers.publish(&simulcast_spec(2, 1));
    for (id, ssrc) in [(1, 70), (2, 80)] {
        workers.worlds[OTHER].must(Command::UpsertSubscription(subscription_spec(id, 2, id, ssrc).into()));
    }
    workers.pass(5);
    (workers, publisher, subscriber)
}

#[test]
fn video_that_stops_is_told_where_it_is_missed() {
    let (mut workers, mut publisher, _) = call();
    workers.worlds[HOME].send(&mut publisher, &Rtp::video(0, 1, true));
    workers.pass(5);
    for world in &mut workers.worlds {
        world.events();
    }
    let told = |workers: &mut Workers, worker: usize| -> Vec<(u64, bool)> {
        let states = workers.worlds[worker].events().into_iter().filter_map(|event| match event {
            Event::StreamState { subscription: SubscriptionId(id), stalled } => Some((id, stalled)),
            _ => None,
        });
        states.collect()
    };
    workers.pass(12_000);
    assert_eq!((told(&mut workers, HOME), told(&mut workers, OTHER)), (vec![], vec![(2, true)]));
    workers.worlds[HOME].send(&mut publisher, &Rtp::video(0, 2, true));
    workers.pass(5);
    assert_eq!(told(&mut workers, OTHER), [(2, false)]);
}

#[test]
fn key_frames_are_asked_for_on_behalf_of_other_workers() {
    for (name, expected) in [("lost for good", true), ("lost, but not shown", false), ("ordered", true)] {
        let (mut workers, mut publisher, _) = call();
        for sequence in 1..4 {
            workers.worlds[HOME].send(&mut publisher, &Rtp::video(0, sequence, sequence == 1));
            workers.pass(10);
        }
        workers.pass(3_000);
        workers.worlds[HOME].drain(&mut publisher);
        match name {
            "ordered" => workers.worlds[HOME].must(Command::RequestKeyFrame(PublicationId(2))),
            _ => {
                if !expected {
                    workers.worlds[OTHER].must(Command::DeleteSubscription(SubscriptionId(2)));
                    workers.pass(5);
                }
                workers.worlds[HOME].send(&mut publisher, &Rtp::video(0, 5, false));
            }
        }
        workers.pass(900);
        let (_, rtcp) = workers.worlds[HOME].drain(&mut publisher);
        assert_eq!(super::asked(&rtcp).contains(&2_000), expected, "{name}");
    }
}

#[test]
fn payload_types_that_only_the_home_knows_yet_are_counted() {
    let (mut workers, mut publisher, mut subscriber) = call();
    let mut spec = audio_spec(1, 1);
    spec.home = super::at_home(&spec, HOME).home;
    spec.codecs[0].payload_type = PayloadType(112);
    workers.worlds[HOME].must(Command::UpsertPublication(spec.into()));
    workers.worlds[HOME].send(&mut publisher, &Rtp { payload_type: PayloadType(112), ..Rtp::audio(1) });
    workers.deliver();
    assert_eq!(workers.worlds[OTHER].media(&mut subscriber), []);
    assert_eq!(workers.worlds[OTHER].counter("relayed_discarded_unknown_payload_type"), 1);
    workers.assert_accounted();
}
