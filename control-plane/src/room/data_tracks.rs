//! Data tracks: published under a handle of the publisher's choice, and sent to who asks for them under another one.

use std::collections::HashMap;

use livekit_protocol::data_track_subscriber_handles::PublishedDataTrack;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    DataTrackInfo, DataTrackSubscriberHandles, DataTrackSubscriptionOptions, PublishDataTrackRequest,
    PublishDataTrackResponse, SubscriptionError, SubscriptionPermissionUpdate, SubscriptionResponse,
    UnpublishDataTrackRequest, UnpublishDataTrackResponse, UpdateDataSubscription, data_track_frame_encoding,
    data_track_schema_encoding, signal_response,
};

use crate::room::data::DataSubscription;
use crate::room::effect::Refused;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::Participant;
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{answering, updating};

pub fn publish(turn: &mut Turn<'_>, who: &ParticipantSid, mut request: PublishDataTrackRequest) {
    request.encryption = request.encryption().into();
    if let Some((reason, text)) = objection(turn, who, &request) {
        turn.refuse(Refused::DataTrack);
        return answering::refuse(turn, who, reason, text, Request::PublishDataTrack(request));
    }
    let info = DataTrackInfo {
        pub_handle: request.pub_handle,
        sid: turn.mint.sid("DTR_"),
        name: request.name,
        encryption: request.encryption,
        frame_encoding: request.frame_encoding,
        schema: request.schema,
    };
    let sid = TrackSid(info.sid.clone());
    let Some(participant) = turn.participant_mut(who) else { return };
    participant.profile.data.tracks.push(info.clone());
    participant.profile.publishes = true;
    let response = PublishDataTrackResponse { info: Some(info) };
    turn.send(who, signal_response::Message::PublishDataTrackResponse(response));
    updating::announce(turn, who, Urgency::Now);
    updating::recount(turn);
    if turn.participant(who).is_none_or(|participant| participant.profile.hidden()) {
        return;
    }
    let others: Vec<ParticipantSid> = turn
        .room
        .participants
        .values()
        .filter(|other| other.profile.sid != *who && takes_all(other))
        .map(|other| other.profile.sid.clone())
        .collect();
    for other in &others {
        if subscribe(turn, other, &sid) {
            tell_handles(turn, other);
        }
    }
}

/// Why a data track may not be published, in LiveKit's words (`participant_data_track.go`).
fn objection(
    turn: &Turn<'_>,
    who: &ParticipantSid,
    request: &PublishDataTrackRequest,
) -> Option<(Reason, &'static str)> {
    let participant = turn.participant(who)?;
    let config = &turn.surroundings.config;
    if !config.enable_data_tracks || !participant.profile.claims.video.can_publish_data() {
        return Some((Reason::NotAllowed, "does not have permission to publish data"));
    }
    if u16::try_from(request.pub_handle).map_or(true, |handle| handle == 0) {
        return Some((Reason::InvalidHandle, "handle should be > 0 AND < 65536"));
    }
    if request.name.is_empty() || request.name.len() > NAME_LEN_MAX {
        return Some((Reason::InvalidName, "name should not be empty and should not exceed 256 characters"));
    }
    if !names_are_short(request, config.limit.max_data_track_custom_encoding_length) {
        return Some((Reason::InvalidRequest, "encoding or schema is too long or empty"));
    }
    let tracks = &participant.profile.data.tracks;
    if tracks.iter().any(|track| track.pub_handle == request.pub_handle) {
        return Some((Reason::DuplicateHandle, "a data track with same handle already exists"));
    }
    if tracks.iter().any(|track| track.name == request.name) {
        return Some((Reason::DuplicateName, "a data track with same name already exists"));
    }
    if tracks.len() >= TRACKS_MAX {
        return Some((Reason::LimitExceeded, "too many data tracks"));
    }
    None
}

