//! Rooms as tasks: what is said waits for what was written, and rooms come and go.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, DisconnectReason, LeaveRequest, ServerInfo};
use proto::command::Command;
use proto::media::v1 as proto;
use proto::resource::Spec;
use tokio::time::timeout;

use crate::auth::revocation::{Bearer, Revocations, Subject};
use crate::auth::token::Keys;
use crate::config::Config;
use crate::config::live::Live;
use crate::media::placement::Planes;
use crate::media::plane::Plane;
use crate::room::call::{Answer, Call, CallError};
use crate::room::census::Counts;
use crate::room::join::{Arrival, Join, JoinError, Joined, Limit, ParticipantHandle};
use crate::room::notice::{Listener, Listeners};
use crate::room::registry::{Context, Registry};
use crate::room::tests::stage::{Stage, kinds};
use crate::room::tests::{arrival, message_name};
use crate::signal::sink::{Next, Outgoing, channel};

fn registry(planes: Vec<Plane>, config: Config) -> Arc<Registry> {
    registry_with(planes, config, Vec::new())
}

fn keys() -> Keys {
    Keys::new([("key".to_owned(), "secret".to_owned())])
}

pub(super) fn registry_with(
    planes: Vec<Plane>,
    config: Config,
    listeners: Vec<Arc<dyn Listener>>,
) -> Arc<Registry> {
    Arc::new(Registry::new(Arc::new(Context {
        config: Live::new(config),
        keys: Arc::new(keys()),
        planes: Planes::new(planes),
        server_info: ServerInfo::default(),
        listeners: Listeners::new(listeners),
        revocations: Revocations::default(),
    })))
}

pub(super) fn join(arrival: Arrival) -> (Join, Outgoing) {
    let (sink, outgoing) = channel();
    let mut arrival = arrival;
    arrival.claims.api_key = "key".into();
    (Join { arrival, sink }, outgoing)
}

/// Everything that was said so far.
pub(super) fn said(outgoing: &mut Outgoing) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(next) = outgoing.try_next() {
        said.push(match next {
            Next::Write(Response::RefreshToken(_)) => "refresh_token".to_owned(),
            Next::Write(message) => message_name(&message).to_owned(),
            Next::Close => "(close)".to_owned(),
        });
    }
    said
}

async fn next(outgoing: &mut Outgoing) -> Next {
    timeout(Duration::from_secs(5), outgoing.next()).await.expect("something is said")
}

/// Somebody who is in the room, with everything acknowledged.
pub(super) async fn inside(
    registry: &Arc<Registry>,
    stage: &mut Stage,
    identity: &str,
) -> (ParticipantHandle, Outgoing) {
    let (join, outgoing) = join(arrival(identity));
    let joining = tokio::spawn({
        let registry = Arc::clone(registry);
        async move { registry.join(join).await }
    });
    stage.acknowledge_all().await;
    (joining.await.unwrap().unwrap().participant, outgoing)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_is_said_before_it_is_written() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (join, mut outgoing) = join(arrival("alice"));
    let joining = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(join).await }
    });
    let written = stage.written().await;
    assert_eq!(kinds(&written), ["room", "peer", "peer", "route"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(said(&mut outgoing).is_empty() && !joining.is_finished());
    stage.acknowledge(&written, Vec::new()).await;
    let Joined { participant } = joining.await.unwrap().unwrap();
    assert_eq!(said(&mut outgoing), ["join", "refresh_token", "offer", "trickle"], "before the join returns");
    participant.request(Request::Ping(1));
    assert_eq!(said(&mut outgoing), ["(another)"], "a pong waits for nothing");
    assert_eq!(registry.counts(), Counts { rooms: 1, participants: 1, connections: 1, ..Counts::default() });
}

#[tokio::test]
async fn refused_participant_hears_only_that_it_should_join_anew() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (join, mut outgoing) = join(arrival("alice"));
    let joining = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(join).await }
    });
    let written = stage.written().await;
    let refusal = proto::Refusal {
        revision: written[1].revision,
        reason: proto::RefusalReason::Limit.into(),
        detail: "full".into(),
    };
    stage.acknowledge(&written, vec![refusal]).await;
    stage.acknowledge_all().await;
    let _joined = joining.await.unwrap();
    let Next::Write(Response::Leave(leave)) = next(&mut outgoing).await else { panic!("a leave") };
    assert_eq!(leave.action(), Action::Reconnect);
    assert_eq!(next(&mut outgoing).await, Next::Close);
    assert_eq!(registry.counts().participants, 0);
    assert!(registry.refusals().contains(&("resource", 1)));
}

