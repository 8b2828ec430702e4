//! What a channel's label means, and the channels of one association.

use crate::data::dcep::Reliability;
use crate::helper::input::ChannelSpec;

/// Channels of one peer.
pub const CHANNELS_MAX: usize = 16;

/// LiveKit's channels, told by their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reliable,
    Lossy,
    /// Binary frames of data tracks, no data packets.
    DataTrack,
    /// Any other label: broadcast as it is to channels of the same label.
    Raw,
}

impl Kind {
    #[must_use]
    pub fn of(label: &str) -> Self {
        match label {
            "_reliable" => Self::Reliable,
            "_lossy" => Self::Lossy,
            "_data_track" => Self::DataTrack,
            _ => Self::Raw,
        }
    }
}

/// One open channel: a stream id in each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub stream: u16,
    pub label: String,
    pub kind: Kind,
    pub ordered: bool,
    pub reliability: Reliability,
    /// The other side knows of it: we may send out of order.
    pub acknowledged: bool,
}

impl Channel {
    #[must_use]
    pub fn new(stream: u16, spec: &ChannelSpec) -> Self {
        Self {
            stream,
            label: spec.label.clone(),
            kind: Kind::of(&spec.label),
            ordered: spec.ordered,
            reliability: spec.retransmits_max.map_or(Reliability::Reliable, Reliability::Retransmits),
            acknowledged: false,
        }
    }
}
