//! The resources of a room, each with the bytes from which a successor of this control plane goes on.
//!
//! A resource's own fields are not repeated in its bytes: `Snapshot` returns both. What is kept where: the room's
//! record with the room, a participant's profile and its announced tracks with its route, a session with its peer, a
//! track's record with its publications, what a client wants of a track with its subscription.

use std::borrow::Cow;

use proto::media::v1 as proto;
use proto::resource::Spec;
use serde::{Deserialize, Serialize};

use crate::config::Audio;
use crate::negotiate::codec::{Codec, Kind, PublishedCodec};
use crate::negotiate::session::Session;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::Profile;
use crate::room::playout_delay::PlayoutDelay;
use crate::room::state::{self, Room};
use crate::room::subscription::Settings;
use crate::room::track;

/// What every resource's bytes say first: how the rest is to be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept<T> {
    pub version: u32,
    pub state: T,
}

/// 1: the first.
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub struct PeerState<'a> {
    pub participant: Cow<'a, ParticipantSid>,
    pub subscriber: bool,
    pub session: Cow<'a, Session>,
    pub description_id: u32,
    pub negotiated: bool,
    pub trickled: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PublicationState<'a> {
    pub track: Cow<'a, track::Record>,
    /// The track's publications are in this order: the first is forwarded.
    pub position: usize,
    pub cid: Option<Cow<'a, str>>,
    pub codecs: Cow<'a, [PublishedCodec]>,
    pub payload_type: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SubscriptionState<'a> {
    pub participant: Cow<'a, ParticipantSid>,
    pub track: Cow<'a, TrackSid>,
    pub kind: Kind,
    /// Of its own even where the client does not take it.
    pub rtx_ssrc: u32,
    pub settings: Settings,
    #[serde(default)]
    pub refused: Cow<'a, [Codec]>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RouteState<'a> {
    pub profile: Cow<'a, Profile>,
    pub tracks: Cow<'a, [TrackSid]>,
    /// Those of its tracks that have no publication yet.
    pub announced: Vec<Cow<'a, track::Record>>,
}

#[must_use]
pub fn room(record: &state::Record, audio: &Audio) -> proto::Resource {
    let spec = proto::Room {
        id: record.id,
        worker: record.worker.into(),
        audio_levels: Some(proto::AudioLevels {
            active_level: audio.active_level.into(),
            min_percentile: audio.min_percentile.into(),
            update_interval_ms: audio.update_interval,
            smooth_intervals: audio.smooth_intervals,
        }),
        sif_trailer: record.sif_trailer.clone().into_bytes(),
    };
    resource(Spec::Room(spec), record)
}

#[must_use]
pub fn peer(room: &Room, id: u64) -> Option<proto::Resource> {
    let sid = room.directory.peers.get(&id)?;
    let participant = room.participants.get(sid)?;
    let peer = participant.peers().find(|peer| peer.id == id)?;
    let state = PeerState {
        participant: Cow::Borrowed(sid),
        subscriber: participant.subscriber.as_ref().is_some_and(|subscriber| subscriber.id == id),
        session: Cow::Borrowed(&peer.session),
        description_id: peer.description_id,
        negotiated: peer.negotiated,
        trickled: peer.trickled.as_deref().map(Cow::Borrowed),
    };
    Some(resource(Spec::Peer(peer.resource(&room.record)), &state))
}

#[must_use]
pub fn publication(room: &Room, id: u64) -> Option<proto::Resource> {
    let track = room.tracks.get(room.directory.publications.get(&id)?)?;
    let position = track.publications.iter().position(|publication| publication.id == id)?;
    let publication = track.publications.get(position)?;
    let state = PublicationState {
        track: Cow::Borrowed(&track.record),
        position,
        cid: publication.cid.as_deref().map(Cow::Borrowed),
        codecs: Cow::Borrowed(&publication.codecs),
        payload_type: publication.payload_type,
    };
    Some(resource(Spec::Publication(track.resource(room.record.id, publication)), &state))
}

