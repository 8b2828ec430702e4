//! One participant's life: joins over signalling, sets its peer connections up, and leaves when it is told to.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, LeaveRequest, Ping, SessionDescription, SignalTarget, SimulcastCodec, TrackSource,
    TrackType, TrickleRequest, VideoLayer, VideoQuality,
};
use sdp::attribute::SetupRole;
use sdp::session::Session;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

use crate::description::{self, Local, Media, Remote};
use crate::dtls::{self, Identity};
use crate::ice::Credentials;
use crate::network::{Network, Opening, PeerKey};
use crate::receiver::Mode;
use crate::signal::{self, Signalling};
use crate::token::token;
use crate::video::LAYERS;

/// What all participants have in common.
#[derive(Debug)]
pub struct Shared {
    pub url: Url,
    /// Where the URL leads to.
    pub address: SocketAddr,
    pub key: String,
    pub secret: String,
    pub identity: Identity,
    pub networks: Vec<Network>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub id: u32,
    pub room: String,
    pub identity: String,
    pub publishes: Media,
    pub subscribes: bool,
    pub mode: Mode,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Signalling(#[from] signal::Failure),
    #[error("{0}")]
    Dtls(#[from] dtls::Failure),
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
    #[error("the secret signs no token")]
    Token,
    #[error("the server's description can't be read: {0}")]
    Description(sdp::error::Error),
    #[error("the server's description lacks ICE credentials")]
    Credentials,
    #[error("the server does not take the track as it was offered")]
    Track,
    #[error("the server told us to leave (reason {0})")]
    Left(i32),
}

/// Lives until `stop` says so or something fails. `joined` is told how long it took to be connected.
pub async fn live(
    shared: Arc<Shared>,
    plan: Plan,
    joined: oneshot::Sender<Duration>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let token = token(&shared.key, &shared.secret, &plan.room, &plan.identity).ok_or(Failure::Token)?;
    let mut signalling = Signalling::connect(&shared.url, &token, plan.subscribes).await?;
    let (handshakes, mut shaken) = mpsc::channel(2);
    let primary =
        if plan.publishes == Media::None { SignalTarget::Subscriber } else { SignalTarget::Publisher };
    let ssrc = rand::random_range(1..u32::MAX);
    let mut participant = Participant { shared, plan, ssrc, publisher: None, subscriber: None, handshakes };
    let mut joined = Some(joined);
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = signalling.next() => {
                for request in participant.receive(message?)? {
                    signalling.send(request).await?;
                }
            }
            shaken = shaken.recv() => {
                let Some((target, result)) = shaken else { continue };
                result?;
                if target == primary && let Some(joined) = joined.take() {
                    // Nobody asks any more: the run is over.
                    let _ = joined.send(begun.elapsed());
                }
            }
            _ = pings.tick() => signalling.send(Request::PingReq(ping())).await?,
            _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => break,
        }
    }
    signalling.send(Request::Leave(LeaveRequest::default())).await?;
    signalling.close().await;
    Ok(())
}

struct Participant {
    shared: Arc<Shared>,
    plan: Plan,
    /// Of the sound that it publishes.
    ssrc: u32,
    publisher: Option<Side>,
    subscriber: Option<Side>,
    handshakes: mpsc::Sender<(SignalTarget, Result<(), dtls::Failure>)>,
}

/// One of the two peer connections.
struct Side {
    network: Network,
    key: PeerKey,
    local: Local,
    socket: Arc<UdpSocket>,
    /// Taken when the handshake starts.
    start: Option<(mpsc::Receiver<Vec<u8>>, oneshot::Receiver<()>)>,
}

impl Participant {
    /// What is to be said to a message of the server.
    fn receive(&mut self, message: Response) -> Result<Vec<Request>, Failure> {
        match message {
            Response::Join(_) if self.plan.publishes != Media::None => {
                Ok(vec![Request::AddTrack(add_track(self.plan.publishes, &self.track()))])
            }
            Response::TrackPublished(_) => self.offer(),
            Response::Answer(answer) => self.answered(&answer),
            Response::Offer(offer) => self.answer(&offer),
            Response::Trickle(trickle) => self.trickled(&trickle),
            Response::Leave(leave) => Err(Failure::Left(leave.reason)),
            _ => Ok(Vec::new()),
        }
    }

