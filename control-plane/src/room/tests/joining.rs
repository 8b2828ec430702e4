//! Joining, resuming and leaving, message by message.

use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DisconnectReason, LeaveRequest, TrackType};
use proto::media::v1::{FailureReason, TransportState};

use crate::room::effect::Refused;
use crate::room::join::{Arrival, JoinError, Limit, Name};
use crate::room::tests::{Heard, World, arrival, single};

/// The one message of a kind that is among those heard.
macro_rules! only {
    ($heard:expr, $kind:path) => {{
        let heard = &$heard;
        let mut found = heard.iter().filter_map(|heard| match heard {
            Heard::Message($kind(message)) => Some(message.clone()),
            _ => None,
        });
        let first = found.next().expect(concat!("a ", stringify!($kind)));
        assert!(found.next().is_none(), concat!("more than one ", stringify!($kind)));
        first
    }};
}
pub(crate) use only;

#[test]
fn two_connections_join_in_livekits_order() {
    let mut world = World::new();
    let mut client = world.join(arrival("alice"));
    let heard = world.hear(&client);
    let names: Vec<&str> = heard.iter().map(Heard::name).collect();
    assert_eq!(names, ["join", "refresh_token", "offer", "trickle", "(joined)"]);
    let join = only!(heard, Response::Join);
    assert!(join.subscriber_primary && join.fast_publish);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    let me = join.participant.unwrap();
    assert_eq!((me.identity.as_str(), me.state(), me.version), ("alice", State::Joining, 0));
    assert!(me.sid.starts_with("PA_") && me.sid.len() == 15);
    let offer = only!(heard, Response::Offer);
    assert_eq!(offer.sdp.matches("m=").count(), 1, "data channels only");
    let trickle = only!(heard, Response::Trickle);
    assert!(trickle.r#final && trickle.target == 1);
    assert!(trickle.candidate_init.contains("127.0.0.1 7882 typ host"), "{}", trickle.candidate_init);

    client.settle(&mut world);
    world.transport(&client, TransportState::Connected);
    let heard = world.hear(&client);
    let update = only!(heard, Response::Update);
    assert_eq!(update.participants[0].state(), State::Active, "it hears of itself");
}

#[test]
fn one_connection_joins_in_livekits_order() {
    let mut world = World::new();
    let mut offerer = world.join(single("nobody"));
    offerer.send("mic", TrackType::Audio);
    let request = livekit_protocol::AddTrackRequest { cid: "mic".into(), ..Default::default() };
    let arrival = Arrival {
        publisher_offer: Some(offerer.offer_description()),
        add_track_requests: vec![request],
        ..single("alice")
    };
    let client = world.join(arrival);
    let heard = world.hear(&client);
    let names: Vec<&str> = heard.iter().map(Heard::name).collect();
    assert_eq!(names, ["join", "refresh_token", "track_published", "answer", "trickle", "(joined)"]);
    assert!(!only!(heard, Response::Join).subscriber_primary);
    assert_eq!(only!(heard, Response::Answer).id, 1, "of the offer");
    assert_eq!(only!(heard, Response::Trickle).target, 0);
}

#[test]
fn others_see_who_comes_and_goes() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let mut bob = world.join(arrival("bob"));
    let join = only!(world.hear(&bob), Response::Join);
    assert_eq!(join.other_participants.len(), 1);
    bob.settle(&mut world);
    world.transport(&bob, TransportState::Connected);
    let update = only!(world.hear(&alice), Response::Update);
    assert_eq!(
        (update.participants[0].identity.as_str(), update.participants[0].state()),
        ("bob", State::Active)
    );
    let before = update.participants[0].version;
    world.say(
        &bob,
        Request::Leave(LeaveRequest {
            reason: DisconnectReason::ClientInitiated.into(),
            ..Default::default()
        }),
    );
    let update = only!(world.hear(&alice), Response::Update);
    let bob_info = &update.participants[0];
    assert_eq!(
        (bob_info.state(), bob_info.disconnect_reason()),
        (State::Disconnected, DisconnectReason::ClientInitiated)
    );
    assert!(bob_info.version > before);
    assert!(world.closed.contains(&bob.connection));
}

