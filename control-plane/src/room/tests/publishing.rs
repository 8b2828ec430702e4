//! Publishing and subscribing, in both modes of signalling.

use std::time::Duration;

use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, LeaveRequest, MuteTrackRequest, SimulcastCodec, SubscriptionError,
    SubscriptionPermission, TrackPermission, TrackSource, TrackType, UpdateSubscription, UpdateTrackSettings,
    VideoLayer, VideoQuality,
};
use proto::media::v1 as proto;
use proto::resource::Spec;

use crate::room::join::Arrival;
use crate::room::names::TrackSid;
use crate::room::tests::client::Client;
use crate::room::tests::joining::only;
use crate::room::tests::{Heard, Name, World, arrival, single};

const NEGOTIATED: Duration = Duration::from_millis(400);

/// Alice publishes, Bob receives.
pub(super) struct Call {
    pub(super) world: World,
    pub(super) alice: Client,
    pub(super) bob: Client,
    pub(super) track: TrackSid,
}

pub(super) fn call(publisher: Arrival, subscriber: Arrival, kind: TrackType) -> Call {
    let mut world = World::new();
    let mut alice = world.connect(publisher);
    let bob = world.connect(subscriber);
    let track = alice.publish(&mut world, "cid", kind);
    world.packets_arrive();
    let mut call = Call { world, alice, bob, track };
    call.settle();
    call
}

impl Call {
    pub(super) fn settle(&mut self) {
        for _ in 0..4 {
            self.world.advance(NEGOTIATED);
            self.alice.settle(&mut self.world);
            self.bob.settle(&mut self.world);
        }
    }

    pub(super) fn subscription(&self) -> Option<proto::Subscription> {
        self.world.resources.values().find_map(|resource| match &resource.spec {
            Some(Spec::Subscription(subscription)) => Some(subscription.clone()),
            _ => None,
        })
    }

    fn publication(&self) -> proto::Publication {
        let found = self.world.resources.values().find_map(|resource| match &resource.spec {
            Some(Spec::Publication(publication)) => Some(publication.clone()),
            _ => None,
        });
        found.expect("a publication")
    }

    fn hear(&mut self) -> (Vec<Heard>, Vec<Heard>) {
        (self.world.hear(&self.alice), self.world.hear(&self.bob))
    }
}

fn names(heard: &[Heard]) -> Vec<&'static str> {
    heard.iter().map(Heard::name).collect()
}

#[test]
fn track_is_published_and_subscribed_with_two_connections() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(arrival("bob"));
    let track = alice.publish(&mut world, "cam", TrackType::Video);
    let heard = world.hear(&alice);
    assert_eq!(names(&heard), ["track_published", "answer", "trickle"]);
    let published = only!(heard, Response::TrackPublished);
    assert_eq!((published.cid.as_str(), published.track.unwrap().sid), ("cam", track.0.clone()));
    assert!(world.hear(&bob).is_empty(), "nobody knows before the first packet");

    world.packets_arrive();
    let heard = world.hear(&alice);
    assert_eq!(names(&heard), ["update", "subscribed_quality_update"], "of itself, and what is wanted");
    let info = only!(heard, Response::Update).participants[0].clone();
    assert!(info.is_publisher);
    let told = &info.tracks[0];
    assert_eq!(
        (told.sid.as_str(), told.mime_type.as_str(), told.mid.as_str()),
        (track.0.as_str(), "video/VP8", "1")
    );
    assert_eq!((told.codecs[0].mime_type.as_str(), told.codecs[0].mid.as_str()), ("video/VP8", "1"));
    assert!(told.version.is_some());
    assert_eq!(names(&world.hear(&bob)), ["update", "subscription_permission_update"]);

    world.advance(NEGOTIATED);
    let offer = only!(world.hear(&bob), Response::Offer);
    assert_eq!(offer.mid_to_track_id.values().collect::<Vec<_>>(), [&track.0]);
    assert_eq!(world.count(|name| matches!(name, Name::Subscription(_))), 0, "not before the answer");
    bob.settle(&mut world);
    let subscription = world.room.participants[1].subscriptions[&track].id;
    assert!(world.resources.contains_key(&Name::Subscription(subscription)));
    world.media(proto::event::Event::SubscriptionStarted(proto::SubscriptionStarted { subscription }));
    assert_eq!(names(&world.hear(&alice)), ["track_subscribed"]);
    world.media(proto::event::Event::SubscriptionStarted(proto::SubscriptionStarted { subscription }));
    assert!(world.hear(&alice).is_empty(), "told once");
}

