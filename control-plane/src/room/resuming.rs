//! Resuming: the same participant on a new WebSocket, while its media never stopped.

use std::time::Duration;

use livekit_protocol::{DisconnectReason, leave_request, signal_response};
use proto::media::v1::TransportState;

use crate::room::clock::Time;
use crate::room::effect::{ConnectionId, Refused, Say};
use crate::room::info;
use crate::room::join::Arrival;
use crate::room::names::ParticipantSid;
use crate::room::participant::Sabotage;
use crate::room::turn::Turn;
use crate::room::{
    admission, data_tracks, dynacast, leaving, negotiating, offering, publishing, stalling, syncing,
    updating, welcome,
};

/// Swaps the connection and tells what the client missed; a client that we do not know has to join anew.
pub fn resume(turn: &mut Turn<'_>, connection: ConnectionId, arrival: &Arrival, last_message_sequence: u32) {
    let known = turn.room.of_identity(&admission::identity(arrival));
    let Some(who) =
        known.filter(|sid| arrival.participant_sid.is_empty() || sid.0 == arrival.participant_sid)
    else {
        turn.refuse(Refused::Resume);
        let protocol = arrival.client.protocol;
        return turn_away(turn, connection, protocol);
    };
    let who = &who;
    let (sabotage, absent_since) = swap(turn, who, connection, arrival);
    if sabotage == Some(Sabotage::BeforeMessages) {
        turn.say(Say::Joined { connection, participant: who.clone() });
        return leaving::hang_up(turn, who);
    }
    tell_what_was_missed(turn, who, last_message_sequence, absent_since);
    for request in &arrival.add_track_requests {
        publishing::add_track(turn, who, request.clone());
    }
    if let Some(offer) = &arrival.publisher_offer {
        negotiating::offer(turn, who, offer);
    }
    restart_subscriber(turn, who);
    dynacast::repeat(turn, who);
    stalling::repeat(turn, who);
    data_tracks::repeat(turn, who);
    if let Some(state) = &arrival.sync_state {
        syncing::sync(turn, who, state);
    }
    turn.say(Say::Joined { connection, participant: who.clone() });
    if sabotage == Some(Sabotage::AfterMessages) {
        leaving::hang_up(turn, who);
    }
}

/// There is nobody to resume: the client is told to join anew, on a connection that then closes.
pub fn turn_away(turn: &mut Turn<'_>, connection: ConnectionId, protocol: i32) {
    let action = leave_request::Action::Reconnect;
    let leave = leaving::request(protocol, DisconnectReason::StateMismatch, action);
    turn.send_on(connection, signal_response::Message::Leave(leave));
    turn.say(Say::TurnedAway { connection });
    turn.say(Say::Close { connection });
}

/// From here on the participant is heard on the new connection only.
fn swap(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    connection: ConnectionId,
    arrival: &Arrival,
) -> (Option<Sabotage>, Time) {
    let now = turn.now;
    let Some(participant) = turn.participant_mut(who) else { return (None, now) };
    // A connection that we believed in may have been dead for as long as that.
    let unnoticed = Time(now.0.saturating_sub(UNNOTICED_MAX_US)).max(participant.profile.joined_at);
    let absent_since = participant.absent_since.take().unwrap_or(unnoticed);
    let former = participant.connection.replace(connection);
    let claims = &mut participant.profile.claims;
    claims.expires_at = claims.expires_at.max(arrival.claims.expires_at);
    claims.not_before = claims.not_before.max(arrival.claims.not_before);
    // Whatever failed has another chance.
    if participant.timers.cleanup.is_some() {
        participant.timers.cleanup = Some(now.after(RECOVERY_TIMEOUT));
    }
    let sabotage = participant.sabotage.take();
    if let Some(former) = former {
        turn.room.connections.remove(&former);
        turn.say(Say::Close { connection: former });
    }
    turn.room.connections.insert(connection, who.clone());
    turn.touch_participant(who);
    (sabotage, absent_since)
}

fn tell_what_was_missed(
    turn: &mut Turn<'_>,
    who: &ParticipantSid,
    last_message_sequence: u32,
    absent_since: Time,
) {
    let Some(participant) = turn.participant(who) else { return };
    let reconnect = welcome::reconnect(turn.now, turn.surroundings, participant, last_message_sequence);
    let mut everyone = welcome::others(turn.room, participant);
    // Who left meanwhile. An identity that came back is there under another sid: its going comes before its coming.
    let departed = turn.room.departed.iter().filter(|departed| departed.at >= absent_since);
    everyone.splice(0..0, departed.map(|departed| departed.info.clone()));
    everyone.push(info::participant(turn.room, participant));
    turn.send(who, signal_response::Message::Reconnect(reconnect));
    updating::send_batched(turn, who, everyone);
    updating::tell_room(turn, who);
}

/// Two connections: the client cannot restart the one on which we offer, so we do.
fn restart_subscriber(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(worker) = turn.participant(who).map(|participant| participant.publisher.worker) else { return };
    let fresh = turn.mint.ice_credentials(worker);
    let Some(subscriber) = turn.participant_mut(who).and_then(|participant| participant.subscriber.as_mut())
    else {
        return;
    };
    if subscriber.session.awaits_answer() && subscriber.transport == TransportState::New {
        // The first offer was lost with the connection: it is repeated with the credentials that it had.
        subscriber.trickled = None;
    } else {
        subscriber.session.restart_ice(fresh);
    }
    offering::offer_all(turn, who);
}

/// A failed transport must be back this long after a resume. (Detection takes 15 s: a dead client is gone in 25 s.)
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// The ping timeout of clients and of ours: the longest that an end of a connection goes unnoticed.
const UNNOTICED_MAX_US: u64 = 15_000_000;
