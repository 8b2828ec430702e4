//! Removing: the server API sends somebody out of the room.

use livekit_protocol::{DisconnectReason, leave_request};

use crate::room::call::{self, Answer, CallError};
use crate::room::leaving;
use crate::room::turn::Turn;

pub fn remove(turn: &mut Turn<'_>, identity: &str) -> Result<Answer, CallError> {
    let who = call::participant(turn, identity)?;
    leaving::dismiss(turn, &who, DisconnectReason::ParticipantRemoved, leave_request::Action::Disconnect);
    Ok(Answer::Done)
}
