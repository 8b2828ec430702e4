//! Calls: what the server API asks of a room, and what it is answered.
//!
//! A call goes through the step like everything else, so its answer is said only when what it changed is written. A
//! verb that cannot answer at once keeps the [`CallId`] and answers in a later step (`Turn::answer`).

use livekit_protocol::ParticipantInfo;

use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;
use crate::room::{listing, removing};

/// Whoever waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    ListParticipants,
    GetParticipant { identity: String },
    RemoveParticipant { identity: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Participant(Box<ParticipantInfo>),
    Participants(Vec<ParticipantInfo>),
}

/// Why a call came to nothing. `api::error` has the statuses and LiveKit's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("requested room does not exist")]
    RoomNotFound,
    #[error("participant does not exist")]
    ParticipantNotFound,
    /// Nothing is known of what became of it.
    #[error("no media plane is attached")]
    Unavailable,
}

/// Finds the verb for a call.
pub fn perform(turn: &mut Turn<'_>, id: CallId, call: Call) {
    let answer = match call {
        Call::ListParticipants => Ok(Answer::Participants(listing::everybody(turn))),
        Call::GetParticipant { identity } => listing::one(turn, &identity),
        Call::RemoveParticipant { identity } => removing::remove(turn, &identity),
    };
    turn.answer(id, answer);
}

/// Whom a call is about.
pub fn participant(turn: &Turn<'_>, identity: &str) -> Result<ParticipantSid, CallError> {
    turn.room.of_identity(identity).ok_or(CallError::ParticipantNotFound)
}
