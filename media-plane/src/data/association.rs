//! One SCTP association with its channels: `sctp-proto` below, DCEP (RFC 8832) above, no I/O.
//!
//! Both ends of a WebRTC association may speak first (RFC 8831 §6.2 leaves it open, browsers always do). We wait a
//! moment for the client's INIT and send one only if none comes, so that two handshakes seldom cross.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, EndpointEvent, Event, Payload,
    PayloadProtocolIdentifier as Ppi, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use crate::data::channel::{CHANNELS_MAX, Channel, Kind};
use crate::data::dcep::{self, Message, Open, Reliability};
use crate::dtls::Role;
use crate::helper::input::{ChannelSpec, SctpSpec};

/// The port that our SDP names.
const LOCAL_PORT: u16 = 5000;
/// How long the client's INIT is waited for.
const FIRST_WORD: Duration = Duration::from_millis(250);
const RECEIVE_BUFFER: u32 = 1024 * 1024;
/// What our SDP announces.
pub const MESSAGE_MAX: u32 = 65_535;
/// A stamp makes a data packet a little longer than it came.
const SEND_MAX: u32 = 128 * 1024;
const STREAMS: u16 = 1024;
/// Streams that the client may have opened without a channel on them; more is an attack on our memory.
const STREAMS_IDLE_MAX: usize = 64;
/// The largest SCTP packet: with a DTLS record around it, a datagram stays within 1,200 bytes.
const PACKET: u32 = 1152;
/// The packet's header (12) and a DATA chunk's (16).
const HEADERS: u32 = 28;
/// RFC 9260 §16 suggests 1 s; libwebrtc has 400 ms, for a real-time path.
const RTO_MIN_MS: u64 = 400;
const RTO_INITIAL_MS: u64 = 500;
const RTO_MAX_MS: u64 = 10_000;
/// Position of a packet's first chunk, which begins with its type.
const FIRST_CHUNK: usize = 12;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// More than this unsent, and the receiver is slow.
const BUFFERED_RELIABLE_MAX: usize = 1024 * 1024;
const BUFFERED_LOSSY_MAX: usize = 64 * 1024;
/// Frames of data tracks may be large, and come at once.
const BUFFERED_TRACK_MAX: usize = 256 * 1024;

pub struct Association {
    endpoint: Endpoint,
    transport: Arc<TransportConfig>,
    current: Option<Current>,
    /// When we speak first.
    connect_at: Option<Instant>,
    /// Whether our INIT goes before the client's if they cross: as the DTLS client.
    speaks_first: bool,
    /// Parity of the stream ids of our channels.
    parity: u16,
    unopened: Vec<ChannelSpec>,
    channels: Vec<Channel>,
    streams: usize,
    outputs: VecDeque<Output>,
}

struct Current {
    handle: AssociationHandle,
    sctp: sctp_proto::Association,
    /// The client has answered our INIT, or we have its own.
    answered: bool,
    established: bool,
}

#[derive(Debug)]
pub enum Output {
    /// An SCTP packet for the client.
    Packet(Bytes),
    Established,
    /// A channel is open; it is in `channels`.
    Opened {
        stream: u16,
    },
    Message(Received),
    /// An OPEN that is not whole, or one too many.
    Refused,
    /// The association is gone.
    Closed,
}

/// A message from the client.
#[derive(Debug)]
pub struct Received {
    pub kind: Kind,
    pub label: String,
    pub text: bool,
    pub bytes: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    NoChannel,
    /// Too much waits already.
    Slow,
    /// Longer than the client accepts.
    TooLarge,
}

