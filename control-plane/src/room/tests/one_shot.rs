//! Participants without signalling: WHIP's and WHEP's.

use std::time::Duration;

use livekit_protocol::TrackType;
use livekit_protocol::signal_response::Message as Response;
use proto::media::v1::TransportState;

use crate::room::join::Arrival;
use crate::room::tests::{Heard, World, arrival, single};

fn player() -> Arrival {
    Arrival { one_shot: true, ..single("player") }
}

#[test]
fn what_is_published_later_asks_a_player_for_nothing() {
    for (name, arrival_of_player, asked) in
        [("a player", player(), false), ("a client", single("client"), true)]
    {
        let mut world = World::new();
        let player = world.connect(arrival_of_player);
        let mut alice = world.connect(arrival("alice"));
        alice.publish(&mut world, "cam", TrackType::Video);
        world.packets_arrive();
        let mut heard = Vec::new();
        for _ in 0..60 {
            world.advance(Duration::from_secs(1));
            heard.extend(world.hear(&player));
        }
        let requirement =
            |heard: &Heard| matches!(heard, Heard::Message(Response::MediaSectionsRequirement(_)));
        assert_eq!(heard.iter().any(requirement), asked, "{name}");
        let stays = world.room.of_identity("player").is_some() || asked;
        assert!(stays, "{name}: nobody waits for an offer that cannot come");
    }
}

#[test]
fn session_outlives_a_lost_path_as_long_as_ice_may_be_restarted() {
    let mut world = World::new();
    let player = world.connect(player());
    world.hear(&player);
    world.transport(&player, TransportState::Failed);
    assert!(world.hear(&player).is_empty());
    assert!(!world.closed.contains(&player.connection));
    world.advance(Duration::from_secs(3));
    world.transport(&player, TransportState::Connected);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.room.participants.len(), 1);
    world.transport(&player, TransportState::Failed);
    world.advance(Duration::from_secs(6));
    assert!(world.room.participants.is_empty());
}
