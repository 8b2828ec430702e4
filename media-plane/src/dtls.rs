//! The DTLS seam: one small interface without I/O, two implementations.
//!
//! Datagrams and the time go in, `Output` comes out. DTLS 1.2 is RFC 6347, DTLS 1.3 RFC 9147; the keys for SRTP
//! come by RFC 5764. `session` holds what both implementations lack: several handshakes at once until one wins.

pub mod certificate;
pub mod client_hello;
pub mod dimpl;
pub mod fingerprint;
pub mod record;
pub mod session;
pub mod webrtc;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use srtp::keys::Keys;

use crate::dtls::certificate::Certificate;
use crate::dtls::fingerprint::Fingerprint;

/// No handshake may take longer.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A flight that stays unanswered is sent again after this; LiveKit's value.
pub const FLIGHT_INTERVAL: Duration = Duration::from_millis(100);
/// The longest datagram of a handshake.
pub const DATAGRAM_MAX: usize = 1200;

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

/// One handshake and what follows from it.
pub trait Association: fmt::Debug {
    fn receive(&mut self, now: Instant, datagram: &[u8]);

    /// To be called at `deadline`; harmless at any other time.
    fn timeout(&mut self, now: Instant);

    /// Sends application data; nothing happens unless the handshake is done.
    fn send(&mut self, now: Instant, data: &[u8]);

    /// Says close_notify to the peer, if there are keys to say it with.
    fn close(&mut self, now: Instant);

    /// What came of the calls above; to be called until there is no more.
    fn poll(&mut self) -> Option<Output>;

    fn deadline(&self) -> Option<Instant>;
}

#[derive(Debug)]
pub enum Output {
    /// Once; ahead of the datagrams of the final flight.
    Connected(Box<Connected>),
    Datagram(Vec<u8>),
    /// Application data from the peer.
    Data(Vec<u8>),
    /// Last.
    Ended(End),
}

/// What a handshake agreed on, with a peer whose certificate has one of the fingerprints.
#[derive(Debug)]
pub struct Connected {
    pub keys: Keys,
    pub version: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    ClosedByPeer,
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    /// The certificate is not the one that signalling vouched for.
    Fingerprint,
    /// No SRTP profile in common.
    Profile,
    /// The peer broke the protocol, or offers nothing that we accept.
    Protocol,
}

/// Makes associations of the chosen implementation.
#[derive(Debug)]
pub enum Library {
    Dimpl(dimpl::Factory),
    Webrtc(Box<webrtc::Factory>),
}

impl Library {
    /// # Errors
    /// If the library refuses our certificate or the runtime that it needs can't be had.
    pub fn new(implementation: Implementation, certificate: &Certificate) -> Result<Self, SetupError> {
        match implementation {
            Implementation::Dimpl => dimpl::Factory::new(certificate).map(Self::Dimpl),
            Implementation::Webrtc => webrtc::Factory::new(certificate).map(Box::new).map(Self::Webrtc),
        }
    }

    /// A handshake with a peer whose certificate must have one of the fingerprints. A client speaks at once.
    #[must_use]
    pub fn start(&self, now: Instant, role: Role, fingerprints: &Arc<[Fingerprint]>) -> Box<dyn Association> {
        match self {
            Self::Dimpl(factory) => Box::new(factory.start(now, role, Arc::clone(fingerprints))),
            Self::Webrtc(factory) => Box::new(factory.start(now, role, Arc::clone(fingerprints))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("DTLS can't be set up: {0}")]
pub struct SetupError(String);

#[cfg(test)]
mod tests;
