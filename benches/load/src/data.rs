//! The server's data channels: an SCTP association that takes them, and what is said on them, without looking.
//!
//! Servers wait for it: LiveKit's calls a participant active once its channels are open.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppi, ServerConfig, StreamEvent, TransportConfig,
};

pub struct Data {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
}

impl Data {
    /// It waits for the server to begin.
    #[must_use]
    pub fn new() -> Self {
        let transport = TransportConfig::default()
            .with_local_port(PORT)
            .with_remote_port(PORT)
            .with_rto_min_ms(RTO_MIN_MS);
        let mut server = ServerConfig::new();
        server.transport = Arc::new(transport);
        let mut config = EndpointConfig::new();
        config.max_payload_size(PAYLOAD);
        Self { endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))), association: None }
    }

    /// Takes a packet and says what to send.
    pub fn receive(&mut self, now: Instant, packet: &[u8]) -> Vec<Bytes> {
        match self.endpoint.handle(now, NOWHERE, None, None, Bytes::copy_from_slice(packet)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((own, association)) = &mut self.association
                    && *own == handle
                {
                    association.handle_event(event);
                }
            }
            None => {}
        }
        self.settle(now)
    }

    pub fn timeout(&mut self, now: Instant) -> Vec<Bytes> {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.settle(now)
    }

    /// When [`Data::timeout`] has something to do; some time later if nothing is due.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let due = self.association.as_ref().and_then(|(_, association)| association.poll_timeout());
        due.map_or(LONG, |due| due.saturating_duration_since(now))
    }

    fn settle(&mut self, now: Instant) -> Vec<Bytes> {
        let Some((_, association)) = &mut self.association else { return Vec::new() };
        while let Some(event) = association.poll() {
            if let Event::Stream(StreamEvent::Opened { id } | StreamEvent::Readable { id }) = event {
                read(association, id);
            }
        }
        while association.accept_stream().is_some() {}
        while association.poll_endpoint_event().is_some() {}
        let mut packets = Vec::new();
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(encoded) = transmit.payload {
                packets.extend(encoded);
            }
        }
        packets
    }
}

impl Default for Data {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("established", &self.association.is_some()).finish_non_exhaustive()
    }
}

/// Whatever is said is taken; what opens a channel is acknowledged (RFC 8832 §6).
fn read(association: &mut Association, id: u16) {
    let Ok(mut stream) = association.stream(id) else { return };
    while let Ok(Some(chunks)) = stream.read_sctp() {
        let mut message = vec![0; chunks.len()];
        let opens = chunks.ppi == Ppi::Dcep
            && chunks.read(&mut message).is_ok()
            && message.first() == Some(&DATA_CHANNEL_OPEN);
        if opens {
            // A stream that is gone by now needs no acknowledgement.
            let _ = stream.write_with_ppi(&[DATA_CHANNEL_ACK], Ppi::Dcep);
        }
    }
}

const PORT: u16 = 5_000; // as both descriptions say
/// What a DTLS record within 1,200 bytes has room for, without the headers of the packet and of its chunk.
const PAYLOAD: u32 = 1_152 - 28;
const RTO_MIN_MS: u64 = 400;
const LONG: Duration = Duration::from_secs(3_600);
const DATA_CHANNEL_OPEN: u8 = 3; // RFC 8832 §8.2.1
const DATA_CHANNEL_ACK: u8 = 2;
/// The library wants an address; nothing depends on it.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

#[cfg(test)]
mod tests {
    use sctp_proto::ClientConfig;

    use super::*;

    /// The server's end, which begins.
    struct Server {
        endpoint: Endpoint,
        association: Association,
    }

    impl Server {
        fn packets(&mut self, now: Instant) -> Vec<Bytes> {
            let mut packets = Vec::new();
            while let Some(transmit) = self.association.poll_transmit(now) {
                if let Payload::RawEncode(encoded) = transmit.payload {
                    packets.extend(encoded);
                }
            }
            packets
        }

        fn exchange(&mut self, now: Instant, data: &mut Data) {
            for _ in 0..8 {
                for packet in self.packets(now) {
                    for answer in data.receive(now, &packet) {
                        if let Some((_, DatagramEvent::AssociationEvent(event))) =
                            self.endpoint.handle(now, NOWHERE, None, None, answer)
                        {
                            self.association.handle_event(event);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn servers_channel_is_acknowledged_and_its_messages_are_taken() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
        let transport = TransportConfig::default().with_local_port(PORT).with_remote_port(PORT);
        let mut config = ClientConfig::new();
        config.transport = Arc::new(transport);
        let (_, association) = endpoint.connect(config, NOWHERE).unwrap();
        let mut server = Server { endpoint, association };
        let mut data = Data::new();
        server.exchange(now, &mut data);
        assert!(
            std::iter::from_fn(|| server.association.poll()).any(|event| matches!(event, Event::Connected))
        );

        let mut stream = server.association.open_stream(1, Ppi::Binary).unwrap();
        stream.write_with_ppi(&[DATA_CHANNEL_OPEN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Ppi::Dcep).unwrap();
        stream.write_with_ppi(b"hello", Ppi::Binary).unwrap();
        server.exchange(now, &mut data);
        // SACKs may wait for their timer.
        let later = now + Duration::from_secs(1);
        for answer in data.timeout(later) {
            if let Some((_, DatagramEvent::AssociationEvent(event))) =
                server.endpoint.handle(later, NOWHERE, None, None, answer)
            {
                server.association.handle_event(event);
            }
        }
        let chunks = server.association.stream(1).unwrap().read_sctp().unwrap().unwrap();
        let mut message = vec![0; chunks.len()];
        chunks.read(&mut message).unwrap();
        assert_eq!((chunks.ppi, &*message), (Ppi::Dcep, &[DATA_CHANNEL_ACK][..]));
        assert!(data.wait(later) > Duration::ZERO);
    }
}
