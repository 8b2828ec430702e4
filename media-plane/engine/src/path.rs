//! Where a datagram comes from and goes to.

use core::net::{IpAddr, SocketAddr};

/// How a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Udp,
    /// ICE-TCP, framed as RFC 4571 says.
    Tcp,
    /// Through a relay of ours: a TURN allocation or another worker.
    Relayed,
}

/// A 5-tuple as seen from the worker's port: the key by which a peer's datagrams are recognised.
///
/// Addresses are in their plain form: an IPv4 address is never written as IPv4-mapped IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub protocol: Protocol,
    /// The local address that the datagram came to, so that the answer leaves from it; the port is the worker's.
    pub local: IpAddr,
    pub remote: SocketAddr,
}
