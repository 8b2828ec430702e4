//! Muting: a publisher silences one of its tracks, or the server API does, and everybody sees it.

use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{MuteRoomTrackRequest, MuteTrackRequest, TrackInfo, signal_response};

use crate::room::call::{self, Answer, CallError};
use crate::room::effect::Refused;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{answering, publishing, updating};

pub fn mute(turn: &mut Turn<'_>, who: &ParticipantSid, request: MuteTrackRequest) {
    let sid = TrackSid(request.sid.clone());
    if set(turn, who, &sid, request.muted).is_none() {
        turn.refuse(Refused::UnknownTrack);
        answering::refuse(turn, who, Reason::NotFound, "track not found", Request::Mute(request));
    }
}

/// For the server API: the publisher is told. To unmute is to open somebody's microphone, so operators must allow it.
pub fn mute_remotely(turn: &mut Turn<'_>, request: &MuteRoomTrackRequest) -> Result<Answer, CallError> {
    let who = call::participant(turn, &request.identity)?;
    if !request.muted && !turn.surroundings.config.room.enable_remote_unmute {
        return Err(CallError::RemoteUnmuteNotEnabled);
    }
    let sid = TrackSid(request.track_sid.clone());
    if turn.room.tracks.get(&sid).is_none_or(|track| track.record.publisher != who) {
        return Err(CallError::TrackNotFound);
    }
    let mute = MuteTrackRequest { sid: sid.0.clone(), muted: request.muted };
    turn.send(&who, signal_response::Message::Mute(mute));
    let track = set(turn, &who, &sid, request.muted).ok_or(CallError::TrackNotFound)?;
    Ok(Answer::Track(Box::new(track)))
}

/// The track as it is now; none: the participant has no such track.
fn set(turn: &mut Turn<'_>, who: &ParticipantSid, sid: &TrackSid, muted: bool) -> Option<TrackInfo> {
    let track = turn.room.tracks.get_mut(sid).filter(|track| track.record.publisher == *who)?;
    if track.record.info.muted != muted {
        track.record.info.muted = muted;
        let live = track.record.live;
        turn.touch_track(sid);
        if live {
            publishing::stamp(turn, sid);
            updating::announce(turn, who, Urgency::Now);
        }
    }
    turn.room.tracks.get(sid).map(|track| track.record.info.clone())
}
