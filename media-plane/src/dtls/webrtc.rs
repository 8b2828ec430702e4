//! The seam over the webrtc-rs project's DTLS 1.2: its tasks run on a small runtime that turns only while we look.
//!
//! What the library lacks is added: the final flight once more when it was lost (the library forgets it as soon as
//! the handshake is done, RFC 6347 §4.2.4 wants it kept).

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use srtp::keys::{Keys, Profile};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_util::{Conn, Error, KeyingMaterialExporter, Result};

use crate::dtls::certificate::Certificate;
use crate::dtls::fingerprint::{Fingerprint, any_matches};
use crate::dtls::{Connected, DATAGRAM_MAX, End, FLIGHT_INTERVAL, Failure, Output, Role, SetupError, record};

/// Datagrams and orders that wait for the library's tasks. It keeps what comes before its time without a bound, so
/// this also limits one handshake's input.
const WAITING: usize = 256;
/// How often the library's timers are looked at during a handshake.
const LOOK: Duration = Duration::from_millis(20);
/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
const READ_BUFFER: usize = 16 * 1024;

pub struct Factory {
    runtime: Arc<Turnstile>,
    config: Config,
}

impl Factory {
    pub(crate) fn new(certificate: &Certificate) -> std::result::Result<Self, SetupError> {
        // The library reads the key in the PEM form of its own `serialize_pem` only.
        let block = |tag: &str, bytes: &[u8]| {
            format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", STANDARD.encode(bytes))
        };
        let pem = block("PRIVATE_KEY", certificate.key_pkcs8()) + &block("CERTIFICATE", certificate.der());
        let certificate = webrtc_dtls::crypto::Certificate::from_pem(&pem)
            .map_err(|error| SetupError(error.to_string()))?;
        let config = Config {
            certificates: vec![certificate],
            srtp_protection_profiles: vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ],
            client_auth: ClientAuthType::RequireAnyClientCert,
            extended_master_secret: ExtendedMasterSecretType::Require,
            flight_interval: FLIGHT_INTERVAL,
            // Certificates are self-signed; the fingerprint is what counts, and we check it.
            insecure_skip_verify: true,
            mtu: DATAGRAM_MAX,
            ..Config::default()
        };
        let runtime = Turnstile::new().map_err(|error| SetupError(error.to_string()))?;
        Ok(Self { runtime: Arc::new(runtime), config })
    }

    pub(crate) fn start(&self, now: Instant, role: Role, fingerprints: Arc<[Fingerprint]>) -> Association {
        let outputs = Arc::new(Outputs::default());
        let (datagrams, incoming) = mpsc::channel(WAITING);
        let (orders, waiting_orders) = mpsc::channel(WAITING);
        let pipe = Pipe { incoming: tokio::sync::Mutex::new(incoming), outputs: Arc::clone(&outputs) };
        let task = self.runtime.runtime.spawn(run(
            pipe,
            self.config.clone(),
            role,
            fingerprints,
            waiting_orders,
            Arc::clone(&outputs),
        ));
        let mut association = Association {
            runtime: Arc::clone(&self.runtime),
            role,
            datagrams,
            orders,
            task,
            outputs,
            drained: VecDeque::new(),
            final_flight: Vec::new(),
            state: State::Handshaking { look: now },
        };
        association.turn(now);
        association
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("webrtc::Factory")
    }
}

pub struct Association {
    runtime: Arc<Turnstile>,
    role: Role,
    datagrams: mpsc::Sender<Vec<u8>>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
    outputs: Arc<Outputs>,
    drained: VecDeque<Output>,
    /// What a server said last; the client may have missed it.
    final_flight: Vec<Vec<u8>>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// With the next moment at which the library's timers are looked at.
    Handshaking {
        look: Instant,
    },
    Connected,
    Ended,
}

#[derive(Debug)]
enum Order {
    Send(Vec<u8>),
    Close,
}

impl Association {
    /// Lets the library's tasks run until they have nothing to do, and takes what came of it.
    fn turn(&mut self, now: Instant) {
        self.runtime.settle();
        let mut came = std::mem::take(&mut *self.outputs.lock());
        if let Some(connected) = came.iter().position(|output| matches!(output, Output::Connected(_))) {
            if self.role == Role::Server {
                self.final_flight = came.iter().filter_map(datagram_of).collect();
            }
            self.state = State::Connected;
            // Ahead of the flight that tells the peer that it may send media.
            came.make_contiguous()[..=connected].rotate_right(1);
        }
        if came.iter().any(|output| matches!(output, Output::Ended(_))) {
            self.state = State::Ended;
            if came.iter().any(|output| matches!(output, Output::Ended(End::Failed(Failure::Fingerprint)))) {
                came.retain(|output| matches!(output, Output::Ended(_)));
            }
        }
        self.drained.append(&mut came);
        match &mut self.state {
            // The task ends only after it has said why; if it did not, it panicked.
            State::Handshaking { .. } | State::Connected if self.task.is_finished() => {
                self.state = State::Ended;
                self.drained.push_back(Output::Ended(End::Failed(Failure::Protocol)));
            }
            State::Handshaking { look } => *look = now + LOOK,
            State::Connected | State::Ended => {}
        }
    }
}