#[tokio::test]
async fn without_a_media_plane_joins_fail_fast() {
    let registry = registry(Vec::new(), Config::default());
    let (join, _outgoing) = join(arrival("alice"));
    assert_eq!(registry.join(join).await.unwrap_err(), JoinError::Unavailable);
    assert_eq!(registry.counts(), Counts::default());
}

#[tokio::test]
async fn rooms_are_opened_as_configuration_and_drain_allow() {
    let stage = Stage::start().await;
    let closed = Config {
        room: crate::config::Room { auto_create: false, ..Default::default() },
        ..Config::default()
    };
    let registry = registry(vec![stage.plane.clone()], closed);
    let mut creator = arrival("alice");
    assert_eq!(registry.validate(&creator).await, Err(JoinError::RoomNotFound));
    let (uninvited, _outgoing) = join(creator.clone());
    assert_eq!(registry.join(uninvited).await.unwrap_err(), JoinError::RoomNotFound);
    creator.claims.video.room_create = true;
    assert_eq!(registry.validate(&creator).await, Ok(()));
    registry.drain(Instant::now()).await;
    assert_eq!(registry.validate(&creator).await, Err(JoinError::Draining));
}

#[tokio::test]
async fn limit_of_tracks_denies_entry_but_no_resume() {
    let mut stage = Stage::start().await;
    let limited =
        Config { limit: crate::config::Limit { num_tracks: 2, ..Default::default() }, ..Config::default() };
    let registry = registry(vec![stage.plane.clone()], limited);
    let (alice, _alice_hears) = inside(&registry, &mut stage, "alice").await;
    for (cid, tracks) in [("microphone", 1), ("camera", 2)] {
        assert_eq!(registry.validate(&arrival("bob")).await, Ok(()), "before {cid}");
        alice.request(Request::AddTrack(AddTrackRequest { cid: cid.into(), ..Default::default() }));
        until("the track is counted", || registry.counts().tracks == tracks).await;
    }
    let mut elsewhere = arrival("bob");
    elsewhere.room = "another".into();
    elsewhere.claims.video.room = "another".into();
    for denied in [arrival("bob"), elsewhere] {
        assert_eq!(registry.validate(&denied).await, Err(JoinError::LimitReached(Limit::Tracks)));
        let (denied, _outgoing) = join(denied);
        assert_eq!(registry.join(denied).await.unwrap_err(), JoinError::LimitReached(Limit::Tracks));
    }
    assert_eq!(registry.validate(&Arrival { reconnect: true, ..arrival("alice") }).await, Ok(()));
}

#[tokio::test]
async fn limit_of_bytes_denies_entry() {
    let mut stage = Stage::start().await;
    let limit = crate::config::Limit { bytes_per_sec: 100.0, ..Default::default() };
    let limited = Config { limit, ..Config::default() };
    let registry = registry(vec![stage.plane.clone()], limited);
    let (_alice, _alice_hears) = inside(&registry, &mut stage, "alice").await;
    let denied = Err(JoinError::LimitReached(Limit::Bytes));
    until("more is counted than there may be", || stage.plane.bytes_per_second() >= 100.0).await;
    assert_eq!(registry.validate(&arrival("bob")).await, denied);
    assert_eq!(registry.validate(&Arrival { reconnect: true, ..arrival("alice") }).await, Ok(()));
}

#[tokio::test]
async fn want_of_memory_denies_entry_but_no_resume_and_is_counted_once() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (_alice, _alice_hears) = inside(&registry, &mut stage, "alice").await;
    registry.set_memory_low(true);
    // A client that was denied asks why.
    let (denied, _outgoing) = join(arrival("bob"));
    assert_eq!(registry.join(denied).await.unwrap_err(), JoinError::LimitReached(Limit::Memory));
    assert_eq!(registry.validate(&arrival("bob")).await, Err(JoinError::LimitReached(Limit::Memory)));
    assert!(registry.refusals().contains(&("memory", 1)), "{:?}", registry.refusals());
    assert_eq!(registry.validate(&Arrival { reconnect: true, ..arrival("alice") }).await, Ok(()));
    registry.set_memory_low(false);
    assert_eq!(registry.validate(&arrival("bob")).await, Ok(()));
}

