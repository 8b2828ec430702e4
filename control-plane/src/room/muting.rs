//! Muting: a publisher silences one of its tracks, and everybody sees it.

use livekit_protocol::MuteTrackRequest;
use livekit_protocol::request_response::{Reason, Request};

use crate::room::effect::Refused;
use crate::room::names::{ParticipantSid, TrackSid};
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{answering, publishing, updating};

pub fn mute(turn: &mut Turn<'_>, who: &ParticipantSid, request: MuteTrackRequest) {
    let sid = TrackSid(request.sid.clone());
    let Some(track) = turn.room.tracks.get_mut(&sid).filter(|track| track.record.publisher == *who) else {
        turn.refuse(Refused::UnknownTrack);
        return answering::refuse(turn, who, Reason::NotFound, "track not found", Request::Mute(request));
    };
    if track.record.info.muted == request.muted {
        return;
    }
    track.record.info.muted = request.muted;
    let live = track.record.live;
    turn.touch_track(&sid);
    if live {
        publishing::stamp(turn, &sid);
        updating::announce(turn, who, Urgency::Now);
    }
}