#[test]
fn departures_are_told_with_the_reason_that_clients_may_give() {
    for (given, told) in [
        (DisconnectReason::ClientInitiated, DisconnectReason::ClientInitiated),
        (DisconnectReason::UnknownReason, DisconnectReason::ClientInitiated),
        (DisconnectReason::UserRejected, DisconnectReason::UserRejected),
        (DisconnectReason::UserUnavailable, DisconnectReason::UserUnavailable),
        (DisconnectReason::AgentError, DisconnectReason::AgentError),
        (DisconnectReason::ServerShutdown, DisconnectReason::ClientInitiated),
    ] {
        let mut world = World::new();
        let alice = world.connect(arrival("alice"));
        let bob = world.connect(arrival("bob"));
        world.say(&bob, Request::Leave(LeaveRequest { reason: given.into(), ..Default::default() }));
        let update = only!(world.hear(&alice), Response::Update);
        assert_eq!(update.participants[0].disconnect_reason(), told, "{given:?}");
    }
}

#[test]
fn arrivals_of_silent_participants_wait_for_the_batch() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.join(arrival("bob"));
    assert_eq!(world.hear_names(&alice), Vec::<&str>::new());
    world.advance(Duration::from_secs(3));
    let update = only!(world.hear(&alice), Response::Update);
    assert_eq!(update.participants[0].state(), State::Joined);
}

#[test]
fn hidden_participants_are_seen_by_themselves_only() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let mut ghost = arrival("ghost");
    ghost.claims.video.hidden = true;
    let mut ghost = world.join(ghost);
    assert_eq!(only!(world.hear(&ghost), Response::Join).other_participants.len(), 1);
    ghost.settle(&mut world);
    world.transport(&ghost, TransportState::Connected);
    assert!(world.hear_names(&ghost).contains(&"update"));
    let mut bob = world.join(arrival("bob"));
    assert_eq!(only!(world.hear(&bob), Response::Join).other_participants.len(), 1, "alice");
    bob.settle(&mut world);
    ghost.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    world.say(&ghost, Request::Leave(LeaveRequest::default()));
    world.advance(Duration::from_secs(4));
    for heard in world.hear(&alice) {
        if let Heard::Message(Response::Update(update)) = heard {
            assert!(update.participants.iter().all(|one| one.identity != "ghost"));
        }
    }
    assert_eq!(world.room.counts().0, 2);
}

#[test]
fn same_identity_evicts_the_former_one() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let witness = world.connect(arrival("witness"));
    let former = world.sid(&alice);
    let again = world.join(arrival("alice"));
    let leave = only!(world.hear(&alice), Response::Leave);
    assert_eq!(
        (leave.reason(), leave.action(), leave.can_reconnect),
        (DisconnectReason::DuplicateIdentity, Action::Disconnect, false)
    );
    assert!(world.closed.contains(&alice.connection));
    assert_ne!(world.sid(&again), former);
    let update = only!(world.hear(&witness), Response::Update);
    assert_eq!(update.participants[0].sid, former.0);
    assert_eq!(update.participants[0].disconnect_reason(), DisconnectReason::DuplicateIdentity);
}

#[test]
fn joins_that_may_not_be_are_denied() {
    type Change = fn(&mut Arrival);
    let rows: [(&str, Change, JoinError); 7] = [
        ("no roomJoin", |one| one.claims.video.room_join = false, JoinError::NotAllowed),
        ("another room", |one| one.claims.video.room = "other".into(), JoinError::NotAllowed),
        ("no identity", |one| one.claims.identity.clear(), JoinError::IdentityEmpty),
        (
            "long identity",
            |one| one.claims.identity = "x".repeat(257),
            JoinError::NameTooLong(Name::Identity),
        ),
        ("long name", |one| one.claims.name = "x".repeat(257), JoinError::NameTooLong(Name::Participant)),
        (
            "long metadata",
            |one| one.claims.metadata = "x".repeat(524_289),
            JoinError::NameTooLong(Name::Metadata),
        ),
        (
            "publish without the right to",
            |one| {
                one.publish = Some("cam".into());
                one.claims.video.can_publish = Some(false);
            },
            JoinError::NotAllowed,
        ),
    ];
    for (name, change, expected) in rows {
        let mut world = World::new();
        let mut arrival = arrival("alice");
        change(&mut arrival);
        let client = world.join(arrival);
        assert_eq!(world.denied.get(&client.connection), Some(&expected), "{name}");
        assert_eq!(world.refused, [Refused::Join], "{name}");
        assert!(world.hear(&client).is_empty() && world.resources.is_empty(), "{name}");
    }
}

#[test]
fn full_room_denies_but_lets_an_identity_return() {
    let mut world = World::new();
    world.room.record.max_participants = 1;
    world.connect(arrival("alice"));
    let bob = world.join(arrival("bob"));
    assert_eq!(world.denied[&bob.connection], JoinError::LimitReached(Limit::Participants));
    world.connect(arrival("alice"));
    assert_eq!(world.room.participants.len(), 1);
}

