//! Workers that relay to one another: what goes where, what overflows, and what a panic leaves of it.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::time::Duration;

use driver::gso::Gso;
use driver::relays::{Note, Outgoing, rings};
use engine::command::{
    AudioLevels, Codec, EncodingSpec, Extensions, Home, IceCredentials, MediaKind, PayloadCodec,
    PayloadMapping, PeerSpec, PublicationSpec, RoomSpec, SubscriptionSpec, UplinkFeedback,
};
use engine::event::TransportState;
use engine::relay::Demand;
use srtp::inbound::Inbound;
use srtp::keys::{Keys, Profile};
use srtp::outbound::Outbound;
use units::handle::{PublicationId, RoomId, SubscriptionId};
use units::rtp::{Mid, PayloadType, Ssrc};
use units::sequence::{Seq, Seq16};
use wire::demux::Class;
use wire::rtp::{Fields, Header, write_header};
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Role, Transaction};

use super::*;
use crate::mailbox::ring;
use crate::worker::mail::{HELPER_COMMANDS, ORDERS, REPORTS};

/// The hub's ends of a worker's rings.
struct Played {
    index: WorkerIndex,
    port: u16,
    bell: Doorbell,
    orders: Sender<Order, Doorbell>,
    commands: Sender<Command, Doorbell>,
    reports: Receiver<Report>,
    waiting: VecDeque<Report>,
    thread: JoinHandle<()>,
}

impl Played {
    fn start(index: u16, io: Io, clock: Clock) -> Self {
        let index = WorkerIndex(index);
        let bell = Doorbell::new().unwrap();
        let (orders, orders_end) = ring(ORDERS, bell.clone());
        let (commands, commands_end) = ring(HELPER_COMMANDS, bell.clone());
        let (reports_end, reports) = ring(REPORTS, TaskBell::default());
        let started = start(Setup {
            index,
            clock,
            core: None,
            io,
            gso: Gso::Auto,
            flush_delay: Duration::ZERO,
            address: None,
            ports: 0..=0,
            shared_by: None,
            bell: bell.clone(),
            orders: orders_end,
            commands: commands_end,
            reports: reports_end,
            helper: HelperHandle::new(),
        })
        .unwrap();
        let (port, thread) = (started.port, started.thread);
        Self { index, port, bell, orders, commands, reports, waiting: VecDeque::new(), thread }
    }

    fn order(&mut self, order: Order) {
        self.orders.push(order).unwrap();
        self.orders.ring();
    }