#[test]
fn track_is_published_and_subscribed_with_one_connection() {
    let mut world = World::new();
    let mut alice = world.connect(single("alice"));
    let mut bob = world.connect(single("bob"));
    let track = alice.publish(&mut world, "mic", TrackType::Audio);
    world.packets_arrive();
    assert_eq!(names(&world.hear(&bob)), ["update", "subscription_permission_update"]);
    world.advance(NEGOTIATED);
    let heard = world.hear(&bob);
    assert_eq!(names(&heard), ["media_sections_requirement"]);
    let requirement = only!(heard, Response::MediaSectionsRequirement);
    assert_eq!((requirement.num_audios, requirement.num_videos), (1, 0));
    bob.settle(&mut world);
    let heard = world.hear(&bob);
    assert_eq!(names(&heard), ["answer"]);
    assert_eq!(only!(heard, Response::Answer).mid_to_track_id.values().collect::<Vec<_>>(), [&track.0]);
    assert_eq!(world.count(|name| matches!(name, Name::Subscription(_))), 1);

    world.say(&alice, Request::Leave(LeaveRequest::default()));
    assert_eq!(names(&world.hear(&bob)), ["update"]);
    world.advance(Duration::from_millis(190));
    assert!(world.hear(&bob).is_empty());
    world.advance(Duration::from_millis(20));
    let requirement = only!(world.hear(&bob), Response::MediaSectionsRequirement);
    assert_eq!((requirement.num_audios, requirement.num_videos), (0, 0), "just an offer");
}

#[test]
fn free_sections_of_a_first_offer_are_filled_at_once() {
    let mut world = World::new();
    let mut alice = world.connect(single("alice"));
    alice.publish(&mut world, "mic", TrackType::Audio);
    alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    let mut offerer = world.join(single("nobody"));
    offerer.add_sections("audio", 3);
    offerer.add_sections("video", 3);
    let bob = world.join(Arrival { publisher_offer: Some(offerer.offer_description()), ..single("bob") });
    let heard = world.hear(&bob);
    assert_eq!(only!(heard, Response::Answer).mid_to_track_id.len(), 2);
    assert!(!names(&heard).contains(&"media_sections_requirement"));
    assert_eq!(world.count(|name| matches!(name, Name::Subscription(_))), 2);
    // The next ones need an offer, but no new sections.
    alice.publish(&mut world, "screen", TrackType::Video);
    world.packets_arrive();
    world.advance(NEGOTIATED);
    let requirement = only!(world.hear(&bob), Response::MediaSectionsRequirement);
    assert_eq!((requirement.num_audios, requirement.num_videos), (0, 0));
}

#[test]
fn newcomer_is_offered_what_is_published_after_its_first_answer() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    let mut bob = world.join(arrival("bob"));
    let heard = world.hear(&bob);
    let expected =
        ["join", "refresh_token", "offer", "trickle", "subscription_permission_update", "(joined)"];
    assert_eq!(names(&heard), expected);
    bob.settle(&mut world);
    world.advance(Duration::from_millis(200));
    assert_eq!(only!(world.hear(&bob), Response::Offer).mid_to_track_id.len(), 1);
}

