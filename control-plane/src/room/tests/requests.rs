//! What else clients ask for, and what the media plane reports.

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{
    ConnectionQuality, DataChannelReceiveState, DisconnectReason, SimulateScenario, SyncState, TrackInfo,
    TrackPublishedResponse, TrackType, UpdateLocalVideoTrack, UpdateParticipantMetadata, UpdateSubscription,
};
use proto::command::Command;
use proto::event::Event;
use proto::media::v1 as proto;
use proto::resource::Spec;

use crate::config::Config;
use crate::room::join::Arrival;
use crate::room::tests::client::Client;
use crate::room::tests::joining::only;
use crate::room::tests::publishing::call;
use crate::room::tests::{Heard, World, arrival, single};

fn names(heard: &[Heard]) -> Vec<&'static str> {
    heard.iter().map(Heard::name).collect()
}

fn owner(identity: &str) -> Arrival {
    let mut arrival = arrival(identity);
    arrival.claims.video.can_update_own_metadata = Some(true);
    arrival
}

#[test]
fn own_metadata_changes_within_rights_and_limits() {
    let attributes = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
    let long = "x".repeat(524_289);
    // Six bytes each where it is kept: LiveKit's limit would let it in, ours cannot hold it.
    let wide = "\u{1}".repeat(300_000);
    for (name, allowed, metadata, participant, attributes, expected) in [
        ("not allowed", false, "m", "", HashMap::new(), Reason::NotAllowed),
        ("metadata", true, "m", "", HashMap::new(), Reason::Ok),
        ("name", true, "", "n", HashMap::new(), Reason::Ok),
        ("attributes", true, "", "", attributes("k", "v"), Reason::Ok),
        ("nothing", true, "", "", HashMap::new(), Reason::Ok),
        ("long metadata", true, long.as_str(), "", HashMap::new(), Reason::LimitExceeded),
        ("wide metadata", true, wide.as_str(), "", HashMap::new(), Reason::LimitExceeded),
        ("long name", true, "", &"n".repeat(257), HashMap::new(), Reason::LimitExceeded),
        ("long attributes", true, "", "", attributes("k", &"v".repeat(65_536)), Reason::LimitExceeded),
    ] {
        let mut world = World::new();
        let client = world.connect(if allowed { owner("alice") } else { arrival("alice") });
        let request = UpdateParticipantMetadata {
            metadata: metadata.into(),
            name: participant.into(),
            attributes,
            request_id: 5,
        };
        world.say(&client, Request::UpdateMetadata(request));
        let heard = world.hear(&client);
        let response = only!(heard, Response::RequestResponse);
        assert_eq!((response.reason(), response.request_id), (expected, 5), "{name}");
        let changed = expected == Reason::Ok && name != "nothing";
        assert_eq!(names(&heard).contains(&"update"), changed, "{name}");
    }
}

#[test]
fn attributes_merge_and_empty_values_delete() {
    let mut world = World::new();
    let mut alice = owner("alice");
    alice.claims.attributes = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into();
    let client = world.connect(alice);
    let attributes = HashMap::from([("a".to_owned(), String::new()), ("c".to_owned(), "3".to_owned())]);
    world.say(
        &client,
        Request::UpdateMetadata(UpdateParticipantMetadata { attributes, ..Default::default() }),
    );
    let update = only!(world.hear(&client), Response::Update);
    let expected = HashMap::from([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]);
    assert_eq!(update.participants[0].attributes, expected);
}

#[test]
fn own_tracks_change_and_unknown_ones_are_not_found() {
    let mut world = World::new();
    let mut client = world.connect(arrival("alice"));
    let track = client.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    world.hear(&client);
    let update = |sid: &str| {
        Request::UpdateVideoTrack(UpdateLocalVideoTrack { track_sid: sid.into(), width: 640, height: 360 })
    };
    world.say(&client, update(&track.0));
    let told = only!(world.hear(&client), Response::Update);
    assert_eq!((told.participants[0].tracks[0].width, told.participants[0].tracks[0].height), (640, 360));
    world.say(&client, update("TR_unknown"));
    assert_eq!(only!(world.hear(&client), Response::RequestResponse).reason(), Reason::NotFound);
}

#[test]
fn unreadable_description_ends_in_a_new_join() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    let offer = livekit_protocol::SessionDescription {
        r#type: "offer".into(),
        sdp: "v=1".into(),
        ..Default::default()
    };
    world.say(&client, Request::Offer(offer));
    let leave = only!(world.hear(&client), Response::Leave);
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::StateMismatch, Action::Reconnect));
}