    /// The first report that `is_it`, which must come; those before it wait.
    fn report(&mut self, what: &str, is_it: impl Fn(&Report) -> bool) -> Report {
        let end = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            self.waiting.extend(std::iter::from_fn(|| self.reports.pop()));
            if let Some(place) = self.waiting.iter().position(&is_it) {
                return self.waiting.remove(place).unwrap();
            }
            assert!(std::time::Instant::now() < end, "{what}: not within 10 s");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn must(&mut self, command: Command) {
        self.order(Order::Command(command));
        let done = self.report("an answer", |report| matches!(report, Report::Done(_)));
        assert!(matches!(done, Report::Done(Outcome::Applied)), "{done:?}");
    }

    fn counter(&mut self, name: &str) -> u64 {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.order(Order::Counters(reply));
        let counted = answer.blocking_recv().unwrap();
        counted.counters.into_iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// A connected client.
    fn join(&mut self, id: u64) -> Client {
        let ufrag = format!("u{id}uu");
        let local_ice = vec![IceCredentials { ufrag: ufrag.clone(), password: PASSWORD.into() }];
        self.must(Command::UpsertPeer(Box::new(PeerSpec {
            id: PeerId(id),
            room: RoomId(1),
            local_ice,
            remote_ufrags: vec![String::new()],
            receive_extensions: Extensions::default(),
            send_extensions: Extensions::default(),
            uplink_feedback: UplinkFeedback::None,
            rtcp_ssrc: Ssrc(1),
        })));
        let client = Client::new(self.port, &ufrag);
        let state = |report: &Report, is_it: fn(&TransportState) -> bool| matches!(report, Report::Event(Event::Transport { peer, state }) if *peer == PeerId(id) && is_it(state));
        self.report("a path", |report| {
            state(report, |state| matches!(state, TransportState::Connecting { .. }))
        });
        self.commands.push(Command::Keys { peer: PeerId(id), keys: Box::new(keys(false)) }).unwrap();
        self.commands.ring();
        self.report("keys", |report| {
            state(report, |state| matches!(state, TransportState::Connected { .. }))
        });
        client
    }

    fn stop(mut self) {
        self.order(Order::Stop);
        self.thread.join().unwrap();
    }
}

struct Client {
    socket: UdpSocket,
    outbound: Outbound<AwsLc>,
    inbound: Inbound<AwsLc>,
}

impl Client {
    fn new(port: u16, ufrag: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let username = format!("{ufrag}:them");
        let check = BindingRequest {
            transaction: Transaction([9; 12]),
            username: username.as_bytes(),
            priority: 100,
            role: Role::Controlling(1),
            use_candidate: true,
        };
        let mut datagram = [0; 256];
        let len = request(&mut datagram, &check, PASSWORD.as_bytes()).unwrap();
        socket.send(&datagram[..len]).unwrap();
        Self { socket, outbound: Outbound::new(&keys(true)), inbound: Inbound::new(&keys(true)) }
    }

    fn send(&mut self, sequence: u16) {
        let fields = Fields {
            marker: false,
            payload_type: AUDIO,
            sequence: Seq16(sequence),
            timestamp: u32::from(sequence) * 960,
            ssrc: Ssrc(1_000),
            padding: false,
        };
        let mut datagram = [0; 256];
        let header_len = write_header(&mut datagram, &fields, &[]).unwrap();
        let payload = sequence.to_be_bytes();
        let index = Seq(sequence.into());
        let len = self.outbound.seal_rtp(index, &mut datagram, header_len, &payload).unwrap();
        self.socket.send(&datagram[..len]).unwrap();
    }

    /// The payload of the next packet.
    fn receive(&mut self) -> u16 {
        let mut datagram = [0; 1500];
        loop {
            let len = self.socket.recv(&mut datagram).expect("a packet within 10 s");
            if Class::of(&datagram[..len]) == Ok(Class::Rtp) {
                let header_len = Header::parse(&datagram[..len]).unwrap().header_len();
                self.inbound.open_rtp(&mut datagram[..len], header_len).unwrap();
                return u16::from_be_bytes([datagram[header_len], datagram[header_len + 1]]);
            }
        }
    }
}

fn keys(we_are_client: bool) -> Keys {
    let material: Vec<u8> = (0..88).collect();
    Keys::from_keying_material(Profile::AeadAes128Gcm, &material, we_are_client).unwrap()
}

fn room() -> Command {
    let audio_levels = AudioLevels {
        active_level: 35,
        min_percentile: 40,
        update_interval: Duration::from_millis(400),
        smooth_intervals: 2,
    };
    Command::UpsertRoom(RoomSpec { id: RoomId(1), audio_levels, sif_trailer: Vec::new() })
}

fn publication(id: u64, peer: u64, home: Option<u16>) -> Command {
    let codec =
        PayloadCodec { payload_type: AUDIO, codec: Codec::Opus, clock_rate: 48_000, rtx_payload_type: None };
    Command::UpsertPublication(Box::new(PublicationSpec {
        id: PublicationId(id),
        peer: PeerId(peer),
        kind: MediaKind::Audio,
        mid: Mid::new(b"0").unwrap(),
        codecs: vec![codec],
        encodings: vec![EncodingSpec { rid: None, ssrc: Some(Ssrc(1_000)), rtx_ssrc: None }],
        muted: false,
        nack: false,
        pli: false,
        fir: false,
        encrypted: false,
        home: home.map(|worker| Home { worker: WorkerIndex(worker), room: RoomId(1) }),
    }))
}

/// Each of a peer has an SSRC of its own.
fn subscription(id: u64, peer: u64, publication: u64) -> Command {
    Command::UpsertSubscription(Box::new(SubscriptionSpec {
        id: SubscriptionId(id),
        peer: PeerId(peer),
        publication: PublicationId(publication),
        mid: Mid::new(b"0").unwrap(),
        ssrc: Ssrc(2_000 + u32::try_from(id).unwrap()),
        rtx_ssrc: None,
        payloads: vec![PayloadMapping { from: AUDIO, to: AUDIO, rtx: None, red: None }],
        paused: false,
        layer_max: 0,
        temporal_layer_max: 0,
        frame_rate_max: None,
        cname: "cname".into(),
        playout_delay: None,
        strip_packet_trailer: false,
    }))
}

/// What the hub does for two workers.
fn connect(one: &mut Played, other: &mut Played) {
    let (to_other, from_one) = rings(other.bell.clone());
    let (to_one, from_other) = rings(one.bell.clone());
    let link = |with, outgoing, incoming| {
        Order::Link(Box::new(Link { with, outgoing: Box::new(outgoing), incoming: Box::new(incoming) }))
    };
    one.order(link(other.index, to_other, from_other));
    other.order(link(one.index, to_one, from_one));
}

/// Packets go on until a client gets them, for a demand takes its time.
fn flows(from: &mut Client, sequence: &mut u16, to: &mut Client) {
    to.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut datagram = [0; 1500];
    let came = (0..100).any(|_| {
        *sequence += 1;
        from.send(*sequence);
        to.socket.recv(&mut datagram).is_ok_and(|len| Class::of(&datagram[..len]) == Ok(Class::Rtp))
    });
    assert!(came, "nothing comes");
    to.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
}

const BACK_ENDS: [Io; 2] = [Io::IoUring, Io::Epoll];
const PASSWORD: &str = "a-password-of-22-chars-or-more";
const AUDIO: PayloadType = PayloadType(111);

#[test]
fn what_overflows_between_workers_is_counted_and_nothing_else_suffers() {
    for io in BACK_ENDS {
        let mut worker = Played::start(0, io, Clock::start());
        // The test is worker 1, and does not take what it is sent.
        let (outgoing, mut incoming) = rings(Doorbell::new().unwrap());
        let (mut demands, from_test): (Outgoing, _) = rings(worker.bell.clone());
        let link = Link { with: WorkerIndex(1), outgoing: Box::new(outgoing), incoming: Box::new(from_test) };
        worker.order(Order::Link(Box::new(link)));
        worker.must(room());
        let mut publisher = worker.join(2);
        let mut subscriber = worker.join(3);
        worker.must(publication(4, 2, None));
        worker.must(subscription(5, 3, 4));
        let demand = Note::Demand(Demand { layers_max: 1, ..Demand::nothing(PublicationId(4)) });
        demands.note(demand);
        demands.ring();
        while worker.counter("demands_received") == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let count = 1_200_u16;
        for sequence in 1..=count {
            publisher.send(sequence);
            assert_eq!(subscriber.receive(), sequence, "{io:?}");
            if sequence % 50 == 0 {
                // As another worker says it: what is not said again is not needed any more.
                demands.note(demand);
                demands.ring();
            }
        }
        let no_room = worker.counter("relayed_discarded_no_room");
        assert!(no_room > 0, "{io:?}");
        assert_eq!(worker.counter("packets_relayed") + no_room, u64::from(count), "{io:?}");
        assert_eq!(worker.counter("relay_ring_high_water"), worker.counter("packets_relayed"), "{io:?}");
        let mut taken = 0;
        while let Some(packet) = incoming.packet() {
            incoming.give_back(packet);
            taken += 1;
        }
        assert_eq!(taken, worker.counter("packets_relayed"), "{io:?}");
        publisher.send(count + 1);
        assert_eq!(subscriber.receive(), count + 1, "{io:?}");
        assert!(incoming.packet().is_some(), "{io:?}: it goes on once there is room");
        worker.stop();
    }
}

#[test]
fn an_engine_that_is_replaced_leaves_other_workers_alone() {
    for io in BACK_ENDS {
        let clock = Clock::start();
        let (mut home, mut away) = (Played::start(0, io, clock), Played::start(1, io, clock));
        connect(&mut home, &mut away);
        home.must(room());
        away.must(room());
        let (mut publisher, mut near) = (home.join(2), home.join(3));
        home.must(publication(4, 2, None));
        home.must(subscription(5, 3, 4));
        let mut far = away.join(6);
        away.must(publication(4, 2, Some(0)));
        away.must(subscription(7, 6, 4));
        let mut sequence = 0;
        flows(&mut publisher, &mut sequence, &mut far);

        // The subscriber's worker loses its engine.
        away.order(Order::Panic);
        away.order(Order::Panic);
        away.report("another engine", |report| matches!(report, Report::Rebuilt));
        for _ in 0..20 {
            sequence += 1;
            publisher.send(sequence);
        }
        while near.receive() != sequence {}
        away.must(room());
        let mut far = away.join(8);
        away.must(publication(4, 2, Some(0)));
        away.must(subscription(9, 8, 4));
        flows(&mut publisher, &mut sequence, &mut far);

        // The publisher's worker does.
        let mut own = away.join(10);
        away.must(publication(11, 10, None));
        away.must(subscription(12, 8, 11));
        home.order(Order::Panic);
        home.order(Order::Panic);
        home.report("another engine", |report| matches!(report, Report::Rebuilt));
        let mut own_sequence = 0;
        flows(&mut own, &mut own_sequence, &mut far);
        home.must(room());
        let mut publisher = home.join(13);
        home.must(publication(14, 13, None));
        away.must(publication(14, 13, Some(0)));
        let mut late = away.join(15);
        away.must(subscription(16, 15, 14));
        flows(&mut publisher, &mut 0, &mut late);
        assert_eq!(away.counter("worker_engines_rebuilt"), 1, "{io:?}");
        assert_eq!(home.counter("worker_engines_rebuilt"), 1, "{io:?}");
        home.stop();
        away.stop();
    }
}
