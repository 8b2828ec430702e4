//! Subscribers are told whether their video flows.

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, StreamState, TrackSource, TrackType, UpdateTrackSettings};
use proto::event::Event;
use proto::media::v1 as proto;

use crate::room::join::Arrival;
use crate::room::restoring::restore;
use crate::room::tests::client::Client;
use crate::room::tests::publishing::{Call, call};
use crate::room::tests::{Heard, Name, World, arrival};

fn subscription(call: &Call) -> u64 {
    let bob = call.world.participant(&call.bob);
    bob.subscriptions[&call.track].id
}

fn started(call: &mut Call) {
    let subscription = subscription(call);
    call.world.media(Event::SubscriptionStarted(proto::SubscriptionStarted { subscription }));
}

fn stalls(call: &mut Call, stalled: bool) {
    let subscription = subscription(call);
    call.world.media(Event::StreamState(proto::StreamState { subscription, stalled }));
}

fn told(world: &mut World, client: &Client) -> Vec<StreamState> {
    let heard = world.hear(client);
    let updates = heard.into_iter().filter_map(|heard| match heard {
        Heard::Message(Response::StreamStateUpdate(update)) => Some(update.stream_states),
        _ => None,
    });
    updates.flatten().map(|info| info.state()).collect()
}

const ACTIVE: StreamState = StreamState::Active;
const PAUSED: StreamState = StreamState::Paused;

#[test]
fn video_that_starts_stalls_and_goes_on_is_told_to_its_subscriber() {
    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    call.world.hear(&call.bob);
    started(&mut call);
    let heard = call.world.hear(&call.bob);
    let [Heard::Message(Response::StreamStateUpdate(update))] = heard.as_slice() else { panic!("{heard:?}") };
    let info = &update.stream_states[0];
    assert_eq!((&info.participant_sid, &info.track_sid), (&call.world.sid(&call.alice).0, &call.track.0));
    assert_eq!(info.state(), ACTIVE);
    for (stalled, expected) in [(true, vec![PAUSED]), (true, vec![]), (false, vec![ACTIVE]), (false, vec![])]
    {
        stalls(&mut call, stalled);
        assert_eq!(told(&mut call.world, &call.bob), expected, "{stalled}");
    }
    assert!(told(&mut call.world, &call.alice).is_empty(), "the publisher knows");
}

#[test]
fn audio_and_quiet_screens_do_not_stall() {
    let mut audio = call(arrival("alice"), arrival("bob"), TrackType::Audio);
    started(&mut audio);
    assert!(told(&mut audio.world, &audio.bob).is_empty(), "audio has no stream state");

    let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
    let record = &mut call.world.room.tracks.get_mut(&call.track).unwrap().record;
    record.info.source = TrackSource::ScreenShare.into();
    started(&mut call);
    stalls(&mut call, true);
    assert_eq!(told(&mut call.world, &call.bob), [ACTIVE], "nothing moves on it");
}

#[test]
fn subscriber_that_resumes_is_told_again_also_in_a_rebuilt_room() {
    for rebuilt in [false, true] {
        let mut call = call(arrival("alice"), arrival("bob"), TrackType::Video);
        started(&mut call);
        call.world.disconnect(&call.bob);
        stalls(&mut call, true);
        if rebuilt {
            let name = Name::Subscription(subscription(&call));
            let mut resources: Vec<_> = call.world.resources.values().cloned().collect();
            let (Some(index), status) = (
                call.world.resources.keys().position(|one| *one == name),
                proto::SubscriptionStatus { started: true, stalled: true },
            ) else {
                panic!("it is written")
            };
            let status = Some(proto::status::Status::Subscription(status));
            resources[index].status = Some(proto::Status { status });
            call.world.room = restore(&resources, call.world.now).unwrap();
        }
        let again = call.world.join(Arrival { reconnect: true, ..arrival("bob") });
        assert_eq!(told(&mut call.world, &again), [PAUSED], "rebuilt: {rebuilt}");
    }
}

#[test]
fn settings_for_a_track_that_is_not_subscribed_yet_wait_for_it() {
    let mut subscriber = arrival("bob");
    subscriber.settings.auto_subscribe = false;
    let mut call = call(arrival("alice"), subscriber, TrackType::Video);
    let track_sids = vec![call.track.0.clone(), "TR_unknown".to_owned()];
    let small =
        UpdateTrackSettings { track_sids: track_sids.clone(), width: 100, height: 100, ..Default::default() };
    call.world.say(&call.bob, Request::TrackSetting(small.clone()));
    let wishes = &call.world.participant(&call.bob).wishes;
    assert_eq!(wishes.keys().collect::<Vec<_>>(), [&call.track], "what does not exist is not remembered");
    let request = livekit_protocol::UpdateSubscription { track_sids, subscribe: true, ..Default::default() };
    call.world.say(&call.bob, Request::Subscription(request));
    let bob = call.world.participant(&call.bob);
    let settings = bob.subscriptions[&call.track].settings;
    assert_eq!(settings, crate::room::subscription::Settings::of(&small));
    assert!(bob.wishes.is_empty(), "it was taken up");

    // A track that ends takes the wishes about it along.
    let mut later = call.world.connect(arrival("carol"));
    let request = AddTrackRequest { cid: "later".into(), r#type: 1, ..Default::default() };
    call.world.say(&later, Request::AddTrack(request));
    later.send("later", TrackType::Video);
    later.offer(&mut call.world);
    let sid = call.world.participant(&later).tracks[0].clone();
    let wish = UpdateTrackSettings { track_sids: vec![sid.0.clone()], ..small };
    call.world.say(&call.bob, Request::TrackSetting(wish));
    assert!(call.world.participant(&call.bob).wishes.contains_key(&sid));
    later.unpublish(&mut call.world, "later");
    assert!(call.world.participant(&call.bob).wishes.is_empty());
}
