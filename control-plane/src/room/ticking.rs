//! Ticking: what is due by now.

use livekit_protocol::{DisconnectReason, RoomEndReason, leave_request};

use crate::room::clock::Time;
use crate::room::demand::Demand;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::state::Room;
use crate::room::track::Track;
use crate::room::turn::Turn;
use crate::room::{leaving, offering, performing, quality, refreshing, updating};

pub fn tick(turn: &mut Turn<'_>) {
    let now = turn.now;
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    for who in &everybody {
        participant(turn, who);
    }
    if due(turn.room.timers.batch, now) {
        updating::flush(turn);
    }
    if due(turn.room.timers.counts, now) {
        updating::tell_counts(turn);
    }
    if due(turn.room.timers.quality, now) {
        quality::tell(turn);
    }
    performing::expire(turn);
    for track in tracks_due(turn.room, now) {
        turn.touch_demand(&track);
    }
    if due(turn.room.timers.close, now) && turn.room.participants.is_empty() {
        leaving::end(turn, RoomEndReason::RoomEndIdleTimeout);
    }
}

fn participant(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let now = turn.now;
    let Some(participant) = turn.participant(who) else { return };
    let timers = participant.timers;
    let negotiation = participant.receiving().negotiation;
    if due(timers.cleanup, now) {
        return leaving::dismiss(
            turn,
            who,
            DisconnectReason::ConnectionTimeout,
            leave_request::Action::Reconnect,
        );
    }
    if due(timers.join, now) {
        return leaving::dismiss(turn, who, DisconnectReason::JoinFailure, leave_request::Action::Disconnect);
    }
    if negotiation.is_overdue(now) {
        tracing::info!(participant = %who, "no answer to a negotiation");
        return leaving::dismiss(
            turn,
            who,
            DisconnectReason::StateMismatch,
            leave_request::Action::Reconnect,
        );
    }
    if due(timers.refresh, now) {
        refreshing::refresh(turn, who);
    }
    if due(negotiation.due, now) {
        offering::negotiate(turn, who);
    }
}

/// Tracks of which something is to be told, or not to be waited for any more.
fn tracks_due(room: &Room, now: Time) -> Vec<TrackSid> {
    let tracks = room.tracks.values();
    let due = tracks.filter(|track| due(track.demand.as_ref().and_then(Demand::deadline), now));
    due.map(Track::sid).collect()
}

fn due(deadline: Option<Time>, now: Time) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}
