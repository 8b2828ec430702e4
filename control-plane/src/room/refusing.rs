//! Refusals of the media plane: what it does not take does not exist, and who asked for it is told.

use livekit_protocol::{
    DisconnectReason, SubscriptionError, SubscriptionResponse, leave_request, signal_response,
};
use proto::media::v1 as proto;
use proto::resource_key::Key;

use crate::room::effect::Refused;
use crate::room::names::ParticipantSid;
use crate::room::subscription::Stage;
use crate::room::turn::Turn;
use crate::room::{leaving, publishing};

pub fn refused(turn: &mut Turn<'_>, key: &Key, reason: proto::RefusalReason) {
    turn.refuse(Refused::Resource);
    tracing::warn!(?key, ?reason, room = turn.room.record.sid, "the media plane refused a resource");
    match key {
        Key::Room(_) => leaving::media_lost(turn),
        Key::Peer(id) => start_over(turn, turn.room.directory.peers.get(id).cloned()),
        Key::Route(id) => start_over(turn, turn.room.directory.routes.get(id).cloned()),
        Key::Publication(id) => {
            let Some(track) = turn.room.directory.publications.get(id).cloned() else { return };
            let Some(publisher) = turn.room.tracks.get(&track).map(|track| track.record.publisher.clone())
            else {
                return;
            };
            publishing::revoke(turn, &publisher, &track);
        }
        Key::Subscription(id) => {
            let Some((who, track)) = turn.room.directory.subscriptions.get(id).cloned() else { return };
            let Some(subscription) =
                turn.participant_mut(&who).and_then(|participant| participant.subscriptions.get_mut(&track))
            else {
                return;
            };
            subscription.stage = Stage::Unsupported;
            let response =
                SubscriptionResponse { track_sid: track.0, err: SubscriptionError::SeUnknown.into() };
            turn.send(&who, signal_response::Message::SubscriptionResponse(response));
        }
    }
}

fn start_over(turn: &mut Turn<'_>, who: Option<ParticipantSid>) {
    if let Some(who) = who {
        leaving::dismiss(turn, &who, DisconnectReason::MediaFailure, leave_request::Action::Reconnect);
    }
}