/// Everybody in the room is told of them.
fn names_are_short(request: &PublishDataTrackRequest, custom_len_max: usize) -> bool {
    let custom_len_max = crate::room::admission::limit_or_none(custom_len_max).min(NAME_LEN_MAX);
    let encoding = request.frame_encoding.as_ref().and_then(|encoding| encoding.value.as_ref());
    let encoding_fits = match encoding {
        Some(data_track_frame_encoding::Value::Custom(name)) => name.len() <= custom_len_max,
        _ => true,
    };
    let Some(schema) = &request.schema else { return encoding_fits };
    let schema_fits = match schema.encoding.as_ref().and_then(|encoding| encoding.value.as_ref()) {
        Some(data_track_schema_encoding::Value::Custom(name)) => name.len() <= custom_len_max,
        _ => true,
    };
    encoding_fits && schema_fits && !schema.name.is_empty() && schema.name.len() <= NAME_LEN_MAX
}

pub fn unpublish(turn: &mut Turn<'_>, who: &ParticipantSid, request: UnpublishDataTrackRequest) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let tracks = &mut participant.profile.data.tracks;
    let Some(index) = tracks.iter().position(|track| track.pub_handle == request.pub_handle) else {
        turn.refuse(Refused::DataTrack);
        let request = Request::UnpublishDataTrack(request);
        return answering::refuse(turn, who, Reason::NotFound, "", request);
    };
    let info = tracks.remove(index);
    let sid = TrackSid(info.sid.clone());
    let response = UnpublishDataTrackResponse { info: Some(info) };
    turn.send(who, signal_response::Message::UnpublishDataTrackResponse(response));
    withdraw(turn, |subscription| subscription.track == sid);
    updating::announce(turn, who, Urgency::Now);
}

/// The client asks for data tracks, or not to have them.
pub fn update_subscriptions(turn: &mut Turn<'_>, who: &ParticipantSid, request: &UpdateDataSubscription) {
    let mut changed = false;
    for update in request.updates.iter().take(UPDATES_MAX) {
        // LiveKit takes no notice of it either: frames come as they are published.
        let _: &Option<DataTrackSubscriptionOptions> = &update.options;
        let sid = TrackSid(update.track_sid.clone());
        if update.subscribe {
            changed |= subscribe(turn, who, &sid);
        } else if let Some(participant) = turn.participant_mut(who) {
            changed |= participant.profile.data.unsubscribe(&sid);
        }
    }
    if request.updates.len() > UPDATES_MAX {
        turn.refuse(Refused::SubscriptionLimit);
    }
    if changed {
        turn.touch_participant(who);
        tell_handles(turn, who);
    }
}

/// Who has just joined takes up what is published, if it said that it wants everything.
pub fn take_up(turn: &mut Turn<'_>, who: &ParticipantSid) {
    if !turn.participant(who).is_some_and(takes_all) {
        return;
    }
    let others = turn.room.participants.values().filter(|other| other.profile.sid != *who);
    let visible = others.filter(|other| !other.profile.hidden());
    let tracks: Vec<TrackSid> = visible
        .flat_map(|other| &other.profile.data.tracks)
        .map(|track| TrackSid(track.sid.clone()))
        .collect();
    let mut changed = false;
    for track in &tracks {
        changed |= subscribe(turn, who, track);
    }
    if changed {
        tell_handles(turn, who);
    }
}

/// What a participant may do with data has changed: what it may no longer have ends.
pub fn reconcile(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let grant = &participant.profile.claims.video;
    let (may_publish, may_subscribe) = (grant.can_publish_data(), grant.can_subscribe());
    let data = &mut participant.profile.data;
    if !may_subscribe && !data.subscriptions.is_empty() {
        data.subscriptions.clear();
        turn.touch_participant(who);
        tell_handles(turn, who);
    }
    if !may_publish {
        unpublish_all(turn, who);
    }
}

fn unpublish_all(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant_mut(who) else { return };
    let ended = std::mem::take(&mut participant.profile.data.tracks);
    if ended.is_empty() {
        return;
    }
    for info in ended {
        let response = UnpublishDataTrackResponse { info: Some(info) };
        turn.send(who, signal_response::Message::UnpublishDataTrackResponse(response));
    }
    forget(turn, who);
    updating::announce(turn, who, Urgency::Now);
}