impl Association {
    #[must_use]
    pub fn new(now: Instant, role: Role, spec: &SctpSpec) -> Self {
        let message_max = if spec.message_size_max == 0 { 65_536 } else { spec.message_size_max };
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(RECEIVE_BUFFER)
            .with_max_receive_message_size(MESSAGE_MAX)
            .with_max_send_message_size(message_max.min(SEND_MAX))
            .with_max_num_inbound_streams(STREAMS)
            .with_max_num_outbound_streams(STREAMS)
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(RTO_INITIAL_MS)
            .with_rto_min_ms(RTO_MIN_MS)
            .with_rto_max_ms(RTO_MAX_MS)
            .with_local_port(LOCAL_PORT)
            .with_remote_port(if spec.remote_port == 0 { LOCAL_PORT } else { spec.remote_port });
        let transport = Arc::new(transport);
        let mut server = ServerConfig::new();
        server.transport = Arc::clone(&transport);
        let mut config = EndpointConfig::new();
        config.max_payload_size(PACKET - HEADERS);
        Self {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))),
            transport,
            current: None,
            connect_at: Some(now + FIRST_WORD),
            speaks_first: role == Role::Client,
            // RFC 8832 §6: the DTLS client's are even, the server's odd.
            parity: if role == Role::Client { 0 } else { 1 },
            unopened: spec.channels.iter().take(CHANNELS_MAX).cloned().collect(),
            channels: Vec::new(),
            streams: 0,
            outputs: VecDeque::new(),
        }
    }

    pub fn receive(&mut self, now: Instant, packet: &[u8]) {
        let first = packet.get(FIRST_CHUNK).copied();
        let answered = self.current.as_ref().is_some_and(|current| current.answered);
        // The library takes an INIT that comes late (reordered, or sent again) for a reason to close.
        if first == Some(INIT) && answered && self.current.as_ref().is_some_and(|current| current.established)
        {
            return;
        }
        let Some((handle, event)) =
            self.endpoint.handle(now, NOWHERE, None, None, Bytes::copy_from_slice(packet))
        else {
            return;
        };
        match event {
            // Both spoke: the DTLS client's INIT counts. (RFC 9260 §5.2.1 would answer with the tag of our own, but
            // the library has no way to; a peer that does so is content either way.)
            DatagramEvent::NewAssociation(_) if answered || (self.speaks_first && self.current.is_some()) => {
                self.forget(handle);
            }
            DatagramEvent::NewAssociation(sctp) => {
                self.connect_at = None;
                let theirs = Current { handle, sctp, answered: true, established: false };
                if let Some(ours) = self.current.replace(theirs) {
                    self.forget(ours.handle);
                }
            }
            DatagramEvent::AssociationEvent(event) => {
                if let Some(current) = self.current.as_mut().filter(|current| current.handle == handle) {
                    current.answered |= first == Some(INIT_ACK);
                    current.sctp.handle_event(event);
                }
            }
        }
        self.settle();
    }

    pub fn timeout(&mut self, now: Instant) {
        if self.connect_at.is_some_and(|at| now >= at) {
            self.connect_at = None;
            let mut config = ClientConfig::new();
            config.transport = Arc::clone(&self.transport);
            match self.endpoint.connect(config, NOWHERE) {
                Ok((handle, sctp)) => {
                    self.current = Some(Current { handle, sctp, answered: false, established: false });
                }
                // Only a port of 0 or billions of associations would be refused.
                Err(error) => {
                    tracing::warn!(%error, "SCTP can't connect");
                    self.outputs.push_back(Output::Closed);
                }
            }
        }
        if let Some(current) = &mut self.current {
            current.sctp.handle_timeout(now);
        }
        self.settle();
    }

    /// Queues a message; `flush` makes packets of what waits.
    ///
    /// # Errors
    /// If it was not queued.
    pub fn send(&mut self, stream: u16, text: bool, message: &Bytes) -> Result<(), SendError> {
        let channel =
            self.channels.iter().find(|channel| channel.stream == stream).ok_or(SendError::NoChannel)?;
        let most = match channel.reliability {
            _ if channel.kind == Kind::DataTrack => BUFFERED_TRACK_MAX,
            Reliability::Reliable => BUFFERED_RELIABLE_MAX,
            Reliability::Retransmits(_) | Reliability::Lifetime(_) => BUFFERED_LOSSY_MAX,
        };
        let current = self.current.as_mut().ok_or(SendError::NoChannel)?;
        let mut stream = current.sctp.stream(stream).map_err(|_| SendError::NoChannel)?;
        if stream.buffered_amount().is_ok_and(|buffered| buffered > most) {
            return Err(SendError::Slow);
        }
        // RFC 8831 §6.6: SCTP has no empty messages.
        let (ppi, message) = match (text, message.is_empty()) {
            (true, false) => (Ppi::String, message),
            (false, false) => (Ppi::Binary, message),
            (true, true) => (Ppi::StringEmpty, &Bytes::from_static(&[0])),
            (false, true) => (Ppi::BinaryEmpty, &Bytes::from_static(&[0])),
        };
        match stream.write_sctp(message, ppi) {
            Ok(_) => Ok(()),
            Err(sctp_proto::Error::ErrOutboundPacketTooLarge) => Err(SendError::TooLarge),
            Err(_) => Err(SendError::NoChannel),
        }
    }

    /// Makes packets of what may be sent now.
    pub fn flush(&mut self, now: Instant) {
        let Some(current) = &mut self.current else {
            return;
        };
        while let Some(transmit) = current.sctp.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.payload {
                self.outputs.extend(packets.into_iter().map(Output::Packet));
            }
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let sctp = self.current.as_ref().and_then(|current| current.sctp.poll_timeout());
        sctp.into_iter().chain(self.connect_at).min()
    }

    /// The first open channel of that label.
    #[must_use]
    pub fn channel(&self, label: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.label == label)
    }

    #[must_use]
    pub fn is_established(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.established)
    }

    /// Reads what the last input brought.
    fn settle(&mut self) {
        while let Some(event) = self.current.as_mut().and_then(|current| current.sctp.poll()) {
            match event {
                Event::Connected => self.establish(),
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => return self.close(),
                Event::Stream(StreamEvent::Opened { id }) => {
                    self.streams += 1;
                    if self.streams > self.channels.len() + STREAMS_IDLE_MAX {
                        return self.close();
                    }
                    self.read(id);
                }
                Event::Stream(StreamEvent::Readable { id }) => self.read(id),
                Event::Stream(StreamEvent::Finished { id }) => {
                    self.streams = self.streams.saturating_sub(1);
                    self.channels.retain(|channel| channel.stream != id);
                }
                _ => {}
            }
        }
        if let Some(current) = &mut self.current {
            // Streams are known by their events.
            while current.sctp.accept_stream().is_some() {}
            // The endpoint is told by `forget`, once.
            while current.sctp.poll_endpoint_event().is_some() {}
        }
    }

    fn establish(&mut self) {
        if let Some(current) = &mut self.current {
            current.established = true;
        }
        self.outputs.push_back(Output::Established);
        let specs = std::mem::take(&mut self.unopened);
        for (stream, spec) in (self.parity..).step_by(2).zip(&specs) {
            self.open(stream, spec);
        }
        for id in self.current.as_ref().map(|current| current.sctp.stream_ids()).unwrap_or_default() {
            self.read(id);
        }
    }

    /// RFC 8832 §6: the OPEN goes ordered and reliable, and what follows stays ordered until the ACK is here.
    fn open(&mut self, stream: u16, spec: &ChannelSpec) {
        let channel = Channel::new(stream, spec);
        let open = Open {
            ordered: spec.ordered,
            reliability: channel.reliability,
            label: &spec.label,
            protocol: "",
        };
        let opened = self.current.as_mut().zip(open.to_bytes()).is_some_and(|(current, bytes)| {
            let Ok(mut stream) = current.sctp.open_stream(stream, Ppi::Binary) else {
                return false;
            };
            let (kind, value) = reliability_of(channel.reliability);
            stream.write_with_ppi(&bytes, Ppi::Dcep).is_ok()
                && stream.set_reliability_params(false, kind, value).is_ok()
        });
        if opened {
            self.channels.push(channel);
            self.outputs.push_back(Output::Opened { stream });
        } else {
            self.outputs.push_back(Output::Refused);
        }
    }

    /// Data may come ahead of the COOKIE ACK, but the library answers nothing until then: it waits in the stream.
    fn read(&mut self, id: u16) {
        if !self.is_established() {
            return;
        }
        while let Some((ppi, bytes)) = self.next_message(id) {
            let channel = self.channels.iter_mut().find(|channel| channel.stream == id);
            let (text, bytes) = match ppi {
                Ppi::Dcep => {
                    self.control(id, &bytes);
                    continue;
                }
                Ppi::String => (true, bytes),
                Ppi::Binary => (false, bytes),
                Ppi::StringEmpty => (true, Bytes::new()),
                Ppi::BinaryEmpty => (false, Bytes::new()),
                Ppi::Unknown => continue,
            };
            // Without a channel there is nobody to whom the message could mean anything.
            if let Some(channel) = channel {
                let message = Received { kind: channel.kind, label: channel.label.clone(), text, bytes };
                self.outputs.push_back(Output::Message(message));
            }
        }
    }

    fn next_message(&mut self, id: u16) -> Option<(Ppi, Bytes)> {
        let mut stream = self.current.as_mut()?.sctp.stream(id).ok()?;
        let chunks = stream.read_sctp().ok()??;
        let mut bytes = vec![0; chunks.len()];
        chunks.read(&mut bytes).ok()?;
        Some((chunks.ppi, Bytes::from(bytes)))
    }

    fn control(&mut self, id: u16, bytes: &[u8]) {
        let room = self.channels.len() < CHANNELS_MAX;
        let known = self.channels.iter_mut().find(|channel| channel.stream == id);
        match (Message::parse(bytes), known) {
            (Ok(Message::Ack), Some(channel)) => {
                channel.acknowledged = true;
                let (ordered, (kind, value)) = (channel.ordered, reliability_of(channel.reliability));
                if let Some(Ok(mut stream)) = self.current.as_mut().map(|current| current.sctp.stream(id)) {
                    // Fails only if the stream is gone by now.
                    let _ = stream.set_reliability_params(!ordered, kind, value);
                }
            }
            // Said again, perhaps because our ACK is late.
            (Ok(Message::Open(_)), Some(_)) => {}
            (Ok(Message::Open(open)), None) if id % 2 != self.parity && room => {
                self.accept(id, &open);
            }
            (Ok(Message::Ack), None) => {}
            (Ok(Message::Open(_)) | Err(_), _) => {
                if let Some(Ok(mut stream)) = self.current.as_mut().map(|current| current.sctp.stream(id)) {
                    let _ = stream.close();
                }
                self.outputs.push_back(Output::Refused);
            }
        }
    }

    fn accept(&mut self, id: u16, open: &Open<'_>) {
        let Some(Ok(mut stream)) = self.current.as_mut().map(|current| current.sctp.stream(id)) else {
            return;
        };
        let (kind, value) = reliability_of(open.reliability);
        // The ACK itself is ordered and reliable (RFC 8832 §6).
        let answered = stream.write_with_ppi(dcep::ACKNOWLEDGEMENT, Ppi::Dcep).is_ok()
            && stream.set_reliability_params(!open.ordered, kind, value).is_ok();
        if answered {
            self.channels.push(Channel {
                stream: id,
                label: open.label.to_owned(),
                kind: Kind::of(open.label),
                ordered: open.ordered,
                reliability: open.reliability,
                acknowledged: true,
            });
            self.outputs.push_back(Output::Opened { stream: id });
        }
    }

    fn close(&mut self) {
        self.connect_at = None;
        self.channels.clear();
        if let Some(mut current) = self.current.take() {
            let _ = current.sctp.close();
            self.forget(current.handle);
        }
        self.outputs.push_back(Output::Closed);
    }

    fn forget(&mut self, handle: AssociationHandle) {
        // It has nothing to tell to the association.
        let _ = self.endpoint.handle_event(handle, EndpointEvent::drained());
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("established", &self.is_established())
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

const fn reliability_of(reliability: Reliability) -> (ReliabilityType, u32) {
    match reliability {
        Reliability::Reliable => (ReliabilityType::Reliable, 0),
        Reliability::Retransmits(count) => (ReliabilityType::Rexmit, count),
        Reliability::Lifetime(milliseconds) => (ReliabilityType::Timed, milliseconds),
    }
}

/// The library wants an address with a port; nothing depends on it.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), LOCAL_PORT);

#[cfg(test)]
mod tests;
