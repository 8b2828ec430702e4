//! Data tracks and data blobs: neither is offered, and a client that asks is told so.
//!
//! What passes on data channels concerns the media plane only; here is just each participant's route (`keeping`).

use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    GetDataBlobRequest, PublishDataTrackRequest, StoreDataBlobRequest, UnpublishDataTrackRequest,
};

use crate::room::answering;
use crate::room::effect::Refused;
use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

pub fn publish_track(turn: &mut Turn<'_>, who: &ParticipantSid, request: PublishDataTrackRequest) {
    turn.refuse(Refused::DataTrack);
    let request = Request::PublishDataTrack(request);
    answering::refuse(turn, who, Reason::NotAllowed, "data tracks are not enabled", request);
}

pub fn unpublish_track(turn: &mut Turn<'_>, who: &ParticipantSid, request: UnpublishDataTrackRequest) {
    turn.refuse(Refused::DataTrack);
    let request = Request::UnpublishDataTrack(request);
    answering::refuse(turn, who, Reason::NotFound, "data track not found", request);
}

pub fn store_blob(turn: &mut Turn<'_>, who: &ParticipantSid, request: &StoreDataBlobRequest) {
    refuse_blob(turn, who, request.request_id);
}

pub fn fetch_blob(turn: &mut Turn<'_>, who: &ParticipantSid, request: &GetDataBlobRequest) {
    refuse_blob(turn, who, request.request_id);
}

fn refuse_blob(turn: &mut Turn<'_>, who: &ParticipantSid, request_id: u32) {
    turn.refuse(Refused::DataBlob);
    answering::respond(turn, who, request_id, Reason::NotAllowed, "data blobs are not enabled", None);
}
