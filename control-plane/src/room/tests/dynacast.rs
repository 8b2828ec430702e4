//! Publishers are told what of their video is wanted.

use std::time::Duration;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    ConnectionSettings, LeaveRequest, MuteTrackRequest, SubscriptionPermission, TrackType,
    UpdateSubscription, UpdateTrackSettings, VideoQuality,
};

use crate::room::join::Arrival;
use crate::room::names::TrackSid;
use crate::room::restoring::restore;
use crate::room::tests::client::Client;
use crate::room::tests::publishing::{Call, call};
use crate::room::tests::{Heard, World, arrival, single};

/// Alice sends three layers of video, Bob receives the best.
fn simulcast(publisher: Arrival, subscriber: Arrival) -> Call {
    let mut world = World::new();
    let mut alice = world.connect(publisher);
    alice.simulcast = true;
    let bob = world.connect(subscriber);
    let track = alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    let mut call = Call { world, alice, bob, track };
    call.settle();
    call
}

/// What a client was told since it was asked last, update by update: the qualities that are on.
fn told(world: &mut World, client: &Client) -> Vec<Vec<VideoQuality>> {
    let heard = world.hear(client);
    let updates = heard.into_iter().filter_map(|heard| match heard {
        Heard::Message(Response::SubscribedQualityUpdate(update)) => Some(update),
        _ => None,
    });
    updates.map(|update| enabled(&update)).collect()
}

#[expect(deprecated, reason = "the old list is the new one")]
fn enabled(update: &livekit_protocol::SubscribedQualityUpdate) -> Vec<VideoQuality> {
    assert_eq!(update.subscribed_codecs.len(), 1);
    let codec = &update.subscribed_codecs[0];
    assert_eq!((codec.codec.as_str(), &codec.qualities), ("vp8", &update.subscribed_qualities));
    let all: Vec<VideoQuality> = codec.qualities.iter().map(|one| one.quality()).collect();
    assert_eq!(all, ALL);
    codec.qualities.iter().filter(|one| one.enabled).map(|one| one.quality()).collect()
}

fn set(call: &mut Call, update: UpdateTrackSettings) {
    let update = UpdateTrackSettings { track_sids: vec![call.track.0.clone()], ..update };
    call.world.say(&call.bob, Request::TrackSetting(update));
}

fn quality(quality: VideoQuality) -> UpdateTrackSettings {
    UpdateTrackSettings { quality: quality.into(), ..Default::default() }
}

fn pass(call: &mut Call, milliseconds: u64) -> Vec<Vec<VideoQuality>> {
    call.world.advance(Duration::from_millis(milliseconds));
    told(&mut call.world, &call.alice)
}

const LOW: VideoQuality = VideoQuality::Low;
const ALL: [VideoQuality; 3] = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
const NOTHING: [VideoQuality; 0] = [];

#[test]
fn publisher_is_told_when_somebody_comes_and_five_seconds_after_less_is_wanted() {
    for (publisher, subscriber) in [(arrival("alice"), arrival("bob")), (single("alice"), single("bob"))] {
        let mut call = simulcast(publisher, subscriber);
        assert_eq!(pass(&mut call, 0), [ALL], "Bob came");
        set(&mut call, quality(LOW));
        assert_eq!(pass(&mut call, 4_999), [NOTHING; 0], "not yet");
        assert_eq!(pass(&mut call, 1), [vec![LOW]]);
        set(&mut call, quality(VideoQuality::Medium));
        assert_eq!(pass(&mut call, 0), [[LOW, VideoQuality::Medium]], "at once");
        call.world.say(&call.bob.clone(), Request::Leave(LeaveRequest::default()));
        assert_eq!(pass(&mut call, 4_999), [NOTHING; 0]);
        assert_eq!(pass(&mut call, 1), [NOTHING], "nobody is left");
        let carol = call.world.connect(arrival("carol"));
        assert_eq!(call.world.participant(&carol).subscriptions.len(), 1);
        // `connect` forgets what was heard; the publisher is told again when she asks for something else.
        let demand = call.world.room.tracks[&call.track].demand.clone().unwrap();
        assert!(demand.told().unwrap()[0].qualities().all(|(_, enabled)| enabled));
    }
}

#[test]
fn everything_that_ends_or_begins_a_want_counts() {
    for (name, by_publisher, message) in changes() {
        let mut call = simulcast(arrival("alice"), arrival("bob"));
        pass(&mut call, 6_000);
        let say = |call: &mut Call, on: bool| {
            let (message, speaker) =
                (message(&call.track, on), if by_publisher { &call.alice } else { &call.bob });
            call.world.say(&speaker.clone(), message);
        };
        say(&mut call, false);
        assert_eq!(pass(&mut call, 4_999), [NOTHING; 0], "{name}");
        assert_eq!(pass(&mut call, 1), [NOTHING], "{name}");
        call.settle();
        assert_eq!(pass(&mut call, 20_000), [NOTHING; 0], "{name}: told once");
        say(&mut call, true);
        assert_eq!(pass(&mut call, 0), [ALL], "{name}");
        call.settle();
        // Back before it was told: no word of it.
        say(&mut call, false);
        assert_eq!(pass(&mut call, 4_000), [NOTHING; 0], "{name}");
        say(&mut call, true);
        call.settle();
        assert_eq!(pass(&mut call, 10_000), [NOTHING; 0], "{name}");
    }
}