/// Absent as long as the client has no media section for it.
#[must_use]
pub fn subscription(room: &Room, id: u64) -> Option<proto::Resource> {
    let (sid, track_sid) = room.directory.subscriptions.get(&id)?;
    let participant = room.participants.get(sid)?;
    let subscription = participant.subscriptions.get(track_sid)?;
    let track = room.tracks.get(track_sid)?;
    let cname = track.stream(room.record.sync_streams, &participant.profile.client);
    let peer = participant.receiving().id;
    let is_video = subscription.kind == Kind::Video;
    let spec = proto::Subscription {
        playout_delay: room.record.playout_delay.filter(|_| is_video).map(PlayoutDelay::to_proto),
        strip_packet_trailer: is_video && !participant.profile.knows_packet_trailers(),
        ..subscription.resource(room.record.id, peer, &track.record.info, cname)?
    };
    let state = SubscriptionState {
        participant: Cow::Borrowed(sid),
        track: Cow::Borrowed(track_sid),
        kind: subscription.kind,
        rtx_ssrc: subscription.rtx_ssrc,
        settings: subscription.settings,
        refused: Cow::Borrowed(&subscription.refused),
    };
    Some(resource(Spec::Subscription(spec), &state))
}

/// A participant's place in the data plane.
#[must_use]
pub fn route(room: &Room, sid: &ParticipantSid) -> Option<proto::Resource> {
    let participant = room.participants.get(sid)?;
    let profile = &participant.profile;
    let records = participant.tracks.iter().filter_map(|track| room.tracks.get(track));
    let announced = records.filter(|track| track.publications.is_empty());
    let state = RouteState {
        profile: Cow::Borrowed(profile),
        tracks: Cow::Borrowed(&participant.tracks),
        announced: announced.map(|track| Cow::Borrowed(&track.record)).collect(),
    };
    let spec = proto::Route {
        id: profile.route,
        room: room.record.id,
        receive_peer: participant.publisher.id,
        send_peer: participant.receiving().id,
        identity: profile.identity.clone(),
        sid: sid.0.clone(),
        can_send: profile.claims.video.can_publish_data(),
        // `canSubscribe` is about tracks: LiveKit v1.13.5 sends data to everybody (`rtc/room.go`).
        can_receive: true,
        agent: profile.is_agent(),
        hidden: profile.hidden(),
        data_subscriptions: data_subscriptions(room, profile),
    };
    Some(resource(Spec::Route(spec), &state))
}

fn data_subscriptions(room: &Room, profile: &Profile) -> Vec<proto::DataSubscription> {
    let subscriptions = profile.data.subscriptions.iter().filter_map(|(handle, subscription)| {
        let publisher = &room.participants.get(&subscription.publisher)?.profile;
        Some(proto::DataSubscription {
            publisher: publisher.route,
            published_handle: publisher.data.track(&subscription.track)?.pub_handle,
            handle: u32::from(*handle),
        })
    });
    subscriptions.collect()
}

/// How many bytes a participant's profile takes where it is kept; the contract allows 1 MiB.
#[must_use]
pub fn profile_len(profile: &Profile) -> usize {
    serde_json::to_vec(profile).map_or(usize::MAX, |bytes| bytes.len())
}

/// Leaves room within the contract's 1 MiB for a participant's announced tracks.
pub const PROFILE_LEN_MAX: usize = 1024 * 1024 - 128 * 1024;

fn resource<T: Serialize>(spec: Spec, state: &T) -> proto::Resource {
    // Maps with string keys and finite numbers only: there is nothing that JSON could not say.
    let state = serde_json::to_vec(&Kept { version: VERSION, state }).unwrap_or_default();
    proto::Resource { spec: Some(spec), state, revision: 0, lease_epoch: 0, status: None }
}
