//! What ingress learnt of a packet, once, for all of its subscribers.

use units::rtp::Ssrc;
use units::sequence::Seq;
use units::time::{Instant, NtpTime};
use wire::vp8::Descriptor;

/// How many simulcast layers a publication has at most.
pub const LAYERS: u8 = 3;

/// What a codec asks of forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No layers and no key frames: any packet may be the first.
    Audio,
    /// Simulcast, temporal layers and a descriptor in each packet's payload (RFC 7741).
    Vp8,
    /// Simulcast, and spatial and temporal layers of one source: by dependency descriptors, else by the descriptor in
    /// each packet's payload (RFC 9628).
    Vp9,
    /// Any other video: simulcast, layers by dependency descriptors, and a payload that is forwarded as it is.
    Video,
}

/// One authenticated packet, as its publisher sent it. Ingress has taken out duplicates.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub source: Ssrc,
    /// The simulcast layer, lowest first; 0 for audio.
    pub layer: u8,
    pub sequence: Seq,
    /// A packet with a higher sequence number of this source came earlier.
    pub out_of_order: bool,
    pub timestamp: u32,
    pub marker: bool,
    /// Without padding; a packet of nothing but padding has 0.
    pub payload_len: usize,
    /// The first packet of a key frame.
    pub key_frame: bool,
    /// `None` unless the payload starts with a valid descriptor.
    pub vp8: Option<Descriptor>,
    /// The source's last sender report.
    pub reference: Option<Reference>,
}

/// One moment on two clocks: a sender report's (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    pub received: Instant,
    pub ntp: NtpTime,
    pub rtp: u32,
}