#[test]
fn answer_that_nobody_waits_for_is_counted_only() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    let answer = livekit_protocol::SessionDescription {
        r#type: "answer".into(),
        sdp: "v=0".into(),
        ..Default::default()
    };
    world.say(&client, Request::Answer(answer));
    assert!(world.hear(&client).is_empty());
    assert_eq!(world.refused.len(), 1);
}

#[test]
fn data_rights_are_the_routes() {
    type Change = fn(&mut Arrival);
    type Rights = (bool, bool, bool, bool);
    let rows: [(&str, Change, Rights); 5] = [
        ("everything", |_| {}, (true, true, false, false)),
        ("no data", |one| one.claims.video.can_publish_data = Some(false), (false, true, false, false)),
        (
            "no tracks, but data",
            |one| one.claims.video.can_subscribe = Some(false),
            (true, true, false, false),
        ),
        ("an agent", |one| one.claims.kind = "agent".into(), (true, true, true, false)),
        ("hidden", |one| one.claims.video.hidden = true, (true, true, false, true)),
    ];
    for (name, change, expected) in rows {
        let mut world = World::new();
        let mut arrival = arrival("alice");
        change(&mut arrival);
        let client = world.join(arrival);
        let route = world.resources.values().find_map(|resource| match &resource.spec {
            Some(Spec::Route(route)) => Some(route.clone()),
            _ => None,
        });
        let route = route.expect("a route");
        assert_eq!((route.can_send, route.can_receive, route.agent, route.hidden), expected, "{name}");
        let participant = world.participant(&client);
        assert_eq!((route.identity.as_str(), &route.sid), ("alice", &participant.profile.sid.0));
        assert_eq!(
            (route.receive_peer, route.send_peer),
            (participant.publisher.id, participant.receiving().id)
        );
    }
}

#[test]
fn sync_state_brings_both_sides_together() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(arrival("bob"));
    let track = alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    world.advance(Duration::from_millis(400));
    bob.settle(&mut world);
    let state = SyncState {
        track_sids_disabled: vec![track.0.clone()],
        datachannel_receive_states: vec![DataChannelReceiveState {
            publisher_sid: "PA_x".into(),
            last_seq: 9,
        }],
        ..SyncState::default()
    };
    world.say(&bob, Request::SyncState(state));
    assert!(world.participant(&bob).subscriptions[&track].settings.disabled);
    let route = world.participant(&bob).profile.route;
    let received = vec![proto::Received { sid: "PA_x".into(), sequence: 9 }];
    assert_eq!(world.orders, [Command::ReplayData(proto::ReplayData { route, received })]);
    let unsubscribed =
        UpdateSubscription { track_sids: vec![track.0.clone()], subscribe: false, ..Default::default() };
    world.say(
        &bob,
        Request::SyncState(SyncState { subscription: Some(unsubscribed), ..SyncState::default() }),
    );
    assert!(world.participant(&bob).subscriptions.is_empty());

    let published = |sid: &str| TrackPublishedResponse {
        cid: "cam".into(),
        track: Some(TrackInfo { sid: sid.into(), ..TrackInfo::default() }),
    };
    let state = |sid: &str| SyncState { publish_tracks: vec![published(sid)], ..SyncState::default() };
    world.say(&alice, Request::SyncState(state(&track.0)));
    assert!(!names(&world.hear(&alice)).contains(&"leave"), "known");
    world.say(&alice, Request::SyncState(state("TR_unknown")));
    assert_eq!(only!(world.hear(&alice), Response::Leave).action(), Action::Reconnect, "unknown");
}

fn speakers(world: &mut World, levels: &[(&Client, f32)]) {
    let speakers = levels
        .iter()
        .map(|(client, level)| {
            let track = &world.participant(client).tracks[0];
            proto::Speaker { publication: world.room.tracks[track].publications[0].id, level: *level }
        })
        .collect();
    world.media(Event::Speakers(proto::Speakers { speakers }));
}

