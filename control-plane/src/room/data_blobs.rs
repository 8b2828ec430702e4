//! Data blobs: a participant stores small texts or bytes by name, and others fetch them.
//!
//! Off unless configured, as in LiveKit (`participant_data_blob_handler.go`), whose reasons and words these are.

use livekit_protocol::request_response::Reason;
use livekit_protocol::{
    DataBlob, DataBlobKey, GetDataBlobRequest, GetDataBlobResponse, StoreDataBlobRequest,
    StoreDataBlobResponse, data_blob_key, signal_response,
};
use prost::Message;

use crate::config::Limit;
use crate::room::admission::limit_or_none;
use crate::room::effect::Refused;
use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;
use crate::room::{answering, keeping};

/// Stores a blob in place of the one of that name.
pub fn store(turn: &mut Turn<'_>, who: &ParticipantSid, request: StoreDataBlobRequest) {
    let id = request.request_id;
    if !turn.surroundings.config.enable_participant_data_blob {
        return refuse(turn, who, id, Reason::NotAllowed, "data blob not enabled");
    }
    let limit = &turn.surroundings.config.limit;
    let Some(blob) = request.blob.filter(|blob| blob.key.as_ref().is_some_and(|key| is_key(key, limit)))
    else {
        return refuse(turn, who, id, Reason::InvalidRequest, "data blob is invalid");
    };
    if blob.contents.is_empty() {
        return refuse(turn, who, id, Reason::InvalidRequest, "data blob is empty");
    }
    let Some(participant) = turn.participant(who) else { return };
    let mut profile = participant.profile.clone();
    let key = blob.key.clone();
    profile.data.blobs.retain(|known| known.key != key);
    profile.data.blobs.push(blob);
    let size: usize = profile.data.blobs.iter().map(DataBlob::encoded_len).sum();
    if size > limit_or_none(limit.max_data_blobs_size)
        || keeping::profile_len(&profile) > keeping::PROFILE_LEN_MAX
    {
        return refuse(turn, who, id, Reason::LimitExceeded, "data blobs exceed their limit");
    }
    if let Some(participant) = turn.participant_mut(who) {
        participant.profile = profile;
    }
    turn.touch_participant(who);
    let response = StoreDataBlobResponse { request_id: id, key };
    turn.send(who, signal_response::Message::StoreDataBlobResponse(response));
}

/// Fetches a blob of whoever is in the room.
pub fn fetch(turn: &mut Turn<'_>, who: &ParticipantSid, request: &GetDataBlobRequest) {
    let id = request.request_id;
    if !turn.surroundings.config.enable_participant_data_blob {
        return refuse(turn, who, id, Reason::NotAllowed, "data blob not enabled");
    }
    let Some(key) = &request.key else {
        return refuse(turn, who, id, Reason::InvalidRequest, "data blob key is required");
    };
    let owner = turn.room.of_identity(&request.participant_identity);
    let owner = owner.and_then(|owner| turn.participant(&owner));
    let Some(owner) = owner.filter(|owner| owner.profile.sid == *who || !owner.profile.hidden()) else {
        return refuse(turn, who, id, Reason::NotFound, "participant not found");
    };
    let Some(blob) = owner.profile.data.blobs.iter().find(|blob| blob.key.as_ref() == Some(key)) else {
        return refuse(turn, who, id, Reason::NotFound, "data blob not found");
    };
    let response = GetDataBlobResponse { request_id: id, blob: Some(blob.clone()) };
    turn.send(who, signal_response::Message::GetDataBlobResponse(response));
}

/// Names something, and is no longer than allowed.
fn is_key(key: &DataBlobKey, limit: &Limit) -> bool {
    let (name, len) = match &key.key {
        Some(data_blob_key::Key::Generic(name)) => (name, name.len()),
        Some(data_blob_key::Key::SchemaId(schema)) => (&schema.name, schema.encoded_len()),
        None => return false,
    };
    !name.is_empty() && len <= limit_or_none(limit.max_data_blob_key_length)
}

fn refuse(turn: &mut Turn<'_>, who: &ParticipantSid, request_id: u32, reason: Reason, text: &str) {
    turn.refuse(Refused::DataBlob);
    answering::respond(turn, who, request_id, reason, text, None);
}
