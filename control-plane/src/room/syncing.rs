//! Syncing: after a resume the client says what it believes, and both sides agree again.

use livekit_protocol::{DisconnectReason, SyncState, leave_request};
use proto::media::v1 as proto;

use crate::room::effect::Refused;
use crate::room::leaving;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::subscribing;
use crate::room::turn::Turn;

pub fn sync(turn: &mut Turn<'_>, who: &ParticipantSid, state: &SyncState) {
    if publishes_unknown(turn, who, state) {
        turn.refuse(Refused::UnknownTrack);
        tracing::info!(participant = %who, "the client publishes a track that is not known: it joins anew");
        let action = leave_request::Action::Reconnect;
        return leaving::dismiss(turn, who, DisconnectReason::StateMismatch, action);
    }
    if let Some(subscription) = &state.subscription {
        subscribing::update(turn, who, subscription);
    }
    for sid in state.track_sids_disabled.iter().take(SIDS_MAX) {
        subscribing::disable(turn, who, &TrackSid(sid.clone()));
    }
    replay_data(turn, who, state);
}

/// Tracks that the client believes to be published must be so.
fn publishes_unknown(turn: &Turn<'_>, who: &ParticipantSid, state: &SyncState) -> bool {
    let Some(participant) = turn.participant(who) else { return false };
    let published = state.publish_tracks.iter().filter_map(|published| published.track.as_ref());
    let unknown = |sid: &String| !participant.tracks.contains(&TrackSid(sid.clone()));
    let mut data = state.publish_data_tracks.iter().filter_map(|published| published.info.as_ref());
    let data_is_unknown =
        data.any(|track| participant.profile.data.track(&TrackSid(track.sid.clone())).is_none());
    published.map(|track| &track.sid).any(unknown) || data_is_unknown
}

/// Reliable packets that were sent while the client could not hear are sent again.
fn replay_data(turn: &mut Turn<'_>, who: &ParticipantSid, state: &SyncState) {
    let Some(route) = turn.participant(who).map(|participant| participant.profile.route) else { return };
    let states = state.datachannel_receive_states.iter().take(SIDS_MAX);
    let received: Vec<_> = states
        .map(|one| proto::Received { sid: one.publisher_sid.clone(), sequence: one.last_seq })
        .collect();
    if !received.is_empty() {
        turn.replay_data(proto::ReplayData { route, received });
    }
}

const SIDS_MAX: usize = 1_024;