#[test]
fn everybody_hears_who_speaks_as_differences() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    alice.publish(&mut world, "mic", TrackType::Audio);
    world.packets_arrive();
    world.hear(&bob);
    speakers(&mut world, &[(&alice, 0.5)]);
    let changed = only!(world.hear(&bob), Response::SpeakersChanged);
    assert_eq!((changed.speakers.len(), changed.speakers[0].active), (1, true));
    speakers(&mut world, &[(&alice, 0.51)]);
    speakers(&mut world, &[(&alice, 0.6)]);
    assert_eq!(names(&world.hear(&bob)), ["speakers_changed"], "0.51 and 0.6 are one eighth");
    let sid = world.sid(&alice);
    world.say(&alice, Request::Leave(livekit_protocol::LeaveRequest::default()));
    let heard = world.hear(&bob);
    let changed = only!(heard, Response::SpeakersChanged);
    assert_eq!((changed.speakers[0].sid.as_str(), changed.speakers[0].active), (sid.0.as_str(), false));
}

#[test]
fn quality_is_told_to_oneself_and_to_subscribers() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(arrival("bob"));
    let track = alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    world.advance(Duration::from_millis(400));
    bob.settle(&mut world);
    let publication = world.room.tracks[&track].publications[0].id;
    let bad = proto::StreamQuality { id: publication, packets: 90, packets_lost: 10, ..Default::default() };
    world.hear(&alice);
    world.hear(&bob);
    for _ in 0..2 {
        world.media(Event::Quality(proto::Quality { publications: vec![bad], subscriptions: vec![] }));
    }
    world.advance(Duration::from_secs(5));
    let (alice_sid, bob_sid) = (world.sid(&alice), world.sid(&bob));
    let told = |heard: Vec<Heard>| {
        let update = only!(heard, Response::ConnectionQuality);
        update.updates.iter().map(|one| (one.participant_sid.clone(), one.quality())).collect::<Vec<_>>()
    };
    assert_eq!(told(world.hear(&alice)), [(alice_sid.0.clone(), ConnectionQuality::Poor)]);
    let expected = [(bob_sid.0, ConnectionQuality::Excellent), (alice_sid.0, ConnectionQuality::Poor)];
    assert_eq!(told(world.hear(&bob)), expected);
}

#[test]
fn simulations_are_for_development_only() {
    let simulate = |scenario| Request::Simulate(SimulateScenario { scenario: Some(scenario) });
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    world.say(&client, simulate(Scenario::ServerLeave(true)));
    assert!(world.hear(&client).is_empty());

    for (name, scenario, expected) in [
        ("speaker", Scenario::SpeakerUpdate(3), vec!["speakers_changed"]),
        ("leave", Scenario::ServerLeave(true), vec!["leave"]),
        ("reconnect", Scenario::LeaveRequestFullReconnect(true), vec!["leave"]),
        ("failure", Scenario::NodeFailure(true), vec![]),
        ("migration", Scenario::Migration(true), vec![]),
    ] {
        let mut world = World::with(Config { development: true, ..Config::default() });
        let client = world.connect(arrival("alice"));
        world.say(&client, simulate(scenario));
        assert_eq!(names(&world.hear(&client)), expected, "{name}");
    }
    for (name, scenario, expected) in [
        ("after messages", Scenario::DisconnectSignalOnResume(true), 6),
        ("before messages", Scenario::DisconnectSignalOnResumeNoMessages(true), 1),
    ] {
        let mut world = World::with(Config { development: true, ..Config::default() });
        let client = world.connect(arrival("alice"));
        world.say(&client, simulate(scenario));
        let again = world.join(Arrival { reconnect: true, ..arrival("alice") });
        assert_eq!(world.hear(&again).len(), expected, "{name}");
        assert!(world.closed.contains(&again.connection), "{name}");
    }
}

#[test]
fn nobody_hears_that_a_hidden_participant_speaks() {
    let mut world = World::new();
    let mut hidden = arrival("hidden");
    hidden.claims.video.hidden = true;
    let mut hidden = world.connect(hidden);
    let alice = world.connect(arrival("alice"));
    hidden.publish(&mut world, "cid", TrackType::Audio);
    world.packets_arrive();
    world.hear(&alice);
    speakers(&mut world, &[(&hidden, 0.5)]);
    assert_eq!(names(&world.hear(&alice)), [""; 0]);
}

#[test]
fn what_is_sent_again_after_a_pause_has_new_sources() {
    let mut call = call(single("alice"), single("bob"), TrackType::Video);
    let before = call.subscription().expect("bob receives");
    call.bob.receive(&mut call.world, false);
    assert_eq!(call.subscription(), None);
    call.bob.receive(&mut call.world, true);
    call.settle();
    let after = call.subscription().expect("bob receives again");
    assert_eq!(after.id, before.id);
    assert!(after.ssrc != before.ssrc && after.rtx_ssrc != before.rtx_ssrc);
}