type Change = fn(&TrackSid, bool) -> Request;

/// Each way to want a track, or not: its name, whether it is the publisher's, and what is said.
fn changes() -> [(&'static str, bool, Change); 4] {
    [
        ("subscription", false, |track, subscribe| {
            let track_sids = vec![track.0.clone()];
            Request::Subscription(UpdateSubscription { track_sids, subscribe, ..Default::default() })
        }),
        ("disabled", false, |track, on| {
            let track_sids = vec![track.0.clone()];
            let quality = VideoQuality::High.into();
            Request::TrackSetting(UpdateTrackSettings {
                track_sids,
                disabled: !on,
                quality,
                ..Default::default()
            })
        }),
        ("mute", true, |track, on| Request::Mute(MuteTrackRequest { sid: track.0.clone(), muted: !on })),
        ("permission", true, |_, all_participants| {
            Request::SubscriptionPermission(SubscriptionPermission { all_participants, ..Default::default() })
        }),
    ]
}

#[test]
fn best_that_anybody_wants_is_asked_for() {
    let mut call = simulcast(arrival("alice"), arrival("bob"));
    let carol = call.world.connect(arrival("carol"));
    pass(&mut call, 0);
    set(&mut call, quality(LOW));
    assert_eq!(pass(&mut call, 10_000), [NOTHING; 0], "Carol wants all");
    let small = UpdateTrackSettings {
        track_sids: vec![call.track.0.clone()],
        width: 600,
        height: 300,
        ..Default::default()
    };
    call.world.say(&carol, Request::TrackSetting(small));
    assert_eq!(pass(&mut call, 5_000), [[LOW, VideoQuality::Medium]]);
    call.world.say(&carol, Request::Leave(LeaveRequest::default()));
    assert_eq!(pass(&mut call, 5_000), [[LOW]]);
}

#[test]
fn nobody_comes_and_everything_goes_off() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    alice.simulcast = true;
    alice.publish(&mut world, "cam", TrackType::Video);
    world.packets_arrive();
    world.advance(Duration::from_millis(9_999));
    assert!(told(&mut world, &alice).is_empty(), "somebody may yet come");
    world.advance(Duration::from_millis(1));
    assert_eq!(told(&mut world, &alice), [NOTHING]);
}

#[test]
fn single_stream_is_wanted_whole_or_not_at_all() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    assert_eq!(pass(&mut call, 0), [ALL]);
    set(&mut call, quality(LOW));
    assert_eq!(pass(&mut call, 10_000), [NOTHING; 0], "it may go by any name");
    set(&mut call, UpdateTrackSettings { disabled: true, ..Default::default() });
    assert_eq!(pass(&mut call, 5_000), [NOTHING]);
}

#[test]
fn audio_is_nobodys_demand() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Audio);
    assert_eq!(pass(&mut call, 30_000), [NOTHING; 0]);
}

#[test]
fn publisher_that_resumes_is_told_again() {
    let mut call = simulcast(arrival("alice"), arrival("bob"));
    set(&mut call, quality(LOW));
    assert_eq!(pass(&mut call, 5_000), [ALL.to_vec(), vec![LOW]]);
    call.world.disconnect(&call.alice);
    set(&mut call, quality(VideoQuality::High));
    let again = call.world.join(Arrival { reconnect: true, ..arrival("alice") });
    assert_eq!(told(&mut call.world, &again), [ALL], "what it could not hear");
}

#[test]
fn rebuilt_room_finds_what_is_wanted_again() {
    let mut call = simulcast(arrival("alice"), arrival("bob"));
    set(&mut call, quality(LOW));
    pass(&mut call, 5_000);
    let resources: Vec<_> = call.world.resources.values().cloned().collect();
    call.world.room = restore(&resources, call.world.now).unwrap();
    let again = call.world.join(Arrival { reconnect: true, ..arrival("alice") });
    assert_eq!(told(&mut call.world, &again), [[LOW]], "whatever it was told before");
}

#[test]
fn client_that_adapts_gets_little_until_it_says_what_it_shows() {
    let adaptive = Arrival {
        settings: ConnectionSettings { adaptive_stream: true, ..arrival("bob").settings },
        ..arrival("bob")
    };
    let mut call = simulcast(arrival("alice"), adaptive);
    assert_eq!(pass(&mut call, 5_000), [ALL.to_vec(), vec![LOW]]);
    set(&mut call, UpdateTrackSettings { width: 1280, height: 720, ..Default::default() });
    assert_eq!(pass(&mut call, 0), [ALL]);
}
