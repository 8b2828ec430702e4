//! What a negotiation comes to: a description for the client, and resources for the media plane.

use std::collections::HashMap;

use proto::media::v1 as proto;

use crate::negotiate::codec::{Kind, PublishedCodec};

/// An offer of the client was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub sdp: String,
    /// Of every track that is sent, not only of what is new.
    pub mid_to_track_id: HashMap<String, String>,
    /// Sections on which the client sends, in the order of the description, then those on which it did: a track that
    /// moved is on its new section before it leaves the old one.
    pub received: Vec<ReceivedSection>,
    pub sent: Vec<SentSection>,
    /// Subscriptions of which this client understands no codec, or whose section it refused.
    pub unsupported: Vec<u64>,
    pub missing: MissingSections,
    pub peer: PeerDescription,
    /// The offer started a new ICE generation: `peer.local_ice` begins with new credentials of ours.
    pub ice_restarted: bool,
}

/// Our offer. The media plane must know the session's `local_ice` before the client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub sdp: String,
    pub mid_to_track_id: HashMap<String, String>,
    /// Tracks wait for sections that are free only once this offer is answered: offer again then.
    pub offer_again: bool,
}

/// Our offer was answered by the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Negotiated {
    /// Of every track that the client takes.
    pub mid_to_track_id: HashMap<String, String>,
    pub sent: Vec<SentSection>,
    pub unsupported: Vec<u64>,
    pub peer: PeerDescription,
}

/// A media section on which the client sends.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedSection {
    pub mid: String,
    /// The announced track; `None`: nothing was announced that fits.
    pub track_sid: Option<String>,
    /// Which of the announced track's cids it is.
    pub cid: Option<String>,
    pub kind: Kind,
    /// False: the client stopped sending, or stopped the section. There are no codecs and encodings then.
    pub active: bool,
    /// In the order of preference that the answer states: the first is what the client will send.
    pub codecs: Vec<PublishedCodec>,
    /// Lowest layer first; at most 3.
    pub encodings: Vec<proto::Encoding>,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
}

/// A media section on which a subscription is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentSection {
    pub mid: String,
    pub subscription: u64,
    pub track_sid: String,
    pub payloads: Vec<proto::PayloadMapping>,
    /// False: no payload of this section has RTX.
    pub rtx: bool,
}

/// Media sections that the client must offer before everything can be sent (`media_sections_requirement`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingSections {
    pub audios: u32,
    pub videos: u32,
    /// Tracks wait for sections that are free from the next offer on: ask for an offer, even with both counts 0.
    pub offer_again: bool,
}

/// What the media plane needs to know of the client's transport (fields of `proto::Peer`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerDescription {
    /// Newest first.
    pub local_ice: Vec<proto::IceCredentials>,
    /// In the order of `local_ice`; an empty one is not known yet.
    pub remote_ufrags: Vec<String>,
    pub remote_fingerprints: Vec<proto::Fingerprint>,
    pub dtls_role: proto::DtlsRole,
    pub receive_extensions: Vec<proto::HeaderExtension>,
    pub send_extensions: Vec<proto::HeaderExtension>,
    pub sctp: Option<proto::Sctp>,
    pub uplink_feedback: proto::UplinkFeedback,
}