#[test]
fn publish_parameter_makes_a_second_participant() {
    let mut world = World::new();
    let client = world.join(Arrival { publish: Some("cam".into()), ..arrival("alice") });
    let join = only!(world.hear(&client), Response::Join);
    assert_eq!(join.participant.unwrap().identity, "alice#cam");
    let profile = &world.room.participants[0].profile;
    assert!(!profile.settings.auto_subscribe);
}

#[test]
fn metadata_of_the_join_needs_the_right_to_have_it() {
    for (allowed, expected) in [(Some(true), "own"), (None, "token's")] {
        let mut world = World::new();
        let mut arrival = arrival("alice");
        arrival.claims.metadata = "token's".into();
        arrival.claims.video.can_update_own_metadata = allowed;
        arrival.metadata = "own".into();
        let client = world.join(arrival);
        assert_eq!(only!(world.hear(&client), Response::Join).participant.unwrap().metadata, expected);
    }
}

#[test]
fn no_transport_within_a_minute_ends_the_join() {
    let mut world = World::new();
    let mut client = world.join(arrival("alice"));
    client.settle(&mut world);
    world.hear(&client);
    world.advance(Duration::from_secs(61));
    let leave = only!(world.hear(&client), Response::Leave);
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::JoinFailure, Action::Disconnect));
    assert!(world.room.participants.is_empty());
}

#[test]
fn an_offer_without_answer_ends_in_a_new_join() {
    let mut world = World::new();
    let client = world.join(arrival("alice"));
    world.hear(&client);
    world.advance(Duration::from_secs(16));
    let leave = only!(world.hear(&client), Response::Leave);
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::StateMismatch, Action::Reconnect));
}

#[test]
fn signal_lost_before_the_first_connection_removes_at_once() {
    let mut world = World::new();
    let client = world.join(arrival("alice"));
    world.disconnect(&client);
    assert!(world.room.participants.is_empty());
    let client = world.connect(arrival("alice"));
    world.disconnect(&client);
    assert_eq!(world.room.participants.len(), 1, "who was connected may resume");
}

#[test]
fn dead_client_is_gone_when_its_transport_is() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    world.disconnect(&alice);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.room.participants.len(), 2);
    world.hear(&bob);
    world.transport(&alice, TransportState::Failed);
    let heard = world.hear(&bob);
    let update = only!(heard, Response::Update);
    assert_eq!(update.participants[0].disconnect_reason(), DisconnectReason::ConnectionTimeout);
    assert_eq!(world.room.participants.len(), 1);
}

#[test]
fn failed_transport_asks_for_a_resume_and_gives_it_time() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.transport(&alice, TransportState::Failed);
    let leave = only!(world.hear(&alice), Response::Leave);
    assert_eq!(leave.action(), Action::Resume);
    assert!(world.closed.contains(&alice.connection));
    world.advance(Duration::from_secs(3));
    let mut resumed = world.join(Arrival { reconnect: true, ..arrival("alice") });
    resumed.settle(&mut world);
    world.advance(Duration::from_secs(4));
    assert_eq!(world.room.participants.len(), 1, "the resume gave it time");
    world.transport(&resumed, TransportState::Connected);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.room.participants.len(), 1);
}

#[test]
fn failed_transport_without_a_resume_is_removed() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.transport(&alice, TransportState::Failed);
    world.advance(Duration::from_secs(6));
    assert!(world.room.participants.is_empty());
}

#[test]
fn session_that_the_media_plane_gave_up_starts_over() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let peer = world.participant(&alice).publisher.id;
    world.peer_transport(peer, TransportState::Failed, FailureReason::Panic);
    let leave = only!(world.hear(&alice), Response::Leave);
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::MediaFailure, Action::Reconnect));
}

#[test]
fn resume_tells_what_was_missed_in_order() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    let (alice_sid, bob_sid) = (world.sid(&alice), world.sid(&bob));
    world.disconnect(&alice);
    world.say(&bob, Request::Leave(LeaveRequest::default()));
    let resumed = Arrival { reconnect: true, participant_sid: alice_sid.0.clone(), ..arrival("alice") };
    let again = world.join(resumed);
    let heard = world.hear(&again);
    let names: Vec<&str> = heard.iter().map(Heard::name).collect();
    assert_eq!(names, ["reconnect", "update", "room_update", "offer", "trickle", "(joined)"]);
    assert_eq!(only!(heard, Response::Reconnect).last_message_seq, 42);
    let update = only!(heard, Response::Update);
    let told: Vec<(&str, State)> =
        update.participants.iter().map(|one| (one.sid.as_str(), one.state())).collect();
    assert_eq!(told, [(bob_sid.0.as_str(), State::Disconnected), (alice_sid.0.as_str(), State::Active)]);
    assert_eq!(world.participant(&again).connection, Some(again.connection));
}

