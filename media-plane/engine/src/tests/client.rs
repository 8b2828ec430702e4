//! A client that does to an engine what a browser does: checks, SRTP, RTCP. And the world between them.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use srtp::inbound::Inbound;
use srtp::keys::{Keys, Profile};
use srtp::outbound::Outbound;
use srtp::rust_crypto::RustCrypto;
use units::handle::{PeerId, WorkerIndex};
use units::rtp::{PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use units::time::{Instant, NtpTime};
use wire::demux::Class;
use wire::picture_id::PictureId;
use wire::rtcp::build::{Builder, Refused};
use wire::rtp::{Fields, Header, write_header};
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Message, Role, Transaction};
use wire::vp8;

use crate::command::{Command, IceCredentials, Refusal, RoomSpec};
use crate::config::Config;
use crate::discard::RelayReason;
use crate::engine::Engine;
use crate::event::Event;
use crate::outbox::{DATAGRAM_LEN_MAX, Outbox, Precedence};
use crate::path::{Path, Protocol};
use crate::relay::{Demand, Relayed};
use crate::tests::specs::{credentials, peer_spec, room_spec};

/// Keeps what the engine sends and tells.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    lent: Vec<u8>,
    pub(crate) sent: Vec<(Path, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
    /// No buffers are lent.
    pub(crate) exhausted: bool,
    /// Of the pool, if it is bounded: each datagram in `sent` has one.
    pub(crate) buffers: Option<usize>,
    /// What is on its way to other workers, and how much may be: there are none without room.
    pub(crate) relayed: Vec<(WorkerIndex, Relayed, Vec<u8>)>,
    pub(crate) demands: Vec<(WorkerIndex, Demand)>,
    pub(crate) room: usize,
}

impl Outbox for Recorder {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        assert!(capacity <= DATAGRAM_LEN_MAX, "{capacity} bytes are no datagram");
        self.lent = vec![0xa5; capacity];
        let is_used_up = self.buffers.is_some_and(|buffers| self.sent.len() >= buffers);
        (!self.exhausted && !is_used_up).then_some(&mut self.lent)
    }

    fn has_room(&self, precedence: Precedence) -> bool {
        self.buffers.is_none_or(|buffers| precedence.may_have(buffers - self.sent.len(), buffers))
    }

    fn send(&mut self, path: &Path, len: usize) {
        self.sent.push((*path, self.lent[..len].to_vec()));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn relay(&mut self, to: WorkerIndex, packet: &Relayed, bytes: &[u8]) -> bool {
        let fits = self.relayed.len() < self.room;
        if fits {
            self.relayed.push((to, *packet, bytes.to_vec()));
        }
        fits
    }

    fn demand(&mut self, to: WorkerIndex, demand: Demand) -> bool {
        let fits = self.demands.len() < self.room;
        if fits {
            self.demands.push((to, demand));
        }
        fits
    }
}

/// An engine, its clients and the time.
pub(crate) struct World {
    pub(crate) engine: Engine<RustCrypto>,
    pub(crate) out: Recorder,
    pub(crate) now: Instant,
    /// How long ago the host received what the engine gets now.
    pub(crate) waited: Duration,
}

/// A client's end of one peer.
pub(crate) struct Client {
    pub(crate) path: Path,
    pub(crate) outbound: Outbound<RustCrypto>,
    pub(crate) inbound: Inbound<RustCrypto>,
}

/// An RTP packet in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rtp {
    pub(crate) ssrc: Ssrc,
    pub(crate) payload_type: PayloadType,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const fn ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

pub(crate) fn path(port: u16) -> Path {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    Path {
        protocol: Protocol::Udp,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        remote: SocketAddr::new(address, port),
    }
}

pub(crate) fn keys(we_are_client: bool, generation: u8) -> Keys {
    let material: Vec<u8> = (0..88).map(|byte| byte ^ generation).collect();
    Keys::from_keying_material(Profile::AeadAes128Gcm, &material, we_are_client).unwrap()
}

impl World {
    /// With room 1.
    pub(crate) fn new() -> Self {
        Self::with_trailer(b"trailer")
    }

    pub(crate) fn with_trailer(sif_trailer: &[u8]) -> Self {
        Self::of_worker(WorkerIndex(0), 7, sif_trailer)
    }

    pub(crate) fn of_worker(worker: WorkerIndex, seed: u64, sif_trailer: &[u8]) -> Self {
        let config = Config::new(worker, seed, NtpTime(0xe000_0000_0000_0000));
        Self::with_config(config, sif_trailer)
    }

    pub(crate) fn with_config(config: Config, sif_trailer: &[u8]) -> Self {
        let mut world = Self {
            engine: Engine::new(config),
            out: Recorder::default(),
            now: ms(1_000),
            waited: Duration::ZERO,
        };
        world.must(Command::UpsertRoom(RoomSpec { sif_trailer: sif_trailer.into(), ..room_spec(1) }));
        world
    }

