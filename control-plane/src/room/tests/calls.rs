//! Calls of the server API: what they change, and what they are answered.

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    DataPacket, DisconnectReason, LeaveRequest, MuteRoomTrackRequest, MuteTrackRequest,
    ParticipantPermission, ParticipantTracks, SendDataRequest, TrackSource, TrackType,
    UpdateParticipantRequest, UpdateSubscriptionsRequest, data_packet,
};
use prost::Message;
use proto::command::Command;
use proto::media::v1 as proto;
use proto::resource::Spec;

use super::{Heard, Name, World, arrival};
use crate::auth::revocation::Bearer;
use crate::config::Config;
use crate::room::call::{Answer, Call, CallError};
use crate::room::tests::joining::only;
use crate::room::tests::publishing;

fn identities(answer: Option<Result<Answer, CallError>>) -> Vec<String> {
    match answer {
        Some(Ok(Answer::Participants(infos))) => infos.into_iter().map(|info| info.identity).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hidden_participants_are_listed_too() {
    let mut world = World::new();
    assert_eq!(identities(world.call(Call::ListParticipants)), Vec::<String>::new());
    world.connect(arrival("alice"));
    let mut hidden = arrival("bob");
    hidden.claims.video.hidden = true;
    world.connect(hidden);
    assert_eq!(identities(world.call(Call::ListParticipants)), ["alice", "bob"]);
    let Some(Ok(Answer::Participant(info))) = world.call(Call::GetParticipant { identity: "bob".to_owned() })
    else {
        panic!("no bob")
    };
    assert!(info.permission.unwrap().hidden);
    let nobody = world.call(Call::GetParticipant { identity: "carol".to_owned() });
    assert_eq!(nobody, Some(Err(CallError::ParticipantNotFound)));
}

#[test]
fn who_is_removed_is_told_and_gone() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.connect(arrival("bob"));
    let remove = || Call::RemoveParticipant { identity: "alice".to_owned() };
    assert_eq!(world.call(remove()), Some(Ok(Answer::Done)));
    let leave = LeaveRequest {
        reason: DisconnectReason::ParticipantRemoved.into(),
        action: Action::Disconnect.into(),
        ..LeaveRequest::default()
    };
    let heard = world.heard.remove(&alice.connection).unwrap_or_default();
    assert!(heard.contains(&Heard::Message(Response::Leave(leave))), "{heard:?}");
    assert!(world.closed.contains(&alice.connection));
    assert_eq!(identities(world.call(Call::ListParticipants)), ["bob"]);
    assert_eq!(world.call(remove()), Some(Err(CallError::ParticipantNotFound)));
}

#[test]
fn bearers_are_removed_by_identity_and_by_token() {
    let mut world = World::new();
    let with = |identity: &str, token: &str, publish: Option<&str>| {
        let mut arrival = arrival(identity);
        arrival.claims.token_id = token.to_owned();
        arrival.publish = publish.map(str::to_owned);
        arrival
    };
    world.connect(with("alice", "t1", None));
    world.connect(with("alice", "t1", Some("screen")));
    world.connect(with("bob", "t2", None));
    world.connect(with("carol", "t2", None));
    world.connect(with("dave", "t3", None));
    for (name, bearer, removed) in [
        ("both of alice", Bearer::Identity("alice".to_owned()), 2),
        ("whoever has the token", Bearer::Token("t2".to_owned()), 2),
        ("nobody any more", Bearer::Token("t2".to_owned()), 0),
    ] {
        assert_eq!(world.call(Call::RemoveBearers(bearer)), Some(Ok(Answer::Count(removed))), "{name}");
    }
    assert_eq!(identities(world.call(Call::ListParticipants)), ["dave"]);
}

#[test]
fn a_room_that_was_asked_for_is_kept_until_nobody_came() {
    let mut world = World::new();
    let Some(Ok(Answer::Room(room))) = world.call(Call::CreateRoom) else { panic!("no room") };
    assert_eq!((room.sid.as_str(), room.num_participants), (world.room.record.sid.as_str(), 0));
    assert_eq!(world.count(|name| matches!(name, Name::Room(_))), 1, "it is written, though nobody is here");
    assert_eq!(world.call(Call::CreateRoom), Some(Ok(Answer::Room(room))));
    world.advance(Duration::from_secs(299));
    assert!(!world.room.closed);
    world.advance(Duration::from_secs(1));
    assert!(world.room.closed, "after the empty timeout");
    assert!(world.resources.is_empty());
}

#[test]
fn a_room_that_everybody_left_closes_after_the_departure_timeout() {
    let mut world = World::new();
    world.call(Call::CreateRoom);
    world.connect(arrival("alice"));
    world.advance(Duration::from_secs(1_000));
    assert!(!world.room.closed, "somebody is here");
    world.call(Call::RemoveParticipant { identity: "alice".to_owned() });
    world.advance(Duration::from_secs(19));
    assert!(!world.room.closed);
    world.advance(Duration::from_secs(1));
    assert!(world.room.closed);
}

#[test]
fn a_deleted_room_is_over_for_everybody() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    assert_eq!(world.call(Call::DeleteRoom), Some(Ok(Answer::Done)));
    let leave = only!(world.hear(&alice), Response::Leave);
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::RoomDeleted, Action::Disconnect));
    assert!(world.room.closed && world.resources.is_empty());
}

