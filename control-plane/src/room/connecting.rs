//! Connecting: transports come up, falter and fail, and what that means for their participant.

use std::time::Duration;

use livekit_protocol::{DisconnectReason, leave_request};
use proto::media::v1 as proto;
use proto::{FailureReason, TransportState};

use crate::room::names::ParticipantSid;
use crate::room::participant::Stage;
use crate::room::turn::Turn;
use crate::room::updating::Urgency;
use crate::room::{leaving, notice, updating};

pub fn changed(turn: &mut Turn<'_>, changed: &proto::TransportChanged) {
    let Some(who) = turn.room.directory.peers.get(&changed.peer).cloned() else { return };
    let state = changed.state();
    let Some(participant) = turn.participant_mut(&who) else { return };
    if let Some(peer) = participant.peers_mut().find(|peer| peer.id == changed.peer) {
        peer.transport = state;
    }
    let primary = participant.primary().id == changed.peer;
    match state {
        TransportState::Connected => connected(turn, &who, primary),
        TransportState::Failed => failed(turn, &who, changed.reason()),
        TransportState::New | TransportState::Connecting | TransportState::Disconnected => {}
    }
}

fn connected(turn: &mut Turn<'_>, who: &ParticipantSid, primary: bool) {
    let Some(participant) = turn.participant_mut(who) else { return };
    if participant.peers().all(|peer| peer.transport != TransportState::Failed) {
        participant.timers.cleanup = None;
    }
    if primary && participant.profile.stage != Stage::Active {
        participant.profile.stage = Stage::Active;
        participant.timers.join = None;
        updating::announce(turn, who, Urgency::Soon);
        notice::joined(turn, who);
    }
}

fn failed(turn: &mut Turn<'_>, who: &ParticipantSid, reason: FailureReason) {
    let now = turn.now;
    let Some(participant) = turn.participant_mut(who) else { return };
    let signalled = participant.connection.is_some();
    match reason {
        // The media plane gave the session up: there is nothing to resume.
        FailureReason::Panic => {
            let action = leave_request::Action::Reconnect;
            leaving::dismiss(turn, who, DisconnectReason::MediaFailure, action);
        }
        _ if !signalled => leaving::remove(turn, who, DisconnectReason::ConnectionTimeout),
        // The client closed it, and says why in a moment: it leaves, or it starts over.
        FailureReason::ClosedByPeer => participant.timers.cleanup = Some(now.after(CLEANUP)),
        FailureReason::ConsentLost | FailureReason::Dtls | FailureReason::Unspecified => {
            participant.timers.cleanup = Some(now.after(CLEANUP));
            leaving::ask_to_resume(turn, who, DisconnectReason::ConnectionTimeout);
        }
    }
}

/// LiveKit's: a participant whose transport failed is removed after this, unless it comes back.
const CLEANUP: Duration = Duration::from_secs(5);