#[test]
fn resume_restarts_the_subscribers_ice_and_keeps_the_old_credentials() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let before = world.participant(&alice).receiving().session.local_ice();
    world.disconnect(&alice);
    let mut again = alice.on(world.join(Arrival { reconnect: true, ..arrival("alice") }).connection);
    again.settle(&mut world);
    let after = world.participant(&again).receiving().session.local_ice();
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after[1], before[0], "checks with the old pair still pass");
    let written = world.resources.values().find_map(|resource| match &resource.spec {
        Some(proto::media::v1::resource::Spec::Peer(peer)) if peer.local_ice.len() == 2 => {
            Some(peer.local_ice.clone())
        }
        _ => None,
    });
    assert_eq!(written.as_ref(), Some(&after));
}

#[test]
fn resume_of_nobody_is_sent_to_join_anew() {
    let other_sid = Arrival { reconnect: true, participant_sid: "PA_other".into(), ..arrival("alice") };
    for (name, arrival) in [
        ("an identity that is not here", Arrival { reconnect: true, ..arrival("carol") }),
        ("another session of an identity that is", other_sid),
    ] {
        let mut world = World::new();
        let alice = world.connect(super::arrival("alice"));
        let client = world.join(arrival);
        let heard = world.hear(&client);
        let names: Vec<&str> = heard.iter().map(Heard::name).collect();
        assert_eq!(names, ["leave", "(turned away)"], "{name}");
        let leave = only!(heard, Response::Leave);
        assert_eq!((leave.reason(), leave.action()), (DisconnectReason::StateMismatch, Action::Reconnect));
        assert!(world.closed.contains(&client.connection));
        assert_eq!(world.participant(&alice).connection, Some(alice.connection), "{name}");
    }
}

#[test]
fn resume_takes_the_place_of_a_connection_that_is_still_open() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let again = world.join(Arrival { reconnect: true, ..arrival("alice") });
    assert!(world.closed.contains(&alice.connection));
    world.disconnect(&alice);
    assert_eq!(world.participant(&again).connection, Some(again.connection), "the old one's end is no news");
}

#[test]
fn leave_is_worded_for_clients_that_know_no_action() {
    for (protocol, action, can_reconnect, worded) in [
        (16, Action::Reconnect, true, Action::Reconnect),
        (12, Action::Reconnect, true, Action::Disconnect),
        (12, Action::Disconnect, false, Action::Disconnect),
        (13, Action::Resume, true, Action::Resume),
    ] {
        let leave = crate::room::leaving::request(protocol, DisconnectReason::StateMismatch, action);
        assert_eq!((leave.can_reconnect, leave.action()), (can_reconnect, worded), "{protocol} {action:?}");
    }
}

#[test]
fn token_is_refreshed_every_five_minutes() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    world.advance(Duration::from_secs(11 * 60));
    let tokens = world.hear(&client).into_iter().filter(|heard| *heard == Heard::Token).count();
    assert_eq!(tokens, 2);
}

#[test]
fn counts_are_told_at_most_every_five_seconds() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    for name in ["bob", "carol", "dave"] {
        world.connect(arrival(name));
    }
    world.hear(&alice);
    world.advance(Duration::from_secs(20));
    let heard = world.hear(&alice);
    assert_eq!(only!(heard, Response::RoomUpdate).room.unwrap().num_participants, 4);
}

#[test]
fn empty_room_closes_after_the_departure_timeout() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    world.advance(Duration::from_secs(400));
    assert!(!world.room.closed, "somebody is here");
    world.say(&alice, Request::Leave(LeaveRequest::default()));
    world.advance(Duration::from_secs(19));
    assert!(!world.room.closed);
    world.advance(Duration::from_secs(2));
    assert!(world.room.closed && world.resources.is_empty());
}

#[test]
fn room_that_nobody_joins_closes_after_the_empty_timeout() {
    let mut world = World::new();
    world.advance(Duration::from_secs(299));
    assert!(!world.room.closed);
    world.advance(Duration::from_secs(2));
    assert!(world.room.closed);
}

#[test]
fn closed_room_tells_everybody_why_and_keeps_nothing() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    world.step(crate::room::request::Request::Close { reason: DisconnectReason::ServerShutdown });
    for client in [&alice, &bob] {
        let heard = world.hear(client);
        assert_eq!(heard.len(), 1, "not even the other's departure");
        let leave = only!(heard, Response::Leave);
        assert_eq!((leave.reason(), leave.action()), (DisconnectReason::ServerShutdown, Action::Reconnect));
    }
    assert!(world.room.closed && world.resources.is_empty());
}

