//! Data tracks and data blobs: who may have them, who is told, and what the media plane is to do.

use livekit_protocol::data_blob_key::Key;
use livekit_protocol::leave_request::Action;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::update_data_subscription::Update;
use livekit_protocol::{
    DataBlob, DataBlobKey, DataTrackFrameEncoding, DataTrackSchemaId, GetDataBlobRequest,
    ParticipantPermission, PublishDataTrackRequest, PublishDataTrackResponse, StoreDataBlobRequest,
    SubscriptionError, SyncState, UnpublishDataTrackRequest, UpdateDataSubscription,
    UpdateParticipantRequest, data_track_frame_encoding,
};
use proto::media::v1 as proto;
use proto::resource::Spec;

use crate::config::Config;
use crate::room::call::Call;
use crate::room::join::Arrival;
use crate::room::restoring::restore;
use crate::room::tests::client::Client;
use crate::room::tests::joining::only;
use crate::room::tests::restoring::assert_same;
use crate::room::tests::{Heard, World, arrival, single};

fn publish(world: &mut World, client: &Client, handle: u32, name: &str) -> String {
    world.say(client, request(handle, name));
    only!(world.hear(client), Response::PublishDataTrackResponse).info.unwrap().sid
}

fn request(pub_handle: u32, name: &str) -> Request {
    let name = name.into();
    Request::PublishDataTrackRequest(PublishDataTrackRequest { pub_handle, name, ..Default::default() })
}

fn subscribe(world: &mut World, client: &Client, track: &str, subscribe: bool) {
    let update = Update { track_sid: track.into(), subscribe, options: None };
    world.say(client, Request::UpdateDataSubscription(UpdateDataSubscription { updates: vec![update] }));
}

/// What a client was told of its handles: each with its track, in order.
fn handles(heard: &[Heard]) -> Vec<(u32, String)> {
    let told = only!(heard, Response::DataTrackSubscriberHandles).sub_handles;
    let mut told: Vec<_> = told.into_iter().map(|(handle, track)| (handle, track.track_sid)).collect();
    told.sort();
    told
}

/// What the media plane is to send to a participant: whose, under which handles.
fn sent(world: &World, client: &Client) -> Vec<(u64, u32, u32)> {
    let route = world.participant(client).profile.route;
    let routes = world.resources.values().filter_map(|resource| match resource.spec.as_ref().unwrap() {
        Spec::Route(spec) if spec.id == route => Some(spec.data_subscriptions.clone()),
        _ => None,
    });
    let each = routes.flatten();
    each.map(|proto::DataSubscription { publisher, published_handle, handle }| {
        (publisher, published_handle, handle)
    })
    .collect()
}

#[test]
fn data_track_is_published_seen_subscribed_and_gone() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(single("bob"));
    let route = world.participant(&alice).profile.route;

    let gps = publish(&mut world, &alice, 6, "gps");
    world.heard.clear();
    world.say(&alice, request(7, "pose"));
    let heard = world.hear(&alice);
    let names: Vec<&str> = heard.iter().map(Heard::name).collect();
    assert_eq!(names, ["publish_data_track_response", "update"]);
    let info = only!(heard, Response::PublishDataTrackResponse).info.unwrap();
    assert!(info.sid.starts_with("DTR_"));
    assert_eq!((info.pub_handle, info.name.as_str()), (7, "pose"));
    let seen = only!(world.hear(&bob), Response::Update).participants.remove(0);
    assert!(seen.is_publisher);
    assert_eq!(seen.data_tracks.last(), Some(&info));
    assert_eq!(sent(&world, &bob), [], "nobody asked");

    subscribe(&mut world, &bob, &info.sid, true);
    let heard = world.hear(&bob);
    assert_eq!(handles(&heard), [(1, info.sid.clone())]);
    let told = only!(heard, Response::DataTrackSubscriberHandles).sub_handles.remove(&1).unwrap();
    assert_eq!((told.publisher_identity.as_str(), told.publisher_sid), ("alice", world.sid(&alice).0));
    subscribe(&mut world, &bob, &gps, true);
    assert_eq!(handles(&world.hear(&bob)), [(1, info.sid.clone()), (2, gps.clone())]);
    assert_eq!(sent(&world, &bob), [(route, 7, 1), (route, 6, 2)]);
    subscribe(&mut world, &bob, &gps, true);
    assert!(world.hear(&bob).is_empty(), "nothing new");

    subscribe(&mut world, &bob, &info.sid, false);
    assert_eq!(handles(&world.hear(&bob)), [(2, gps.clone())]);
    assert_eq!(sent(&world, &bob), [(route, 6, 2)]);

    world.say(&alice, Request::UnpublishDataTrackRequest(UnpublishDataTrackRequest { pub_handle: 6 }));
    let ended = only!(world.hear(&alice), Response::UnpublishDataTrackResponse).info.unwrap();
    assert_eq!(ended.sid, gps);
    assert_eq!(
        only!(world.hear(&bob), Response::Update).participants[0].data_tracks,
        std::slice::from_ref(&info)
    );
    assert_eq!(sent(&world, &bob), []);

    let carol = world.join(arrival("carol"));
    let join = only!(world.hear(&carol), Response::Join);
    let of_alice = join.other_participants.iter().find(|other| other.identity == "alice").unwrap();
    assert_eq!(of_alice.data_tracks, [info]);
}

