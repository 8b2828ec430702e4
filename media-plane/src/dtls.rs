//! The DTLS seam: one small interface without I/O, two implementations.
//!
//! Datagrams and the time go in, `Output` comes out. DTLS 1.2 is RFC 6347, DTLS 1.3 RFC 9147, the keys for SRTP
//! come by RFC 5764.

pub mod certificate;
pub mod fingerprint;

/// Who speaks first: the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// Which library does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Implementation {
    #[default]
    Dimpl,
    Webrtc,
}