/// A publisher is gone, and its data tracks with it.
pub fn forget(turn: &mut Turn<'_>, publisher: &ParticipantSid) {
    withdraw(turn, |subscription| subscription.publisher == *publisher);
}

/// A client that resumes may have missed which handles it was given.
pub fn repeat(turn: &mut Turn<'_>, who: &ParticipantSid) {
    if turn.participant(who).is_some_and(|participant| !participant.profile.data.subscriptions.is_empty()) {
        tell_handles(turn, who);
    }
}

/// Says which handle stands for which data track: all of them, as LiveKit does.
fn tell_handles(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant(who) else { return };
    let subscriptions = participant.profile.data.subscriptions.iter();
    let published = subscriptions.filter_map(|(handle, subscription)| {
        let publisher = turn.participant(&subscription.publisher)?;
        let published = PublishedDataTrack {
            publisher_identity: publisher.profile.identity.clone(),
            publisher_sid: subscription.publisher.0.clone(),
            track_sid: subscription.track.0.clone(),
        };
        Some((u32::from(*handle), published))
    });
    let sub_handles: HashMap<u32, PublishedDataTrack> = published.collect();
    let handles = DataTrackSubscriberHandles { sub_handles };
    turn.send(who, signal_response::Message::DataTrackSubscriberHandles(handles));
}

/// Returns whether there is one more; the client is told why if there is none.
fn subscribe(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) -> bool {
    let publisher = publisher(turn, who, sid);
    let Some(participant) = turn.participant_mut(who) else { return false };
    if participant.profile.data.is_subscribed(sid) {
        return false;
    }
    let Some(publisher) = publisher else {
        turn.refuse(Refused::UnknownTrack);
        let response =
            SubscriptionResponse { track_sid: sid.0.clone(), err: SubscriptionError::SeTrackNotfound.into() };
        turn.send(who, signal_response::Message::SubscriptionResponse(response));
        return false;
    };
    if !participant.profile.claims.video.can_subscribe() {
        turn.refuse(Refused::Subscribe);
        let update = SubscriptionPermissionUpdate {
            participant_sid: publisher.0,
            track_sid: sid.0.clone(),
            allowed: false,
        };
        turn.send(who, signal_response::Message::SubscriptionPermissionUpdate(update));
        return false;
    }
    let subscription = DataSubscription { publisher, track: sid.clone() };
    if participant.profile.data.subscribe(subscription).is_none() {
        turn.refuse(Refused::SubscriptionLimit);
        return false;
    }
    turn.touch_participant(who);
    true
}

/// Who publishes a data track, as far as `who` may know.
fn publisher(turn: &Turn<'_>, who: &ParticipantSid, sid: &TrackSid) -> Option<ParticipantSid> {
    let mut others = turn.room.participants.values().filter(|other| other.profile.sid != *who);
    let publisher = others.find(|other| other.profile.data.track(sid).is_some())?;
    (!publisher.profile.hidden()).then(|| publisher.profile.sid.clone())
}

/// Ends subscriptions of whoever has some.
fn withdraw(turn: &mut Turn<'_>, ends: impl Fn(&DataSubscription) -> bool) {
    let mut changed = Vec::new();
    for participant in turn.room.participants.values_mut() {
        let subscriptions = &mut participant.profile.data.subscriptions;
        let before = subscriptions.len();
        subscriptions.retain(|_, subscription| !ends(subscription));
        if subscriptions.len() < before {
            changed.push(participant.profile.sid.clone());
        }
    }
    for who in &changed {
        turn.touch_participant(who);
    }
}

fn takes_all(participant: &Participant) -> bool {
    participant.profile.settings.auto_subscribe_data_track == Some(true)
}

const NAME_LEN_MAX: usize = 256;
/// Of one participant: everybody is told of them, again with every change.
const TRACKS_MAX: usize = 128;
/// Of one message; the rest of a longer list is ignored.
const UPDATES_MAX: usize = 1_024;
