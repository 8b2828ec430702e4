//! Whole participants against the helper, in memory: DTLS, SCTP, channels and packets, through lossy links too.

use std::time::{Duration, Instant};

use livekit_protocol::data_packet::Value;
use livekit_protocol::{DataPacket, UserPacket};
use prost::Message;
use tokio::sync::oneshot;
use units::handle::{RouteId, WorkerIndex};

use super::*;
use crate::dtls::Role;
use crate::dtls::fingerprint::Fingerprint;
use crate::helper::input::{ChannelSpec, RouteSpec, SctpSpec};

mod routing;

const ROOM: RoomId = RoomId(1);
const WORKER: WorkerIndex = WorkerIndex(0);

#[derive(Default)]
struct Outputs(Vec<Output>);

impl Sink for Outputs {
    fn put(&mut self, output: Output) {
        self.0.push(output);
    }

    fn flush(&mut self) -> bool {
        false
    }
}

/// A client's end of one peer connection.
struct Client {
    id: PeerId,
    peer: Peer,
    events: Vec<Event>,
    secured: usize,
    packets: Vec<(String, Vec<u8>)>,
    ended: Option<bool>,
}

struct World {
    now: Instant,
    helper: Helper,
    ours: Fingerprint,
    library: Library,
    certificate: Certificate,
    clients: Vec<Client>,
    outputs: Outputs,
    ready: Vec<RouteId>,
    ended: Vec<(PeerId, bool)>,
    keys: Vec<PeerId>,
    /// Of 256.
    loss: u8,
    random: u32,
}

fn channels() -> Vec<ChannelSpec> {
    let channel =
        |label: &str, ordered, retransmits_max| ChannelSpec { label: label.into(), ordered, retransmits_max };
    vec![
        channel("_reliable", true, None),
        channel("_lossy", false, Some(0)),
        channel("_data_track", false, Some(0)),
        channel("whiteboard", true, None),
    ]
}

