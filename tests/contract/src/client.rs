//! A light WebRTC client: connectivity checks, a DTLS handshake and SRTP, and nothing that media is usually made of.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_plane::dtls::certificate::Certificate;
use media_plane::dtls::fingerprint::{Fingerprint, Hash};
use media_plane::dtls::session::Session;
use media_plane::dtls::{Implementation, Library, Output, Role as DtlsRole};
use proto::media::v1::Attached;
use srtp::aws_lc::AwsLc;
use srtp::inbound::Inbound;
use srtp::outbound::Outbound;
use units::rtp::{PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use wire::demux::Class;
use wire::rtcp::build::Builder;
use wire::rtcp::feedback::PictureLossIndication;
use wire::rtp::{Fields, Header, write_header};
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Role, Transaction};

use crate::resources::{PASSWORD, REMOTE_UFRAG, ufrag};

/// What all clients of a test present in their handshakes.
#[derive(Debug)]
pub struct Identity {
    library: Library,
    pub certificate_sha256: Vec<u8>,
}

impl Identity {
    #[must_use]
    pub fn generate() -> Self {
        let certificate = Certificate::generate().expect("a certificate");
        let library = Library::new(Implementation::Dimpl, &certificate).expect("a DTLS library");
        Self { library, certificate_sha256: certificate.fingerprint().value().to_vec() }
    }
}

#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    session: Session,
    ways: Option<(Outbound<AwsLc>, Inbound<AwsLc>)>,
    checked_at: Option<Instant>,
    is_valid: bool,
    username: String,
    /// Sequence numbers, as the publisher gave them in the payload, in the order in which packets came.
    pub received: Vec<u16>,
    /// Picture loss indications.
    pub indications: usize,
}

impl Client {
    /// For a peer of `resources` on a worker.
    #[must_use]
    pub fn new(attached: &Attached, worker: u32, peer: u64) -> Self {
        let candidate = &attached.workers[usize::try_from(worker).expect("small")].candidates[0];
        let port = u16::try_from(candidate.port).expect("a port");
        let address = SocketAddr::new(candidate.address.parse().expect("an address"), port);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(address).expect("a route");
        socket.set_nonblocking(true).expect("a socket's option");
        let server = Fingerprint::new(Hash::Sha256, &attached.certificate_sha256).expect("32 bytes");
        Self {
            socket,
            session: Session::new(DtlsRole::Client, Arc::new([server])),
            ways: None,
            checked_at: None,
            is_valid: false,
            username: format!("{}:{REMOTE_UFRAG}", ufrag(worker, peer)),
            received: Vec::new(),
            indications: 0,
        }
    }

    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.ways.is_some()
    }

    /// Takes what came and does what is due.
    pub fn turn(&mut self, identity: &Identity) {
        let now = Instant::now();
        let due = self.checked_at.is_none_or(|at| now - at > CHECK_INTERVAL);
        if due && !self.is_valid {
            self.checked_at = Some(now);
            self.check();
        }
        let mut datagram = [0; 1500];
        while let Ok(len) = self.socket.recv(&mut datagram) {
            self.take(now, &mut datagram[..len], identity);
        }
        if self.session.deadline().is_some_and(|at| at <= now) {
            self.session.timeout(now, &identity.library);
        }
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connected(connected) => {
                    self.ways = Some((Outbound::new(&connected.keys), Inbound::new(&connected.keys)));
                }
                Output::Datagram(bytes) => self.send(&bytes),
                Output::Data(_) => {}
                Output::Ended(end) => panic!("the handshake ended: {end:?}"),
            }
        }
    }

    /// Sends a packet of this SSRC and payload type; the payload's last two bytes are the sequence number.
    pub fn send_rtp(&mut self, ssrc: u32, payload_type: u8, sequence: u16, payload: &[u8]) {
        let fields = Fields {
            marker: true,
            payload_type: PayloadType(payload_type),
            sequence: Seq16(sequence),
            timestamp: u32::from(sequence) * 960,
            ssrc: Ssrc(ssrc),
            padding: false,
        };
        let mut datagram = [0; 1500];
        let header_len = write_header(&mut datagram, &fields, &[]).expect("it fits");
        let payload = [payload, &sequence.to_be_bytes()].concat();
        let (outbound, _) = self.ways.as_mut().expect("connected");
        let index = Seq(sequence.into());
        let len = outbound.seal_rtp(index, &mut datagram, header_len, &payload).expect("it fits");
        self.send(&datagram[..len]);
    }

    pub fn ask_for_key_frame(&mut self, media: u32) {
        let mut datagram = [0; 256];
        let mut builder = Builder::new(&mut datagram);
        builder.receiver_report(Ssrc(1), &[]).expect("it fits");
        let indication = PictureLossIndication { sender: Ssrc(1), media: Ssrc(media) };
        builder.picture_loss_indication(indication).expect("it fits");
        let len = builder.len();
        let (outbound, _) = self.ways.as_mut().expect("connected");
        let len = outbound.seal_rtcp(&mut datagram, len).expect("it fits");
        self.send(&datagram[..len]);
    }

    fn check(&self) {
        let check = BindingRequest {
            transaction: Transaction([7; 12]),
            username: self.username.as_bytes(),
            priority: 1_862_270_975,
            role: Role::Controlling(7),
            use_candidate: true,
        };
        let mut datagram = [0; 512];
        let len = request(&mut datagram, &check, PASSWORD.as_bytes()).expect("it fits");
        self.send(&datagram[..len]);
    }

    fn send(&self, datagram: &[u8]) {
        // What the host drops is lost, as on any way.
        let _ = self.socket.send(datagram);
    }

    fn take(&mut self, now: Instant, datagram: &mut [u8], identity: &Identity) {
        match (Class::of(datagram), &mut self.ways) {
            (Ok(Class::Stun), _) => {
                self.is_valid = true;
                self.session.start(now, &identity.library);
            }
            (Ok(Class::Dtls), _) => {
                // Repeats of what is over.
                let _ = self.session.receive(now, datagram, &identity.library, || true);
            }
            (Ok(Class::Rtp), Some((_, inbound))) => {
                let header_len = Header::parse(datagram).expect("RTP").header_len();
                let opened = inbound.open_rtp(datagram, header_len).expect("authentic");
                let payload = &datagram[header_len..opened.len];
                if let Some(sequence) = payload.last_chunk() {
                    self.received.push(u16::from_be_bytes(*sequence));
                }
            }
            (Ok(Class::Rtcp), Some((_, inbound))) => {
                let len = inbound.open_rtcp(datagram).expect("authentic");
                self.indications += indications(&datagram[..len]);
            }
            _ => {}
        }
    }
}

/// RFC 4585 §6.3.1: payload-specific feedback (206) of format 1.
fn indications(mut compound: &[u8]) -> usize {
    let mut count = 0;
    while let [first, 192..=223, ..] = compound {
        count += usize::from(compound[1] == 206 && first & 0x1f == 1);
        let words = usize::from(u16::from_be_bytes([compound[2], compound[3]]));
        compound = compound.get(4 * (words + 1)..).unwrap_or_default();
    }
    count
}

/// Lets clients go on until `holds` does.
///
/// # Panics
/// If that takes longer than anything should here.
pub fn until(
    what: &str,
    clients: &mut [Client],
    identity: &Identity,
    mut holds: impl FnMut(&mut [Client]) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    loop {
        for client in &mut *clients {
            client.turn(identity);
        }
        if holds(clients) {
            return;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Hundreds of handshakes without optimisation, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
