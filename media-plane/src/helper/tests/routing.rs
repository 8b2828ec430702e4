//! Whom data tracks, channels of a client's own and packets in others' names reach.

use livekit_protocol::ChatMessage;

use super::*;
use crate::helper::input::DataSubscription;

#[test]
fn other_channels_are_broadcast_as_they_are() {
    let mut world = World::with_participants(2);
    world.send(0, "whiteboard", b"not protobuf");
    world.settle();
    assert_eq!(world.clients[1].packets, [("whiteboard".to_owned(), b"not protobuf".to_vec())]);
}

#[test]
fn data_tracks_pass_to_who_subscribed() {
    let mut world = World::with_participants(3);
    world.route(2, |spec| {
        spec.data_subscriptions =
            vec![DataSubscription { publisher: RouteId(1), published_handle: 7, handle: 0x0102 }];
    });
    let packet = |handle: [u8; 2]| [&[0x18, 0][..], &handle, &[0; 8], b"frame"].concat();
    world.send(0, "_data_track", &packet([0, 7]));
    world.send(0, "_data_track", &packet([0, 8]));
    world.send(0, "_data_track", b"none");
    world.settle();
    assert_eq!(world.clients[1].packets, [("_data_track".to_owned(), packet([1, 2]))]);
    assert!(world.clients[2].packets.is_empty());
    let counters = world.helper.counters();
    assert_eq!((counters.data_track_unrouted, counters.data_dropped_malformed), (1, 1));
}

#[test]
fn agents_speak_for_others() {
    let mut world = World::with_participants(3);
    world.route(2, |spec| spec.agent = true);
    for (client, expected) in [(0, "identity 1"), (1, "somebody")] {
        let value = Value::ChatMessage(ChatMessage { message: "said".into(), ..ChatMessage::default() });
        let packet = DataPacket {
            participant_identity: "somebody".into(),
            value: Some(value),
            ..DataPacket::default()
        };
        world.send(client, "_reliable", &packet.encode_to_vec());
        world.settle();
        assert_eq!(world.heard(2)[0].1.participant_identity, expected);
    }
}
