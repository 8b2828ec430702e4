//! Administering: what the server API changes in a room and in those who are there.

use livekit_protocol::{
    DisconnectReason, ParticipantPermission, UpdateParticipantRequest, UpdateSubscriptionsRequest,
};

use crate::room::call::{self, Answer, CallError};
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{data_tracks, info, leaving, listing, publishing, refreshing, subscribing, updating};

/// A room that somebody asked for is kept, though nobody is in it.
pub fn create(turn: &mut Turn<'_>) -> Answer {
    if !turn.room.written {
        turn.touch_room();
    }
    describe(turn)
}

#[must_use]
pub fn describe(turn: &Turn<'_>) -> Answer {
    Answer::Room(Box::new(info::room(turn.room, &turn.surroundings.config)))
}

pub fn delete(turn: &mut Turn<'_>) -> Answer {
    leaving::close(turn, DisconnectReason::RoomDeleted);
    Answer::Done
}

pub fn update_metadata(turn: &mut Turn<'_>, metadata: String) -> Answer {
    turn.room.record.metadata = metadata;
    turn.touch_room();
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        updating::tell_room(turn, to);
    }
    describe(turn)
}

/// Changes what is said of a participant, and what it may do; it gets a token that says the same.
pub fn update_participant(
    turn: &mut Turn<'_>,
    request: UpdateParticipantRequest,
) -> Result<Answer, CallError> {
    let UpdateParticipantRequest { identity, metadata, name, attributes, permission, .. } = request;
    let who = &call::participant(turn, &identity)?;
    let described = updating::Description { name, metadata, attributes };
    let changed = updating::describe(turn, who, described).ok_or(CallError::AttributesTooLarge)?;
    let permitted = permission.is_some_and(|permission| permit(turn, who, &permission));
    if changed || permitted {
        updating::announce(turn, who, Urgency::Now);
        refreshing::refresh(turn, who);
    }
    listing::one(turn, &identity)
}

/// What a participant may no longer do ends at once, and what it may do now begins. False: nothing changed.
fn permit(turn: &mut Turn<'_>, who: &ParticipantSid, permission: &ParticipantPermission) -> bool {
    let Some(participant) = turn.participant_mut(who) else { return false };
    let grant = &mut participant.profile.claims.video;
    let before = grant.clone();
    grant.update_from(permission);
    if *grant == before {
        return false;
    }
    let grant = grant.clone();
    let own = participant.tracks.clone();
    turn.touch_participant(who);
    for sid in &own {
        let source = turn.room.tracks.get(sid).map(|track| track.record.info.source());
        if source.is_some_and(|source| !grant.can_publish_source(source)) {
            publishing::revoke(turn, who, sid);
        }
    }
    subscribing::take_up(turn, who);
    data_tracks::reconcile(turn, who);
    true
}

/// Tracks that are not there are nobody's concern.
pub fn update_subscriptions(
    turn: &mut Turn<'_>,
    request: &UpdateSubscriptionsRequest,
) -> Result<Answer, CallError> {
    let who = call::participant(turn, &request.identity)?;
    let others = request.participant_tracks.iter().flat_map(|tracks| &tracks.track_sids);
    for sid in request.track_sids.iter().chain(others) {
        let sid = TrackSid(sid.clone());
        if turn.room.tracks.get(&sid).is_some_and(|track| track.record.live) {
            subscribing::choose(turn, &who, &sid, request.subscribe);
        }
    }
    Ok(Answer::Done)
}
