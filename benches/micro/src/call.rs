//! A room with one publisher and its subscribers, all connected; what the engine sends to them is only counted.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use engine::command::{
    AudioLevels, Codec, Command, EncodingSpec, ExtensionKind, Extensions, IceCredentials, MediaKind,
    PayloadCodec, PayloadMapping, PeerSpec, PublicationSpec, RoomSpec, SubscriptionSpec, UplinkFeedback,
};
use engine::config::Config;
use engine::engine::Engine;
use engine::event::Event;
use engine::outbox::{DATAGRAM_LEN_MAX, Outbox};
use engine::path::{Path, Protocol};
use srtp::aws_lc::AwsLc;
use srtp::keys::{Keys, Profile};
use srtp::outbound::Outbound;
use units::handle::{PeerId, PublicationId, RoomId, SubscriptionId, WorkerIndex};
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::Seq;
use units::time::{Instant, NtpTime};
use wire::picture_id::PictureId;
use wire::rtp::{Fields, write_header};
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Role, Transaction};
use wire::vp8::{Descriptor, Temporal};

use crate::timing::CpuTime;

/// Peer 0 publishes; the others subscribe.
pub(crate) struct Call {
    engine: Engine<AwsLc>,
    out: Counted,
    now: Instant,
    /// The publisher's end.
    outbound: Outbound<AwsLc>,
    sealed: u64,
    received: u64,
    datagrams: Vec<Vec<u8>>,
    peers: u16,
}

/// Lends one buffer of many after the other, and keeps nothing.
struct Counted {
    slab: Vec<[u8; DATAGRAM_LEN_MAX]>,
    lent: usize,
    datagrams: u64,
    bytes: u64,
}

impl Outbox for Counted {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        self.slab.get_mut(self.lent)?.get_mut(..capacity)
    }

    fn send(&mut self, _path: &Path, len: usize) {
        self.lent = (self.lent + 1) % self.slab.len();
        self.datagrams += 1;
        self.bytes += len as u64;
    }

    fn event(&mut self, _event: Event) {}
}

impl Call {
    pub(crate) fn new(subscribers: u32) -> Self {
        let peers = u16::try_from(subscribers + 1).expect("few enough");
        let config = Config::new(WorkerIndex(0), 7, NtpTime(0xe000_0000_0000_0000));
        let mut call = Self {
            engine: Engine::new(config),
            out: Counted { slab: vec![[0; DATAGRAM_LEN_MAX]; SLAB], lent: 0, datagrams: 0, bytes: 0 },
            now: Instant(1_000_000_000),
            outbound: Outbound::new(&keys(0, true)),
            sealed: 0,
            received: 0,
            datagrams: Vec::new(),
            peers,
        };
        call.command(Command::UpsertRoom(room()));
        for peer in 0..peers {
            call.command(Command::UpsertPeer(peer_spec(peer).into()));
        }
        call.check_all();
        for peer in 0..peers {
            let keys = keys(peer, false).into();
            call.command(Command::Keys { peer: PeerId(peer.into()), keys });
        }
        call.command(Command::UpsertPublication(publication().into()));
        for peer in 1..peers {
            call.command(Command::UpsertSubscription(subscription(peer).into()));
        }
        call
    }

    /// Time that the engine took for so many packets of the publisher, and for what was due meanwhile.
    pub(crate) fn run(&mut self, packets: u64) -> Duration {
        let mut spent = Duration::ZERO;
        let mut left = packets;
        while left > 0 {
            let count = left.min(BATCH);
            left -= count;
            self.check_all();
            self.seal(count);
            let begun = CpuTime::now();
            self.receive_all();
            spent += CpuTime::now().saturating_sub(begun);
        }
        spent
    }

    pub(crate) fn copies_sent(&self) -> u64 {
        self.engine.counters().copies_sent
    }

    /// What was done, in numbers.
    pub(crate) fn summary(&self) -> String {
        let counters = self.engine.counters();
        let bytes = counters.copy_bytes_sent / counters.copies_sent.max(1);
        format!(
            "{} packets in, {} copies of {bytes} bytes out, {} RTCP out, {} datagrams and {} MB out in all",
            self.received,
            counters.copies_sent,
            counters.rtcp_sent,
            self.out.datagrams,
            self.out.bytes / 1_000_000
        )
    }

    /// A batch, picture by picture: each comes as a burst, and before it the engine does what is due.
    fn receive_all(&mut self) {
        for datagram in &mut self.datagrams {
            if self.received.is_multiple_of(PACKETS) {
                self.now += PICTURE_INTERVAL;
            }
            if self.engine.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.engine.tick(self.now, &mut self.out);
            }
            self.engine.receive(self.now, path(0), datagram, &mut self.out);
            self.received += 1;
        }
    }

    fn seal(&mut self, count: u64) {
        self.datagrams.clear();
        for _ in 0..count {
            let datagram = packet(&mut self.outbound, self.sealed);
            self.datagrams.push(datagram);
            self.sealed += 1;
        }
    }

    /// Everyone's consent, without which the engine gives up on them.
    fn check_all(&mut self) {
        for peer in 0..self.peers {
            let mut datagram = check(peer);
            self.engine.receive(self.now, path(peer), &mut datagram, &mut self.out);
        }
    }

    fn command(&mut self, command: Command) {
        self.engine
            .command(self.now, command, &mut self.out)
            .expect("the engine is as empty as it has to be");
    }
}