#[test]
fn one_offer_is_out_at_a_time() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let mut bob = world.connect(arrival("bob"));
    bob.mute = true;
    for cid in ["a", "b", "c"] {
        alice.publish(&mut world, cid, TrackType::Audio);
        world.packets_arrive();
        world.advance(NEGOTIATED);
    }
    let offers = names(&world.hear(&bob)).into_iter().filter(|name| *name == "offer").count();
    assert_eq!(offers, 1);
    bob.settle(&mut world);
    bob.wake(&mut world);
    world.advance(NEGOTIATED);
    bob.settle(&mut world);
    world.advance(NEGOTIATED);
    bob.settle(&mut world);
    assert_eq!(world.count(|name| matches!(name, Name::Subscription(_))), 3);
}

#[test]
fn mute_is_written_and_seen_by_everybody() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Audio);
    call.hear();
    call.world.say(&call.alice, Request::Mute(MuteTrackRequest { sid: call.track.0.clone(), muted: true }));
    assert!(call.publication().muted);
    let (alice, bob) = call.hear();
    for heard in [alice, bob] {
        assert!(only!(heard, Response::Update).participants[0].tracks[0].muted);
    }
    call.world.say(&call.alice, Request::Mute(MuteTrackRequest { sid: call.track.0.clone(), muted: true }));
    assert_eq!(call.hear(), (vec![], vec![]), "no news");
    call.world.say(&call.bob, Request::Mute(MuteTrackRequest { sid: call.track.0.clone(), muted: false }));
    let (alice, bob) = call.hear();
    assert!(alice.is_empty());
    assert_eq!(only!(bob, Response::RequestResponse).reason(), Reason::NotFound, "not its own track");
}

#[test]
fn track_that_is_muted_from_the_start_is_live_without_packets() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    let request = AddTrackRequest { cid: "mic".into(), muted: true, ..Default::default() };
    world.say(&alice, Request::AddTrack(request));
    alice.send("mic", TrackType::Audio);
    alice.offer(&mut world);
    let update = only!(world.hear(&bob), Response::Update);
    assert!(update.participants[0].tracks[0].muted);
}

#[test]
fn unpublished_track_is_gone_everywhere_in_both_modes() {
    for (publisher, subscriber) in [(arrival("alice"), arrival("bob")), (single("alice"), single("bob"))] {
        let mut call = call(publisher, subscriber, TrackType::Video);
        assert!(call.subscription().is_some());
        call.hear();
        call.alice.unpublish(&mut call.world, "cid");
        let (alice, bob) = call.hear();
        assert_eq!(names(&alice), ["update", "answer"]);
        assert!(only!(bob, Response::Update).participants[0].tracks.is_empty());
        assert!(call.subscription().is_none());
        assert_eq!(call.world.count(|name| matches!(name, Name::Publication(_))), 0);
        call.settle();
        let (_, bob) = call.hear();
        let renegotiated = names(&bob);
        assert!(renegotiated.iter().any(|name| ["offer", "media_sections_requirement"].contains(name)));
    }
}

