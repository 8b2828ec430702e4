//! Calls: what the server API asks of a room, and what it is answered.
//!
//! A call goes through the step like everything else, so its answer is said only when what it changed is written. A
//! verb that cannot answer at once keeps the [`CallId`] and answers in a later step (`Turn::answer`).

use livekit_protocol::{
    MuteRoomTrackRequest, ParticipantInfo, PerformRpcRequest, Room, RpcError, SendDataRequest, TrackInfo,
    UpdateParticipantRequest, UpdateSubscriptionsRequest,
};

use crate::auth::revocation::Bearer;
use crate::room::join::Limit;
use crate::room::names::ParticipantSid;
use crate::room::statistics::Statistics;
use crate::room::turn::Turn;
use crate::room::{administering, listing, muting, performing, removing, sending, statistics};

/// Whoever waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// The room is to be there, whoever is in it. It is: this is it.
    CreateRoom,
    DescribeRoom,
    DeleteRoom,
    UpdateRoomMetadata {
        metadata: String,
    },
    ListParticipants,
    GetParticipant {
        identity: String,
    },
    RemoveParticipant {
        identity: String,
    },
    /// Everybody who came with such a token.
    RemoveBearers(Bearer),
    MutePublishedTrack(MuteRoomTrackRequest),
    UpdateParticipant(UpdateParticipantRequest),
    UpdateSubscriptions(UpdateSubscriptionsRequest),
    SendData(SendDataRequest),
    /// Of everybody, or of one.
    Statistics {
        identity: Option<String>,
    },
    PerformRpc(PerformRpcRequest),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Room(Box<Room>),
    Participant(Box<ParticipantInfo>),
    Participants(Vec<ParticipantInfo>),
    Track(Box<TrackInfo>),
    /// To how many participants it was done.
    Count(u32),
    Statistics(Box<Statistics>),
    /// What a participant's method responded with.
    Rpc(Result<String, RpcError>),
}

/// Why a call came to nothing. `api::error` has the statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("requested room does not exist")]
    RoomNotFound,
    #[error("participant does not exist")]
    ParticipantNotFound,
    #[error("track is not found")]
    TrackNotFound,
    #[error("remote unmute not enabled")]
    RemoteUnmuteNotEnabled,
    /// What a participant has already, and this.
    #[error("attribute size exceeds limits")]
    AttributesTooLarge,
    #[error("data is too large to be sent")]
    DataTooLarge,
    #[error("unknown room configuration in create room request")]
    UnknownPreset,
    #[error("{0}")]
    LimitReached(Limit),
    #[error("the server is shutting down")]
    Draining,
    /// Nothing is known of what became of it.
    #[error("no media plane is attached")]
    Unavailable,
}

/// Finds the verb for a call.
pub fn perform(turn: &mut Turn<'_>, id: CallId, call: Call) {
    let answer = match call {
        Call::CreateRoom => Ok(administering::create(turn)),
        Call::DescribeRoom => Ok(administering::describe(turn)),
        Call::DeleteRoom => Ok(administering::delete(turn)),
        Call::UpdateRoomMetadata { metadata } => Ok(administering::update_metadata(turn, metadata)),
        Call::ListParticipants => Ok(Answer::Participants(listing::everybody(turn))),
        Call::GetParticipant { identity } => listing::one(turn, &identity),
        Call::RemoveParticipant { identity } => removing::remove(turn, &identity),
        Call::RemoveBearers(bearer) => Ok(removing::remove_bearers(turn, &bearer)),
        Call::MutePublishedTrack(request) => muting::mute_remotely(turn, &request),
        Call::UpdateParticipant(request) => administering::update_participant(turn, request),
        Call::UpdateSubscriptions(request) => administering::update_subscriptions(turn, &request),
        Call::SendData(request) => sending::send(turn, request),
        Call::Statistics { identity } => {
            Ok(Answer::Statistics(Box::new(statistics::of(turn.room, identity.as_deref()))))
        }
        Call::PerformRpc(request) => match performing::perform(turn, id, request) {
            Some(answer) => answer,
            None => return,
        },
    };
    turn.answer(id, answer);
}

/// Whom a call is about.
pub fn participant(turn: &Turn<'_>, identity: &str) -> Result<ParticipantSid, CallError> {
    turn.room.of_identity(identity).ok_or(CallError::ParticipantNotFound)
}
