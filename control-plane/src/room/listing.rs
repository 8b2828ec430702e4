//! Listing: who is in the room, hidden ones too, for whoever administers it.

use livekit_protocol::ParticipantInfo;

use crate::room::call::{self, Answer, CallError};
use crate::room::info;
use crate::room::turn::Turn;

#[must_use]
pub fn everybody(turn: &Turn<'_>) -> Vec<ParticipantInfo> {
    turn.room.participants.values().map(|participant| info::participant(turn.room, participant)).collect()
}

pub fn one(turn: &Turn<'_>, identity: &str) -> Result<Answer, CallError> {
    let who = call::participant(turn, identity)?;
    let participant = turn.participant(&who).ok_or(CallError::ParticipantNotFound)?;
    Ok(Answer::Participant(Box::new(info::participant(turn.room, participant))))
}