#[test]
fn tracks_that_may_not_be_published_are_refused_in_livekits_way() {
    let request = |cid: &str| AddTrackRequest { cid: cid.into(), ..Default::default() };
    let camera = AddTrackRequest { r#type: 1, source: TrackSource::Camera.into(), ..request("x") };
    for (name, sources, can_publish, request, expected) in [
        ("allowed", vec![], None, request("x"), None),
        ("not allowed", vec![], Some(false), request("x"), Some(Reason::NotAllowed)),
        ("not this source", vec!["microphone"], None, camera.clone(), Some(Reason::NotAllowed)),
        ("this source", vec!["camera"], None, camera, None),
        (
            "a data track",
            vec![],
            None,
            AddTrackRequest { r#type: 2, ..request("x") },
            Some(Reason::UnsupportedType),
        ),
        (
            "no type at all",
            vec![],
            None,
            AddTrackRequest { r#type: 9, ..request("x") },
            Some(Reason::UnsupportedType),
        ),
        (
            "unknown sid",
            vec![],
            None,
            AddTrackRequest { sid: "TR_x".into(), ..request("x") },
            Some(Reason::NotFound),
        ),
        ("the same again", vec![], None, request("there"), Some(Reason::Queued)),
    ] {
        let mut world = World::new();
        let mut arrival = arrival("alice");
        arrival.claims.video.can_publish_sources = sources.into_iter().map(str::to_owned).collect();
        let client = world.connect(arrival);
        if expected == Some(Reason::Queued) {
            world.say(&client, Request::AddTrack(request.clone()));
        }
        let who = world.sid(&client);
        world.room.participants[&who].profile.claims.video.can_publish = can_publish;
        world.hear(&client);
        world.say(&client, Request::AddTrack(request));
        match expected {
            None => assert_eq!(names(&world.hear(&client)), ["track_published"], "{name}"),
            Some(reason) => {
                assert_eq!(only!(world.hear(&client), Response::RequestResponse).reason(), reason, "{name}");
                assert!(!world.refused.is_empty(), "{name}: counted");
            }
        }
    }
}

#[test]
fn published_tracks_are_limited() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    for index in 0..33 {
        world.say(
            &client,
            Request::AddTrack(AddTrackRequest { cid: index.to_string(), ..Default::default() }),
        );
    }
    let heard = world.hear(&client);
    assert_eq!(names(&heard).iter().filter(|name| **name == "track_published").count(), 32);
    assert_eq!(only!(heard, Response::RequestResponse).reason(), Reason::LimitExceeded);
}

/// What one client says of its tracks, all others are told: it must be short, and be something that JSON can say.
#[test]
fn descriptions_of_tracks_are_bounded_and_have_words_for_everything() {
    let mut world = World::new();
    let client = world.connect(arrival("alice"));
    let request = |cid: &str| AddTrackRequest { cid: cid.into(), ..Default::default() };
    let codec = |codec: &str| SimulcastCodec { codec: codec.into(), ..Default::default() };
    let layers = |count| vec![VideoLayer::default(); count];
    for (name, request) in [
        ("cid", request(&"x".repeat(2_000))),
        ("name", AddTrackRequest { name: "x".repeat(2_000), ..request("a") }),
        ("stream", AddTrackRequest { stream: "x".repeat(2_000), ..request("a") }),
        ("codecs", AddTrackRequest { simulcast_codecs: vec![codec("vp8"); 5], ..request("a") }),
        ("layers", AddTrackRequest { layers: layers(9), ..request("a") }),
        (
            "layers of a codec",
            AddTrackRequest {
                simulcast_codecs: vec![SimulcastCodec { layers: layers(9), ..codec("vp8") }],
                ..request("a")
            },
        ),
    ] {
        world.say(&client, Request::AddTrack(request));
        let refusal = only!(world.hear(&client), Response::RequestResponse);
        assert_eq!(refusal.reason(), Reason::LimitExceeded, "{name}");
    }
    let strange = AddTrackRequest {
        source: 99,
        encryption: 99,
        backup_codec_policy: 99,
        audio_features: vec![99, 1],
        packet_trailer_features: vec![99],
        layers: vec![VideoLayer { quality: 99, ..Default::default() }],
        simulcast_codecs: vec![SimulcastCodec { video_layer_mode: 99, ..codec("vp8") }],
        r#type: TrackType::Video.into(),
        ..request("a")
    };
    world.say(&client, Request::AddTrack(strange));
    let published = only!(world.hear(&client), Response::TrackPublished);
    serde_json::to_string(&published).expect("JSON can say it");
    let sid = published.track.expect("a track").sid;
    let features = livekit_protocol::UpdateLocalAudioTrack { track_sid: sid.clone(), features: vec![99] };
    world.say(&client, Request::UpdateAudioTrack(features));
    // A further codec of it, again and again, without a cid that would tell them apart.
    for index in 0..20 {
        let more = AddTrackRequest {
            sid: sid.clone(),
            simulcast_codecs: vec![codec(&format!("x{index}"))],
            r#type: TrackType::Video.into(),
            ..Default::default()
        };
        world.say(&client, Request::AddTrack(more));
    }
    let info = &world.room.tracks[&TrackSid(sid)].record.info;
    assert!(info.codecs.len() <= 8, "{} codecs", info.codecs.len());
    serde_json::to_string(info).expect("JSON can say it");
}

#[test]
fn subscriptions_follow_what_the_client_asks_for() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let ask = |subscribe| {
        Request::Subscription(UpdateSubscription {
            track_sids: vec!["TR_unknown".into()],
            subscribe,
            ..Default::default()
        })
    };
    call.hear();
    call.world.say(&call.bob, ask(true));
    let (_, heard) = call.hear();
    assert_eq!(only!(heard, Response::SubscriptionResponse).err(), SubscriptionError::SeTrackNotfound);
    call.world.say(&call.bob, ask(false));
    assert_eq!(call.hear(), (vec![], vec![]), "not to have what is not there is fine");
    assert!(call.world.participant(&call.bob).profile.choices.is_empty(), "nothing unknown is remembered");

    let track = call.track.0.clone();
    let choose = |subscribe| {
        Request::Subscription(UpdateSubscription {
            track_sids: vec![track.clone()],
            subscribe,
            ..Default::default()
        })
    };
    call.world.say(&call.bob, choose(false));
    assert!(call.subscription().is_none());
    call.settle();
    assert!(call.subscription().is_none());
    call.world.say(&call.bob, choose(true));
    call.settle();
    assert!(call.subscription().is_some());
}

#[test]
fn without_auto_subscribe_only_what_was_asked_for_is_sent() {
    let mut quiet = arrival("bob");
    quiet.settings.auto_subscribe = false;
    let mut call = call(arrival("alice"), quiet, TrackType::Video);
    assert!(call.subscription().is_none());
    let subscription = UpdateSubscription {
        participant_tracks: vec![livekit_protocol::ParticipantTracks {
            track_sids: vec![call.track.0.clone()],
            ..Default::default()
        }],
        subscribe: true,
        ..Default::default()
    };
    call.world.say(&call.bob, Request::Subscription(subscription));
    call.settle();
    assert!(call.subscription().is_some());
}

#[test]
fn who_may_not_subscribe_is_sent_nothing() {
    let mut deaf = arrival("bob");
    deaf.claims.video.can_subscribe = Some(false);
    let mut call = call(arrival("alice"), deaf, TrackType::Video);
    let update =
        UpdateSubscription { track_sids: vec![call.track.0.clone()], subscribe: true, ..Default::default() };
    call.world.say(&call.bob, Request::Subscription(update));
    call.settle();
    assert!(call.subscription().is_none());
}

#[test]
fn track_settings_are_written() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let before = call.subscription().unwrap();
    assert_eq!(
        (before.paused, before.layer_max, before.temporal_layer_max, before.frame_rate_max),
        (false, 2, 3, 0),
        "the best there is"
    );
    let settings = UpdateTrackSettings {
        track_sids: vec![call.track.0.clone(), "TR_unknown".into()],
        disabled: true,
        quality: VideoQuality::Low.into(),
        fps: 15,
        ..Default::default()
    };
    call.world.say(&call.bob, Request::TrackSetting(settings));
    let after = call.subscription().unwrap();
    assert_eq!((after.paused, after.layer_max, after.frame_rate_max), (true, 0, 15));
}

