//! A video in two codecs: who gets which, and when the publisher is asked for the second.

use std::time::Duration;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, BackupCodecPolicy, LeaveRequest, SimulcastCodec, TrackType};
use proto::event::Event;
use proto::media::v1 as proto;

use crate::negotiate::codec::Codec;
use crate::room::join::Arrival;
use crate::room::names::TrackSid;
use crate::room::subscription::Stage;
use crate::room::tests::client::Client;
use crate::room::tests::{Heard, World, arrival, single};

/// Alice publishes VP9 and would send VP8 too. Bob understands both, Carol only VP8.
struct Call {
    world: World,
    alice: Client,
    bob: Client,
    carol: Client,
    track: TrackSid,
}

fn call(policy: BackupCodecPolicy, arrival: fn(&str) -> Arrival) -> Call {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let bob = world.connect(arrival("bob"));
    let track = alice.announce(&mut world, "vp9", TrackType::Video);
    let record = &mut world.room.tracks.get_mut(&track).unwrap().record;
    record.info.backup_codec_policy = policy.into();
    alice.send("vp9", TrackType::Video);
    alice.offer(&mut world);
    world.packets_arrive();
    let mut carol = world.join(arrival("carol"));
    carol.refuses = Some("VP9");
    let mut call = Call { world, alice, bob, carol, track };
    call.settle();
    call
}

impl Call {
    fn settle(&mut self) {
        for _ in 0..5 {
            self.world.advance(Duration::from_millis(400));
            self.alice.settle(&mut self.world);
            self.bob.settle(&mut self.world);
            self.carol.settle(&mut self.world);
        }
    }

    /// What the publisher was told last: each codec, and whether any of it is wanted.
    fn told(&mut self) -> Vec<(String, bool)> {
        let heard = self.world.hear(&self.alice);
        let last = heard.into_iter().rev().find_map(|heard| match heard {
            Heard::Message(Response::SubscribedQualityUpdate(update)) => Some(update.subscribed_codecs),
            _ => None,
        });
        let codecs = last.unwrap_or_default().into_iter();
        codecs.map(|one| (one.codec, one.qualities.iter().any(|quality| quality.enabled))).collect()
    }

    /// As livekit-client does it when it is asked for a codec.
    fn publish_backup(&mut self) {
        let codec = SimulcastCodec { codec: "vp8".into(), cid: "backup".into(), ..Default::default() };
        let request = AddTrackRequest {
            cid: "backup".into(),
            sid: self.track.0.clone(),
            r#type: TrackType::Video.into(),
            simulcast_codecs: vec![codec],
            ..Default::default()
        };
        self.world.say(&self.alice, Request::AddTrack(request));
        self.alice.send("backup", TrackType::Video);
        self.alice.offer(&mut self.world);
        let publication = &self.world.room.tracks[&self.track].publications[1];
        let started = proto::SourceStarted {
            publication: publication.id,
            layer: 0,
            ssrc: 7,
            payload_type: publication.codecs[0].payload_type.into(),
        };
        self.world.media(Event::SourceStarted(started));
        self.settle();
    }

    /// What a subscriber gets, once it is negotiated.
    fn gets(&self, client: &Client) -> Option<Codec> {
        let subscription = &self.world.participant(client).subscriptions[&self.track];
        let Stage::Negotiated { payloads, .. } = &subscription.stage else { return None };
        let track = &self.world.room.tracks[&self.track];
        let publication = track.publications.iter().find(|one| one.id == subscription.publication)?;
        let codec = publication.codec()?;
        let carried = publication.codecs.iter().find(|one| one.codec == codec)?;
        assert!(payloads.iter().any(|payload| payload.from == u32::from(carried.payload_type)));
        Some(codec)
    }

    fn was_told_unsupported(&mut self) -> bool {
        let heard = self.world.hear(&self.carol);
        heard.iter().any(|one| matches!(one, Heard::Message(Response::SubscriptionResponse(_))))
    }
}

fn wants(codecs: &[(&str, bool)]) -> Vec<(String, bool)> {
    codecs.iter().map(|(codec, wanted)| ((*codec).to_owned(), *wanted)).collect()
}

#[test]
fn second_codec_is_asked_for_when_a_subscriber_needs_it() {
    for arrival in [arrival as fn(&str) -> Arrival, single] {
        let mut call = call(BackupCodecPolicy::Simulcast, arrival);
        assert_eq!(call.gets(&call.bob), Some(Codec::Vp9));
        assert_eq!(call.gets(&call.carol), None, "she cannot have that");
        assert!(!call.was_told_unsupported(), "there may be something for her");
        assert_eq!(call.told(), wants(&[("vp9", true), ("vp8", true)]));
        // Another negotiation meanwhile is about something else.
        call.carol.offer(&mut call.world);
        call.publish_backup();
        assert_eq!((call.gets(&call.bob), call.gets(&call.carol)), (Some(Codec::Vp9), Some(Codec::Vp8)));
        call.told();
        call.world.say(&call.carol.clone(), Request::Leave(LeaveRequest::default()));
        call.world.advance(Duration::from_secs(5));
        assert_eq!(call.told(), wants(&[("vp9", true), ("vp8", false)]), "nobody needs the second any more");
    }
}

#[test]
fn everybody_moves_to_the_second_codec_unless_both_are_to_be_sent() {
    for policy in [BackupCodecPolicy::PreferRegression, BackupCodecPolicy::Regression] {
        for arrival in [arrival as fn(&str) -> Arrival, single] {
            let mut call = call(policy, arrival);
            let sections = |call: &Call| {
                let bob = call.world.participant(&call.bob);
                let Stage::Negotiated { mid, .. } = &bob.subscriptions[&call.track].stage else { panic!() };
                mid.clone()
            };
            let before = sections(&call);
            call.publish_backup();
            assert_eq!((call.gets(&call.bob), call.gets(&call.carol)), (Some(Codec::Vp8), Some(Codec::Vp8)));
            assert_eq!(sections(&call), before, "Bob goes on with the track that he has");
            call.world.advance(Duration::from_secs(6));
            assert_eq!(call.told(), wants(&[("vp9", false), ("vp8", true)]), "the first codec rests");
            let info = &call.world.room.tracks[&call.track].record.info;
            assert_eq!(info.mime_type, "video/VP8", "and others are told");
            let mut dave = call.world.connect(arrival("dave"));
            call.settle();
            dave.settle(&mut call.world);
            call.world.advance(Duration::from_millis(400));
            dave.settle(&mut call.world);
            assert_eq!(call.gets(&dave), Some(Codec::Vp8), "who comes later gets it too");
        }
    }
}

#[test]
fn without_a_second_codec_a_subscriber_is_told_that_there_is_none() {
    let mut world = World::new();
    let mut alice = world.connect(arrival("alice"));
    let track = alice.announce(&mut world, "vp9", TrackType::Video);
    world.room.tracks.get_mut(&track).unwrap().record.info.codecs.truncate(1);
    alice.send("vp9", TrackType::Video);
    alice.offer(&mut world);
    world.packets_arrive();
    let bob = world.connect(arrival("bob"));
    let mut carol = world.join(arrival("carol"));
    carol.refuses = Some("VP9");
    let mut call = Call { world, alice, bob, carol, track };
    call.settle();
    assert!(call.was_told_unsupported());
    let demand = call.world.room.tracks[&call.track].demand.clone().unwrap();
    let asked: Vec<Codec> = demand.told().unwrap().iter().map(|one| one.codec).collect();
    assert_eq!(asked, [Codec::Vp9], "nothing else is asked for");
}
