//! Leaving: by the client's wish, by ours, or because a client was not heard of any more.

use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::{DisconnectReason, LeaveRequest, RoomEndReason, signal_response};

use crate::room::effect::{ConnectionId, Say};
use crate::room::info;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::participant::{Participant, Stage};
use crate::room::state::{Departed, RoomTimers};
use crate::room::turn::Turn;
use crate::room::{data_tracks, notice, performing, speaking, subscribing, updating};

/// The client says that it goes.
pub fn leave(turn: &mut Turn<'_>, who: &ParticipantSid, request: &LeaveRequest) {
    let reason = match request.reason() {
        reason @ (DisconnectReason::UserUnavailable
        | DisconnectReason::UserRejected
        | DisconnectReason::AgentError) => reason,
        _ => DisconnectReason::ClientInitiated,
    };
    remove(turn, who, reason);
}

/// The WebSocket is gone. Whoever has a transport stays until it resumes, or until that fails.
pub fn disconnected(turn: &mut Turn<'_>, connection: ConnectionId) {
    let Some(who) = turn.room.connections.remove(&connection) else { return };
    let now = turn.now;
    let Some(participant) = turn.participant_mut(&who) else { return };
    participant.disconnect(now);
    let never_connected = participant.profile.stage != Stage::Active;
    let failed = participant.timers.cleanup.is_some();
    if never_connected {
        remove(turn, &who, DisconnectReason::SignalClose);
    } else if failed {
        shorten_cleanup(turn, &who);
    }
}

/// Says `leave` with what the client should do next, and removes the participant.
pub fn dismiss(turn: &mut Turn<'_>, who: &ParticipantSid, reason: DisconnectReason, action: Action) {
    let Some(participant) = turn.participant(who) else { return };
    let leave = request(participant.profile.client.protocol, reason, action);
    turn.send(who, signal_response::Message::Leave(leave));
    remove(turn, who, reason);
}

/// Asks the client to resume: its transport failed, but the participant stays.
pub fn ask_to_resume(turn: &mut Turn<'_>, who: &ParticipantSid, reason: DisconnectReason) {
    let Some(participant) = turn.participant(who) else { return };
    // It restarts ICE by itself, on the session that it has.
    if participant.profile.one_shot {
        return;
    }
    let protocol = participant.profile.client.protocol;
    // Clients before protocol 13 resume by themselves when the connection closes.
    if protocol > LEAVE_WITHOUT_ACTION_MAX {
        turn.send(who, signal_response::Message::Leave(request(protocol, reason, Action::Resume)));
    }
    hang_up(turn, who);
}

/// Closes the WebSocket; the participant stays.
pub fn hang_up(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let now = turn.now;
    if let Some(connection) = turn.participant_mut(who).and_then(|participant| participant.disconnect(now)) {
        turn.room.connections.remove(&connection);
        turn.say(Say::Close { connection });
    }
}

/// `leave` in the words that a client of this protocol version understands.
#[must_use]
pub fn request(protocol: i32, reason: DisconnectReason, action: Action) -> LeaveRequest {
    let action_known = protocol > LEAVE_WITHOUT_ACTION_MAX;
    LeaveRequest {
        can_reconnect: action != Action::Disconnect,
        reason: reason.into(),
        action: if action_known { action.into() } else { Action::Disconnect.into() },
        regions: None,
    }
}

/// Takes a participant out of the room, and everything of it out of the media plane.
pub fn remove(turn: &mut Turn<'_>, who: &ParticipantSid, reason: DisconnectReason) {
    let Some(participant) = turn.room.participants.get(who) else { return };
    let info = info::departed(turn.room, participant, reason);
    let (tracks, was_active) = (participant.tracks.clone(), participant.profile.stage == Stage::Active);
    for track in &tracks {
        notice::unpublished(turn, who, track);
    }
    let Some(participant) = turn.room.participants.shift_remove(who) else { return };
    if let Some(connection) = participant.connection {
        turn.room.connections.remove(&connection);
        turn.say(Say::Close { connection });
    }
    let hidden = participant.profile.hidden();
    let version = participant.profile.version.saturating_add(1);
    free(turn, &participant);
    let info = livekit_protocol::ParticipantInfo { version, ..info };
    if !hidden {
        remember(turn, info.clone());
        updating::tell_departure(turn, who, info.clone(), participant.is_silent());
    }
    notice::left(turn, info, was_active);
    speaking::silenced(turn, who);
    updating::recount(turn);
    if turn.room.participants.is_empty() {
        let timeout = Duration::from_secs(turn.room.record.departure_timeout_seconds.into());
        turn.room.timers.close = Some(turn.now.after(timeout));
        turn.room.timers.quality = None;
    }
}

