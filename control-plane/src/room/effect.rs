//! What a step wants done: resources written to the media plane, then messages spoken to clients.

use std::time::Duration;

use livekit_protocol::signal_response::Message;
use proto::media::v1::command;

use crate::auth::grants::Claims;
use crate::room::call::{Answer, CallError, CallId};
use crate::room::join::JoinError;
use crate::room::names::ParticipantSid;
use crate::room::notice::Notice;

/// One WebSocket. A participant that resumes has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Everything that one step brings about.
///
/// Write, then speak: nothing of `says` may leave before every one of `writes`, and of the steps before, was
/// acknowledged. So a client never knows more than what a successor of this control plane would find.
#[derive(Debug, Default)]
pub struct Effects {
    pub writes: Vec<command::Command>,
    pub says: Vec<Say>,
    /// What happened, for those outside of the room.
    pub notices: Vec<Notice>,
    /// What was refused to clients, for the counters.
    pub refused: Vec<Refused>,
}

/// Something to tell a client, or the one who waits for a join or a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Say {
    Send {
        connection: ConnectionId,
        message: Box<Message>,
    },
    /// `refresh_token`; signed when it leaves, for signing needs keys and a clock.
    Token {
        connection: ConnectionId,
        claims: Box<Claims>,
        time_to_live: Duration,
    },
    Close {
        connection: ConnectionId,
    },
    /// The join is done: what was said to this connection before is its first response.
    Joined {
        connection: ConnectionId,
        participant: ParticipantSid,
    },
    /// The connection is answered but belongs to nobody: its one message was said before.
    TurnedAway {
        connection: ConnectionId,
    },
    Denied {
        connection: ConnectionId,
        error: JoinError,
    },
    /// What a call of the server API is told.
    Answered {
        call: CallId,
        answer: Box<Result<Answer, CallError>>,
    },
}

/// What a client was refused. Each has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    Join,
    Resume,
    Publish,
    PublishLimit,
    UnknownTrack,
    Subscribe,
    SubscriptionLimit,
    Metadata,
    MetadataLimit,
    Description,
    UnexpectedMessage,
    DataTrack,
    DataBlob,
    Resource,
    /// A join, for want of memory.
    Memory,
    /// A join, with a token that does not count any more.
    Revoked,
}

impl Refused {
    pub const ALL: [Self; 16] = [
        Self::Join,
        Self::Resume,
        Self::Publish,
        Self::PublishLimit,
        Self::UnknownTrack,
        Self::Subscribe,
        Self::SubscriptionLimit,
        Self::Metadata,
        Self::MetadataLimit,
        Self::Description,
        Self::UnexpectedMessage,
        Self::DataTrack,
        Self::DataBlob,
        Self::Resource,
        Self::Memory,
        Self::Revoked,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Resume => "resume",
            Self::Publish => "publish",
            Self::PublishLimit => "publish_limit",
            Self::UnknownTrack => "unknown_track",
            Self::Subscribe => "subscribe",
            Self::SubscriptionLimit => "subscription_limit",
            Self::Metadata => "metadata",
            Self::MetadataLimit => "metadata_limit",
            Self::Description => "description",
            Self::UnexpectedMessage => "unexpected_message",
            Self::DataTrack => "data_track",
            Self::DataBlob => "data_blob",
            Self::Resource => "resource",
            Self::Memory => "memory",
            Self::Revoked => "revoked",
        }
    }
}
