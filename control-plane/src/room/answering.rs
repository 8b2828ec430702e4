//! `request_response`: how a request of a client is answered when it has no response of its own.

use livekit_protocol::request_response::{self, Reason};
use livekit_protocol::{RequestResponse, signal_response};

use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

/// Says why a request came to nothing, with the request itself, for most carry no id.
pub fn refuse(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    reason: Reason,
    message: &str,
    request: request_response::Request,
) {
    respond(turn, who, 0, reason, message, Some(request));
}

pub fn respond(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    request_id: u32,
    reason: Reason,
    message: &str,
    request: Option<request_response::Request>,
) {
    let response =
        RequestResponse { request_id, reason: reason.into(), message: message.to_owned(), request };
    turn.send(who, signal_response::Message::RequestResponse(response));
}