/// Everybody leaves and the room is over.
pub fn close(turn: &mut Turn<'_>, reason: DisconnectReason) {
    // A server that stops is not the end of a call: there may be another one, or it comes back.
    let action = match reason {
        DisconnectReason::ServerShutdown | DisconnectReason::Migration => Action::Reconnect,
        _ => Action::Disconnect,
    };
    dismiss_all(turn, reason, action);
    end(
        turn,
        match reason {
            DisconnectReason::RoomDeleted => RoomEndReason::RoomEndApiDelete,
            DisconnectReason::ServerShutdown => RoomEndReason::RoomEndServerShutdown,
            DisconnectReason::Migration => RoomEndReason::RoomEndSuperseded,
            _ => RoomEndReason::RoomEndUnknown,
        },
    );
}

/// The room is over, as it is when nobody came (back) in time.
pub fn end(turn: &mut Turn<'_>, reason: RoomEndReason) {
    if turn.room.written {
        turn.delete_room();
    }
    notice::finished(turn, reason);
    turn.room.timers = RoomTimers::default();
    turn.room.closed = true;
}

/// The media plane lost everything: clients join anew, into a room with the same sid.
pub fn media_lost(turn: &mut Turn<'_>) {
    dismiss_all(turn, DisconnectReason::MediaFailure, Action::Reconnect);
    turn.forget_deletions();
    turn.room.written = false;
}

fn dismiss_all(turn: &mut Turn<'_>, reason: DisconnectReason, action: Action) {
    let everybody: Vec<ParticipantSid> = turn.room.participants.keys().cloned().collect();
    // First the word to all of them, so that nobody hears of the others' departure before its own.
    for who in &everybody {
        let Some(participant) = turn.participant(who) else { continue };
        let leave = request(participant.profile.client.protocol, reason, action);
        turn.send(who, signal_response::Message::Leave(leave));
        hang_up(turn, who);
    }
    for who in &everybody {
        remove(turn, who, reason);
    }
}

fn shorten_cleanup(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let soon = turn.now.after(CLEANUP_WITHOUT_SIGNAL);
    if let Some(participant) = turn.participant_mut(who) {
        participant.timers.cleanup = participant.timers.cleanup.map(|due| due.min(soon));
    }
}

fn free(turn: &mut Turn<'_>, participant: &Participant) {
    for subscription in participant.subscriptions.values() {
        turn.delete_subscription(subscription);
    }
    for track in &participant.tracks {
        withdraw(turn, track);
    }
    data_tracks::forget(turn, &participant.profile.sid);
    performing::abandon(turn, &participant.profile.sid);
    turn.delete_route(participant.profile.route);
    for peer in participant.peers() {
        turn.delete_peer(peer.id);
    }
}

/// A track is no more: subscribers lose it, its resources are deleted. (Its publisher's list is the caller's.)
pub fn withdraw(turn: &mut Turn<'_>, sid: &TrackSid) {
    for subscriber in turn.room.subscribers(sid) {
        subscribing::drop(turn, &subscriber, sid);
    }
    let Some(track) = turn.room.tracks.shift_remove(sid) else { return };
    for publication in &track.publications {
        turn.delete_publication(publication.id);
    }
    let mut changed = Vec::new();
    for participant in turn.room.participants.values_mut() {
        participant.denied.retain(|denied| denied != sid);
        participant.wishes.remove(sid);
        if participant.profile.choices.remove(sid).is_some() {
            changed.push(participant.profile.sid.clone());
        }
    }
    for participant in &changed {
        turn.touch_participant(participant);
    }
}

fn remember(turn: &mut Turn<'_>, info: livekit_protocol::ParticipantInfo) {
    let now = turn.now;
    let departed = &mut turn.room.departed;
    departed.retain(|departed| now.since(departed.at) < REMEMBERED);
    if departed.len() >= REMEMBERED_MAX {
        departed.pop_front();
    }
    departed.push_back(Departed { at: now, info });
}

/// Since protocol 13 `leave` has an action.
const LEAVE_WITHOUT_ACTION_MAX: i32 = 12;
/// A client without signalling and without transport is gone.
const CLEANUP_WITHOUT_SIGNAL: Duration = Duration::from_secs(5);
/// A client resumes within 25 s or not at all.
const REMEMBERED: Duration = Duration::from_secs(60);
const REMEMBERED_MAX: usize = 1_024;
