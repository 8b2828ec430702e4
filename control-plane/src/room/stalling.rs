//! Stream states: a subscriber learns that a video flows, stopped for no reason of its own, and goes on.

use livekit_protocol::{StreamState, StreamStateInfo, StreamStateUpdate, TrackSource, signal_response};
use proto::media::v1 as proto;

use crate::negotiate::codec::Kind;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::subscription::Subscription;
use crate::room::track::Track;
use crate::room::turn::Turn;

/// The first packet of a video went to its subscriber.
pub fn started(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid) {
    let Some(track) = turn.room.tracks.get(sid).filter(|track| track.kind() == Kind::Video) else { return };
    let info = info(track, StreamState::Active);
    tell(turn, who, vec![info]);
}

/// A video stalled, or goes on.
pub fn changed(turn: &mut Turn<'_>, state: &proto::StreamState) {
    let Some((who, sid)) = turn.room.directory.subscriptions.get(&state.subscription).cloned() else {
        return;
    };
    // A screen on which nothing moves is not sent again by every client: silence is no sign.
    let Some(track) = turn.room.tracks.get(&sid).filter(|track| !shows_a_screen(track)) else { return };
    let info = info(track, if state.stalled { StreamState::Paused } else { StreamState::Active });
    let subscription =
        turn.participant_mut(&who).and_then(|participant| participant.subscriptions.get_mut(&sid));
    let Some(subscription) = subscription else { return };
    if std::mem::replace(&mut subscription.stalled, state.stalled) != state.stalled {
        tell(turn, &who, vec![info]);
    }
}

/// A subscriber that resumes may have missed it.
pub fn repeat(turn: &mut Turn<'_>, who: &ParticipantSid) {
    let Some(participant) = turn.participant(who) else { return };
    let started = |one: &&Subscription| one.started && one.kind == Kind::Video;
    let states = participant.subscriptions.values().filter(started).filter_map(|subscription| {
        let track = turn.room.tracks.get(&subscription.track)?;
        let stalled = subscription.stalled && !shows_a_screen(track);
        Some(info(track, if stalled { StreamState::Paused } else { StreamState::Active }))
    });
    let states: Vec<StreamStateInfo> = states.collect();
    if !states.is_empty() {
        tell(turn, who, states);
    }
}

fn tell(turn: &mut Turn<'_>, who: &ParticipantSid, stream_states: Vec<StreamStateInfo>) {
    turn.send(who, signal_response::Message::StreamStateUpdate(StreamStateUpdate { stream_states }));
}

fn info(track: &Track, state: StreamState) -> StreamStateInfo {
    StreamStateInfo {
        participant_sid: track.record.publisher.0.clone(),
        track_sid: track.record.info.sid.clone(),
        state: state.into(),
    }
}

fn shows_a_screen(track: &Track) -> bool {
    track.record.info.source() == TrackSource::ScreenShare
}
