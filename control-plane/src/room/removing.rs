//! Removing: the server API sends somebody out of the room.

use livekit_protocol::{DisconnectReason, leave_request};

use crate::auth::revocation::Bearer;
use crate::room::call::{self, Answer, CallError};
use crate::room::leaving;
use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

pub fn remove(turn: &mut Turn<'_>, identity: &str) -> Result<Answer, CallError> {
    let who = call::participant(turn, identity)?;
    dismiss(turn, &who);
    Ok(Answer::Done)
}

/// Who has a token that is not valid any more.
pub fn remove_bearers(turn: &mut Turn<'_>, bearer: &Bearer) -> Answer {
    let bearers = turn.room.participants.values().map(|participant| &participant.profile);
    let bearers = bearers.filter(|profile| bearer.is(&profile.claims));
    let bearers: Vec<ParticipantSid> = bearers.map(|profile| profile.sid.clone()).collect();
    for who in &bearers {
        dismiss(turn, who);
    }
    Answer::Count(u32::try_from(bearers.len()).unwrap_or(u32::MAX))
}

fn dismiss(turn: &mut Turn<'_>, who: &ParticipantSid) {
    leaving::dismiss(turn, who, DisconnectReason::ParticipantRemoved, leave_request::Action::Disconnect);
}
