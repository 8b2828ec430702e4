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

/// The largest datagram that is received or sent: an Ethernet frame's worth.
pub const DATAGRAM_LEN_MAX: usize = 1500;
