//! Refreshing: a client always holds a token with which it can come back.

use std::time::Duration;

use crate::room::effect::Say;
use crate::room::names::ParticipantSid;
use crate::room::turn::Turn;

/// Sends a fresh token, with the same grants, and the next one in five minutes.
pub fn refresh(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let now = turn.now;
    let Some(participant) = turn.participant_mut(who) else { return };
    participant.timers.refresh = Some(now.after(INTERVAL));
    let Some(connection) = participant.connection else { return };
    let mut claims = participant.profile.claims.clone();
    // Nobody knows how old it is: it does not become younger by being refreshed, either.
    claims.not_before.get_or_insert(0);
    // What is left of the original token's life, if that is longer.
    let expiry = Duration::from_secs(claims.expires_at.unwrap_or(0));
    let left = expiry.saturating_sub(Duration::from_micros(now.0));
    let say = Say::Token { connection, claims: Box::new(claims), time_to_live: left.max(TIME_TO_LIVE_MIN) };
    turn.say(say);
}

const INTERVAL: Duration = Duration::from_secs(5 * 60);
const TIME_TO_LIVE_MIN: Duration = Duration::from_secs(10 * 60);
