//! What a copy of a packet differs in from what its publisher sent.

use units::sequence::Seq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Never given twice by one forwarder, and below 2^15 for its first packet, so that the receiver can't misjudge
    /// the roll-over counter if that one is lost.
    pub sequence: Seq,
    pub timestamp: u32,
    pub marker: bool,
    pub patch: Option<Patch>,
}

/// A new codec header in the place of the first bytes of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// How many leading bytes of the payload go.
    pub replaces: u8,
    pub bytes: [u8; PATCH_LEN_MAX],
    pub len: u8,
}

impl Patch {
    /// What comes in their place.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

pub const PATCH_LEN_MAX: usize = 8;
