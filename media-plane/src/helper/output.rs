//! What the helper tells: keys and datagrams for workers, and what became of associations and data channels.

use bytes::Bytes;
use srtp::keys::Keys;
use units::handle::{PeerId, RoomId, RouteId, WorkerIndex};

#[derive(Debug)]
pub enum Output {
    /// The handshake is done; for the event that follows when the worker has the keys. Comes before them.
    Secured {
        room: RoomId,
        peer: PeerId,
        /// The SRTP profile's name.
        profile: &'static str,
        /// `DTLS 1.2` or `DTLS 1.3`.
        version: &'static str,
    },
    /// For the worker's ring, ahead of the handshake's final flight.
    Keys { worker: WorkerIndex, peer: PeerId, keys: Box<Keys> },
    /// A DTLS record for the peer's selected path.
    Datagram { worker: WorkerIndex, peer: PeerId, bytes: Vec<u8> },
    /// The association ended, by failure or by the peer's close_notify.
    DtlsEnded { worker: WorkerIndex, peer: PeerId, failed: bool },
    /// The participant's channels are open: data that is sent to it from now on arrives.
    DataReady { room: RoomId, route: RouteId },
    /// A participant answered the server side.
    DataReplied { room: RoomId, route: RouteId, packet: Bytes },
}

/// Where outputs go.
///
/// An implementor may drop a `Datagram` for lack of room (DTLS and SCTP send it again) and should count it; everything
/// else is said once and must arrive, in order with the datagrams of the same worker.
pub trait Sink {
    fn put(&mut self, output: Output);

    /// The helper's turn is over: ring the doorbells. True if something waits for room: flush again soon.
    fn flush(&mut self) -> bool;
}