    fn offer(&mut self) -> Result<Vec<Request>, Failure> {
        let (media, track, ssrc) = (self.plan.publishes, self.track(), self.ssrc);
        let side = self.side(SignalTarget::Publisher)?;
        let sdp = description::offer(&side.local, media, &track, ssrc).to_string();
        let trickle = side.trickle(SignalTarget::Publisher);
        Ok(vec![Request::Offer(session_description("offer", sdp, 1)), trickle])
    }

    fn answered(&mut self, answer: &SessionDescription) -> Result<Vec<Request>, Failure> {
        let session = Session::parse(&answer.sdp).map_err(Failure::Description)?;
        let track = description::agreed(&session, self.plan.publishes, self.ssrc).ok_or(Failure::Track)?;
        let remote = Remote::of(&session).ok_or(Failure::Credentials)?;
        let id = self.plan.id;
        let begins = self.begin(SignalTarget::Publisher, &remote)?;
        let side = self.side(SignalTarget::Publisher)?;
        if begins {
            side.network.publish(side.key, id, vec![track]);
        }
        Ok(Vec::new())
    }

    fn answer(&mut self, offer: &SessionDescription) -> Result<Vec<Request>, Failure> {
        let session = Session::parse(&offer.sdp).map_err(Failure::Description)?;
        let remote = Remote::of(&session).ok_or(Failure::Credentials)?;
        let first = self.begin(SignalTarget::Subscriber, &remote)?;
        let side = self.side(SignalTarget::Subscriber)?;
        let (answer, agreement) = description::answer(&session, &side.local);
        side.network.agree(side.key, agreement);
        let mut requests = vec![Request::Answer(session_description("answer", answer.to_string(), offer.id))];
        if first {
            requests.push(side.trickle(SignalTarget::Subscriber));
        }
        Ok(requests)
    }

    fn trickled(&mut self, trickle: &TrickleRequest) -> Result<Vec<Request>, Failure> {
        let preferred = self.shared.address.ip();
        let Ok(init) = serde_json::from_str::<CandidateInit>(&trickle.candidate_init) else {
            return Ok(Vec::new());
        };
        let side = self.side(trickle.target())?;
        side.candidates(description::candidate(&init.candidate).into_iter().collect(), preferred);
        Ok(Vec::new())
    }

    /// Takes in the server's end; whether this is the first time.
    fn begin(&mut self, target: SignalTarget, remote: &Remote) -> Result<bool, Failure> {
        let (shared, handshakes) = (Arc::clone(&self.shared), self.handshakes.clone());
        let side = self.side(target)?;
        // A full agent controls what it offers (RFC 8445 §6.1.1).
        let controls = target == SignalTarget::Subscriber && !remote.lite;
        side.network.remote(side.key, remote.credentials.clone(), controls);
        side.candidates(remote.candidates.clone(), shared.address.ip());
        let Some((datagrams, connected)) = side.start.take() else { return Ok(false) };
        let we_are_client = remote.setup != Some(SetupRole::Active);
        let handshake = Handshake {
            shared,
            socket: Arc::clone(&side.socket),
            network: side.network.clone(),
            key: side.key,
            we_are_client,
            fingerprints: remote.fingerprints.clone(),
        };
        tokio::spawn(handshake.run(target, datagrams, connected, handshakes));
        Ok(true)
    }

    fn side(&mut self, target: SignalTarget) -> Result<&mut Side, Failure> {
        let place = match target {
            SignalTarget::Publisher => &mut self.publisher,
            SignalTarget::Subscriber => &mut self.subscriber,
        };
        match place {
            Some(side) => Ok(side),
            None => {
                let receives = (target == SignalTarget::Subscriber).then_some(self.plan.mode);
                Ok(place.insert(Side::open(&self.shared, self.plan.id, receives)?))
            }
        }
    }

    fn track(&self) -> String {
        format!("track-{}", self.plan.id)
    }
}