    /// A connected client of room 1; its port is its id.
    pub(crate) fn join(&mut self, id: u64) -> Client {
        self.must(Command::UpsertPeer(peer_spec(id, 1).into()));
        self.connect(id)
    }

    /// Lets a peer that exists check and have keys.
    pub(crate) fn connect(&mut self, id: u64) -> Client {
        let path = path(u16::try_from(id).unwrap());
        self.check(path, &credentials(id, 0), true);
        self.must(Command::Keys { peer: PeerId(id), keys: keys(false, 0).into() });
        Client { path, outbound: Outbound::new(&keys(true, 0)), inbound: Inbound::new(&keys(true, 0)) }
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        self.engine.command(self.now, command, &mut self.out)
    }

    pub(crate) fn must(&mut self, command: Command) {
        self.command(command).unwrap();
    }

    /// A datagram comes alone.
    pub(crate) fn receive(&mut self, path: Path, datagram: Vec<u8>) {
        self.receive_with_more(path, datagram);
        self.flush();
    }

    /// A datagram comes, and the wake goes on.
    pub(crate) fn receive_with_more(&mut self, path: Path, mut datagram: Vec<u8>) {
        let received = Instant(self.now.0 - u64::try_from(self.waited.as_nanos()).unwrap());
        self.engine.receive_late(self.now, received, path, &mut datagram, &mut self.out);
    }

    /// The wake ends.
    pub(crate) fn flush(&mut self) {
        self.engine.flush(self.now, &mut self.out);
    }

    /// Sends a check and returns the answer, if there is one.
    pub(crate) fn check(&mut self, path: Path, local: &IceCredentials, nominate: bool) -> Option<Vec<u8>> {
        self.check_as(path, local, nominate, 100, Role::Controlling(1))
    }

    pub(crate) fn check_as(
        &mut self,
        path: Path,
        local: &IceCredentials,
        use_candidate: bool,
        priority: u32,
        role: Role,
    ) -> Option<Vec<u8>> {
        let before = self.out.sent.len();
        self.receive(path, check(local, use_candidate, priority, role));
        let answer = (self.out.sent.len() > before).then(|| self.out.sent.pop().unwrap().1)?;
        assert!(Message::parse(&answer).unwrap().verify(local.password.as_bytes()));
        Some(answer)
    }