/// The publisher's packet of this index: three temporal layers, one key frame at the start.
fn packet(outbound: &mut Outbound<AwsLc>, index: u64) -> Vec<u8> {
    let (picture, packet) = (index / PACKETS, index % PACKETS);
    let sequence = Seq(index);
    let [a, b, c, d, ..] = (picture * 3_000).to_le_bytes();
    let fields = Fields {
        marker: packet == PACKETS - 1,
        payload_type: VIDEO,
        sequence: sequence.low(),
        timestamp: u32::from_le_bytes([a, b, c, d]),
        ssrc: SOURCE,
        padding: false,
    };
    let mut datagram = vec![0; DATAGRAM_LEN_MAX];
    let extensions: [(u8, &[u8]); 2] = [(1, b"1"), (5, &sequence.low().0.to_be_bytes())];
    let header_len = write_header(&mut datagram, &fields, &extensions).expect("there is room");
    let payload = payload(picture, packet == 0);
    let len = outbound.seal_rtp(sequence, &mut datagram, header_len, &payload).expect("there is room");
    datagram.truncate(len);
    datagram
}

fn payload(picture: u64, start_of_picture: bool) -> Vec<u8> {
    let [low, high, ..] = picture.to_le_bytes();
    let temporal = match picture % 4 {
        0 => Temporal { id: 0, sync: false },
        2 => Temporal { id: 1, sync: true },
        _ => Temporal { id: 2, sync: picture % 4 == 1 },
    };
    let descriptor = Descriptor {
        len: 0,
        non_reference: temporal.id == 2,
        start_of_partition: start_of_picture,
        partition: 0,
        picture_id: Some(PictureId::Fifteen(u16::from_le_bytes([low, high]) & 0x7fff)),
        tl0_picture_index: Some((picture / 4).to_le_bytes()[0]),
        temporal: Some(temporal),
        key_index: None,
        key_frame: false,
        dimensions: None,
    };
    let mut payload = vec![0x5a; PAYLOAD_LEN];
    let len = descriptor.write(&mut payload).expect("there is room");
    // P, the first bit of a picture, is 0 in a key frame (RFC 7741 §4.3).
    payload[len] = u8::from(picture > 0);
    payload
}

fn check(peer: u16) -> Vec<u8> {
    let credentials = credentials(peer);
    let username = format!("{}:theirs", credentials.ufrag);
    let message = BindingRequest {
        transaction: Transaction([9; 12]),
        username: username.as_bytes(),
        priority: 100,
        role: Role::Controlling(1),
        use_candidate: true,
    };
    let mut datagram = vec![0; 256];
    let len = request(&mut datagram, &message, credentials.password.as_bytes()).expect("there is room");
    datagram.truncate(len);
    datagram
}

fn path(peer: u16) -> Path {
    Path {
        protocol: Protocol::Udp,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 10_000 + peer),
    }
}

fn credentials(peer: u16) -> IceCredentials {
    IceCredentials { ufrag: format!("u{peer}"), password: format!("a-password-of-peer-{peer}") }
}

fn keys(peer: u16, we_are_client: bool) -> Keys {
    let [low, high] = peer.to_le_bytes();
    let material: [u8; 56] = core::array::from_fn(|index| if index % 2 == 0 { low } else { high ^ 0x55 });
    Keys::from_keying_material(Profile::AeadAes128Gcm, &material, we_are_client).expect("56 bytes suffice")
}

fn room() -> RoomSpec {
    let audio_levels = AudioLevels {
        active_level: 35,
        min_percentile: 40,
        update_interval: Duration::from_millis(400),
        smooth_intervals: 2,
    };
    RoomSpec { id: RoomId(1), audio_levels }
}

fn peer_spec(peer: u16) -> PeerSpec {
    PeerSpec {
        id: PeerId(peer.into()),
        room: RoomId(1),
        local_ice: vec![credentials(peer)],
        remote_ufrags: vec![String::from("theirs")],
        receive_extensions: Extensions(vec![(1, ExtensionKind::Mid), (5, ExtensionKind::TransportCc)]),
        send_extensions: Extensions(vec![(8, ExtensionKind::AbsSendTime), (9, ExtensionKind::Mid)]),
        uplink_feedback: UplinkFeedback::TransportCc,
        rtcp_ssrc: Ssrc(1),
    }
}

fn publication() -> PublicationSpec {
    PublicationSpec {
        id: PublicationId(1),
        peer: PeerId(0),
        kind: MediaKind::Video,
        mid: Mid::new(b"1").expect("short"),
        codecs: vec![PayloadCodec {
            payload_type: VIDEO,
            codec: Codec::Vp8,
            clock_rate: 90_000,
            rtx_payload_type: Some(PayloadType(97)),
        }],
        encodings: vec![EncodingSpec { rid: None, ssrc: Some(SOURCE), rtx_ssrc: None }],
        muted: false,
        nack: true,
        pli: true,
        fir: false,
    }
}

fn subscription(peer: u16) -> SubscriptionSpec {
    SubscriptionSpec {
        id: SubscriptionId(peer.into()),
        peer: PeerId(peer.into()),
        publication: PublicationId(1),
        mid: Mid::new(b"5").expect("short"),
        ssrc: Ssrc(10_000 + u32::from(peer)),
        rtx_ssrc: Some(Ssrc(20_000 + u32::from(peer))),
        payloads: vec![PayloadMapping { from: VIDEO, to: PayloadType(100), rtx: Some(PayloadType(101)) }],
        paused: false,
        layer_max: 2,
        temporal_layer_max: 3,
        cname: String::from("cname"),
    }
}

const PAYLOAD_LEN: usize = 1_100;
const PACKETS: u64 = 8; // per picture: ~2.1 Mbit/s
const PICTURE_INTERVAL: Duration = Duration::from_nanos(33_333_333);
const BATCH: u64 = 64; // 8 pictures, well within the time after which consent is lost
const SLAB: usize = 512;
const SOURCE: Ssrc = Ssrc(1_000);
const VIDEO: PayloadType = PayloadType(96);
