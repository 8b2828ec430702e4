//! Both libraries through the seam, with each other, in memory: keys agree crosswise whatever the network does.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use srtp::aws_lc::AwsLc;
use srtp::inbound::Inbound;
use srtp::keys::Profile;
use srtp::outbound::Outbound;

use crate::dtls::certificate::Certificate;
use crate::dtls::fingerprint::{Fingerprint, Hash};
use crate::dtls::session::{Discard, Session};
use crate::dtls::{Connected, End, Failure, Implementation, Library, Output, Role};

/// One end and what it said.
struct Side {
    session: Session,
    library: Library,
    connected: Option<Connected>,
    data: Vec<Vec<u8>>,
    ended: Option<End>,
    /// Whether a datagram of the final flight came before the keys.
    outgoing: Vec<Vec<u8>>,
}

impl Side {
    fn new(implementation: Implementation, role: Role, own: &Certificate, trusted: Fingerprint) -> Self {
        Self {
            session: Session::new(role, Arc::from([trusted])),
            library: Library::new(implementation, own).unwrap(),
            connected: None,
            data: Vec::new(),
            ended: None,
            outgoing: Vec::new(),
        }
    }

    fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Discard> {
        let outcome = self.session.receive(now, datagram, &self.library, || true);
        self.drain();
        outcome
    }

    fn timeout(&mut self, now: Instant) {
        self.session.timeout(now, &self.library);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connected(connected) => assert!(self.connected.replace(*connected).is_none()),
                Output::Datagram(bytes) => self.outgoing.push(bytes),
                Output::Data(bytes) => self.data.push(bytes),
                Output::Ended(end) => self.ended = Some(end),
            }
        }
    }
}

/// A network and a clock. The webrtc library keeps real time, so its tests do too.
struct World {
    sides: [Side; 2],
    now: Instant,
    real: bool,
    /// Of 256.
    loss: u8,
    jitter: Duration,
    random: u32,
    /// When, to which side, what.
    flying: Vec<(Instant, usize, Vec<u8>)>,
}

impl World {
    fn new(client: Implementation, server: Implementation) -> Self {
        let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        Self {
            sides: [
                Side::new(client, Role::Client, &ours, theirs.fingerprint()),
                Side::new(server, Role::Server, &theirs, Fingerprint::of(Hash::Sha512, ours.der())),
            ],
            now: Instant::now(),
            real: client == Implementation::Webrtc || server == Implementation::Webrtc,
            loss: 0,
            jitter: Duration::ZERO,
            random: 1,
            flying: Vec::new(),
        }
    }

    fn lossy(mut self, seed: u32) -> Self {
        (self.loss, self.jitter, self.random) = (51, Duration::from_millis(30), seed);
        self
    }

    fn start(&mut self) {
        let side = &mut self.sides[0];
        side.session.start(self.now, &side.library);
        side.drain();
    }

    fn step(&mut self) {
        for from in 0..2 {
            for datagram in std::mem::take(&mut self.sides[from].outgoing) {
                assert!(datagram.len() <= 1300, "{}", datagram.len());
                if self.roll() >= self.loss {
                    let delay = self.jitter * u32::from(self.roll()) / 256;
                    self.flying.push((self.now + delay, 1 - from, datagram));
                }
            }
        }
        self.flying.sort_by_key(|flight| flight.0);
        let due = self.flying.partition_point(|flight| flight.0 <= self.now);
        for (_, to, datagram) in self.flying.drain(..due).collect::<Vec<_>>() {
            let _ = self.sides[to].receive(self.now, &datagram);
        }
        if self.sides.iter().any(|side| !side.outgoing.is_empty()) {
            return;
        }
        let deadlines = self.sides.iter().filter_map(|side| side.session.deadline());
        let next = deadlines.chain(self.flying.first().map(|flight| flight.0)).min();
        let wait = next.map_or(Duration::from_millis(20), |next| next.saturating_duration_since(self.now));
        if self.real {
            thread::sleep(wait.min(Duration::from_millis(20)));
            self.now = Instant::now();
        } else {
            self.now += wait;
        }
        for side in &mut self.sides {
            side.timeout(self.now);
        }
    }

    fn until(&mut self, what: &str, condition: impl Fn(&[Side; 2]) -> bool) {
        let limit = self.now + Duration::from_secs(12);
        while !condition(&self.sides) {
            assert!(
                self.now < limit,
                "{what}: {:?}",
                self.sides.each_ref().map(|side| (&side.session, side.ended))
            );
            self.step();
        }
    }

    fn roll(&mut self) -> u8 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 24) as u8
    }
}