#[test]
fn publisher_permits_and_revokes() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let permit = |permissions: Vec<TrackPermission>| {
        Request::SubscriptionPermission(SubscriptionPermission {
            all_participants: permissions.is_empty(),
            track_permissions: permissions,
        })
    };
    let carol =
        TrackPermission { participant_identity: "carol".into(), all_tracks: true, ..Default::default() };
    let bob = TrackPermission { participant_identity: "bob".into(), all_tracks: true, ..Default::default() };
    let bob_by_sid = TrackPermission {
        participant_sid: call.world.sid(&call.bob).0,
        track_sids: vec![call.track.0.clone()],
        ..Default::default()
    };
    for (name, permissions, allowed) in [
        ("somebody else only", vec![carol.clone()], false),
        ("everybody", vec![], true),
        ("somebody else only, again", vec![carol.clone()], false),
        ("by identity", vec![carol.clone(), bob], true),
        ("revoked", vec![carol], false),
        ("one track, by sid", vec![bob_by_sid], true),
    ] {
        call.hear();
        call.world.say(&call.alice, permit(permissions));
        let (_, heard) = call.hear();
        assert_eq!(only!(heard, Response::SubscriptionPermissionUpdate).allowed, allowed, "{name}");
        call.settle();
        assert_eq!(call.subscription().is_some(), allowed, "{name}");
    }
}