#[test]
fn data_tracks_are_refused_in_livekits_words() {
    type Change = fn(&mut PublishDataTrackRequest);
    fn custom(length: usize) -> Option<DataTrackFrameEncoding> {
        let value = Some(data_track_frame_encoding::Value::Custom("c".repeat(length)));
        Some(DataTrackFrameEncoding { value })
    }
    let rows: [(&str, Change, Option<Reason>); 11] = [
        ("as it should be", |_| {}, None),
        ("handle 0", |one| one.pub_handle = 0, Some(Reason::InvalidHandle)),
        ("handle of 17 bits", |one| one.pub_handle = 65_536, Some(Reason::InvalidHandle)),
        ("the last handle", |one| one.pub_handle = 65_535, None),
        ("no name", |one| one.name.clear(), Some(Reason::InvalidName)),
        ("long name", |one| one.name = "n".repeat(257), Some(Reason::InvalidName)),
        ("handle in use", |one| one.pub_handle = 1, Some(Reason::DuplicateHandle)),
        ("name in use", |one| one.name = "first".into(), Some(Reason::DuplicateName)),
        ("an encoding of 32 bytes", |one| one.frame_encoding = custom(32), None),
        ("a longer encoding", |one| one.frame_encoding = custom(33), Some(Reason::InvalidRequest)),
        (
            "a schema without a name",
            |one| one.schema = Some(DataTrackSchemaId::default()),
            Some(Reason::InvalidRequest),
        ),
    ];
    for (name, change, expected) in rows {
        let mut world = World::new();
        let client = world.connect(arrival("alice"));
        publish(&mut world, &client, 1, "first");
        let mut request =
            PublishDataTrackRequest { pub_handle: 2, name: "second".into(), ..Default::default() };
        change(&mut request);
        world.say(&client, Request::PublishDataTrackRequest(request.clone()));
        let heard = world.hear(&client);
        match expected {
            None => drop(only!(heard, Response::PublishDataTrackResponse)),
            Some(expected) => {
                let response = only!(heard, Response::RequestResponse);
                assert_eq!(response.reason(), expected, "{name}");
                let asked = livekit_protocol::request_response::Request::PublishDataTrack(request);
                assert_eq!(response.request, Some(asked), "{name}: by it clients find who waits");
            }
        }
        assert_eq!(world.refused.len(), usize::from(expected.is_some()), "{name}");
    }
}

