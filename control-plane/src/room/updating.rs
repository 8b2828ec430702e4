//! Updates: what everybody sees of a participant and of the room, and how often.

use std::collections::HashMap;
use std::time::Duration;

use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    ParticipantInfo, ParticipantUpdate, RoomUpdate, UpdateLocalAudioTrack, UpdateLocalVideoTrack,
    UpdateParticipantMetadata, signal_response,
};
use prost::Message;

use crate::room::effect::Refused;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::turn::Turn;
use crate::room::{admission, answering, info, keeping, publishing, track_info};

/// When others hear of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    Now,
    /// At once in a small room; with the next batch in a large one, if nobody sees or hears the participant.
    Soon,
    /// With the next batch, if nobody sees or hears the participant.
    Batch,
}

/// What is to be said of a participant: what is empty stays as it is, and an attribute without a value goes.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: String,
    pub metadata: String,
    pub attributes: HashMap<String, String>,
}

/// A participant changed: whoever may see it is told, itself too.
pub fn announce(turn: &mut Turn<'_>, who: &ParticipantSid, urgency: Urgency) {
    let size = turn.room.participants.len();
    let Some(participant) = turn.participant_mut(who) else { return };
    participant.profile.version = participant.profile.version.saturating_add(1);
    let (hidden, silent) = (participant.profile.hidden(), participant.is_silent());
    turn.touch_participant(who);
    let Some(participant) = turn.participant(who) else { return };
    let info = info::participant(turn.room, participant);
    if hidden {
        return send(turn, who, vec![info]);
    }
    let can_wait = match urgency {
        Urgency::Now => false,
        Urgency::Soon => silent && size > SMALL_ROOM,
        Urgency::Batch => silent,
    };
    if can_wait { batch(turn, who, info) } else { broadcast(turn, who, info) }
}

/// A participant is not there any more.
pub fn tell_departure(turn: &mut Turn<'_>, who: &ParticipantSid, info: ParticipantInfo, silent: bool) {
    if silent && turn.room.participants.len() > SMALL_ROOM {
        batch(turn, who, info);
    } else {
        broadcast(turn, who, info);
    }
}

/// The batch is due.
pub fn flush(turn: &mut Turn<'_>) {
    turn.room.timers.batch = None;
    let infos: Vec<ParticipantInfo> = std::mem::take(&mut turn.room.batch).into_values().collect();
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        send_batched(turn, to, infos.clone());
    }
}

/// Sends updates in messages of bounded size.
pub fn send_batched(turn: &mut Turn<'_>, to: &ParticipantSid, infos: Vec<ParticipantInfo>) {
    let Some((sid, identity)) =
        turn.participant(to).map(|one| (one.profile.sid.0.clone(), one.profile.identity.clone()))
    else {
        return;
    };
    let max = turn.surroundings.config.room.update_batch_target_size.max(1);
    let mut part = Vec::new();
    let mut len = 0;
    // Of its own identity's earlier stay a client must not hear: it takes what has its identity for itself.
    for info in infos.into_iter().filter(|info| info.identity != identity || info.sid == sid) {
        len += info.encoded_len();
        part.push(info);
        if len >= max {
            send(turn, to, std::mem::take(&mut part));
            len = 0;
        }
    }
    if !part.is_empty() {
        send(turn, to, part);
    }
}

/// The counts changed: everybody is told, but not too often.
pub fn recount(turn: &mut Turn<'_>) {
    if turn.room.counts() != turn.room.told_counts {
        let due = turn.now.after(COUNTS_INTERVAL);
        turn.room.timers.counts.get_or_insert(due);
    }
}

/// The counts are due.
pub fn tell_counts(turn: &mut Turn<'_>) {
    turn.room.timers.counts = None;
    let counts = turn.room.counts();
    if std::mem::replace(&mut turn.room.told_counts, counts) == counts {
        return;
    }
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        tell_room(turn, to);
    }
}

pub fn tell_room(turn: &mut Turn<'_>, to: &ParticipantSid) {
    let update = RoomUpdate { room: Some(info::room(turn.room, &turn.surroundings.config)) };
    turn.send(to, signal_response::Message::RoomUpdate(update));
}

/// A client changes its own name, metadata or attributes. SDKs wait for the `request_response`.
pub fn update_metadata(turn: &mut Turn<'_>, who: &ParticipantSid, request: UpdateParticipantMetadata) {
    let Some(participant) = turn.participant(who) else { return };
    let id = request.request_id;
    if !participant.profile.claims.video.can_update_own_metadata() {
        turn.refuse(Refused::Metadata);
        let text = "does not have permission to update own metadata";
        return answering::respond(
            turn,
            who,
            id,
            Reason::NotAllowed,
            text,
            Some(Request::UpdateMetadata(request)),
        );
    }
    let description = Description {
        name: request.name.clone(),
        metadata: request.metadata.clone(),
        attributes: request.attributes.clone(),
    };
    let Some(differs) = describe(turn, who, description) else {
        turn.refuse(Refused::MetadataLimit);
        let text = "exceeds the limits of name, metadata or attributes";
        return answering::respond(
            turn,
            who,
            id,
            Reason::LimitExceeded,
            text,
            Some(Request::UpdateMetadata(request)),
        );
    };
    if differs {
        announce(turn, who, Urgency::Now);
    }
    answering::respond(turn, who, id, Reason::Ok, "", Some(Request::UpdateMetadata(request)));
}

