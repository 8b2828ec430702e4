//! What the helper is told: resources that concern it, datagrams of peers, and data from the server side.

use bytes::Bytes;
use tokio::sync::oneshot;
use units::handle::{PeerId, RoomId, RouteId, WorkerIndex};

use crate::dtls::Role;
use crate::dtls::fingerprint::Fingerprint;
use crate::helper::counters::Counters;

/// An order to the helper. Upserts are idempotent; a delete of what does not exist is no error.
#[derive(Debug)]
pub enum Input {
    UpsertPeer(Box<PeerSpec>),
    DeletePeer(PeerId),
    /// The peer's path is validated: as a DTLS client we may speak first now. Repeating it changes nothing.
    PathValid(PeerId),
    UpsertRoute(Box<RouteSpec>),
    DeleteRoute(RouteId),
    /// Deletes the room's peers and routes with it.
    DeleteRoom(RoomId),
    SendData(Box<SendData>),
    ReplayData(ReplayData),
    /// Asks for the sequence number of the last reliable packet that a participant sent; `None`: no such route.
    Progress {
        route: RouteId,
        reply: oneshot::Sender<Option<u32>>,
    },
    Counters {
        reply: oneshot::Sender<Box<Counters>>,
    },
    /// Closes every association and ends the thread.
    Stop,
}

/// One remote transport, as far as DTLS and data channels go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSpec {
    pub id: PeerId,
    pub room: RoomId,
    /// Where its datagrams come from and go to.
    pub worker: WorkerIndex,
    /// Ours.
    pub role: Role,
    /// The client's; one of them must match. Another set than before means another client: the association starts over.
    pub fingerprints: Vec<Fingerprint>,
    /// `None`: no data channels.
    pub sctp: Option<SctpSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpSpec {
    pub remote_port: u16,
    /// The client's `max-message-size`; 0 means 65,536 (RFC 8841 §6.1).
    pub message_size_max: u32,
    /// Channels that we open, in order of stream id; at most 16.
    pub channels: Vec<ChannelSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    pub label: String,
    pub ordered: bool,
    /// `None`: reliable.
    pub retransmits_max: Option<u32>,
}

/// One participant's place in its room's data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    pub id: RouteId,
    pub room: RoomId,
    /// The peer on whose channels the participant sends, and the one on which it receives; equal with one connection.
    pub receive_peer: PeerId,
    pub send_peer: PeerId,
    /// The sender stamp.
    pub identity: String,
    pub sid: String,
    pub can_send: bool,
    pub can_receive: bool,
    /// May speak for others in chat, streams and transcription.
    pub agent: bool,
    pub hidden: bool,
    /// The data tracks that the participant is sent.
    pub data_subscriptions: Vec<DataSubscription>,
}

/// A data track as one participant gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSubscription {
    pub publisher: RouteId,
    pub published_handle: u16,
    /// The subscriber's own: its packets bear this one.
    pub handle: u16,
}

/// A data packet from the server side.
#[derive(Clone, Debug)]
pub struct SendData {
    pub room: RoomId,
    /// A serialized `livekit.DataPacket`.
    pub packet: Bytes,
    pub reliable: bool,
    /// Empty: everyone whom the packet itself addresses.
    pub routes: Vec<RouteId>,
    /// The identity to which the first route's participant answers; empty: nothing is expected.
    pub reply_to: String,
}

/// Sends a participant again the reliable packets that it missed.
#[derive(Clone, Debug)]
pub struct ReplayData {
    pub route: RouteId,
    /// By sid of the sender: the last sequence number that the participant saw.
    pub received: Vec<(String, u32)>,
}
