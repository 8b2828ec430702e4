//! What a room's actor is told: by its participants' connections, and by the registry.

use livekit_protocol::{DisconnectReason, signal_request};
use tokio::sync::oneshot;

use crate::room::call::{Answer, Call, CallError};
use crate::room::effect::ConnectionId;
use crate::room::join::{Join, JoinError, Joined};

#[derive(Debug)]
pub enum Letter {
    /// A reply that is dropped means that the room closed meanwhile: join again.
    Join {
        join: Box<Join>,
        reply: oneshot::Sender<Result<Joined, JoinError>>,
    },
    Signal {
        connection: ConnectionId,
        message: Box<signal_request::Message>,
    },
    Disconnected {
        connection: ConnectionId,
    },
    /// A reply that is dropped means that the room closed meanwhile.
    Call {
        call: Box<Call>,
        reply: oneshot::Sender<Result<Answer, CallError>>,
    },
    Close {
        reason: DisconnectReason,
    },
}

/// Letters that may wait for one room; more means that its actor does not keep up.
pub const WAITING_MAX: usize = 4_096;