/// Changes what is said of a participant; others are not told yet. `None`: it would be beyond the limits.
pub fn describe(turn: &mut Turn<'_>, who: &ParticipantSid, description: Description) -> Option<bool> {
    let profile = &turn.participant(who)?.profile;
    let mut changed = profile.clone();
    if !description.metadata.is_empty() {
        changed.metadata = description.metadata;
    }
    if !description.name.is_empty() {
        changed.name = description.name;
    }
    for (key, value) in description.attributes {
        if value.is_empty() {
            changed.attributes.remove(&key);
        } else {
            changed.attributes.insert(key, value);
        }
    }
    let limits = &turn.surroundings.config.limit;
    let within = admission::within(limits, &changed.name, &changed.metadata, &changed.attributes);
    if !within || keeping::profile_len(&changed) > keeping::PROFILE_LEN_MAX {
        return None;
    }
    let differs = changed != *profile;
    if differs {
        // The next token says the same, if it does not get too long by that to be a token.
        let len =
            changed.name.len() + changed.metadata.len() + admission::attributes_len(&changed.attributes);
        if len <= CLAIMED_LEN_MAX {
            changed.claims.name.clone_from(&changed.name);
            changed.claims.metadata.clone_from(&changed.metadata);
            changed.claims.attributes.clone_from(&changed.attributes);
        }
        turn.participant_mut(who)?.profile = changed;
    }
    Some(differs)
}

pub fn update_audio_track(turn: &mut Turn<'_>, who: &ParticipantSid, request: UpdateLocalAudioTrack) {
    let sid = TrackSid(request.track_sid.clone());
    let mut features = request.features.clone();
    track_info::retain_known_features(&mut features);
    features.truncate(FEATURES_MAX);
    if !change_track(turn, who, &sid, |info| info.audio_features = features) {
        answering::refuse(turn, who, Reason::NotFound, "track not found", Request::UpdateAudioTrack(request));
    }
}

pub fn update_video_track(turn: &mut Turn<'_>, who: &ParticipantSid, request: UpdateLocalVideoTrack) {
    let sid = TrackSid(request.track_sid.clone());
    let changed = change_track(turn, who, &sid, |info| {
        info.width = request.width;
        info.height = request.height;
    });
    if !changed {
        answering::refuse(turn, who, Reason::NotFound, "track not found", Request::UpdateVideoTrack(request));
    }
}

/// Changes a participant's own track; false: it has no such track.
fn change_track(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    sid: &TrackSid,
    change: impl FnOnce(&mut livekit_protocol::TrackInfo),
) -> bool {
    let Some(track) = turn.room.tracks.get_mut(sid).filter(|track| track.record.publisher == *who) else {
        turn.refuse(Refused::UnknownTrack);
        return false;
    };
    let before = track.record.info.clone();
    change(&mut track.record.info);
    if track.record.info != before {
        let live = track.record.live;
        turn.touch_track(sid);
        if live {
            publishing::stamp(turn, sid);
            announce(turn, who, Urgency::Now);
        }
    }
    true
}

fn batch(turn: &mut Turn<'_>, who: &ParticipantSid, info: ParticipantInfo) {
    turn.room.batch.insert(who.clone(), info);
    let due = turn.now.after(BATCH_INTERVAL);
    turn.room.timers.batch.get_or_insert(due);
}

fn broadcast(turn: &mut Turn<'_>, who: &ParticipantSid, info: ParticipantInfo) {
    // What waits about this participant is older than what is said now.
    turn.room.batch.shift_remove(who);
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for to in &everybody {
        send(turn, to, vec![info.clone()]);
    }
}

fn send(turn: &mut Turn<'_>, to: &ParticipantSid, participants: Vec<ParticipantInfo>) {
    turn.send(to, signal_response::Message::Update(ParticipantUpdate { participants }));
}

/// LiveKit's, for participants that publish nothing.
const BATCH_INTERVAL: Duration = Duration::from_secs(3);
/// LiveKit's.
const COUNTS_INTERVAL: Duration = Duration::from_secs(5);
/// Up to this size everybody hears at once who arrived: 32² messages when all of them do.
const SMALL_ROOM: usize = 32;
/// Half of what a token may have.
const CLAIMED_LEN_MAX: usize = 4 * 1024;
/// More than there are features.
const FEATURES_MAX: usize = 16;
