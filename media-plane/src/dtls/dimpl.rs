//! The seam over `dimpl`: DTLS 1.2 and 1.3, without tasks or I/O of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate, Error, ProtocolVersion, SrtpProfile};
use srtp::keys::{Keys, Profile};

use crate::dtls::certificate::Certificate;
use crate::dtls::client_hello::{Reassembly, prefers_aes_cm_to_aead};
use crate::dtls::fingerprint::{Fingerprint, any_matches};
use crate::dtls::{
    Connected, DATAGRAM_MAX, End, FLIGHT_INTERVAL, Failure, HANDSHAKE_TIME, Output, Role, SetupError, record,
};

/// Doubling from the flight interval, this many outlast the handshake's deadline.
const FLIGHT_RETRIES: usize = 8;
/// A record's plaintext (RFC 6347 §4.1) fits.
const BUFFER: usize = 16 * 1024 + 256;
/// Datagrams that a ClientHello may come in.
const HELLO_DATAGRAMS: usize = 16;

#[derive(Debug)]
pub struct Factory {
    config: Arc<Config>,
    certificate: DtlsCertificate,
}

impl Factory {
    pub(crate) fn new(certificate: &Certificate) -> Result<Self, SetupError> {
        let config = Config::builder()
            .mtu(DATAGRAM_MAX)
            .flight_start_rto(FLIGHT_INTERVAL)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIME)
            // Whoever gets here has passed an authenticated ICE check: a cookie would only cost a round trip.
            .use_server_cookie(false)
            .require_client_certificate(true)
            .build()
            .map_err(|error| SetupError(error.to_string()))?;
        let certificate = DtlsCertificate {
            certificate: certificate.der().to_vec(),
            private_key: certificate.key_pkcs8().to_vec(),
        };
        Ok(Self { config: Arc::new(config), certificate })
    }

    pub(crate) fn start(&self, now: Instant, role: Role, fingerprints: Arc<[Fingerprint]>) -> Association {
        let mut dtls = Dtls::new_auto(Arc::clone(&self.config), self.certificate.clone(), now);
        dtls.set_active(role == Role::Client);
        let listening = (role == Role::Server).then(|| Listening {
            config: Arc::clone(&self.config),
            certificate: self.certificate.clone(),
            hello: Reassembly::default(),
            datagrams: Vec::new(),
        });
        let mut association = Association {
            dtls,
            listening,
            role,
            fingerprints,
            state: State::Handshaking { trusted: false },
            buffer: vec![0; DATAGRAM_MAX],
            outputs: VecDeque::new(),
            deadline: None,
            hellos: 0,
        };
        // The first call seeds the randoms with the time; a client's ClientHello comes of it.
        association.advance(now, |_| Ok(()));
        association
    }
}

pub struct Association {
    dtls: Dtls,
    /// A server that has not heard the whole ClientHello.
    listening: Option<Listening>,
    role: Role,
    fingerprints: Arc<[Fingerprint]>,
    state: State,
    buffer: Vec<u8>,
    outputs: VecDeque<Output>,
    deadline: Option<Instant>,
    /// How often a client's first ClientHello was sent.
    hellos: u32,
}

struct Listening {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    hello: Reassembly,
    /// What came so far, to be answered at once.
    datagrams: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking {
        /// The peer's certificate is the one that signalling vouched for.
        trusted: bool,
    },
    Connected,
    Ended,
}

impl Association {
    fn advance(&mut self, now: Instant, step: impl FnOnce(&mut Dtls) -> Result<(), Error>) {
        if self.state == State::Ended {
            return;
        }
        // dimpl wants the time before anything else happens at it.
        let outcome = self.dtls.handle_timeout(now).and_then(|()| step(&mut self.dtls));
        if let Err(error) = outcome {
            tracing::debug!(?error, "DTLS failed");
            let failure =
                if matches!(error, Error::Timeout(_)) { Failure::Timeout } else { Failure::Protocol };
            self.end(End::Failed(failure));
            return;
        }
        self.drain();
    }