const PAIRS: [(&str, Implementation, Implementation); 4] = [
    ("dimpl to dimpl", Implementation::Dimpl, Implementation::Dimpl),
    ("dimpl to webrtc", Implementation::Dimpl, Implementation::Webrtc),
    ("webrtc to dimpl", Implementation::Webrtc, Implementation::Dimpl),
    ("webrtc to webrtc", Implementation::Webrtc, Implementation::Webrtc),
];

fn connected(sides: &[Side; 2]) -> bool {
    sides.iter().all(|side| side.connected.is_some())
}

fn assert_keys_agree(name: &str, sides: &[Side; 2]) {
    let [client, server] = sides.each_ref().map(|side| side.connected.as_ref().unwrap());
    assert_eq!(client.keys.profile(), server.keys.profile(), "{name}");
    assert_ne!(client.keys.profile(), Profile::Aes128CmSha1_80, "{name}: GCM is cheaper");
    for (from, to) in [(client, server), (server, client)] {
        // A receiver report; only the keys of the same direction open it.
        let mut packet = [[0x80, 201, 0, 1, 1, 2, 3, 4].as_slice(), &[0; 64]].concat();
        let len = Outbound::<AwsLc>::new(&from.keys).seal_rtcp(&mut packet, 8).unwrap();
        assert!(Inbound::<AwsLc>::new(&from.keys).open_rtcp(&mut packet[..len].to_vec()).is_err(), "{name}");
        assert_eq!(Inbound::<AwsLc>::new(&to.keys).open_rtcp(&mut packet[..len]), Ok(8), "{name}");
    }
    assert_eq!(client.version, server.version, "{name}");
}

#[test]
fn every_pair_agrees_on_keys_and_carries_data() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        world.start();
        world.until(name, connected);
        assert_keys_agree(name, &world.sides);
        let expected = if world.real { "DTLS 1.2" } else { "DTLS 1.3" };
        assert_eq!(world.sides[0].connected.as_ref().unwrap().version, expected, "{name}");

        let now = world.now;
        for side in &mut world.sides {
            side.session.send(now, b"hello");
            side.drain();
        }
        world.until(name, |sides| sides.iter().all(|side| side.data == [b"hello"]));

        world.sides[0].session.close(now);
        world.sides[0].drain();
        world.until(name, |sides| sides[1].ended == Some(End::ClosedByPeer));
    }
}

#[test]
fn handshakes_survive_loss_and_reordering() {
    for (name, client, server) in PAIRS {
        let seeds =
            if client == Implementation::Dimpl && server == Implementation::Dimpl { 1..60 } else { 1..4 };
        for seed in seeds {
            let mut world = World::new(client, server).lossy(seed);
            world.start();
            world.until(&format!("{name}, seed {seed}"), connected);
            assert_keys_agree(name, &world.sides);
        }
    }
}

#[test]
fn keys_come_before_the_final_flight() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        world.start();
        let mut seen = false;
        let limit = world.now + Duration::from_secs(10);
        while !seen && world.now < limit {
            let flying: Vec<_> = std::mem::take(&mut world.sides[0].outgoing);
            for datagram in flying {
                let side = &mut world.sides[1];
                let _ = side.session.receive(world.now, &datagram, &side.library, || true);
                let outputs: Vec<_> = std::iter::from_fn(|| side.session.poll()).collect();
                if outputs.iter().any(|output| matches!(output, Output::Connected(_))) {
                    assert!(matches!(outputs.first(), Some(Output::Connected(_))), "{name}");
                    seen = true;
                }
                for output in outputs {
                    if let Output::Datagram(bytes) = output {
                        side.outgoing.push(bytes);
                    }
                }
            }
            world.step();
        }
        assert!(seen || world.sides[1].connected.is_some(), "{name}");
    }
}

#[test]
fn a_lost_final_flight_is_sent_again() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        world.start();
        world.until(name, |sides| sides[1].connected.is_some());
        if world.sides[0].connected.is_none() {
            world.sides[1].outgoing.clear();
            world.flying.retain(|flight| flight.1 != 0);
        }
        world.until(name, connected);
        assert_keys_agree(name, &world.sides);
    }
}

#[test]
fn another_certificate_than_signalled_is_refused() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        let stranger = Certificate::generate().unwrap();
        world.sides[1].session = Session::new(Role::Server, Arc::from([stranger.fingerprint()]));
        world.start();
        if world.real {
            let limit = world.now + Duration::from_secs(1);
            world.until(name, |_| Instant::now() > limit);
        } else {
            world.until(name, |sides| matches!(sides[1].ended, Some(End::Failed(Failure::Timeout))));
        }
        assert!(world.sides[1].connected.is_none(), "{name}");
    }
}