#[tokio::test]
async fn draining_rooms_can_still_be_joined() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (alice, _alice_hears) = inside(&registry, &mut stage, "alice").await;
    registry.drain(Instant::now()).await;
    let (bob, _bob_hears) = inside(&registry, &mut stage, "bob").await;
    assert_eq!(registry.counts().participants, 2);
    alice.request(Request::Leave(LeaveRequest::default()));
    bob.request(Request::Leave(LeaveRequest::default()));
    let empty = timeout(Duration::from_secs(5), registry.drain(Instant::now() + Duration::from_secs(60)));
    empty.await.expect("it ends when the last one left");
}

#[tokio::test]
async fn resume_in_no_room_is_turned_away_and_opens_none() {
    let registry = registry(Vec::new(), Config::default());
    let (join, mut outgoing) = join(Arrival { reconnect: true, ..arrival("alice") });
    let _joined = registry.join(join).await.unwrap();
    assert_eq!(said(&mut outgoing), ["leave", "(close)"]);
    assert_eq!(registry.counts().rooms, 0);
}

#[tokio::test]
async fn resume_tells_what_data_arrived() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (join_alice, mut outgoing) = join(arrival("alice"));
    let joining = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(join_alice).await }
    });
    let written = stage.written().await;
    stage.acknowledge(&written, Vec::new()).await;
    let alice = joining.await.unwrap().unwrap().participant;
    said(&mut outgoing);
    // Connected once, or its departure would be final.
    let (room, peer) = room_and_subscriber(&written);
    let connected = proto::TransportChanged {
        peer,
        state: proto::TransportState::Connected.into(),
        ..proto::TransportChanged::default()
    };
    stage.event(room, proto::event::Event::Transport(connected)).await;
    stage.acknowledge_all().await;
    assert_eq!(said(&mut outgoing), ["update"]);
    alice.disconnected();
    let (again, mut outgoing) = join(Arrival { reconnect: true, ..arrival("alice") });
    let resuming = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(again).await }
    });
    stage.acknowledge_all().await;
    let _resumed = resuming.await.unwrap().unwrap();
    let Next::Write(Response::Reconnect(reconnect)) = next(&mut outgoing).await else {
        panic!("a reconnect")
    };
    assert_eq!(reconnect.last_message_seq, 77);
}

/// Of a join with two peer connections: the room, and the peer on which we offer.
fn room_and_subscriber(written: &[proto::Command]) -> (u64, u64) {
    let mut peers = written.iter().filter_map(|command| match &command.command {
        Some(Command::Upsert(resource)) => match &resource.spec {
            Some(Spec::Route(route)) => Some((route.room, route.send_peer)),
            _ => None,
        },
        _ => None,
    });
    peers.next().expect("a route")
}

#[tokio::test]
async fn client_that_is_gone_before_its_transport_came_is_forgotten() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (alice, _outgoing) = inside(&registry, &mut stage, "alice").await;
    drop(alice);
    until("the participant is removed", || registry.counts().participants == 0).await;
    let deleted = stage.acknowledge_all().await;
    assert_eq!(kinds(&deleted), ["delete", "delete", "delete"], "route and peers");
}

#[tokio::test]
async fn lost_media_plane_sends_clients_to_join_anew() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (_alice, mut outgoing) = inside(&registry, &mut stage, "alice").await;
    said(&mut outgoing);
    stage.hang_up().await;
    let Next::Write(Response::Leave(leave)) = next(&mut outgoing).await else { panic!("a leave") };
    assert_eq!((leave.reason(), leave.action()), (DisconnectReason::MediaFailure, Action::Reconnect));
    assert_eq!(next(&mut outgoing).await, Next::Close);
    stage.plane.ready().await.unwrap();
    let (_again, mut outgoing) = inside(&registry, &mut stage, "alice").await;
    assert_eq!(said(&mut outgoing)[0], "join");
    assert_eq!(registry.counts().rooms, 1, "the same room");
}

