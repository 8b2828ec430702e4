//! Restoring: a successor of this control plane rebuilds a room from what the media plane kept of it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use proto::media::v1 as proto;
use proto::resource::Spec;
use serde::Deserialize;

use crate::negotiate::codec::PublishedCodec;
use crate::room::clock::Time;
use crate::room::dynacast;
use crate::room::joining::JOIN_TIMEOUT;
use crate::room::keeping::{Kept, PeerState, PublicationState, RouteState, SubscriptionState, VERSION};
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::{Participant, Stage, Timers};
use crate::room::peer::Peer;
use crate::room::quality;
use crate::room::state::{Record, Room};
use crate::room::subscription::{self, Subscription};
use crate::room::track::{Publication, Track};

/// Why a room cannot be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("there is no room among the resources")]
    NoRoom,
    #[error("the bytes of a resource are of another version")]
    Version,
    #[error("the bytes of a resource cannot be read")]
    Unreadable,
}

/// Rebuilds one room from its resources. Nobody has a connection yet: clients resume, or their transports fail.
pub fn restore(resources: &[proto::Resource], now: Time) -> Result<Room, RestoreError> {
    let record = resources.iter().find(|resource| matches!(resource.spec, Some(Spec::Room(_))));
    let record: Record = read(record.ok_or(RestoreError::NoRoom)?)?;
    let mut room = Room::new(record);
    room.written = true;
    room.announced = true;
    let (tracks, peers) = (tracks(resources)?, peers(resources, room.record.worker)?);
    room.tracks = tracks;
    add_participants(&mut room, resources, peers, now)?;
    add_subscriptions(&mut room, resources)?;
    // In the order in which they joined, as before.
    room.participants.sort_by(|_, one, _, other| one.profile.joined_at.cmp(&other.profile.joined_at));
    for track in room.tracks.values_mut() {
        let sid = track.sid();
        let subscriptions =
            room.participants.values().filter_map(|participant| participant.subscriptions.get(&sid));
        track.subscribed_told = subscriptions.into_iter().any(|subscription| subscription.started);
    }
    dynacast::restore(&mut room, now);
    if !room.participants.is_empty() {
        room.timers.close = None;
        room.timers.quality = Some(now.after(quality::INTERVAL));
    }
    room.told_counts = room.counts();
    room.rebuild_directory();
    Ok(room)
}

/// Each participant's publisher and subscriber.
type Peers = BTreeMap<(ParticipantSid, bool), Peer>;

fn peers(resources: &[proto::Resource], worker_of_room: u16) -> Result<Peers, RestoreError> {
    let mut peers = Peers::new();
    for resource in resources {
        let Some(Spec::Peer(spec)) = &resource.spec else { continue };
        let state: PeerState<'_> = read(resource)?;
        let worker = spec.worker.and_then(|worker| u16::try_from(worker).ok()).unwrap_or(worker_of_room);
        let session = state.session.into_owned();
        let mut peer = Peer::new(spec.id, worker, session, spec.rtcp_ssrc, state.description_id);
        peer.negotiated = state.negotiated;
        peer.trickled = state.trickled.map(std::borrow::Cow::into_owned);
        if let Some(proto::status::Status::Peer(status)) = status(resource) {
            peer.transport = status.state();
        }
        peers.insert((state.participant.into_owned(), state.subscriber), peer);
    }
    Ok(peers)
}