#[test]
fn who_may_not_publish_data_publishes_no_data_track() {
    let refused = |world: &mut World, client: &Client, handle| {
        world.say(client, request(handle, &handle.to_string()));
        only!(world.hear(client), Response::RequestResponse).reason()
    };
    let mut world = World::new();
    let mut mute = arrival("mute");
    mute.claims.video.can_publish_data = Some(false);
    let mute = world.connect(mute);
    assert_eq!(refused(&mut world, &mute, 1), Reason::NotAllowed);

    let mut world = World::with(Config { enable_data_tracks: false, ..Config::default() });
    let alice = world.connect(arrival("alice"));
    assert_eq!(refused(&mut world, &alice, 1), Reason::NotAllowed);

    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    for handle in 1..=128 {
        publish(&mut world, &alice, handle, &handle.to_string());
    }
    assert_eq!(refused(&mut world, &alice, 129), Reason::LimitExceeded);
    let unknown = UnpublishDataTrackRequest { pub_handle: 129 };
    world.say(&alice, Request::UnpublishDataTrackRequest(unknown));
    assert_eq!(only!(world.hear(&alice), Response::RequestResponse).reason(), Reason::NotFound);
}

#[test]
fn data_tracks_are_for_those_who_may_see_their_publisher_and_subscribe() {
    let mut world = World::new();
    let mut hidden = arrival("hidden");
    hidden.claims.video.hidden = true;
    let hidden = world.connect(hidden);
    let alice = world.connect(arrival("alice"));
    let mut mute = arrival("mute");
    mute.claims.video.can_subscribe = Some(false);
    let mute = world.connect(mute);
    let secret = publish(&mut world, &hidden, 1, "secret");
    let open = publish(&mut world, &alice, 1, "open");
    world.heard.clear();
    for (name, track) in [("unknown", "DTR_unknown"), ("of a hidden one", &secret), ("one's own", &open)] {
        subscribe(&mut world, &alice, track, true);
        let response = only!(world.hear(&alice), Response::SubscriptionResponse);
        assert_eq!(
            (response.err(), response.track_sid.as_str()),
            (SubscriptionError::SeTrackNotfound, track),
            "{name}"
        );
    }
    subscribe(&mut world, &mute, &open, true);
    assert!(!only!(world.hear(&mute), Response::SubscriptionPermissionUpdate).allowed);
    assert_eq!((sent(&world, &alice), sent(&world, &mute)), (vec![], vec![]));
    assert_eq!(world.refused.len(), 4);
}

#[test]
fn rights_that_are_taken_away_end_data_tracks_at_once() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    let gps = publish(&mut world, &alice, 1, "gps");
    subscribe(&mut world, &bob, &gps, true);
    let permit = |world: &mut World, identity: &str, permission: ParticipantPermission| {
        let (identity, permission) = (identity.into(), Some(permission));
        let request = UpdateParticipantRequest { identity, permission, ..Default::default() };
        assert!(world.call(Call::UpdateParticipant(request)).unwrap().is_ok());
    };
    let all = ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        ..ParticipantPermission::default()
    };
    world.heard.clear();
    permit(&mut world, "bob", ParticipantPermission { can_subscribe: false, ..all.clone() });
    assert_eq!(handles(&world.hear(&bob)), []);
    assert_eq!(sent(&world, &bob), []);
    permit(&mut world, "bob", all.clone());
    subscribe(&mut world, &bob, &gps, true);
    assert_eq!(sent(&world, &bob).len(), 1);
    permit(&mut world, "alice", ParticipantPermission { can_publish_data: false, ..all });
    let ended = only!(world.hear(&alice), Response::UnpublishDataTrackResponse).info.unwrap();
    assert_eq!((ended.sid, sent(&world, &bob)), (gps, vec![]));
    assert!(world.participant(&alice).profile.data.tracks.is_empty());
}

#[test]
fn who_takes_every_data_track_need_not_ask() {
    let eager = |identity: &str| {
        let mut arrival = arrival(identity);
        arrival.settings.auto_subscribe_data_track = Some(true);
        arrival
    };
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let gps = publish(&mut world, &alice, 1, "gps");
    let bob = world.join(eager("bob"));
    assert_eq!(handles(&world.hear(&bob)), [(1, gps.clone())]);
    let pose = publish(&mut world, &alice, 2, "pose");
    assert_eq!(handles(&world.hear(&bob)), [(1, gps), (2, pose)]);

    let second = Arrival { publish: Some("screen".into()), ..eager("carol") };
    let second = world.join(second);
    let heard = world.hear(&second);
    assert!(!heard.iter().any(|heard| heard.name() == "data_track_subscriber_handles"), "it only publishes");
}