#[test]
fn metadata_of_a_room_is_told_to_everybody_and_kept() {
    let mut world = World::new();
    let (alice, bob) = (world.connect(arrival("alice")), world.connect(arrival("bob")));
    let call = Call::UpdateRoomMetadata { metadata: "m".to_owned() };
    let Some(Ok(Answer::Room(room))) = world.call(call) else { panic!("no room") };
    assert_eq!((room.metadata.as_str(), room.num_participants), ("m", 2));
    for client in [&alice, &bob] {
        assert_eq!(only!(world.hear(client), Response::RoomUpdate).room.unwrap().metadata, "m");
    }
    let kept = world.resources.iter().find(|(name, _)| matches!(name, Name::Room(_))).unwrap().1;
    assert!(String::from_utf8_lossy(&kept.state).contains(r#""metadata":"m""#));
}

fn muting(call: &publishing::Call, muted: bool) -> Call {
    let (identity, track_sid) = ("alice".to_owned(), call.track.0.clone());
    Call::MutePublishedTrack(MuteRoomTrackRequest { identity, track_sid, muted, ..Default::default() })
}

#[test]
fn a_track_that_the_server_mutes_is_muted_for_everybody() {
    let mut call = publishing::call(arrival("alice"), arrival("bob"), TrackType::Audio);
    call.world.heard.clear();
    let Some(Ok(Answer::Track(track))) = call.world.call(muting(&call, true)) else { panic!("no track") };
    assert!(track.muted);
    let heard = call.world.hear(&call.alice);
    assert_eq!(heard.iter().map(Heard::name).collect::<Vec<_>>(), ["mute", "update"]);
    assert_eq!(only!(heard, Response::Mute), MuteTrackRequest { sid: call.track.0.clone(), muted: true });
    let update = only!(call.world.hear(&call.bob), Response::Update);
    assert!(update.participants[0].tracks[0].muted);
    let muted =
        call.world.resources.values().any(
            |resource| matches!(&resource.spec, Some(Spec::Publication(publication)) if publication.muted),
        );
    assert!(muted, "the media plane drops what comes all the same");
}

#[test]
fn unmuting_remotely_has_to_be_allowed_and_the_track_to_be_there() {
    let mut call = publishing::call(arrival("alice"), arrival("bob"), TrackType::Audio);
    assert_eq!(call.world.call(muting(&call, false)), Some(Err(CallError::RemoteUnmuteNotEnabled)));
    let request = |identity: &str, track_sid: &str| {
        let (identity, track_sid) = (identity.to_owned(), track_sid.to_owned());
        Call::MutePublishedTrack(MuteRoomTrackRequest {
            identity,
            track_sid,
            muted: true,
            ..Default::default()
        })
    };
    for (name, asked, expected) in [
        ("nobody", request("carol", &call.track.0), CallError::ParticipantNotFound),
        ("no track", request("alice", "TR_none"), CallError::TrackNotFound),
        ("another's track", request("bob", &call.track.0), CallError::TrackNotFound),
    ] {
        assert_eq!(call.world.call(asked), Some(Err(expected)), "{name}");
    }
    call.world.call(muting(&call, true));
    let mut config = Config::default();
    config.room.enable_remote_unmute = true;
    call.world.surroundings.config = config.into();
    let Some(Ok(Answer::Track(track))) = call.world.call(muting(&call, false)) else { panic!("no track") };
    assert!(!track.muted);
}

#[test]
fn what_is_said_of_a_participant_is_told_and_is_in_its_next_token() {
    let mut world = World::new();
    let (alice, bob) = (world.connect(arrival("alice")), world.connect(arrival("bob")));
    let update = |attributes: [(&str, &str); 2]| {
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Call::UpdateParticipant(UpdateParticipantRequest {
            identity: "alice".to_owned(),
            name: "Alice".to_owned(),
            metadata: "m".to_owned(),
            attributes: HashMap::from(attributes),
            ..Default::default()
        })
    };
    let Some(Ok(Answer::Participant(info))) = world.call(update([("a", "1"), ("b", "2")])) else {
        panic!("no alice")
    };
    assert_eq!((info.name.as_str(), info.metadata.as_str(), info.attributes.len()), ("Alice", "m", 2));
    assert_eq!(world.hear_names(&alice), ["update", "refresh_token"]);
    assert_eq!(only!(world.hear(&bob), Response::Update).participants[0], *info);
    let claims = &world.participant(&alice).profile.claims;
    assert_eq!((claims.name.as_str(), claims.metadata.as_str()), ("Alice", "m"));
    world.call(update([("a", ""), ("b", "3")]));
    let attributes = &world.participant(&alice).profile.attributes;
    assert_eq!(attributes.iter().collect::<Vec<_>>(), [(&"b".to_owned(), &"3".to_owned())]);
    world.heard.clear();
    world.call(update([("a", ""), ("b", "3")]));
    assert!(world.hear(&alice).is_empty(), "nothing changed");
    let long = "x".repeat(40_000);
    world.call(update([("c", &long), ("b", "3")]));
    let claims = &world.participant(&alice).profile.claims;
    assert!(!claims.attributes.contains_key("c"), "no token is that long");
    assert_eq!(
        world.call(update([("d", &long), ("b", "3")])),
        Some(Err(CallError::AttributesTooLarge)),
        "together with what is there"
    );
}

fn permitting(identity: &str, change: fn(&mut ParticipantPermission)) -> Call {
    let mut permission = ParticipantPermission {
        can_publish: true,
        can_subscribe: true,
        can_publish_data: true,
        ..ParticipantPermission::default()
    };
    change(&mut permission);
    Call::UpdateParticipant(UpdateParticipantRequest {
        identity: identity.to_owned(),
        permission: Some(permission),
        ..Default::default()
    })
}

#[test]
fn a_publisher_that_may_not_publish_any_more_has_no_tracks() {
    for (name, change) in [
        ("nothing", (|permission| permission.can_publish = false) as fn(&mut ParticipantPermission)),
        ("other sources only", |permission| {
            permission.can_publish_sources = vec![TrackSource::Camera.into()];
        }),
    ] {
        let mut call = publishing::call(arrival("alice"), arrival("bob"), TrackType::Audio);
        call.world.heard.clear();
        let Some(Ok(Answer::Participant(info))) = call.world.call(permitting("alice", change)) else {
            panic!("{name}")
        };
        assert!(info.tracks.is_empty(), "{name}");
        let heard = call.world.hear(&call.alice);
        assert!(heard.contains(&Heard::Token), "{name}: a token that says so");
        let unpublished = only!(heard, Response::TrackUnpublished);
        assert_eq!(unpublished.track_sid, call.track.0, "{name}");
        assert_eq!(call.world.count(|name| matches!(name, Name::Publication(_) | Name::Subscription(_))), 0);
    }
}

#[test]
fn a_subscriber_that_may_not_subscribe_gets_nothing_until_it_may() {
    let mut call = publishing::call(arrival("alice"), arrival("bob"), TrackType::Audio);
    let subscriptions = |call: &publishing::Call| {
        call.world
            .room
            .participants
            .values()
            .map(|participant| participant.subscriptions.len())
            .sum::<usize>()
    };
    assert_eq!(subscriptions(&call), 1);
    call.world.call(permitting("bob", |permission| permission.can_subscribe = false));
    assert_eq!(call.world.count(|name| matches!(name, Name::Subscription(_))), 0);
    call.world.call(permitting("bob", |_| {}));
    call.settle();
    assert_eq!(subscriptions(&call), 1);
    let can_send = |call: &publishing::Call| {
        let routes = call.world.resources.values().filter_map(|resource| match &resource.spec {
            Some(Spec::Route(route)) if route.identity == "bob" => Some(route.can_send),
            _ => None,
        });
        routes.collect::<Vec<_>>()
    };
    assert_eq!(can_send(&call), [true]);
    call.world.call(permitting("bob", |permission| permission.can_publish_data = false));
    assert_eq!(can_send(&call), [false], "nor data");
}

#[test]
fn subscriptions_are_changed_for_a_participant() {
    let mut call = publishing::call(arrival("alice"), arrival("bob"), TrackType::Audio);
    let update = |track: &str, subscribe: bool| {
        Call::UpdateSubscriptions(UpdateSubscriptionsRequest {
            identity: "bob".to_owned(),
            track_sids: vec!["TR_none".to_owned()],
            participant_tracks: vec![ParticipantTracks {
                track_sids: vec![track.to_owned()],
                ..ParticipantTracks::default()
            }],
            subscribe,
            ..Default::default()
        })
    };
    let track = call.track.0.clone();
    for (subscribe, expected) in [(false, 0), (true, 1)] {
        assert_eq!(call.world.call(update(&track, subscribe)), Some(Ok(Answer::Done)));
        call.settle();
        assert_eq!(call.world.count(|name| matches!(name, Name::Subscription(_))), expected);
    }
    let nobody = UpdateSubscriptionsRequest { identity: "carol".to_owned(), ..Default::default() };
    assert_eq!(call.world.call(Call::UpdateSubscriptions(nobody)), Some(Err(CallError::ParticipantNotFound)));
}

#[test]
#[expect(deprecated, reason = "destinations by sid are still asked for")]
fn data_goes_to_whom_it_is_for_once() {
    let mut world = World::new();
    let (alice, bob) = (world.connect(arrival("alice")), world.connect(arrival("bob")));
    let route = |world: &World, client| world.participant(client).profile.route;
    let (to_alice, to_bob) = (route(&world, &alice), route(&world, &bob));
    let sid = world.sid(&bob).0;
    let request = SendDataRequest {
        data: b"hi".to_vec(),
        topic: Some("chat".to_owned()),
        nonce: vec![7; 16],
        ..SendDataRequest::default()
    };
    let named = |identities: &[&str], sids: &[&str], nonce: u8| SendDataRequest {
        destination_identities: identities.iter().map(ToString::to_string).collect(),
        destination_sids: sids.iter().map(ToString::to_string).collect(),
        nonce: vec![nonce; 16],
        kind: data_packet::Kind::Lossy.into(),
        ..request.clone()
    };
    for (name, request, expected) in [
        ("everybody", request.clone(), Some((true, vec![]))),
        ("again", request.clone(), None),
        ("one", named(&["alice"], &[], 1), Some((false, vec![to_alice]))),
        ("one by sid", named(&[], &[&sid], 2), Some((false, vec![to_bob]))),
        ("both", named(&["alice"], &[&sid], 3), Some((false, vec![to_alice, to_bob]))),
        ("nobody", named(&["carol"], &[], 4), None),
    ] {
        world.orders.clear();
        assert_eq!(world.call(Call::SendData(request)), Some(Ok(Answer::Done)), "{name}");
        let sent = world.orders.iter().map(|order| match order {
            Command::SendData(proto::SendData { reliable, routes, packet, .. }) => {
                let packet = DataPacket::decode(packet.as_slice()).unwrap();
                let Some(data_packet::Value::User(user)) = packet.value else { panic!("{name}") };
                assert_eq!((user.payload.as_slice(), user.topic.as_deref()), (&b"hi"[..], Some("chat")));
                (*reliable, routes.clone())
            }
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!(sent.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
    let huge = SendDataRequest { data: vec![0; 64 * 1024], ..request };
    assert_eq!(world.call(Call::SendData(huge)), Some(Err(CallError::DataTooLarge)));
}

#[test]
fn tracks_of_a_publisher_are_one_stream_where_the_room_wants_it() {
    for (name, sync_streams, browser, protocol, expected) in [
        ("not wanted", false, "Chrome", 16, None),
        ("wanted", true, "Chrome", 16, Some("camera")),
        ("Firefox", true, "Firefox", 16, None),
        ("an old client", true, "Chrome", 9, None),
    ] {
        let mut world = World::new();
        world.room.record.sync_streams = sync_streams;
        let mut alice = world.connect(arrival("alice"));
        let mut watching = arrival("bob");
        watching.client.browser = browser.to_owned();
        watching.client.protocol = protocol;
        let mut bob = world.connect(watching);
        let track = alice.publish(&mut world, "cid", TrackType::Video);
        if let Some(track) = world.room.tracks.get_mut(&track) {
            track.record.info.stream = "camera".to_owned();
        }
        world.packets_arrive();
        world.advance(Duration::from_millis(400));
        let offer = only!(world.hear(&bob), Response::Offer);
        let stream = format!("{}|{}", world.sid(&alice), expected.unwrap_or(&track.0));
        assert!(offer.sdp.contains(&format!("a=msid:{stream} {track}")), "{name}: {}", offer.sdp);
        bob.settle(&mut world);
        let cnames = world.resources.values().filter_map(|resource| match &resource.spec {
            Some(Spec::Subscription(subscription)) => Some(subscription.cname.clone()),
            _ => None,
        });
        assert_eq!(cnames.collect::<Vec<_>>(), [stream], "{name}");
    }
}
