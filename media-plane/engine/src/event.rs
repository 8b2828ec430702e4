//! What the engine tells: what became of peers and streams, and DTLS records for the helper.

use alloc::boxed::Box;
use alloc::vec::Vec;

use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId};
use units::rtp::{PayloadType, Ssrc};

use crate::path::Path;

#[derive(Debug)]
pub enum Event {
    /// A DTLS record from a path that passed an authenticated check.
    Dtls {
        peer: PeerId,
        bytes: Box<[u8]>,
    },
    Transport {
        peer: PeerId,
        state: TransportState,
    },
    /// The first packet of an encoding arrived.
    SourceStarted {
        publication: PublicationId,
        layer: u8,
        ssrc: Ssrc,
        payload_type: PayloadType,
    },
    /// The first packet went to the subscriber.
    SubscriptionStarted {
        subscription: SubscriptionId,
    },
    /// A video that had started stopped, for no reason that we know; or goes on.
    StreamState {
        subscription: SubscriptionId,
        stalled: bool,
    },
    /// The active speakers of a room changed; loudest first, level from 0 to 1.
    Speakers {
        room: RoomId,
        speakers: Vec<(PublicationId, f32)>,
    },
    /// What was measured in a room over the last 5 s.
    Quality {
        room: RoomId,
        publications: Vec<StreamQuality<PublicationId>>,
        subscriptions: Vec<StreamQuality<SubscriptionId>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportState {
    /// A path is validated; DTLS may start.
    Connecting {
        path: Path,
    },
    /// Keys are there and media may flow.
    Connected {
        path: Path,
    },
    /// No valid check for 10 s.
    Disconnected,
    Failed(FailureReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// No valid check for 15 s.
    ConsentLost,
    Dtls,
    ClosedByPeer,
    /// The worker evicted the peer after a panic.
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamQuality<Id> {
    pub id: Id,
    pub packets: u64,
    pub packets_lost: u64,
    pub bytes: u64,
    pub rtt_us: u32,
    pub jitter_us: u32,
}