fn sctp(channels: Vec<ChannelSpec>) -> SctpSpec {
    SctpSpec { remote_port: 5000, message_size_max: 1_073_741_823, channels }
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        let config = Config { dtls: Implementation::Dimpl, certificate: ours.clone() };
        Self {
            now,
            helper: Helper::new(now, &config).unwrap(),
            ours: ours.fingerprint(),
            library: Library::new(Implementation::Dimpl, &theirs).unwrap(),
            certificate: theirs,
            clients: Vec::new(),
            outputs: Outputs::default(),
            ready: Vec::new(),
            ended: Vec::new(),
            keys: Vec::new(),
            loss: 0,
            random: 1,
        }
    }

    fn order(&mut self, order: Input) {
        self.helper.order(self.now, order, &mut self.outputs);
    }

    /// The helper learns of a peer, and a client begins at the other end.
    fn connect(&mut self, id: u64, role: Role, client_made: bool) {
        self.client(id, role, client_made);
        self.upsert_peer(id, role, client_made);
        self.order(Input::PathValid(PeerId(id)));
    }

    fn upsert_peer(&mut self, id: u64, role: Role, client_made: bool) {
        self.upsert_trusting(id, role, client_made, vec![self.certificate.fingerprint()]);
    }

    fn upsert_trusting(&mut self, id: u64, role: Role, client_made: bool, fingerprints: Vec<Fingerprint>) {
        self.order(Input::UpsertPeer(Box::new(PeerSpec {
            id: PeerId(id),
            room: ROOM,
            worker: WORKER,
            role,
            fingerprints,
            sctp: Some(sctp(if client_made { Vec::new() } else { channels() })),
        })));
    }

    fn client(&mut self, id: u64, role: Role, client_made: bool) {
        let mut peer = Peer::new(PeerSpec {
            id: PeerId(id),
            room: ROOM,
            worker: WORKER,
            role: if role == Role::Server { Role::Client } else { Role::Server },
            fingerprints: vec![self.ours.clone()],
            sctp: Some(sctp(if client_made { channels() } else { Vec::new() })),
        });
        let mut events = Vec::new();
        peer.path_valid(self.now, &self.library, &mut events);
        self.clients.push(Client {
            id: PeerId(id),
            peer,
            events,
            secured: 0,
            packets: Vec::new(),
            ended: None,
        });
    }

    fn route(&mut self, id: u64, change: impl FnOnce(&mut RouteSpec)) {
        let mut spec = RouteSpec {
            id: RouteId(id),
            room: ROOM,
            receive_peer: PeerId(id),
            send_peer: PeerId(id),
            identity: format!("identity {id}"),
            sid: format!("PA_{id}"),
            can_send: true,
            can_receive: true,
            agent: false,
            hidden: false,
            data_subscriptions: Vec::new(),
        };
        change(&mut spec);
        self.order(Input::UpsertRoute(Box::new(spec)));
    }

    /// As many participants as that, with one connection each, ready to talk.
    fn with_participants(count: u64) -> Self {
        let mut world = Self::new();
        for id in 1..=count {
            world.connect(id, Role::Server, true);
            world.route(id, |_| {});
        }
        world.until("ready", |world| world.ready.len() as u64 == count);
        let all_open = |client: &Client| channels().iter().all(|spec| client.peer.has_channel(&spec.label));
        world.until("open", |world| world.clients.iter().all(all_open));
        world
    }

    fn roll(&mut self) -> u8 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 24) as u8
    }

    fn client_index(&self, id: PeerId) -> Option<usize> {
        self.clients.iter().position(|client| client.id == id)
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.clients.len() {
            let mut events = std::mem::take(&mut self.clients[index].events);
            self.clients[index].peer.flush(self.now, &mut events);
            for event in events {
                busy = true;
                let client = &mut self.clients[index];
                match event {
                    Event::Secured { .. } => client.secured += 1,
                    Event::Ended { failed } => client.ended = Some(failed),
                    Event::Message(message) => client.packets.push((message.label, message.bytes.to_vec())),
                    Event::Datagram(bytes) => {
                        let peer = client.id;
                        if self.roll() >= self.loss {
                            let datagram = Datagram { peer, bytes: bytes.into() };
                            self.helper.datagram(self.now, datagram, &mut self.outputs);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.helper.tick(self.now, &mut self.outputs);
        for output in std::mem::take(&mut self.outputs.0) {
            busy = true;
            match output {
                Output::Datagram { worker, peer, bytes } => {
                    assert_eq!(worker, WORKER);
                    assert!(bytes.len() <= 1200, "{}", bytes.len());
                    let passes = self.roll() >= self.loss;
                    if let Some(index) = self.client_index(peer).filter(|_| passes) {
                        let client = &mut self.clients[index];
                        let _ =
                            client.peer.receive(self.now, &bytes, &self.library, || true, &mut client.events);
                    }
                }
                Output::Keys { peer, .. } => self.keys.push(peer),
                Output::Secured { profile, version, .. } => {
                    assert_eq!((profile, version), ("AEAD_AES_256_GCM", "DTLS 1.3"));
                }
                Output::DtlsEnded { peer, failed, .. } => self.ended.push((peer, failed)),
                Output::DataReady { route, .. } => self.ready.push(route),
                Output::DataReplied { .. } => panic!("nobody was asked anything"),
            }
        }
        busy
    }

    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let limit = self.now + Duration::from_secs(60);
        while !condition(self) {
            assert!(self.now < limit, "{what}: {:?} {:?}", self.ended, self.helper.counters());
            if !self.step() {
                self.advance();
            }
        }
    }

    fn advance(&mut self) {
        let clients = self.clients.iter().filter_map(|client| client.peer.deadline(self.now));
        let next = clients.chain(self.helper.next_deadline()).min();
        self.now = next.unwrap_or(self.now).max(self.now + Duration::from_millis(1));
        for client in &mut self.clients {
            client.peer.timeout(self.now, &self.library, &mut client.events);
        }
    }

    /// Until nothing moves, without letting time pass.
    fn settle(&mut self) {
        while self.step() {}
    }

    fn send(&mut self, client: usize, label: &str, bytes: &[u8]) {
        self.clients[client].peer.send(label, false, &Bytes::copy_from_slice(bytes)).unwrap();
    }

    fn heard(&mut self, client: usize) -> Vec<(String, DataPacket)> {
        let packets = std::mem::take(&mut self.clients[client].packets);
        packets.into_iter().map(|(label, bytes)| (label, DataPacket::decode(&bytes[..]).unwrap())).collect()
    }

    fn texts(&mut self, client: usize) -> Vec<String> {
        self.heard(client).into_iter().map(|(_, packet)| text_of(&packet)).collect()
    }
}

#[test]
fn a_client_that_speaks_before_its_answer_is_heard_afterwards() {
    for role in [Role::Server, Role::Client] {
        let mut world = World::new();
        world.upsert_trusting(1, role, true, Vec::new());
        world.order(Input::PathValid(PeerId(1)));
        world.client(1, role, true);
        world.settle();
        assert_eq!(world.helper.counters().dtls_handshakes_started, 0, "{role:?}: nobody vouches for it yet");
        world.upsert_peer(1, role, true);
        let before = world.now;
        world.until("secured", |world| world.keys == [PeerId(1)]);
        assert_eq!(world.helper.counters().dtls_handshakes_started, 1, "{role:?}");
        assert_eq!(world.helper.counters().dtls_handshakes_failed, 0, "{role:?}");
        if role == Role::Server {
            assert!(world.now - before < Duration::from_millis(40), "no retransmission was needed");
        }
    }
}

fn user(text: &str, sequence: u32) -> Vec<u8> {
    let value = Value::User(UserPacket { payload: text.into(), ..UserPacket::default() });
    DataPacket { sequence, value: Some(value), ..DataPacket::default() }.encode_to_vec()
}

fn text_of(packet: &DataPacket) -> String {
    match &packet.value {
        Some(Value::User(user)) => String::from_utf8(user.payload.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn packets_reach_all_others_with_the_senders_name() {
    let mut world = World::with_participants(3);
    assert_eq!(world.keys.len(), 3);
    for label in ["_reliable", "_lossy"] {
        world.send(0, label, &user("hello", 0));
        world.settle();
        assert!(world.heard(0).is_empty(), "{label}: no echo");
        for other in [1, 2] {
            let heard = world.heard(other);
            assert_eq!(heard.len(), 1, "{label}");
            assert_eq!(heard[0].0, label);
            assert_eq!(heard[0].1.participant_identity, "identity 1");
            assert_eq!(heard[0].1.participant_sid, "PA_1");
            assert_eq!(text_of(&heard[0].1), "hello");
        }
    }
    assert_eq!(world.helper.counters().data_sent, 4);
}

#[test]
fn both_roles_and_both_kinds_of_channels_work_through_loss() {
    for (name, role, client_made) in [
        ("server, client-made", Role::Server, true),
        ("server, server-made", Role::Server, false),
        ("client, client-made", Role::Client, true),
        ("client, server-made", Role::Client, false),
    ] {
        let mut world = World::new();
        world.loss = 40;
        for id in 1..=2 {
            world.connect(id, role, client_made);
            world.route(id, |_| {});
        }
        world.until(name, |world| world.ready.len() == 2);
        world.until(name, |world| world.clients.iter().all(|client| client.peer.has_channel("_reliable")));
        let large = "x".repeat(60 * 1024);
        world.send(0, "_reliable", &user(&large, 1));
        world.until(name, |world| !world.clients[1].packets.is_empty());
        assert_eq!(world.texts(1), [large], "{name}");
        assert!(world.ended.is_empty(), "{name}");
    }
}

#[test]
fn two_connections_carry_one_direction_each() {
    let mut world = World::new();
    for participant in [1, 2] {
        world.connect(10 * participant, Role::Server, true);
        world.connect(10 * participant + 1, Role::Client, false);
        world.route(participant, |spec| {
            (spec.receive_peer, spec.send_peer) = (PeerId(10 * participant), PeerId(10 * participant + 1));
        });
    }
    world.until("ready", |world| world.ready.len() == 2);
    world.until("open", |world| world.clients[0].peer.has_channel("_reliable"));
    world.send(0, "_reliable", &user("across", 1));
    world.settle();
    assert_eq!(world.texts(3), ["across"]);
    for quiet in [0, 1, 2] {
        assert!(world.texts(quiet).is_empty(), "{quiet}");
    }
}

#[test]
fn a_joiner_misses_nothing_that_was_said_while_it_connected() {
    let mut world = World::with_participants(2);
    world.send(0, "_reliable", &user("before", 1));
    world.settle();
    world.connect(3, Role::Server, true);
    world.route(3, |_| {});
    world.send(0, "_reliable", &user("during", 2));
    world.send(0, "_lossy", &user("lossy", 0));
    world.settle();
    let mut heard = world.texts(1);
    heard.sort();
    assert_eq!(heard, ["before", "during", "lossy"]);
    world.until("ready", |world| world.ready.len() == 3);
    world.settle();
    assert_eq!(world.texts(2), ["during"]);
    world.send(0, "_reliable", &user("after", 3));
    world.settle();
    assert_eq!(world.texts(2), ["after"]);
    assert_eq!(world.helper.counters().data_replayed, 1);
}

#[test]
fn a_participant_that_resumes_is_sent_what_it_missed() {
    let mut world = World::with_participants(2);
    for sequence in 1..=4 {
        world.send(0, "_reliable", &user(&sequence.to_string(), sequence));
    }
    world.settle();
    assert_eq!(world.texts(1), ["1", "2", "3", "4"]);
    let received = vec![("PA_1".into(), 2), ("PA_9".into(), 0)];
    world.order(Input::ReplayData(ReplayData { route: RouteId(2), received }));
    world.settle();
    assert_eq!(world.texts(1), ["3", "4"]);

    let (reply, mut answer) = oneshot::channel();
    world.order(Input::Progress { route: RouteId(1), reply });
    assert_eq!(answer.try_recv(), Ok(Some(4)));
    let (reply, mut answer) = oneshot::channel();
    world.order(Input::Progress { route: RouteId(9), reply });
    assert_eq!(answer.try_recv(), Ok(None));
}

#[test]
fn the_server_side_speaks_too() {
    let mut world = World::with_participants(3);
    for (routes, reliable, heard) in
        [(vec![], true, [1, 1, 1]), (vec![RouteId(2)], true, [0, 1, 0]), (vec![], false, [1, 1, 1])]
    {
        let packet = Bytes::from(user("server", 0));
        world.order(Input::SendData(Box::new(SendData {
            room: ROOM,
            packet,
            reliable,
            routes,
            reply_to: String::new(),
        })));
        world.settle();
        for (client, count) in heard.into_iter().enumerate() {
            assert_eq!(world.texts(client).len(), count);
        }
    }
    let packet = Bytes::from_static(b"\xff");
    world.order(Input::SendData(Box::new(SendData {
        room: ROOM,
        packet,
        reliable: true,
        routes: vec![],
        reply_to: String::new(),
    })));
    assert_eq!(world.helper.counters().data_dropped_malformed, 1);
}

#[test]
fn a_peer_that_is_told_of_late_is_waited_for() {
    let mut world = World::new();
    world.client(1, Role::Server, true);
    world.settle();
    assert!(world.keys.is_empty());
    world.upsert_peer(1, Role::Server, true);
    world.settle();
    assert_eq!(world.keys, [PeerId(1)]);
    assert_eq!(world.helper.counters().dropped_unknown_peer, 0);

    world.client(2, Role::Server, true);
    world.settle();
    world.now += Duration::from_secs(3);
    world.settle();
    assert_eq!(world.helper.counters().dropped_unknown_peer, 1);
}

#[test]
fn repeated_upserts_change_nothing_and_another_client_starts_over() {
    let mut world = World::with_participants(2);
    world.upsert_peer(1, Role::Server, true);
    world.route(1, |_| {});
    world.send(0, "_reliable", &user("still", 1));
    world.settle();
    assert_eq!(world.texts(1), ["still"]);
    assert_eq!((world.keys.len(), world.ready.len()), (2, 2));

    world.certificate = Certificate::generate().unwrap();
    world.library = Library::new(Implementation::Dimpl, &world.certificate).unwrap();
    world.clients.remove(0);
    world.connect(1, Role::Server, true);
    world.until("ready again", |world| world.ready.len() == 3);
    assert_eq!(world.keys, [PeerId(1), PeerId(2), PeerId(1)]);
}

#[test]
fn who_leaves_is_told_and_forgotten() {
    let mut world = World::with_participants(3);
    world.order(Input::DeletePeer(PeerId(1)));
    world.order(Input::DeleteRoute(RouteId(1)));
    let client = &mut world.clients[1];
    client.peer.close(world.now, &mut client.events);
    world.settle();
    assert_eq!(world.clients[0].ended, Some(false), "close_notify");
    assert_eq!(world.ended, [(PeerId(2), false)]);
    let counters = world.helper.counters();
    assert_eq!((counters.peers, counters.routes, counters.dtls_associations), (2, 2, 1));
    assert_eq!((counters.dtls_closed_by_peer, counters.sctp_closed), (1, 1));

    world.order(Input::DeleteRoom(ROOM));
    let counters = world.helper.counters();
    assert_eq!((counters.peers, counters.routes), (0, 0));
    world.settle();
    assert_eq!(world.helper.next_deadline(), None);
    assert_eq!(world.clients[2].ended, Some(false));
}

#[test]
fn a_slow_receiver_holds_up_nobody() {
    let mut world = World::with_participants(3);
    let silent = world.clients.remove(2);
    let block = "x".repeat(50_000);
    for sequence in 1..=60 {
        world.send(0, "_reliable", &user(&block, sequence));
        world.settle();
        world.now += Duration::from_millis(25);
    }
    world.until("all", |world| world.clients[1].packets.len() == 60);
    let counters = world.helper.counters();
    assert!(counters.data_dropped_slow_receiver > 20, "{counters:?}");
    drop(silent);
}

#[test]
fn a_failed_handshake_is_told() {
    let mut world = World::new();
    world.connect(1, Role::Client, true);
    world.clients.clear();
    world.until("ended", |world| world.ended == [(PeerId(1), true)]);
    assert_eq!(world.helper.counters().dtls_handshakes_failed, 1);
}

#[test]
fn a_panic_costs_one_association() {
    let mut world = World::with_participants(3);
    world.helper.with_peer(world.now, PeerId(2), &mut world.outputs, |_, _, _| panic!("a bug in a library"));
    world.settle();
    assert_eq!(world.ended, [(PeerId(2), true)]);
    let counters = world.helper.counters();
    assert_eq!((counters.panics, counters.peers, counters.dtls_associations), (1, 2, 2));
    world.send(0, "_reliable", &user("on it goes", 1));
    world.settle();
    assert_eq!(world.texts(2), ["on it goes"]);
}

#[test]
fn the_thread_connects_a_client_and_stops() {
    struct Channel(std::sync::mpsc::Sender<Output>);
    impl Sink for Channel {
        fn put(&mut self, output: Output) {
            let _ = self.0.send(output);
        }

        fn flush(&mut self) -> bool {
            false
        }
    }

    let ours = Certificate::generate().unwrap();
    let theirs = Certificate::generate().unwrap();
    let library = Library::new(Implementation::Dimpl, &theirs).unwrap();
    let (sink, outputs) = std::sync::mpsc::channel();
    let config = Config { dtls: Implementation::Webrtc, certificate: ours.clone() };
    let (handle, thread) = thread::spawn(config, Channel(sink)).unwrap();

    let spec = |role, trusted: &Certificate| PeerSpec {
        id: PeerId(1),
        room: ROOM,
        worker: WORKER,
        role,
        fingerprints: vec![trusted.fingerprint()],
        sctp: None,
    };
    handle.order(Input::UpsertPeer(Box::new(spec(Role::Server, &theirs)))).unwrap();
    let mut client = Peer::new(spec(Role::Client, &ours));
    let mut events = Vec::new();
    client.path_valid(Instant::now(), &library, &mut events);
    let limit = Instant::now() + Duration::from_secs(10);
    let mut keys = false;
    while !(keys && client.is_connected()) && Instant::now() < limit {
        for event in events.drain(..) {
            if let Event::Datagram(bytes) = event {
                handle.datagram(PeerId(1), bytes.into());
            }
        }
        match outputs.recv_timeout(Duration::from_millis(20)) {
            Ok(Output::Datagram { bytes, .. }) => {
                client.receive(Instant::now(), &bytes, &library, || true, &mut events).unwrap();
            }
            Ok(Output::Keys { .. }) => keys = true,
            _ => client.timeout(Instant::now(), &library, &mut events),
        }
    }
    assert!(keys && client.is_connected());
    let (reply, answer) = oneshot::channel();
    handle.order(Input::Counters { reply }).unwrap();
    assert_eq!(answer.blocking_recv().unwrap().dtls_associations, 1);
    handle.order(Input::Stop).unwrap();
    thread.join().unwrap();
}
