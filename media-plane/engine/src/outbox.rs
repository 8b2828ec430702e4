//! The one way out of the engine: lent send buffers, events, and what other workers are told.

use units::handle::WorkerIndex;

use crate::event::Event;
use crate::path::Path;
use crate::relay::{Demand, Relayed};

/// What the engine needs of the world. Implemented by the drivers' send slabs and by the simulator.
pub trait Outbox {
    /// Lends a send buffer of exactly `capacity` bytes (at most [`DATAGRAM_LEN_MAX`]) with unspecified content.
    ///
    /// `None` when the pool is exhausted: the caller drops what it wanted to send and counts it.
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]>;

    /// Whether what is sent in this name may still be lent a buffer. Few buffers are left to what matters most, so that
    /// under load probes end first, then retransmissions, then video, and audio last.
    fn has_room(&self, _: Precedence) -> bool {
        true
    }

    /// Sends the first `len` bytes of the buffer that was lent last. A lent buffer that is not sent is lent again.
    fn send(&mut self, path: &Path, len: usize);

    fn event(&mut self, event: Event);

    /// Hands a packet with these bytes, at most [`DATAGRAM_LEN_MAX`], to another worker's `Engine::relayed`; what goes to
    /// one worker stays in order. False if there is no room on the way, or no such worker: the caller counts it.
    fn relay(&mut self, to: WorkerIndex, packet: &Relayed, bytes: &[u8]) -> bool {
        let _ = (to, packet, bytes);
        false
    }

    /// Hands a demand to another worker's `Engine::demand`. False if there is no room on the way, or no such worker.
    fn demand(&mut self, to: WorkerIndex, demand: Demand) -> bool {
        let _ = (to, demand);
        false
    }
}

/// How much it matters that something is sent now, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// Padding that only asks how much a path bears.
    Probe,
    Retransmission,
    Video,
    /// And all that keeps connections alive: RTCP, checks, DTLS.
    Audio,
}

impl Precedence {
    /// Whether it may have one of the `free` buffers of a pool of so many. The last ones are kept for what matters more.
    #[must_use]
    pub const fn may_have(self, free: usize, buffers: usize) -> bool {
        match self {
            Self::Probe => free > buffers / 2,
            Self::Retransmission => free > buffers / 4,
            Self::Video => free > buffers / 8,
            Self::Audio => true,
        }
    }
}

/// The largest datagram that is received or sent: an Ethernet frame's worth.
pub const DATAGRAM_LEN_MAX: usize = 1500;