#[test]
fn data_tracks_go_with_their_publisher_and_stay_over_a_resume() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    let gps = publish(&mut world, &alice, 1, "gps");
    subscribe(&mut world, &bob, &gps, true);
    let restored = restore(&world.resources.values().cloned().collect::<Vec<_>>(), world.now).unwrap();
    assert_same(&restored, &world.room);

    world.disconnect(&bob);
    let state = |sid: &str| {
        let info = Some(livekit_protocol::DataTrackInfo { sid: sid.into(), ..Default::default() });
        SyncState { publish_data_tracks: vec![PublishDataTrackResponse { info }], ..SyncState::default() }
    };
    let again = world.join(Arrival { reconnect: true, ..arrival("bob") });
    assert_eq!(handles(&world.hear(&again)), [(1, gps.clone())], "it may not have heard it before");
    world.say(&alice, Request::SyncState(state(&gps)));
    assert!(world.hear(&alice).iter().all(|heard| heard.name() != "leave"), "known");
    world.say(&alice, Request::SyncState(state("DTR_unknown")));
    assert_eq!(only!(world.hear(&alice), Response::Leave).action(), Action::Reconnect);
    assert_eq!(sent(&world, &again), []);
    assert!(world.participant(&again).profile.data.subscriptions.is_empty());
}

fn key(name: &str) -> Option<DataBlobKey> {
    Some(DataBlobKey { key: Some(Key::Generic(name.into())) })
}

fn store(name: &str, contents: usize) -> Request {
    let blob = Some(DataBlob { key: key(name), contents: vec![7; contents] });
    Request::StoreDataBlobRequest(StoreDataBlobRequest { request_id: 5, blob })
}

fn fetch(owner: &str, key: Option<DataBlobKey>) -> Request {
    let participant_identity = owner.into();
    Request::GetDataBlobRequest(GetDataBlobRequest { request_id: 6, participant_identity, key })
}

#[test]
fn blobs_are_stored_replaced_and_fetched_by_others() {
    let mut world = World::with(Config { enable_participant_data_blob: true, ..Config::default() });
    let alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    for contents in [30_000, 40_000] {
        world.say(&alice, store("schema", contents));
        let stored = only!(world.hear(&alice), Response::StoreDataBlobResponse);
        assert_eq!((stored.request_id, stored.key), (5, key("schema")));
    }
    world.say(&bob, fetch("alice", key("schema")));
    let fetched = only!(world.hear(&bob), Response::GetDataBlobResponse);
    assert_eq!((fetched.request_id, fetched.blob.unwrap().contents.len()), (6, 40_000));
    let restored = restore(&world.resources.values().cloned().collect::<Vec<_>>(), world.now).unwrap();
    assert_same(&restored, &world.room);

    let empty = Request::StoreDataBlobRequest(StoreDataBlobRequest { request_id: 5, blob: None });
    for (name, request, expected) in [
        ("no blob", empty, (5, Reason::InvalidRequest)),
        ("no name", store("", 1), (5, Reason::InvalidRequest)),
        ("long name", store(&"n".repeat(257), 1), (5, Reason::InvalidRequest)),
        ("no contents", store("other", 0), (5, Reason::InvalidRequest)),
        ("too much", store("other", 24_000), (5, Reason::LimitExceeded)),
        ("no key", fetch("alice", None), (6, Reason::InvalidRequest)),
        ("nobody of that name", fetch("carol", key("schema")), (6, Reason::NotFound)),
        ("no blob of that name", fetch("alice", key("other")), (6, Reason::NotFound)),
    ] {
        world.refused.clear();
        world.say(&alice, request);
        let response = only!(world.hear(&alice), Response::RequestResponse);
        assert_eq!((response.request_id, response.reason()), expected, "{name}");
        assert_eq!(world.refused.len(), 1, "{name}");
    }
}

#[test]
fn blobs_are_off_unless_configured() {
    let mut world = World::new();
    let alice = world.connect(arrival("alice"));
    for (request, id) in [(store("schema", 1), 5), (fetch("alice", key("schema")), 6)] {
        world.say(&alice, request);
        let response = only!(world.hear(&alice), Response::RequestResponse);
        assert_eq!((response.request_id, response.reason()), (id, Reason::NotAllowed));
    }
}