impl super::Association for Association {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        if self.state == State::Ended {
            return;
        }
        if self.state == State::Connected && record::is_plain_handshake(datagram) {
            let again = self.final_flight.iter().cloned().map(Output::Datagram);
            self.drained.extend(again);
            return;
        }
        // A full queue is a lost datagram; DTLS copes.
        let _ = self.datagrams.try_send(datagram.to_vec());
        self.turn(now);
    }

    fn timeout(&mut self, now: Instant) {
        if self.state != State::Ended {
            self.turn(now);
        }
    }

    fn send(&mut self, now: Instant, data: &[u8]) {
        if self.state == State::Connected {
            let _ = self.orders.try_send(Order::Send(data.to_vec()));
            self.turn(now);
        }
    }

    fn close(&mut self, now: Instant) {
        if self.state == State::Connected {
            let _ = self.orders.try_send(Order::Close);
            self.turn(now);
        }
        self.task.abort();
        self.state = State::Ended;
    }

    fn poll(&mut self) -> Option<Output> {
        self.drained.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Handshaking { look } => Some(look),
            State::Connected | State::Ended => None,
        }
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("role", &self.role)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The life of one connection, on the runtime.
async fn run(
    pipe: Pipe,
    config: Config,
    role: Role,
    fingerprints: Arc<[Fingerprint]>,
    mut orders: mpsc::Receiver<Order>,
    outputs: Arc<Outputs>,
) {
    let we_are_client = role == Role::Client;
    let connection = match DTLSConn::new(Arc::new(pipe), config, we_are_client, None).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "DTLS failed");
            return outputs.push(Output::Ended(End::Failed(Failure::Protocol)));
        }
    };
    match agreement(&connection, &fingerprints, we_are_client).await {
        Ok(connected) => outputs.push(Output::Connected(Box::new(connected))),
        Err(failure) => return outputs.push(Output::Ended(End::Failed(failure))),
    }
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        tokio::select! {
            read = connection.read(&mut buffer, None) => match read {
                Ok(len) => outputs.push(Output::Data(buffer.get(..len).unwrap_or_default().to_vec())),
                Err(_) => return outputs.push(Output::Ended(End::ClosedByPeer)),
            },
            order = orders.recv() => match order {
                Some(Order::Send(data)) => {
                    if connection.write(&data, None).await.is_err() {
                        return outputs.push(Output::Ended(End::Failed(Failure::Protocol)));
                    }
                }
                Some(Order::Close) | None => {
                    let _ = connection.close().await;
                    return;
                }
            },
        }
    }
}

async fn agreement(
    connection: &DTLSConn,
    fingerprints: &[Fingerprint],
    we_are_client: bool,
) -> std::result::Result<Connected, Failure> {
    let state = connection.connection_state().await;
    let certificate = state.peer_certificates.first().ok_or(Failure::Fingerprint)?;
    if !any_matches(fingerprints, certificate) {
        return Err(Failure::Fingerprint);
    }
    let profile = match connection.selected_srtpprotection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Profile::AeadAes256Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmSha1_80,
        _ => return Err(Failure::Profile),
    };
    let len = 2 * (profile.key_len() + profile.salt_len());
    let material =
        state.export_keying_material(EXPORTER_LABEL, &[], len).await.map_err(|_| Failure::Protocol)?;
    let keys = Keys::from_keying_material(profile, &material, we_are_client).ok_or(Failure::Protocol)?;
    Ok(Connected { keys, version: "DTLS 1.2" })
}

fn datagram_of(output: &Output) -> Option<Vec<u8>> {
    match output {
        Output::Datagram(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Outputs(Mutex<VecDeque<Output>>);

impl Outputs {
    fn push(&self, output: Output) {
        self.lock().push_back(output);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Output>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the library takes for a connected socket.
struct Pipe {
    incoming: tokio::sync::Mutex<mpsc::Receiver<Vec<u8>>>,
    outputs: Arc<Outputs>,
}

#[async_trait::async_trait]
impl Conn for Pipe {
    async fn connect(&self, _: SocketAddr) -> Result<()> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        let datagram = self.incoming.lock().await.recv().await.ok_or(Error::ErrBufferClosed)?;
        let room = buffer.get_mut(..datagram.len()).ok_or(Error::ErrBufferShort)?;
        room.copy_from_slice(&datagram);
        Ok(datagram.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        Ok((self.recv(buffer).await?, NOWHERE))
    }

    async fn send(&self, datagram: &[u8]) -> Result<usize> {
        self.outputs.push(Output::Datagram(datagram.to_vec()));
        Ok(datagram.len())
    }

    async fn send_to(&self, datagram: &[u8], _: SocketAddr) -> Result<usize> {
        self.send(datagram).await
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(NOWHERE)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(NOWHERE)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

/// The library wants addresses; nothing depends on them.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// A runtime that runs until all its tasks wait for something, then lets go.
struct Turnstile {
    runtime: Runtime,
    parked: Arc<Mutex<Parked>>,
}

#[derive(Default)]
struct Parked {
    times: u32,
    waker: Option<Waker>,
}

impl Turnstile {
    fn new() -> io::Result<Self> {
        let parked = Arc::new(Mutex::new(Parked::default()));
        let hook = Arc::clone(&parked);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .on_thread_park(move || {
                // Called when no task is left to run; waking `settle` keeps the thread from sleeping.
                let mut parked = lock(&hook);
                parked.times += 1;
                if let Some(waker) = parked.waker.take() {
                    waker.wake();
                }
            })
            .build()?;
        Ok(Self { runtime, parked })
    }

    /// The first time that nothing is left to run the timers get their turn; after the second they have had it.
    fn settle(&self) {
        lock(&self.parked).times = 0;
        self.runtime.block_on(poll_fn(|context| {
            let mut parked = lock(&self.parked);
            if parked.times >= 2 {
                return Poll::Ready(());
            }
            parked.waker = Some(context.waker().clone());
            Poll::Pending
        }));
    }
}

fn lock(parked: &Mutex<Parked>) -> MutexGuard<'_, Parked> {
    parked.lock().unwrap_or_else(PoisonError::into_inner)
}