    /// Chooses the version when the ClientHello is whole: as a DTLS 1.3 server, dimpl takes the client's first SRTP
    /// profile, as a DTLS 1.2 server an AEAD one if there is any. A packet under AEAD costs a third of one under AES-CM
    /// with HMAC-SHA1, for the whole call, so 1.3 is for clients that prefer AEAD or have only one kind.
    fn listen(&mut self, now: Instant, datagram: &[u8]) {
        let Some(listening) = &mut self.listening else { return };
        if listening.datagrams.len() >= HELLO_DATAGRAMS {
            return;
        }
        listening.datagrams.push(datagram.to_vec());
        let mut hello = None;
        for fragment in record::hello_fragments(datagram) {
            hello = listening.hello.add(&fragment).or(hello);
        }
        let Some(hello) = hello else { return };
        let Some(Listening { config, certificate, datagrams, .. }) = self.listening.take() else { return };
        if prefers_aes_cm_to_aead(&hello) {
            self.dtls = Dtls::new_12(config, certificate, now);
        }
        for datagram in datagrams {
            self.advance(now, |dtls| dtls.handle_packet(&datagram));
        }
    }

    fn drain(&mut self) {
        let first = self.outputs.len();
        let mut finished = false;
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                dimpl::Output::Packet(bytes) => {
                    let mut bytes = bytes.to_vec();
                    if self.role == Role::Client {
                        self.number(&mut bytes);
                    }
                    self.outputs.push_back(Output::Datagram(bytes));
                }
                dimpl::Output::BufferTooSmall { needed } if needed <= BUFFER => self.buffer.resize(needed, 0),
                dimpl::Output::ApplicationData(data) => self.outputs.push_back(Output::Data(data.to_vec())),
                dimpl::Output::PeerCert(der) => {
                    if !any_matches(&self.fingerprints, der) {
                        self.outputs.truncate(first);
                        return self.end(End::Failed(Failure::Fingerprint));
                    }
                    self.state = State::Handshaking { trusted: true };
                }
                dimpl::Output::KeyingMaterial(material, profile) => {
                    let keys = profile_of(profile).and_then(|profile| {
                        Keys::from_keying_material(profile, &material, self.role == Role::Client)
                    });
                    let Some(keys) = keys.filter(|_| self.state == State::Handshaking { trusted: true })
                    else {
                        self.outputs.truncate(first);
                        return self.end(End::Failed(Failure::Protocol));
                    };
                    self.state = State::Connected;
                    let connected = Connected { keys, version: version_of(&self.dtls) };
                    // Ahead of the flight that tells the peer that it may send media.
                    self.outputs.insert(first, Output::Connected(Box::new(connected)));
                }
                dimpl::Output::Connected => finished = true,
                dimpl::Output::CloseNotify => return self.end(End::ClosedByPeer),
                dimpl::Output::Timeout(deadline) => {
                    self.deadline = Some(deadline);
                    break;
                }
                // A kind of output that this version of the library does not know, or a record beyond its own limit.
                _ => return self.end(End::Failed(Failure::Protocol)),
            }
        }
        if finished && self.state != State::Connected {
            self.outputs.truncate(first);
            self.end(End::Failed(Failure::Profile));
        }
    }

    /// dimpl repeats its first ClientHello with the same sequence number, and servers take the copy for a replay:
    /// records in the clear are counted on from here.
    fn number(&mut self, datagram: &mut [u8]) {
        if self.dtls.protocol_version().is_none() {
            self.hellos += 1;
        }
        record::renumber(datagram, self.hellos.saturating_sub(1));
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended;
        self.deadline = None;
        self.outputs.push_back(Output::Ended(end));
    }
}

impl super::Association for Association {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        if self.listening.is_some() {
            return self.listen(now, datagram);
        }
        // Until the server's version is known, dimpl takes anything but a ServerHello for a fatal mistake.
        let undecided = self.role == Role::Client && self.dtls.protocol_version().is_none();
        if undecided && !record::is_plain_handshake(datagram) {
            return;
        }
        self.advance(now, |dtls| dtls.handle_packet(datagram));
    }

    fn timeout(&mut self, now: Instant) {
        self.advance(now, |_| Ok(()));
    }

    fn send(&mut self, now: Instant, data: &[u8]) {
        if self.state == State::Connected {
            self.advance(now, |dtls| dtls.send_application_data(data).map(|_| ()));
        }
    }

    fn close(&mut self, now: Instant) {
        self.advance(now, Dtls::close);
        self.state = State::Ended;
        self.deadline = None;
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("dtls", &self.dtls)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

const fn profile_of(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        _ => None,
    }
}

fn version_of(dtls: &Dtls) -> &'static str {
    if dtls.protocol_version() == Some(ProtocolVersion::DTLS1_3) { "DTLS 1.3" } else { "DTLS 1.2" }
}