#[tokio::test]
async fn who_was_sent_away_hears_it_although_the_media_plane_is_lost() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (_former, mut outgoing) = inside(&registry, &mut stage, "alice").await;
    said(&mut outgoing);
    let (join, mut later) = join(arrival("alice"));
    let joining = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.join(join).await }
    });
    stage.written().await;
    // Not acknowledged: the media plane dies first.
    stage.hang_up().await;
    let Next::Write(Response::Leave(leave)) = next(&mut outgoing).await else { panic!("a leave") };
    assert_eq!(leave.reason(), DisconnectReason::DuplicateIdentity);
    assert_eq!(next(&mut outgoing).await, Next::Close);
    assert_eq!(joining.await.unwrap().err(), Some(JoinError::Unavailable));
    assert_eq!(next(&mut later).await, Next::Close, "its sink is let go of");
}

#[tokio::test]
async fn closed_rooms_are_forgotten_and_open_again() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let (_alice, mut outgoing) = inside(&registry, &mut stage, "alice").await;
    said(&mut outgoing);
    let closing = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.close_all(DisconnectReason::ServerShutdown).await }
    });
    stage.acknowledge_all().await;
    closing.await.unwrap();
    assert_eq!(said(&mut outgoing), ["leave", "(close)"]);
    assert_eq!(registry.counts(), Counts::default());
}

#[tokio::test]
async fn a_refreshed_token_is_revoked_with_the_one_it_came_from() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (name, identity, not_before, expected) in [
        ("older", "alice", Some(seconds - 100), Some(JoinError::Revoked)),
        ("of unknown age", "bob", None, Some(JoinError::Revoked)),
        ("newer", "carol", Some(seconds - 10), None),
    ] {
        let mut arriving = arrival(identity);
        arriving.claims.not_before = not_before;
        let (first, mut outgoing) = join(arriving.clone());
        let joining = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.join(first).await }
        });
        stage.acknowledge_all().await;
        let _joined = joining.await.unwrap().unwrap();
        let token = loop {
            if let Next::Write(Response::RefreshToken(token)) = next(&mut outgoing).await {
                break token;
            }
        };
        let claims = keys().verify(&token, now).unwrap();
        let subject = Subject { room: arriving.room.clone(), bearer: Bearer::Identity(identity.to_owned()) };
        registry.revocations().revoke_before(now, subject, seconds - 50).unwrap();
        let again = Arrival { claims, ..arriving };
        assert_eq!(registry.validate(&again).await.err(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_call_is_answered_when_what_it_changed_is_written() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let room = arrival("alice").room;
    let remove = || Call::RemoveParticipant { identity: "alice".to_owned() };
    assert_eq!(registry.call(&room, remove()).await, Err(CallError::RoomNotFound));
    let (_alice, _outgoing) = inside(&registry, &mut stage, "alice").await;
    let calling = tokio::spawn({
        let (registry, room) = (Arc::clone(&registry), room.clone());
        async move { registry.call(&room, remove()).await }
    });
    let written = stage.written().await;
    assert!(kinds(&written).iter().all(|kind| *kind == "delete"), "{:?}", kinds(&written));
    assert!(!calling.is_finished(), "the deletions are not acknowledged");
    stage.acknowledge(&written, Vec::new()).await;
    assert_eq!(calling.await.unwrap(), Ok(Answer::Done));
    assert_eq!(registry.call(&room, remove()).await, Err(CallError::ParticipantNotFound));
}

#[tokio::test]
async fn a_call_fails_when_what_it_changed_is_refused() {
    let mut stage = Stage::start().await;
    let registry = registry(vec![stage.plane.clone()], Config::default());
    let room = arrival("alice").room;
    let (_alice, _outgoing) = inside(&registry, &mut stage, "alice").await;
    let calling = tokio::spawn({
        let (registry, room) = (Arc::clone(&registry), room.clone());
        let call = Call::UpdateRoomMetadata { metadata: "m".to_owned() };
        async move { registry.call(&room, call).await }
    });
    let written = stage.written().await;
    assert_eq!(kinds(&written), ["room"]);
    let refusal = proto::Refusal {
        revision: written[0].revision,
        reason: proto::RefusalReason::Limit.into(),
        detail: "full".into(),
    };
    stage.acknowledge(&written, vec![refusal]).await;
    assert_eq!(calling.await.unwrap(), Err(CallError::Unavailable));
}
