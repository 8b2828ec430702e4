//! What the workers of one room tell each other of a publication: its packets go out from the publisher's worker, what is
//! wanted of it comes back.
//!
//! All of it is plain data that may wait in a ring between two threads. All workers share one clock.

pub mod away;
pub mod edges;

use forward::facts::{Facts, LAYERS};
use forward::scalable::Scalability;
use units::handle::PublicationId;
use units::rtp::PayloadType;

use crate::ingress::capture::Captured;
use crate::ingress::elements::ExtensionIds;
use crate::ingress::key_frame::Wish;

/// A packet that was opened on its publisher's worker, and all that was learnt from it there. Its bytes go beside it:
/// header and payload in the clear, without padding; at most a datagram's.
#[derive(Clone, Copy, Debug)]
pub struct Relayed {
    pub publication: PublicationId,
    pub facts: Facts,
    pub layers: Scalability,
    /// The publisher's.
    pub payload_type: PayloadType,
    pub header_len: u16,
    /// The publisher's, by which the header's elements are found.
    pub ids: ExtensionIds,
    pub captured: Option<Captured>,
    /// How many packets directly before it were lost, on the way to the publisher's worker or from there.
    pub missing: u64,
    /// The layers that the publisher sends now, one bit each.
    pub live: u8,
}

/// What one worker's subscribers need of a publication whose home is on another one. It replaces what was told before,
/// and is told again before it expires: one that is lost is made up for by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub publication: PublicationId,
    /// Bit n: somebody is to get the best layer up to n.
    pub layers_max: u8,
    /// Bit n: somebody gets layer n until a key frame of another one comes, or would begin with it.
    pub current: u8,
    /// Of which layers key frames are wanted, and why.
    pub key_frames: [Option<Wish>; LAYERS as usize],
}

impl Demand {
    /// Nobody there needs anything.
    #[must_use]
    pub const fn nothing(publication: PublicationId) -> Self {
        Self { publication, layers_max: 0, current: 0, key_frames: [None; LAYERS as usize] }
    }

    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.layers_max | self.current == 0
    }
}

/// The bit of one layer.
#[must_use]
pub fn bit(layer: u8) -> u8 {
    1_u8.checked_shl(u32::from(layer)).unwrap_or(0)
}

/// The bits of all layers up to one.
#[must_use]
pub fn bits_up_to(layer: u8) -> u8 {
    bit(layer) | bit(layer).wrapping_sub(1)
}

/// The layers whose bits are set, lowest first.
pub fn layers(bits: u8) -> impl Iterator<Item = u8> {
    (0..LAYERS).filter(move |layer| bits & bit(*layer) != 0)
}
