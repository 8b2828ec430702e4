//! What one participant may have, at the very limit.

use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, ConnectionSettings, UpdateSubscription, UpdateTrackSettings};
use livekit_protocol::{TrackSource, TrackType};

use crate::config::Config;
use crate::room::effect::{ConnectionId, Refused};
use crate::room::join::Arrival;
use crate::room::names::TrackSid;
use crate::room::tests::client::Client;
use crate::room::tests::{Heard, World, arrival};

/// Somebody who is sent nothing unasked.
fn uninterested(identity: &str) -> Arrival {
    let settings = ConnectionSettings { auto_subscribe: false, ..ConnectionSettings::default() };
    Arrival { settings, ..arrival(identity) }
}

/// Somebody who comes with so many tracks, live with their sections because they are muted.
fn publishing(identity: &str, tracks: usize) -> Arrival {
    let mut arrival = Arrival { single_peer_connection: true, ..uninterested(identity) };
    let mut client = Client::new(ConnectionId(0), &arrival);
    for index in 0..tracks {
        let cid = format!("cid-{index}");
        client.send(&cid, TrackType::Audio);
        let source = TrackSource::Microphone.into();
        arrival.add_track_requests.push(AddTrackRequest { cid, source, muted: true, ..Default::default() });
    }
    arrival.publisher_offer = Some(client.offer_description());
    arrival
}

fn refusals(world: &World, refused: Refused) -> usize {
    world.refused.iter().filter(|one| **one == refused).count()
}

#[test]
fn a_thousand_and_twenty_four_tracks_are_sent_to_one_participant_and_no_more() {
    let mut world = World::new();
    let mut subscriber = arrival("subscriber");
    subscriber.settings.auto_subscribe = true;
    let subscriber = world.join(subscriber);
    for publisher in 0..33 {
        world.join(publishing(&format!("publisher-{publisher}"), 32));
    }
    assert_eq!(world.room.tracks.values().filter(|track| track.record.live).count(), 33 * 32);
    assert_eq!(world.participant(&subscriber).subscriptions.len(), 1_024);
    assert_eq!(refusals(&world, Refused::SubscriptionLimit), 32);
}

#[test]
fn ids_of_one_message_are_limited() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    let track_sids: Vec<String> = (0..3_000).map(|index| format!("TR_{index}")).collect();
    let ask = UpdateSubscription { track_sids: track_sids.clone(), subscribe: true, ..Default::default() };
    world.say(&client, Request::Subscription(ask));
    let heard = world.hear(&client);
    let is_answer = |heard: &&Heard| matches!(heard, Heard::Message(Response::SubscriptionResponse(_)));
    assert_eq!(heard.iter().filter(is_answer).count(), 1_024, "each is told that it is not there");
    assert_eq!(refusals(&world, Refused::SubscriptionLimit), 1, "the rest is counted");
    assert!(world.participant(&client).profile.choices.is_empty(), "and nothing of it is kept");

    let settings = UpdateTrackSettings { track_sids, disabled: true, ..Default::default() };
    world.say(&client, Request::TrackSetting(settings));
    assert_eq!(refusals(&world, Refused::SubscriptionLimit), 2);
}

#[test]
fn tracks_that_are_announced_and_never_come_are_limited_too() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    for index in 0..40 {
        let request = AddTrackRequest { cid: format!("cid-{index}"), ..Default::default() };
        world.say(&client, Request::AddTrack(request));
    }
    assert_eq!(world.room.tracks.len(), 32);
    let heard = world.hear(&client);
    let refused = heard.iter().filter(|heard| match heard {
        Heard::Message(Response::RequestResponse(response)) => response.reason() == Reason::LimitExceeded,
        _ => false,
    });
    assert_eq!(refused.count(), 8, "each is told");
}

#[test]
fn what_is_wanted_beyond_the_limit_comes_when_there_is_room() {
    let mut config = Config::default();
    config.limit.subscription_limit_audio = 2;
    let mut world = World::with(config);
    world.join(publishing("alice", 3));
    let alice = world.room.of_identity("alice").unwrap();
    let tracks = world.room.participants[&alice].tracks.clone();
    let bob = world.connect(Arrival { settings: ConnectionSettings::default(), ..arrival("bob") });
    let ask = |track: &TrackSid, subscribe: bool| {
        let track_sids = vec![track.0.clone()];
        Request::Subscription(UpdateSubscription { track_sids, subscribe, ..UpdateSubscription::default() })
    };
    for track in &tracks {
        world.say(&bob, ask(track, true));
    }
    let sent = |world: &World| world.participant(&bob).subscriptions.keys().cloned().collect::<Vec<_>>();
    assert_eq!(sent(&world), tracks[..2]);
    assert!(refusals(&world, Refused::SubscriptionLimit) > 0);
    world.say(&bob, ask(&tracks[0], false));
    assert_eq!(sent(&world), tracks[1..]);
}