    /// Lets time pass; the engine does what is due on the way.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = Instant(self.now.0 + ms * 1_000_000);
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.tick(self.now, &mut self.out);
            let next = self.engine.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a tick does all that is due");
        }
        self.now = end;
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.out.events)
    }

    /// What was sent to a client since last asked: media, and compound RTCP; all authentic.
    pub(crate) fn drain(&mut self, client: &mut Client) -> (Vec<Rtp>, Vec<Vec<u8>>) {
        let (own, others) =
            core::mem::take(&mut self.out.sent).into_iter().partition(|(path, _)| *path == client.path);
        self.out.sent = others;
        let own: Vec<(Path, Vec<u8>)> = own;
        let mut received = (Vec::new(), Vec::new());
        for (_, mut datagram) in own {
            match Class::of(&datagram).unwrap() {
                Class::Rtp => received.0.push(client.open(&mut datagram)),
                Class::Rtcp => {
                    let len = client.inbound.open_rtcp(&mut datagram).unwrap();
                    received.1.push(datagram[..len].to_vec());
                }
                Class::Stun | Class::Dtls => {}
            }
        }
        received
    }

    pub(crate) fn media(&mut self, client: &mut Client) -> Vec<Rtp> {
        self.drain(client).0
    }

    /// Sends a packet of a client and returns the datagram.
    pub(crate) fn send(&mut self, client: &mut Client, packet: &Rtp) -> Vec<u8> {
        let datagram = client.seal(packet);
        self.receive(client.path, datagram.clone());
        datagram
    }

    /// Sends RTCP of a client.
    pub(crate) fn send_rtcp(
        &mut self,
        client: &mut Client,
        write: impl FnOnce(&mut Builder<'_>) -> Result<(), Refused>,
    ) {
        let mut datagram = vec![0; 1_500];
        let mut builder = Builder::new(&mut datagram);
        write(&mut builder).unwrap();
        let len = builder.len();
        let len = client.outbound.seal_rtcp(&mut datagram, len).unwrap();
        datagram.truncate(len);
        self.receive(client.path, datagram);
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.engine.counters().iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// Every datagram ended in exactly one way.
    pub(crate) fn assert_accounted(&self) {
        let counters = self.engine.counters();
        let discarded: u64 =
            counters.iter().filter(|(name, _)| name.starts_with("discarded_")).map(|(_, count)| count).sum();
        let ended = counters.datagrams_forwarded + counters.datagrams_consumed + discarded;
        assert_eq!(counters.datagrams_received, ended);
        // As did every packet of another worker; what did not leave here did not come there.
        let discarded = RelayReason::ALL.iter().filter(|reason| **reason != RelayReason::NoRoom);
        let discarded: u64 = discarded.map(|reason| counters.relayed_discarded(*reason)).sum();
        assert_eq!(counters.relayed_received, counters.relayed_forwarded + discarded);
    }
}

pub(crate) fn check(local: &IceCredentials, use_candidate: bool, priority: u32, role: Role) -> Vec<u8> {
    let mut datagram = vec![0; 256];
    let username = alloc::format!("{}:theirs", local.ufrag);
    let message = BindingRequest {
        transaction: Transaction([9; 12]),
        username: username.as_bytes(),
        priority,
        role,
        use_candidate,
    };
    let len = request(&mut datagram, &message, local.password.as_bytes()).unwrap();
    datagram.truncate(len);
    datagram
}

impl Client {
    pub(crate) fn seal(&mut self, packet: &Rtp) -> Vec<u8> {
        self.seal_at(packet, Seq(u64::from(packet.sequence)))
    }

    pub(crate) fn seal_at(&mut self, packet: &Rtp, index: Seq) -> Vec<u8> {
        let mut datagram = vec![0; 1_500];
        let fields = Fields {
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence: Seq16(packet.sequence),
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            padding: false,
        };
        let extensions: Vec<(u8, &[u8])> =
            packet.extensions.iter().map(|(id, data)| (*id, data.as_slice())).collect();
        let header_len = write_header(&mut datagram, &fields, &extensions).unwrap();
        let len = self.outbound.seal_rtp(index, &mut datagram, header_len, &packet.payload).unwrap();
        datagram.truncate(len);
        datagram
    }

    fn open(&mut self, datagram: &mut [u8]) -> Rtp {
        let header_len = Header::parse(datagram).unwrap().header_len();
        let opened = self.inbound.open_rtp(datagram, header_len).unwrap();
        let header = Header::parse(datagram).unwrap();
        Rtp {
            ssrc: header.ssrc(),
            payload_type: header.payload_type(),
            sequence: header.sequence().0,
            timestamp: header.timestamp(),
            marker: header.marker(),
            extensions: header.extensions().map(|element| (element.id, element.data.to_vec())).collect(),
            payload: datagram[header_len..opened.len].to_vec(),
        }
    }
}

impl Rtp {
    pub(crate) fn audio(sequence: u16) -> Self {
        Self {
            ssrc: Ssrc(1_000),
            payload_type: super::AUDIO_PT,
            sequence,
            timestamp: u32::from(sequence).wrapping_mul(960),
            marker: false,
            extensions: vec![(1, b"0".to_vec())],
            payload: vec![0x5a; 40],
        }
    }

    /// A picture of one packet, of a layer that is told by RID; its SSRC is 2000 plus the layer.
    pub(crate) fn video(layer: u8, sequence: u16, key_frame: bool) -> Self {
        Self::video_of(layer, sequence, key_frame, 0)
    }

    /// The same of a temporal layer; any picture above the lowest refers to that one only.
    pub(crate) fn video_of(layer: u8, sequence: u16, key_frame: bool, temporal: u8) -> Self {
        let descriptor = vp8::Descriptor {
            len: 0,
            non_reference: false,
            start_of_partition: true,
            partition: 0,
            picture_id: Some(PictureId::Fifteen(sequence & 0x7fff)),
            tl0_picture_index: Some(sequence.to_be_bytes()[1]),
            temporal: Some(vp8::Temporal { id: temporal, sync: temporal > 0 }),
            key_index: None,
            key_frame,
            dimensions: None,
        };
        let mut payload = vec![0; 8];
        let len = descriptor.write(&mut payload).unwrap();
        payload.truncate(len);
        payload.push(u8::from(!key_frame));
        payload.extend([layer; 100]);
        let rid = [b"q", b"h", b"f"][usize::from(layer)];
        Self {
            ssrc: Ssrc(2_000 + u32::from(layer)),
            payload_type: super::VIDEO_PT,
            sequence,
            timestamp: u32::from(sequence).wrapping_mul(3_000),
            marker: true,
            extensions: vec![(1, b"1".to_vec()), (2, rid.to_vec())],
            payload,
        }
    }

    /// Without a RID: of a publication with one encoding.
    pub(crate) fn plain(mut self) -> Self {
        self.extensions.retain(|(id, _)| *id != 2);
        self
    }

    pub(crate) fn numbered(mut self, transport_sequence: u16) -> Self {
        self.extensions.push((5, transport_sequence.to_be_bytes().to_vec()));
        self
    }

    pub(crate) fn extension(&self, id: u8) -> Option<&[u8]> {
        self.extensions.iter().find(|(other, _)| *other == id).map(|(_, data)| data.as_slice())
    }

    /// The picture of a VP8 packet, behind the descriptor: its first byte tells the layer it was made for.
    pub(crate) fn layer(&self) -> u8 {
        *self.payload.last().unwrap()
    }
}