fn tracks(resources: &[proto::Resource]) -> Result<IndexMap<TrackSid, Track>, RestoreError> {
    let mut tracks: IndexMap<TrackSid, Track> = IndexMap::new();
    let mut places: Vec<(TrackSid, usize, Publication)> = Vec::new();
    for resource in resources {
        let Some(Spec::Publication(spec)) = &resource.spec else { continue };
        let state: PublicationState<'_> = read(resource)?;
        let record = state.track.into_owned();
        let sid = TrackSid(record.info.sid.clone());
        let codecs: Vec<PublishedCodec> = state.codecs.into_owned();
        let publication = Publication {
            id: spec.id,
            peer: spec.peer,
            mid: spec.mid.clone(),
            cid: state.cid.map(std::borrow::Cow::into_owned),
            codecs,
            encodings: spec.encodings.clone(),
            nack: spec.nack,
            pli: spec.pli,
            fir: spec.fir,
            payload_type: state.payload_type,
        };
        places.push((sid.clone(), state.position, publication));
        tracks.insert(sid, Track::new(record));
    }
    places.sort_by_key(|(_, position, _)| *position);
    for (sid, _, publication) in places {
        if let Some(track) = tracks.get_mut(&sid) {
            track.publications.push(publication);
        }
    }
    tracks.sort_by(|_, one, _, other| one.record.announced_at.cmp(&other.record.announced_at));
    Ok(tracks)
}

fn add_participants(
    room: &mut Room,
    resources: &[proto::Resource],
    mut peers: Peers,
    now: Time,
) -> Result<(), RestoreError> {
    for resource in resources.iter().filter(|resource| matches!(resource.spec, Some(Spec::Route(_)))) {
        let state: RouteState<'_> = read(resource)?;
        let profile = state.profile.into_owned();
        let sid = profile.sid.clone();
        // Half of a participant is none: what is left of it is unknown to the room, and swept.
        let Some(publisher) = peers.remove(&(sid.clone(), false)) else { continue };
        for record in state.announced {
            let record = record.into_owned();
            let track = TrackSid(record.info.sid.clone());
            let track_state = Track::new(record);
            room.tracks.entry(track).or_insert(track_state);
        }
        let waiting = profile.stage != Stage::Active;
        let participant = Participant {
            publisher,
            subscriber: peers.remove(&(sid.clone(), true)),
            subscriptions: IndexMap::new(),
            tracks: state.tracks.iter().filter(|track| room.tracks.contains_key(*track)).cloned().collect(),
            connection: None,
            absent_since: Some(now),
            timers: Timers { join: waiting.then(|| now.after(JOIN_TIMEOUT)), ..Timers::default() },
            denied: Vec::new(),
            wishes: BTreeMap::new(),
            queued: Vec::new(),
            score: quality::SCORE_MAX,
            sabotage: None,
            profile,
        };
        room.participants.insert(sid, participant);
    }
    Ok(())
}

fn add_subscriptions(room: &mut Room, resources: &[proto::Resource]) -> Result<(), RestoreError> {
    for resource in resources {
        let Some(Spec::Subscription(spec)) = &resource.spec else { continue };
        let state: SubscriptionState<'_> = read(resource)?;
        let proto::SubscriptionStatus { started, stalled } = match status(resource) {
            Some(proto::status::Status::Subscription(status)) => *status,
            _ => proto::SubscriptionStatus::default(),
        };
        let track = state.track.into_owned();
        let subscription = Subscription {
            id: spec.id,
            track: track.clone(),
            publication: spec.publication,
            kind: state.kind,
            ssrc: spec.ssrc,
            rtx_ssrc: state.rtx_ssrc,
            settings: state.settings,
            refused: state.refused.into_owned(),
            stage: subscription::Stage::Negotiated {
                mid: spec.mid.clone(),
                payloads: spec.payloads.clone(),
                rtx: spec.rtx_ssrc != 0,
            },
            started,
            stalled,
        };
        if let Some(participant) = room.participants.get_mut(state.participant.as_ref()) {
            participant.subscriptions.insert(track, subscription);
        }
    }
    Ok(())
}

fn status(resource: &proto::Resource) -> Option<&proto::status::Status> {
    resource.status.as_ref()?.status.as_ref()
}

fn read<'a, T: Deserialize<'a>>(resource: &'a proto::Resource) -> Result<T, RestoreError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } =
        serde_json::from_slice(&resource.state).map_err(|_| RestoreError::Unreadable)?;
    if version != VERSION {
        return Err(RestoreError::Version);
    }
    let kept: Kept<T> = serde_json::from_slice(&resource.state).map_err(|_| RestoreError::Unreadable)?;
    Ok(kept.state)
}
