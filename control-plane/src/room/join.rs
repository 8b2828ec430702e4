//! What it takes to join a room, and what comes of it: the seam between signalling and rooms.

use std::collections::HashMap;
use std::net::IpAddr;

use livekit_protocol::{
    AddTrackRequest, ClientInfo, ConnectionSettings, ReconnectReason, SessionDescription, SyncState,
};
use livekit_protocol::{signal_request, signal_response};
use tokio::sync::mpsc;

use crate::auth::grants::Claims;
use crate::room::clock::Clock;
use crate::room::effect::ConnectionId;
use crate::room::inbox::Letter;
use crate::signal::sink::Sink;

/// A client at the door, and the way to speak to it.
#[derive(Clone, Debug)]
pub struct Join {
    pub arrival: Arrival,
    pub sink: Sink,
}

/// Who comes, where to, and how: everything that the token, the query and the join request say.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub room: String,
    pub claims: Claims,
    pub client: ClientInfo,
    pub settings: ConnectionSettings,
    /// `/rtc/v1`, or `/rtc` with a join request.
    pub single_peer_connection: bool,
    /// It offers once and hears nothing after the answer: WHIP and WHEP.
    pub one_shot: bool,
    /// The `publish` parameter: a second connection of the same user, only for publishing.
    pub publish: Option<String>,
    pub participant_attributes: HashMap<String, String>,
    /// Not empty: replaces the token's.
    pub metadata: String,
    pub add_track_requests: Vec<AddTrackRequest>,
    pub publisher_offer: Option<SessionDescription>,
    pub reconnect: bool,
    pub reconnect_reason: ReconnectReason,
    /// Of the session to be resumed.
    pub participant_sid: String,
    pub sync_state: Option<SyncState>,
    pub remote_address: IpAddr,
}

/// The client is answered, and its first responses are in the sink already.
#[derive(Debug)]
pub struct Joined {
    pub participant: ParticipantHandle,
}

/// A connection's way into its room.
#[derive(Debug)]
pub struct ParticipantHandle {
    connection: ConnectionId,
    room: mpsc::Sender<Letter>,
    sink: Sink,
    clock: Clock,
}

impl ParticipantHandle {
    pub(crate) fn new(
        connection: ConnectionId,
        room: mpsc::Sender<Letter>,
        sink: Sink,
        clock: Clock,
    ) -> Self {
        Self { connection, room, sink, clock }
    }

    /// Hands a message of the client to the room. Pings are answered here: they ask for the time, not for the room.
    pub fn request(&self, message: signal_request::Message) {
        match message {
            signal_request::Message::Ping(_) => {
                self.sink.send(signal_response::Message::Pong(self.clock.now().unix_millis()));
            }
            signal_request::Message::PingReq(ping) => {
                self.sink.send(signal_response::Message::PongResp(livekit_protocol::Pong {
                    last_ping_timestamp: ping.timestamp,
                    timestamp: self.clock.now().unix_millis(),
                }));
            }
            other => self.post(Letter::Signal { connection: self.connection, message: Box::new(other) }),
        }
    }

    /// The WebSocket is gone. The participant stays until it resumes, or until its transport fails.
    /// (So it is when a handle is dropped in any other way.)
    pub fn disconnected(self) {
        drop(self);
    }

    fn post(&self, letter: Letter) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.room.try_send(letter) {
            tracing::warn!(connection = self.connection.0, "the room does not keep up: connection closed");
            self.sink.close();
        }
    }
}

impl Drop for ParticipantHandle {
    fn drop(&mut self) {
        let letter = Letter::Disconnected { connection: self.connection };
        if let Err(mpsc::error::TrySendError::Full(letter)) = self.room.try_send(letter)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // The one letter that must arrive, however busy the room is.
            let room = self.room.clone();
            runtime.spawn(async move { room.send(letter).await });
        }
    }
}

/// Why a join is answered with an HTTP status instead of an upgrade. `signal::status` has LiveKit's texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("the token does not allow to join")]
    NotAllowed,
    #[error("requested room does not exist")]
    RoomNotFound,
    #[error("identity cannot be empty")]
    IdentityEmpty,
    #[error("{0} is too long")]
    NameTooLong(Name),
    #[error("the server is shutting down")]
    Draining,
    #[error("{0}")]
    LimitReached(Limit),
    #[error("no media plane is attached")]
    Unavailable,
    #[error("the identity is in the room already")]
    DuplicateIdentity,
    #[error("the token is revoked")]
    Revoked,
    #[error("unknown room configuration in create room request")]
    UnknownPreset,
    #[error("{0}")]
    Internal(&'static str),
}

/// Which of a join's texts is beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Room,
    Identity,
    Participant,
    Metadata,
    Attributes,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Room => "room name",
            Self::Identity => "identity",
            Self::Participant => "participant name",
            Self::Metadata => "metadata",
            Self::Attributes => "attributes",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `room.max_participants`, or that of the token's room configuration.
    Participants,
    /// `limit.num_tracks`.
    Tracks,
    /// `limit.bytes_per_sec`.
    Bytes,
    /// `limit.memory_bytes`, or what the system allows.
    Memory,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Participants => "room has exceeded its max participants",
            Self::Tracks | Self::Bytes => "node has exceeded its configured limit",
            Self::Memory => "node has no memory for another participant",
        })
    }
}
