//! What the media plane is told to write on packets to a subscriber, or to cut off them.

use std::time::Duration;

use livekit_protocol::TrackType;
use livekit_protocol::client_info::Capability;
use proto::media::v1 as proto;
use proto::resource::Spec;

use crate::config::{Config, PlayoutDelay};
use crate::room::join::Arrival;
use crate::room::tests::{World, arrival, single};

/// Alice publishes, the subscriber receives; what the media plane is told of both.
fn told(config: Config, subscriber: Arrival, kind: TrackType) -> (proto::Subscription, proto::Peer) {
    let mut world = World::with(config);
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(subscriber);
    alice.publish(&mut world, "cid", kind);
    world.packets_arrive();
    for _ in 0..4 {
        world.advance(Duration::from_millis(400));
        alice.settle(&mut world);
        bob.settle(&mut world);
    }
    let specs = || world.resources.values().filter_map(|resource| resource.spec.clone());
    let subscription = specs().find_map(|spec| match spec {
        Spec::Subscription(subscription) => Some(subscription),
        _ => None,
    });
    let subscription = subscription.unwrap();
    let peer = specs().find_map(|spec| match spec {
        Spec::Peer(peer) if peer.id == subscription.peer => Some(peer),
        _ => None,
    });
    (subscription, peer.unwrap())
}

#[test]
fn playout_delay_of_the_room_is_told_with_its_videos() {
    let delay = PlayoutDelay { enabled: true, min: 100, max: 2_000 };
    let expected = proto::PlayoutDelay { min_ms: 100, max_ms: 2_000 };
    for (name, playout_delay, subscriber, kind, expected, negotiated) in [
        ("video", delay, arrival("bob"), TrackType::Video, Some(expected), true),
        ("client that did not offer it", delay, single("bob"), TrackType::Video, Some(expected), false),
        ("audio", delay, arrival("bob"), TrackType::Audio, None, false),
        (
            "not enabled",
            PlayoutDelay { enabled: false, ..delay },
            arrival("bob"),
            TrackType::Video,
            None,
            false,
        ),
    ] {
        let mut config = Config::default();
        config.room.playout_delay = playout_delay;
        let (subscription, peer) = told(config, subscriber, kind);
        assert_eq!(subscription.playout_delay, expected, "{name}");
        let kinds = || peer.send_extensions.iter().map(proto::HeaderExtension::kind);
        assert_eq!(kinds().any(|kind| kind == proto::ExtensionKind::PlayoutDelay), negotiated, "{name}");
    }
}

#[test]
fn packet_trailers_are_for_clients_that_say_that_they_know_them() {
    let knowing = || {
        let mut subscriber = arrival("bob");
        subscriber.client.capabilities = vec![Capability::CapPacketTrailer.into()];
        subscriber
    };
    for (name, subscriber, kind, stripped) in [
        ("does not know them", arrival("bob"), TrackType::Video, true),
        ("knows them", knowing(), TrackType::Video, false),
        ("audio has none", arrival("bob"), TrackType::Audio, false),
    ] {
        let (subscription, _) = told(Config::default(), subscriber, kind);
        assert_eq!(subscription.strip_packet_trailer, stripped, "{name}");
    }
}
