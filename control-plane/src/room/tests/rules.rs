//! Rules that tokens and the configuration make: each grant with what it allows, duplicates, limits, what clients are told.

use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, IceServer, TrackSource, TrackType, UpdateParticipantMetadata, UpdateSubscription,
};
use proto::media::v1 as proto;
use proto::resource::Spec;

use crate::auth::grants::VideoGrant;
use crate::config::Config;
use crate::config::turn_server::TurnServer;
use crate::room::join::JoinError;
use crate::room::tests::client::Client;
use crate::room::tests::joining::only;
use crate::room::tests::{Heard, World, arrival, single};

type Grant = fn(&mut VideoGrant);
type Probe = fn(&mut World, &Client) -> bool;

/// As livekit-server v1.13.5 enforces them, where a participant is concerned.
#[test]
fn each_grant_decides_over_its_own_thing() {
    let rows: [(&str, Grant, Probe, bool); 17] = [
        ("joins", |_| {}, is_in, true),
        ("does not join without roomJoin", |grant| grant.room_join = false, is_in, false),
        ("does not join another room", |grant| grant.room = "other".into(), is_in, false),
        ("publishes unless denied", |_| {}, publishes_camera, true),
        ("canPublish denies", |grant| grant.can_publish = Some(false), publishes_camera, false),
        (
            "canPublishSources names it",
            |grant| grant.can_publish_sources = vec!["camera".into()],
            publishes_camera,
            true,
        ),
        (
            "canPublishSources names another",
            |grant| grant.can_publish_sources = vec!["microphone".into()],
            publishes_camera,
            false,
        ),
        ("subscribes unless denied", |_| {}, subscribes, true),
        ("canSubscribe denies", |grant| grant.can_subscribe = Some(false), subscribes, false),
        ("sends data unless denied", |_| {}, sends_data, true),
        ("canPublishData denies", |grant| grant.can_publish_data = Some(false), sends_data, false),
        ("who may not publish sends no data", |grant| grant.can_publish = Some(false), sends_data, false),
        ("changes no metadata unless granted", |_| {}, changes_metadata, false),
        (
            "canUpdateOwnMetadata grants",
            |grant| grant.can_update_own_metadata = Some(true),
            changes_metadata,
            true,
        ),
        ("is seen", |_| {}, is_seen, true),
        ("hidden is not", |grant| grant.hidden = true, is_seen, false),
        ("recorder is told of itself", |grant| grant.recorder = true, is_recorder, true),
    ];
    for (name, change, probe, expected) in rows {
        let mut world = World::new();
        let mut publisher = world.connect(arrival("publisher"));
        publisher.publish(&mut world, "cid", TrackType::Audio);
        world.packets_arrive();
        let mut arriving = single("alice");
        change(&mut arriving.claims.video);
        let mut alice = world.join(arriving);
        alice.settle(&mut world);
        world.hear(&alice);
        assert_eq!(probe(&mut world, &alice), expected, "{name}");
    }
}

fn is_in(world: &mut World, who: &Client) -> bool {
    world.room.of_identity(&who.identity).is_some()
}

