//! The one way out of the engine: lent send buffers, and events.

use crate::event::Event;
use crate::path::Path;

/// What the engine needs of the world. Implemented by the drivers' send slabs and by the simulator.
pub trait Outbox {
    /// Lends a send buffer of exactly `capacity` bytes (at most [`DATAGRAM_LEN_MAX`]) with unspecified content.
    ///
    /// `None` when the pool is exhausted: the caller drops what it wanted to send and counts it.
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]>;

    /// Sends the first `len` bytes of the buffer that was lent last. A lent buffer that is not sent is lent again.
    fn send(&mut self, path: &Path, len: usize);

    fn event(&mut self, event: Event);
}

/// The largest datagram that is received or sent: an Ethernet frame's worth.
pub const DATAGRAM_LEN_MAX: usize = 1500;
