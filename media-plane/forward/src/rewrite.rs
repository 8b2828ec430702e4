//! What a copy of a packet differs in from what its publisher sent.

use units::sequence::Seq;
use wire::av1::dependency::rewrite::ActiveDecodeTargets;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Never given twice by one forwarder, and below 2^15 for its first packet, so that the receiver can't misjudge
    /// the roll-over counter if that one is lost.
    pub sequence: Seq,
    pub timestamp: u32,
    pub marker: bool,
    pub patch: Option<Patch>,
    /// Of a packet that is sent with its dependency descriptor.
    pub descriptor: Option<Renumbered>,
}

/// What changes of a dependency descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renumbered {
    pub frame_number: u16,
    /// If something is to be said of them.
    pub active: Option<ActiveDecodeTargets>,
}

/// A new codec header in the place of the first bytes of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// How many leading bytes of the payload go; all of them, where only the sequence number has to be sent.
    pub replaces: u16,
    pub bytes: [u8; PATCH_LEN_MAX],
    pub len: u8,
}

impl Patch {
    /// Nothing in the place of the whole payload.
    #[must_use]
    pub fn empty(payload_len: usize) -> Self {
        // A payload fits a datagram.
        let replaces = u16::try_from(payload_len).unwrap_or(u16::MAX);
        Self { replaces, bytes: [0; PATCH_LEN_MAX], len: 0 }
    }

    /// What comes in their place.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

pub const PATCH_LEN_MAX: usize = 8;
