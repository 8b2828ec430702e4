//! What the engine is told: typed and checked resources (`proto` carries the same over the wire), keys and datagrams.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use srtp::keys::Keys;
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId, WorkerIndex};
use units::rtp::{Mid, PayloadType, Rid, Ssrc};

/// An order to the engine. Upserts are idempotent; a delete of what does not exist is no error.
#[derive(Debug)]
pub enum Command {
    UpsertRoom(RoomSpec),
    DeleteRoom(RoomId),
    UpsertPeer(Box<PeerSpec>),
    DeletePeer(PeerId),
    UpsertPublication(Box<PublicationSpec>),
    DeletePublication(PublicationId),
    UpsertSubscription(Box<SubscriptionSpec>),
    DeleteSubscription(SubscriptionId),
    RequestKeyFrame(PublicationId),
    /// The DTLS handshake is done: from now on media flows.
    Keys {
        peer: PeerId,
        keys: Box<Keys>,
    },
    /// A DTLS record for the peer's selected path.
    Datagram {
        peer: PeerId,
        bytes: Vec<u8>,
    },
    /// The DTLS association ended, by failure or by the peer's close_notify.
    DtlsEnded {
        peer: PeerId,
        failed: bool,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownRoom,
    UnknownPeer,
    UnknownPublication,
    /// A bound of the engine is reached.
    Limit,
    /// A ufrag or SSRC that another resource already has.
    Taken,
}

#[derive(Clone, Debug)]
pub struct RoomSpec {
    pub id: RoomId,
    pub audio_levels: AudioLevels,
    /// Ends frames of our own where frames are encrypted end to end; empty: none are made there. At most
    /// [`SIF_TRAILER_LEN_MAX`] bytes, and never another one.
    pub sif_trailer: Vec<u8>,
}

/// Some 256 bits of text fit.
pub const SIF_TRAILER_LEN_MAX: usize = 64;

/// How active speakers are told from levels (RFC 6464), as LiveKit's `audio` configuration has it.
#[derive(Clone, Copy, Debug)]
pub struct AudioLevels {
    /// A packet at most this many dB below overload is speech.
    pub active_level: u8,
    /// The percentage of an interval that must be speech.
    pub min_percentile: u8,
    pub update_interval: Duration,
    /// Intervals over which a level is smoothed.
    pub smooth_intervals: u8,
}

#[derive(Clone, Debug)]
pub struct PeerSpec {
    pub id: PeerId,
    pub room: RoomId,
    /// Newest first; at most 4.
    pub local_ice: Vec<IceCredentials>,
    /// In the order of `local_ice`; an empty one is not checked.
    pub remote_ufrags: Vec<String>,
    pub receive_extensions: Extensions,
    pub send_extensions: Extensions,
    pub uplink_feedback: UplinkFeedback,
    /// The SSRC that our RTCP to this peer is from.
    pub rtcp_ssrc: Ssrc,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub password: String,
}

/// A header extension's meaning (RFC 8285).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionKind {
    Mid,
    Rid,
    RepairedRid,
    AudioLevel,
    TransportCc,
    AbsSendTime,
    DependencyDescriptor,
    AbsCaptureTime,
    PlayoutDelay,
    VideoOrientation,
}

/// The extension ids of one direction of one peer; at most 16.
#[derive(Clone, Debug, Default)]
pub struct Extensions(pub Vec<(u8, ExtensionKind)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkFeedback {
    None,
    TransportCc,
    Remb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Opus,
    Red,
    Pcmu,
    Pcma,
    Vp8,
    Vp9,
    H264,
    Av1,
    H265,
}

#[derive(Clone, Debug)]
pub struct PublicationSpec {
    pub id: PublicationId,
    /// The publisher.
    pub peer: PeerId,
    pub kind: MediaKind,
    pub mid: Mid,
    pub codecs: Vec<PayloadCodec>,
    /// Lowest layer first; at most 3.
    pub encodings: Vec<EncodingSpec>,
    pub muted: bool,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    /// Frames are encrypted end to end.
    pub encrypted: bool,
    /// The publisher's worker, where it is another one than the engine's own: then its peer is not looked for here, and
    /// packets come from there. All else is the same on all workers.
    pub home: Option<Home>,
}

/// Where a publication's packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub worker: WorkerIndex,
    /// The publisher's room, which a worker that has not its peer can't tell from it.
    pub room: RoomId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadCodec {
    pub payload_type: PayloadType,
    pub codec: Codec,
    pub clock_rate: u32,
    pub rtx_payload_type: Option<PayloadType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingSpec {
    pub rid: Option<Rid>,
    pub ssrc: Option<Ssrc>,
    pub rtx_ssrc: Option<Ssrc>,
}

#[derive(Clone, Debug)]
pub struct SubscriptionSpec {
    pub id: SubscriptionId,
    /// The subscriber.
    pub peer: PeerId,
    pub publication: PublicationId,
    pub mid: Mid,
    pub ssrc: Ssrc,
    pub rtx_ssrc: Option<Ssrc>,
    pub payloads: Vec<PayloadMapping>,
    pub paused: bool,
    pub layer_max: u8,
    pub temporal_layer_max: u8,
    /// In frames per second: of the temporal layers that bring about as many, the lowest is the highest that goes out.
    pub frame_rate_max: Option<NonZeroU32>,
    /// Of the SDES chunk; at most 255 bytes.
    pub cname: String,
    /// Told where the peer negotiated the extension.
    pub playout_delay: Option<PlayoutDelayRange>,
    /// The client does not know the trailers that LiveKit's SDKs put behind video frames.
    pub strip_packet_trailer: bool,
}

/// What a receiver's playout delay should keep to; the least is not more than the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelayRange {
    pub min_ms: u32,
    pub max_ms: u32,
}

/// RED that is mapped to what Opus is mapped to goes out as Opus: the primary frame of each packet alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadMapping {
    pub from: PayloadType,
    pub to: PayloadType,
    pub rtx: Option<PayloadType>,
    /// Opus goes out as RED, in blocks of this payload type.
    pub red: Option<PayloadType>,
}