#[test]
fn a_client_refuses_another_certificate_too() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        let stranger = Certificate::generate().unwrap();
        world.sides[0].session = Session::new(Role::Client, Arc::from([stranger.fingerprint()]));
        world.start();
        world.until(name, |sides| matches!(sides[0].ended, Some(End::Failed(_))));
        assert!(world.sides[0].connected.is_none(), "{name}");
    }
}

#[test]
fn unprotected_alerts_end_nothing() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        world.start();
        let limit = world.now + Duration::from_secs(10);
        while !connected(&world.sides) && world.now < limit {
            let now = world.now;
            for side in &mut world.sides {
                let _ = side.receive(now, &alert);
            }
            world.step();
        }
        assert!(connected(&world.sides), "{name}");
        let now = world.now;
        for side in &mut world.sides {
            let _ = side.receive(now, &alert);
            assert_eq!(side.ended, None, "{name}");
        }
    }
}

#[test]
fn a_spoofed_hello_does_not_take_the_clients_place() {
    for (name, client, server) in PAIRS {
        let mut world = World::new(client, server);
        // Strangers with certificates of their own speak first; more of them than may have a handshake.
        for stranger in 0..3 {
            let mut other = World::new(client, server);
            other.start();
            for datagram in &other.sides[0].outgoing {
                assert_eq!(
                    world.sides[1].receive(world.now, datagram),
                    Ok(()),
                    "{name}: stranger {stranger}"
                );
            }
        }
        world.sides[1].outgoing.clear();
        world.start();
        world.until(name, connected);
        assert_keys_agree(name, &world.sides);

        let mut late = World::new(client, server);
        late.start();
        for datagram in &late.sides[0].outgoing {
            let _ = world.sides[1].receive(world.now, datagram);
        }
        assert_eq!(world.sides[1].ended, None, "{name}");
    }
}

#[test]
fn handshakes_side_by_side_are_limited() {
    let mut world = World::new(Implementation::Dimpl, Implementation::Dimpl);
    for stranger in 0..6 {
        let mut other = World::new(Implementation::Dimpl, Implementation::Dimpl);
        other.start();
        let outcome = world.sides[1].receive(world.now, &other.sides[0].outgoing[0]);
        let expected = if stranger < 4 { Ok(()) } else { Err(Discard::Limit) };
        assert_eq!(outcome, expected, "{stranger}");
    }
    let refused = {
        let side = &mut Side::new(
            Implementation::Dimpl,
            Role::Server,
            &Certificate::generate().unwrap(),
            Certificate::generate().unwrap().fingerprint(),
        );
        world.start();
        side.session.receive(world.now, &world.sides[0].outgoing[0], &side.library, || false)
    };
    assert_eq!(refused, Err(Discard::Limit));
}

#[test]
fn a_handshake_that_nobody_answers_ends_in_time() {
    let mut world = World::new(Implementation::Dimpl, Implementation::Dimpl);
    world.loss = u8::MAX;
    world.start();
    let start = world.now;
    world.until("nobody", |sides| sides[0].ended.is_some());
    assert_eq!(world.sides[0].ended, Some(End::Failed(Failure::Timeout)));
    assert!(world.now.duration_since(start) <= Duration::from_millis(10_100));
}

#[test]
fn a_hello_in_two_datagrams_is_put_together() {
    for server in [Implementation::Dimpl, Implementation::Webrtc] {
        let mut world = World::new(Implementation::Dimpl, server);
        world.start();
        let hello = world.sides[0].outgoing.remove(0);
        for fragment in split(&hello) {
            let _ = world.sides[1].receive(world.now, &fragment);
        }
        world.until(&format!("split, {server:?}"), connected);
        assert_keys_agree("split", &world.sides);
    }
}

/// A ClientHello record as two records, each with one fragment.
fn split(hello: &[u8]) -> [Vec<u8>; 2] {
    let (record, message) = hello.split_at(13);
    let (header, body) = message.split_at(12);
    let cut = body.len() / 2;
    [(0, &body[..cut], 30), (cut, &body[cut..], 31)].map(|(offset, fragment, sequence)| {
        let mut bytes = record[..10].to_vec();
        bytes.push(sequence);
        bytes.extend_from_slice(&u16::try_from(fragment.len() + 12).unwrap().to_be_bytes());
        bytes.extend_from_slice(&header[..6]);
        bytes.extend_from_slice(&u32::try_from(offset).unwrap().to_be_bytes()[1..]);
        bytes.extend_from_slice(&u32::try_from(fragment.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend_from_slice(fragment);
        bytes
    })
}
