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
    /// The room tells its subscribers how long to hold pictures. It never changes: Chromium leaves an extension that
    /// was declined once out for good.
    pub playout_delay: bool,
}

impl Setup {
    /// The values of `a=candidate` lines (RFC 8839 §5.1), as `trickle` has them too. RTCP is multiplexed: there is
    /// one component.
    #[must_use]
    pub fn candidate_lines(&self, ufrag: &str) -> Vec<String> {
        let numbered = (0_u32..).zip(&self.candidates);
        numbered.map(|(index, candidate)| candidate.line(index, ufrag)).collect()
    }
}

/// A host candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
}

impl Candidate {
    fn line(&self, index: u32, ufrag: &str) -> String {
        let Self { address, port, .. } = self;
        let foundation = index + 1;
        let priority = self.priority(index);
        match self.protocol {
            Protocol::Udp => {
                format!("{foundation} 1 udp {priority} {address} {port} typ host ufrag {ufrag}")
            }
            Protocol::Tcp => {
                format!(
                    "{foundation} 1 tcp {priority} {address} {port} typ host tcptype passive ufrag {ufrag}"
                )
            }
        }
    }

    /// RFC 8445 §5.1.2.1, with LiveKit's preferences: UDP first (126, the recommended one of host candidates), then
    /// TCP (99, with the direction preference of a passive one in the local preference, RFC 6544 §4.2).
    fn priority(&self, index: u32) -> u32 {
        const COMPONENT: u32 = 256 - 1;
        let (of_type, local_max) = match self.protocol {
            Protocol::Udp => (126, 0xffff),
            Protocol::Tcp => (99, 0x9fff),
        };
        (of_type << 24) | (u32::saturating_sub(local_max, index) << 8) | COMPONENT
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_ranked_udp_before_tcp_and_in_their_order() {
        let candidate =
            |address: &str, port, protocol| Candidate { address: address.parse().unwrap(), port, protocol };
        let setup = Setup {
            fingerprint_sha256: [0; 32],
            candidates: vec![
                candidate("192.0.2.1", 7882, Protocol::Udp),
                candidate("2001:db8::1", 7882, Protocol::Udp),
                candidate("192.0.2.1", 7881, Protocol::Tcp),
            ],
            enabled_codecs: EnabledCodecs::default(),
            playout_delay: false,
        };
        let lines = setup.candidate_lines("u");
        assert_eq!(
            lines,
            [
                "1 1 udp 2130706431 192.0.2.1 7882 typ host ufrag u",
                "2 1 udp 2130706175 2001:db8::1 7882 typ host ufrag u",
                "3 1 tcp 1671429631 192.0.2.1 7881 typ host tcptype passive ufrag u",
            ]
        );
    }

    #[test]
    fn password_is_not_in_what_is_logged() {
        let credentials = IceCredentials { ufrag: "u".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