impl Side {
    fn open(shared: &Shared, id: u32, receives: Option<Mode>) -> io::Result<Self> {
        let any = match shared.address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        // Which of our addresses leads there.
        let probe = UdpSocket::bind(any)?;
        probe.connect(shared.address)?;
        let local = Local {
            credentials: Credentials::random(),
            fingerprint: shared.identity.fingerprint.clone(),
            candidate: format!("1 1 udp 2130706431 {} {port} typ host", probe.local_addr()?.ip()),
        };
        let socket = Arc::new(socket);
        let (dtls, datagrams) = mpsc::channel(dtls::WAITING);
        let (tell_connected, connected) = oneshot::channel();
        let index = usize::try_from(id).unwrap_or_default() % shared.networks.len().max(1);
        let network = shared.networks[index].clone();
        let key = network.open(Opening {
            socket: Arc::clone(&socket),
            local: local.credentials.clone(),
            receives,
            dtls,
            connected: tell_connected,
        });
        Ok(Self { network, key, local, socket, start: Some((datagrams, connected)) })
    }

    /// Where the signalling went first.
    fn candidates(&self, mut candidates: Vec<SocketAddr>, preferred: std::net::IpAddr) {
        candidates.retain(|candidate| candidate.is_ipv4() == preferred.is_ipv4());
        candidates.sort_by_key(|candidate| candidate.ip() != preferred);
        if !candidates.is_empty() {
            self.network.candidates(self.key, candidates);
        }
    }

    fn trickle(&self, target: SignalTarget) -> Request {
        let candidate_init = serde_json::json!({
            "candidate": format!("candidate:{}", self.local.candidate), "sdpMid": "0", "sdpMLineIndex": 0,
        });
        Request::Trickle(TrickleRequest {
            candidate_init: candidate_init.to_string(),
            target: target.into(),
            r#final: false,
        })
    }
}

/// What a handshake needs that runs beside the signalling.
struct Handshake {
    shared: Arc<Shared>,
    socket: Arc<UdpSocket>,
    network: Network,
    key: PeerKey,
    we_are_client: bool,
    fingerprints: Vec<sdp::attribute::Fingerprint>,
}

impl Handshake {
    async fn run(
        self,
        target: SignalTarget,
        datagrams: mpsc::Receiver<Vec<u8>>,
        connected: oneshot::Receiver<()>,
        done: mpsc::Sender<(SignalTarget, Result<(), dtls::Failure>)>,
    ) {
        // Not connected before the run ended: nobody waits.
        if connected.await.is_err() {
            return;
        }
        let identity = &self.shared.identity;
        let shaken =
            dtls::shake_hands(identity, self.socket, datagrams, self.we_are_client, &self.fingerprints).await;
        match shaken {
            Ok((keys, session)) => {
                self.network.keys(self.key, keys);
                let _ = done.send((target, Ok(()))).await;
                session.attend().await;
            }
            Err(failure) => _ = done.send((target, Err(failure))).await,
        }
    }
}

/// What browsers call `RTCIceCandidateInit`.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

fn session_description(kind: &str, sdp: String, id: u32) -> SessionDescription {
    SessionDescription { r#type: kind.to_owned(), sdp, id, ..SessionDescription::default() }
}

fn add_track(media: Media, track: &str) -> AddTrackRequest {
    let common = AddTrackRequest { cid: track.to_owned(), disable_red: true, ..AddTrackRequest::default() };
    if media == Media::Audio {
        return AddTrackRequest {
            name: "microphone".to_owned(),
            r#type: TrackType::Audio.into(),
            source: TrackSource::Microphone.into(),
            ..common
        };
    }
    let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
    let layers: Vec<VideoLayer> = LAYERS
        .iter()
        .zip(qualities)
        .map(|(layer, quality)| VideoLayer {
            quality: quality.into(),
            width: layer.width.into(),
            height: layer.height.into(),
            bitrate: layer.bitrate,
            ..VideoLayer::default()
        })
        .collect();
    AddTrackRequest {
        name: "camera".to_owned(),
        r#type: TrackType::Video.into(),
        source: TrackSource::Camera.into(),
        width: 1280,
        height: 720,
        simulcast_codecs: vec![SimulcastCodec {
            codec: "vp8".to_owned(),
            cid: track.to_owned(),
            layers: layers.clone(),
            ..SimulcastCodec::default()
        }],
        layers,
        ..common
    }
}

fn ping() -> Ping {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ping { timestamp: i64::try_from(now.as_millis()).unwrap_or(i64::MAX), rtt: 1 }
}

const PING: Duration = Duration::from_secs(5);
