//! What every description of ours says of our side of the transport.

use std::fmt;
use std::net::IpAddr;

use proto::media::v1 as proto;
use serde::{Deserialize, Serialize};

use crate::negotiate::codec::EnabledCodecs;

/// The media plane's side of a peer connection, and what the room allows on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub fingerprint_sha256: [u8; 32],
    /// Of the worker on which the peer lives.
    pub candidates: Vec<Candidate>,
    pub enabled_codecs: EnabledCodecs,
}

/// A host candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Udp,
    /// ICE-TCP, passive (RFC 6544).
    Tcp,
}

/// Our ICE credentials. The first bytes of the ufrag name the worker.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    pub ufrag: String,
    pub password: String,
}

impl IceCredentials {
    #[must_use]
    pub fn to_proto(&self) -> proto::IceCredentials {
        proto::IceCredentials { ufrag: self.ufrag.clone(), password: self.password.clone() }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}
