//! What a step answers to: clients' messages, the media plane's events, the passing of time.

use livekit_protocol::{DisconnectReason, signal_request};
use proto::media::v1 as proto;

use crate::room::call::{Call, CallId};
use crate::room::effect::ConnectionId;
use crate::room::join::Arrival;

#[derive(Debug)]
pub enum Request {
    Join {
        connection: ConnectionId,
        arrival: Box<Arrival>,
        /// Of a resume: the last reliable data packet that arrived from the client.
        last_message_sequence: u32,
    },
    Signal {
        connection: ConnectionId,
        message: Box<signal_request::Message>,
    },
    /// The WebSocket is gone.
    Disconnected {
        connection: ConnectionId,
    },
    Media(proto::event::Event),
    /// The media plane would not take a resource.
    Refused {
        key: proto::resource_key::Key,
        reason: proto::RefusalReason,
    },
    /// The media plane started anew, or cannot be reached any more: nothing of the room is left there.
    MediaLost,
    /// The room is closed for everybody.
    Close {
        reason: DisconnectReason,
    },
    /// The server API asks for something.
    Call {
        id: CallId,
        call: Box<Call>,
    },
    Tick,
}