#[test]
fn backup_codec_is_a_second_publication_of_the_track() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let first = call.publication().id;
    let request = AddTrackRequest {
        cid: "backup".into(),
        sid: call.track.0.clone(),
        r#type: TrackType::Video.into(),
        simulcast_codecs: vec![SimulcastCodec {
            codec: "h264".into(),
            cid: "backup".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    call.hear();
    call.world.say(&call.alice, Request::AddTrack(request));
    let (alice, _) = call.hear();
    assert_eq!(only!(alice, Response::TrackPublished).track.unwrap().sid, call.track.0);
    call.alice.send("backup", TrackType::Video);
    call.alice.offer(&mut call.world);
    assert_eq!(call.world.count(|name| matches!(name, Name::Publication(_))), 2);
    assert_eq!(call.subscription().unwrap().publication, first, "the primary is forwarded");
    call.alice.unpublish(&mut call.world, "cid");
    call.settle();
    assert_eq!(call.world.room.tracks.len(), 1, "the backup carries the track on");
    assert_ne!(call.subscription().unwrap().publication, first);
}

#[test]
fn refused_publication_is_taken_back() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let id = call.publication().id;
    call.hear();
    call.world.step(crate::room::request::Request::Refused {
        key: proto::resource_key::Key::Publication(id),
        reason: proto::RefusalReason::Limit,
    });
    let (alice, _) = call.hear();
    assert_eq!(only!(alice, Response::TrackUnpublished).track_sid, call.track.0);
    assert!(call.world.room.tracks.is_empty());
}

#[test]
fn subscription_survives_a_resume_of_either_side() {
    for publisher_resumes in [true, false] {
        let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
        let before = call.subscription();
        let identity = if publisher_resumes { "alice" } else { "bob" };
        let gone = if publisher_resumes { call.alice.clone() } else { call.bob.clone() };
        call.world.disconnect(&gone);
        call.world.advance(Duration::from_secs(3));
        let connection = call.world.join(Arrival { reconnect: true, ..arrival(identity) }).connection;
        let back = gone.on(connection);
        if publisher_resumes {
            call.alice = back;
        } else {
            call.bob = back;
        }
        call.settle();
        assert_eq!(call.subscription(), before, "{identity}");
    }
}

#[test]
fn subscriber_that_publishes_too_goes_on_receiving() {
    for (alice, bob) in [(arrival("alice"), arrival("bob")), (single("alice"), single("bob"))] {
        let mut call = call(alice, bob, TrackType::Video);
        let before = call.subscription();
        assert!(before.is_some());
        call.bob.publish(&mut call.world, "own", TrackType::Audio);
        assert_eq!(call.subscription(), before);
    }
}

#[test]
fn track_that_is_published_again_at_once_is_taken_up_when_its_former_life_ends() {
    for (alice, bob) in [(arrival("alice"), arrival("bob")), (single("alice"), single("bob"))] {
        let mut call = call(alice, bob, TrackType::Audio);
        let again = AddTrackRequest { cid: "cid".into(), ..Default::default() };
        call.hear();
        call.world.say(&call.alice, Request::AddTrack(again));
        assert_eq!(only!(call.world.hear(&call.alice), Response::RequestResponse).reason(), Reason::Queued);
        call.alice.unpublish(&mut call.world, "cid");
        let published = only!(call.world.hear(&call.alice), Response::TrackPublished);
        assert_eq!(published.cid, "cid");
        assert_ne!(published.track.expect("a track").sid, call.track.0);
        assert!(!call.world.room.tracks.contains_key(&call.track));
    }
}