#[test]
fn lost_media_plane_sends_everybody_to_join_anew_in_the_same_room() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let sid = world.room.record.sid.clone();
    world.resources.clear();
    world.step(crate::room::request::Request::MediaLost);
    assert_eq!(only!(world.hear(&alice), Response::Leave).action(), Action::Reconnect);
    assert!(!world.room.written && !world.room.closed);
    let again = world.join(arrival("alice"));
    assert_eq!(only!(world.hear(&again), Response::Join).room.unwrap().sid, sid);
    assert_eq!(world.count(|name| matches!(name, super::Name::Room(_))), 1, "the room is written anew");
}

/// What the leavers had chosen of each other's tracks changes with every departure; none of that is written.
#[test]
fn room_that_ends_is_not_written_again() {
    use crate::room::request::Request;
    for (name, request, left) in [
        ("closed", Request::Close { reason: DisconnectReason::RoomClosed }, 0),
        ("lost", Request::MediaLost, 0),
    ] {
        let mut world = World::new();
        let mut alice = world.connect(arrival("alice"));
        let bob = world.connect(arrival("bob"));
        let track = alice.publish(&mut world, "cid", TrackType::Audio);
        world.packets_arrive();
        let update = livekit_protocol::UpdateSubscription {
            track_sids: vec![track.0],
            subscribe: false,
            ..Default::default()
        };
        world.say(&bob, livekit_protocol::signal_request::Message::Subscription(update));
        if matches!(request, Request::MediaLost) {
            world.resources.clear();
        }
        world.step(request);
        assert_eq!(world.resources.len(), left, "{name}");
        assert!(!world.room.written, "{name}: the next one finds a place anew");
    }
}

#[test]
fn ice_restart_in_an_offer_is_answered_with_new_credentials_beside_the_old() {
    for arrival in [arrival("alice"), single("alice")] {
        let mut world = World::new();
        let mut client = world.connect(arrival);
        client.offer(&mut world);
        world.hear(&client);
        let before = world.participant(&client).publisher.session.local_ice();
        client.offer(&mut world);
        assert!(!world.hear_names(&client).contains(&"trickle"), "nothing new, nothing to trickle");
        client.generation += 1;
        client.offer(&mut world);
        let heard = world.hear(&client);
        let after = world.participant(&client).publisher.session.local_ice();
        assert_eq!(after[1..], before[..]);
        let answer = only!(heard, Response::Answer);
        assert!(answer.sdp.contains(&after[0].ufrag) && !answer.sdp.contains(&before[0].ufrag));
        assert!(only!(heard, Response::Trickle).candidate_init.contains(&after[0].ufrag));
    }
}

#[test]
fn resume_does_not_tell_of_departures_that_the_client_saw() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let first = world.connect(arrival("bob"));
    let gone = world.sid(&first);
    world.say(&first, Request::Leave(LeaveRequest::default()));
    world.connect(arrival("bob"));
    world.disconnect(&alice);
    let again = world.join(Arrival { reconnect: true, ..arrival("alice") });
    let update = only!(world.hear(&again), Response::Update);
    assert!(update.participants.iter().all(|one| one.sid != gone.0), "clients know participants by identity");
    assert_eq!(update.participants.len(), 2);
}

/// Clients take what has their identity for themselves.
#[test]
fn nobody_hears_of_the_earlier_stay_of_its_own_identity() {
    let mut world = World::new();
    let others: Vec<_> = (0..33).map(|index| world.join(arrival(&format!("other{index}")))).collect();
    world.join(arrival("alice"));
    let alice = world.join(arrival("alice"));
    let sid = world.sid(&alice).0;
    world.hear(&alice);
    world.advance(Duration::from_secs(4));
    let updates = world.hear(&alice).into_iter().filter_map(|heard| match heard {
        Heard::Message(Response::Update(update)) => Some(update.participants),
        _ => None,
    });
    let mut own = updates.flatten().filter(|info| info.identity == "alice");
    assert!(own.all(|info| info.sid == sid));
    let update = only!(world.hear(&others[0]), Response::Update);
    let former = update.participants.iter().any(|info| info.identity == "alice" && info.sid != sid);
    assert!(former, "the others hear of it");
}

#[test]
fn identity_is_limited_with_what_the_publish_parameter_adds() {
    let mut world = World::new();
    let client = world.join(Arrival { publish: Some("x".repeat(300)), ..arrival("alice") });
    assert!(matches!(world.denied[&client.connection], JoinError::NameTooLong(_)));
}
