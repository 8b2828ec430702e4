//! Tracks as negotiation sees them: announced by a publisher, or to be sent to a subscriber.

use crate::negotiate::codec::{Codec, Kind, PublishedCodec};

/// A track that a client said it would publish (`add_track`), until it is unpublished. It is matched to media
/// sections by the track id of their `msid`, by the mid that it had before, and else by kind and order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedTrack {
    /// `TR_…`
    pub sid: String,
    pub kind: Kind,
    /// The `cid` of `add_track` first, then those of `simulcast_codecs` (a backup codec has a section of its own).
    pub cids: Vec<AnnouncedCid>,
    pub disable_red: bool,
    pub stereo: bool,
    pub disable_dtx: bool,
}

/// One client-side track of an announced track, and the codec that the client means to send it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedCid {
    pub cid: String,
    pub codec: Option<Codec>,
}

/// A track that is to be sent to this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendTrack {
    pub subscription: u64,
    /// `TR_…`
    pub track_sid: String,
    /// The stream of the track's `msid`, and its CNAME.
    pub stream: String,
    pub kind: Kind,
    pub ssrc: u32,
    /// 0: never negotiate RTX for it.
    pub rtx_ssrc: u32,
    /// A stereo publication.
    pub stereo: bool,
    /// Opus is to go out as RED, where the publication carries none and the client takes it.
    pub active_red: bool,
    /// What the publication may carry, preferred first, in the publisher's payload types.
    pub codecs: Vec<PublishedCodec>,
    /// The one that it does carry; a client that takes only others gets nothing. Absent: any will do.
    pub carried: Option<Codec>,
}