fn publishes_camera(world: &mut World, who: &Client) -> bool {
    let source = TrackSource::Camera.into();
    let request = AddTrackRequest { cid: "c".into(), r#type: 1, source, ..AddTrackRequest::default() };
    world.say(who, Request::AddTrack(request));
    let heard = world.hear(who);
    let refused = heard.iter().any(|heard| {
        matches!(heard, Heard::Message(Response::RequestResponse(answer)) if answer.reason() == Reason::NotAllowed)
    });
    assert_ne!(refused, heard.iter().any(|heard| heard.name() == "track_published"));
    !refused
}

fn subscribes(world: &mut World, who: &Client) -> bool {
    let track_sids = world.room.tracks.keys().map(|sid| sid.0.clone()).collect();
    let update = UpdateSubscription { track_sids, subscribe: true, ..UpdateSubscription::default() };
    world.say(who, Request::Subscription(update));
    !world.participant(who).subscriptions.is_empty()
}

fn sends_data(world: &mut World, who: &Client) -> bool {
    let id = world.participant(who).profile.route;
    let routes = world.resources.values().filter_map(|resource| match &resource.spec {
        Some(Spec::Route(route)) => Some(route),
        _ => None,
    });
    routes.into_iter().find(|route| route.id == id).expect("a route").can_send
}

fn changes_metadata(world: &mut World, who: &Client) -> bool {
    let update = UpdateParticipantMetadata { metadata: "m".into(), ..UpdateParticipantMetadata::default() };
    world.say(who, Request::UpdateMetadata(update));
    world.participant(who).profile.metadata == "m"
}

fn is_seen(world: &mut World, _: &Client) -> bool {
    let bob = world.join(single("bob"));
    let join = only!(world.hear(&bob), Response::Join);
    join.other_participants.iter().any(|other| other.identity == "alice")
}

fn is_recorder(world: &mut World, who: &Client) -> bool {
    #[expect(deprecated, reason = "old clients are still told")]
    let told = world.participant(who).profile.permission().recorder;
    told
}

#[test]
fn duplicates_are_kicked_or_refused_as_configured() {
    for (name, refuse, is_there, former_stays) in [
        ("kicked", false, true, false),
        ("refused", true, true, true),
        ("not refused for one who is away", true, false, false),
    ] {
        let mut config = Config::default();
        config.room.refuse_duplicates = refuse;
        let mut world = World::with(config);
        let former = world.connect(arrival("alice"));
        let sid = world.sid(&former);
        if !is_there {
            world.disconnect(&former);
        }
        let later = world.join(arrival("alice"));
        assert_eq!(world.sid(&former) == sid, former_stays, "{name}");
        let denied = former_stays.then_some(&JoinError::DuplicateIdentity);
        assert_eq!(world.denied.get(&later.connection), denied, "{name}");
        assert_eq!(world.room.participants.len(), 1, "{name}");
    }
}

#[test]
fn clients_are_told_of_the_servers_that_are_configured() {
    let mut config = Config::default();
    let server = TurnServer { host: "turn.example".into(), port: 3478, ..TurnServer::default() };
    config.rtc.turn_servers = vec![TurnServer { protocol: "udp".into(), secret: "s".into(), ..server }];
    config.rtc.stun_servers = vec!["stun.example:3478".into()];
    let mut world = World::with(config);
    let alice = world.join(arrival("alice"));
    let join = only!(world.hear(&alice), Response::Join);
    let [turn, stun] = <[IceServer; 2]>::try_from(join.ice_servers).expect("two servers");
    assert_eq!(turn.urls, ["turn:turn.example:3478?transport=udp"]);
    let until = world.now.unix_seconds() + 14_400;
    assert_eq!(turn.username, format!("{until}:{}", world.sid(&alice).0));
    assert!(!turn.credential.is_empty());
    assert_eq!(stun, IceServer { urls: vec!["stun:stun.example:3478".into()], ..IceServer::default() });
}

#[test]
fn statistics_tell_who_is_there_and_what_was_measured() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    alice.publish(&mut world, "cid", TrackType::Audio);
    world.packets_arrive();
    world.connect(arrival("bob"));
    let publication = *world.room.directory.publications.keys().next().expect("a publication");
    let stream =
        proto::StreamQuality { id: publication, packets: 7, bytes: 70, ..proto::StreamQuality::default() };
    let quality = proto::Quality { publications: vec![stream], subscriptions: Vec::new() };
    world.media(proto::event::Event::Quality(quality));
    for (asked, expected) in
        [(None, vec!["alice", "bob"]), (Some("alice"), vec!["alice"]), (Some("x"), vec![])]
    {
        let statistics = crate::room::statistics::of(&world.room, asked);
        let identities: Vec<&str> = statistics.participants.iter().map(|one| one.identity.as_str()).collect();
        assert_eq!(identities, expected);
        assert_eq!((statistics.participants_left_out, statistics.name.as_str()), (0, "room"));
        if let Some(alice) = statistics.participants.first() {
            assert_eq!((alice.published.len(), alice.published[0].sent.packets), (1, 7));
            assert_eq!((alice.published[0].sent.bytes, alice.published[0].subscribers), (70, 1));
        }
    }
}
