//! A virtual clock, a queue of what arrives when, and an engine among clients: a run is told by its scenario and one seed.

mod specs;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine::command::{AudioLevels, Command, IceCredentials, MediaKind, RoomSpec, SubscriptionSpec};
use engine::counters::Counters;
use engine::event::{Event, TransportState};
use engine::path::{Path, Protocol};
use srtp::keys::{Keys, Profile};
use units::handle::{PeerId, WorkerIndex};
use units::time::Instant;

use crate::client::checks::Checks;
use crate::client::decoder::Shown;
use crate::client::fault::Faulty;
use crate::client::receiver::Receiver;
use crate::client::sender::{Sender, Source};
use crate::client::{Client, Outgoing};
use crate::film::Take;
use crate::link::Link;
use crate::oracle::{Fared, Oracle, Violation};
use crate::random::Random;
use crate::scenario::{Fault, Scenario, Wish};
use crate::worker::{CROSSING_MAX, Crossing, Out, Worker};
use crate::world::specs::{
    REMOTE_UFRAG, ROOM, low_u16, peer_id, peer_spec, publication_spec, ssrcs, subscription_spec,
};

pub struct World {
    scenario: Scenario,
    now: Instant,
    /// The publisher is on the first, subscribers are on all of them in turn.
    workers: Vec<Worker>,
    oracle: Oracle,
    /// The publisher, then the subscribers.
    ends: Vec<End>,
    stranger: Stranger,
    moods: Moods,
    /// By time, and in the order of sending.
    under_way: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
    rings: Crossings,
    /// Datagrams that the engines were given.
    given: u64,
    trace: Trace,
}

/// A client and its two links.
struct End {
    client: Client,
    keys: Keys,
    credentials: IceCredentials,
    to_engine: Link,
    from_engine: Link,
}

enum Arrival {
    AtEngine { from: SocketAddr, bytes: Vec<u8> },
    AtClient { end: usize, bytes: Vec<u8> },
    FromWorker { from: WorkerIndex, to: WorkerIndex, crossing: Crossing },
}

/// When what crossed last arrives: nothing overtakes another on its way from one worker to another.
struct Crossings {
    random: Random,
    last_at: BTreeMap<(WorkerIndex, WorkerIndex), Instant>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    pub violations: Vec<Violation>,
    pub fared: Vec<Fared>,
    /// Pictures that were captured and that each subscriber wished for.
    pub wished: Vec<usize>,
    /// Datagrams that did not get through a bottleneck.
    pub overflowed: u64,
    /// Retransmissions that brought a subscriber what it missed.
    pub repaired: u64,
    /// Datagrams that a client could make nothing of.
    pub unreadable: u64,
    /// Of each worker.
    pub counters: Vec<Counters>,
    /// Of a film: by number of the picture, what was sent; and what each subscriber has shown.
    pub takes: Vec<Take>,
    pub screens: Vec<Vec<Shown>>,
    /// Of every datagram that the engine sent: when, where to, and its bytes.
    pub trace: u64,
}

impl World {
    #[must_use]
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        let mut random = Random::new(seed);
        let ends =
            (0..=scenario.subscribers.len()).map(|number| End::new(number, &scenario, &mut random)).collect();
        let rings = scenario.rings;
        let workers = (0..rings.workers).map(|index| Worker::new(WorkerIndex(index), rings, &mut random));
        let workers = workers.collect();
        let mut world = Self {
            now: Instant(0),
            workers,
            oracle: Oracle::new(scenario.subscribers.len()),
            ends,
            moods: Moods { random: random.fork(), next_at: Instant(0) },
            stranger: Stranger { random: random.fork(), next_at: Instant(0), overheard: None },
            under_way: BTreeMap::new(),
            sent: 0,
            rings: Crossings { random: random.fork(), last_at: BTreeMap::new() },
            given: 0,
            trace: Trace::default(),
            scenario,
        };
        world.set_up();
        world
    }

    /// Runs until the scenario's end.
    #[must_use]
    pub fn run(mut self) -> Report {
        self.run_until(Instant(0) + self.scenario.duration);
        for index in 0..self.workers.len() {
            if let Some(worker) = self.workers.get_mut(index) {
                worker.rest(self.now);
            }
            self.flush(index);
        }
        self.oracle.account(self.given, self.workers.iter().map(Worker::counters));
        let wished = self
            .scenario
            .subscribers
            .iter()
            .map(|wish| self.oracle.captured(wish.layer_max, wish.temporal_layer_max));
        Report {
            wished: wished.collect(),
            violations: self.oracle.violations().into(),
            fared: self.oracle.fared().cloned().collect(),
            repaired: self
                .ends
                .iter()
                .flat_map(|end| &end.client.receivers)
                .map(|receiver| receiver.repaired)
                .sum(),
            overflowed: self
                .ends
                .iter()
                .map(|end| end.to_engine.overflowed + end.from_engine.overflowed)
                .sum(),
            unreadable: self.ends.iter().map(|end| end.client.unreadable).sum(),
            counters: self.workers.iter().map(|worker| worker.counters().clone()).collect(),
            takes: self.ends.first().and_then(End::takes).unwrap_or_default().into(),
            screens: self.ends.iter().filter_map(End::screen).collect(),
            trace: self.trace.0,
        }
    }

    /// Runs for a while; not past a scenario's end, if [`Self::run`] is to follow.
    pub fn run_until(&mut self, end: Instant) {
        while let Some(now) = self.next_at().filter(|&at| at <= end) {
            debug_assert!(now >= self.now, "time goes forward");
            self.now = now;
            self.step();
        }
    }

    /// The sum over all workers.
    #[must_use]
    pub fn count(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.workers.iter().map(|worker| counter(worker.counters())).sum()
    }

    /// Allocations that the engines have handed over in what they told.
    #[must_use]
    pub fn handed_over(&self) -> u64 {
        self.workers.iter().map(Worker::handed_over).sum()
    }

    fn set_up(&mut self) {
        let audio_levels = AudioLevels {
            active_level: 35,
            min_percentile: 40,
            update_interval: Duration::from_millis(400),
            smooth_intervals: 2,
        };
        self.command_all(|| {
            Command::UpsertRoom(RoomSpec { id: ROOM, audio_levels, sif_trailer: Vec::new() })
        });
        for number in 0..self.ends.len() {
            let spec = self.ends.get(number).map(|end| peer_spec(number, &end.credentials));
            if let Some(spec) = spec {
                self.command(number, Command::UpsertPeer(Box::new(spec)));
            }
        }
        for kind in [MediaKind::Audio, MediaKind::Video] {
            self.command_all(|| Command::UpsertPublication(Box::new(publication_spec(kind))));
        }
        for (number, wish) in (1..).zip(self.scenario.subscribers.clone()) {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let spec = subscription_spec(number, kind, wish);
                self.command(number, Command::UpsertSubscription(Box::new(spec)));
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let clients = self.ends.iter().map(|end| end.client.next_at());
        let deadlines = self.workers.iter().filter_map(Worker::next_deadline);
        let deadlines = deadlines.chain([self.stranger.next_at, self.moods.next_at]);
        // A deadline that has passed is due now.
        arrival.into_iter().chain(clients).chain(deadlines).min().map(|at| at.max(self.now))
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Arrival::AtEngine { from, bytes } => self.arrive_at_engine(from, bytes),
                Arrival::AtClient { end, bytes } => self.arrive_at_client(end, bytes),
                Arrival::FromWorker { from, to, crossing } => self.arrive_at_worker(from, to, crossing),
            }
        }
        for index in 0..self.workers.len() {
            if self.workers.get_mut(index).is_some_and(|worker| worker.tick(now)) {
                self.flush(index);
            }
        }
        for number in 0..self.ends.len() {
            let Some(end) = self.ends.get_mut(number).filter(|end| end.client.next_at() <= now) else {
                continue;
            };
            let mut out = Outgoing::new();
            end.client.tick(now, &mut out, &mut self.oracle);
            self.send_from(number, out);
        }
        if self.moods.next_at <= now {
            self.moods.next_at = now + self.moods.random.duration(MOOD_INTERVAL_MAX);
            if self.scenario.is_restless {
                self.change_mind();
            }
        }
        if self.stranger.next_at <= now {
            for (from, bytes) in self.stranger.tick(now, &mut self.ends) {
                self.arrive_at_engine(from, bytes);
            }
        }
    }

    /// One of the subscribers wants other layers of the video, or none for now.
    fn change_mind(&mut self) {
        let random = &mut self.moods.random;
        let number = 1 + random.below(u32::try_from(self.scenario.subscribers.len()).unwrap_or(1)) as usize;
        let [layer_max, temporal_layer_max] = [(); 2].map(|()| u8::try_from(random.below(3)).unwrap_or(0));
        let paused = random.per_mille(150);
        let wish = Wish { layer_max, temporal_layer_max };
        let spec = SubscriptionSpec { paused, ..subscription_spec(number, MediaKind::Video, wish) };
        self.command(number, Command::UpsertSubscription(Box::new(spec)));
    }

    fn arrive_at_engine(&mut self, from: SocketAddr, mut bytes: Vec<u8>) {
        let is_check = bytes.first().is_some_and(|&first| first < 4);
        let is_told = self.scenario.fault != Some(Fault::KeepChecksFromOracle);
        if is_check && is_told && self.ends.iter().any(|end| end.client.address == from) {
            self.oracle.validated(from);
        }
        self.given += 1;
        if self.scenario.fault == Some(Fault::SwallowDatagram) && self.given == 500 {
            return;
        }
        let number = self.ends.iter().position(|end| end.client.address == from);
        let index = self.worker_of(number.unwrap_or(0));
        if let Some(worker) = self.workers.get_mut(index) {
            worker.receive(self.now, path(from), &mut bytes);
        }
        self.flush(index);
    }

    fn arrive_at_worker(&mut self, from: WorkerIndex, to: WorkerIndex, crossing: Crossing) {
        let index = usize::from(to.0);
        if let Some(worker) = self.workers.get_mut(index) {
            worker.cross(self.now, from, crossing);
        }
        self.flush(index);
    }

    /// Where a client's peer is.
    const fn worker_of(&self, number: usize) -> usize {
        number % self.workers.len()
    }

    fn arrive_at_client(&mut self, number: usize, mut bytes: Vec<u8>) {
        let Some(end) = self.ends.get_mut(number) else { return };
        let mut out = Outgoing::new();
        if self.scenario.fault == Some(Fault::GarbleDatagrams)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        end.client.receive(self.now, &mut bytes, &mut out, &mut self.oracle);
        self.send_from(number, out);
    }

    fn send_from(&mut self, number: usize, out: Outgoing) {
        let Some(end) = self.ends.get_mut(number) else { return };
        for bytes in out {
            self.stranger.overhear(&bytes);
            for at in end.to_engine.carry(self.now, bytes.len()) {
                self.sent += 1;
                let arrival = Arrival::AtEngine { from: end.client.address, bytes: bytes.clone() };
                self.under_way.insert((at, self.sent), arrival);
            }
        }
    }

    /// Takes what an engine sent and told.
    fn flush(&mut self, index: usize) {
        let Some(worker) = self.workers.get_mut(index) else { return };
        let from = worker.index;
        let Out { sent, events, crossing } = worker.take();
        for (to, bytes) in sent {
            self.trace.note(self.now, to, &bytes);
            self.oracle.sent(to);
            let Some((number, end)) = (0..).zip(&mut self.ends).find(|(_, end)| end.client.address == to)
            else {
                continue;
            };
            for at in end.from_engine.carry(self.now, bytes.len()) {
                self.sent += 1;
                self.under_way
                    .insert((at, self.sent), Arrival::AtClient { end: number, bytes: bytes.clone() });
            }
        }
        for (to, crossing) in crossing {
            let last_at = self.rings.last_at.entry((from, to)).or_default();
            *last_at = (self.now + self.rings.random.duration(CROSSING_MAX)).max(*last_at);
            self.sent += 1;
            self.under_way.insert((*last_at, self.sent), Arrival::FromWorker { from, to, crossing });
        }
        for event in events {
            if let Event::Transport { peer, state: TransportState::Connecting { .. } } = event {
                self.agree_on_keys(peer);
            }
        }
    }

    /// Stands for the DTLS handshake: both sides have their keys.
    fn agree_on_keys(&mut self, peer: PeerId) {
        let Some(number) = (0..self.ends.len()).find(|&number| peer_id(number) == peer) else { return };
        let Some(end) = self.ends.get_mut(number) else { return };
        end.client.connect(self.now);
        let keys = Box::new(end.keys.clone());
        self.command(number, Command::Keys { peer, keys });
    }

    /// Orders something of a client's worker.
    fn command(&mut self, number: usize, command: Command) {
        self.command_worker(self.worker_of(number), command);
    }

    fn command_all(&mut self, command: impl Fn() -> Command) {
        (0..self.workers.len()).for_each(|index| self.command_worker(index, command()));
    }

    fn command_worker(&mut self, index: usize, command: Command) {
        let done = self.workers.get_mut(index).map(|worker| worker.command(self.now, command));
        assert_eq!(done, Some(Ok(())), "what the world orders is valid");
        self.flush(index);
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("scenario", &self.scenario)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl End {
    fn new(number: usize, scenario: &Scenario, random: &mut Random) -> Self {
        let is_publisher = number == 0;
        let conditions = if is_publisher { scenario.uplink } else { scenario.downlink };
        let profile = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80][number % 2];
        let mut material = vec![0; profile.keying_material_len()];
        random.fill(&mut material);
        let keys = |we_are_client| {
            Keys::from_keying_material(profile, &material, we_are_client)
                .expect("as long as the profile says")
        };
        let credentials = IceCredentials {
            ufrag: format!("00engine{number}"),
            password: format!("{:032x}", u128::from(random.draw()) << 64 | u128::from(random.draw())),
        };
        let checks = Checks::new(REMOTE_UFRAG, &credentials.ufrag, &credentials.password, random.fork());
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 40_000 + low_u16(number));
        let mut client = Client::new(address, checks, &keys(true));
        if is_publisher {
            client.sender = Some(Sender::new(scenario.film.as_ref(), scenario.layers, random));
        } else {
            let faulty = || scenario.fault.map(Faulty::new);
            let ssrcs = ssrcs(number);
            client.receivers.push(Receiver::audio(number - 1, ssrcs[0], faulty()));
            let mut video = Receiver::video(number - 1, ssrcs[1], ssrcs[2], faulty());
            video.is_film = scenario.film.is_some();
            client.receivers.push(video);
        }
        Self {
            client,
            keys: keys(false),
            credentials,
            to_engine: Link::new(conditions, random.fork()),
            from_engine: Link::new(conditions, random.fork()),
        }
    }

    fn takes(&self) -> Option<&[Take]> {
        match &self.client.sender.as_ref()?.source {
            Source::Film(playback) => Some(playback.takes()),
            Source::Camera(_) => None,
        }
    }

    /// `None` for who does not receive video.
    fn screen(&self) -> Option<Vec<Shown>> {
        self.client.receivers.iter().find_map(Receiver::screen).map(<[Shown]>::to_vec)
    }
}

/// When a subscriber changes its mind next.
#[derive(Debug)]
struct Moods {
    random: Random,
    next_at: Instant,
}

/// Somebody who knows an address and a ufrag, and no secret. Nothing may ever be sent there.
#[derive(Debug)]
struct Stranger {
    random: Random,
    next_at: Instant,
    /// A datagram of somebody else's.
    overheard: Option<Vec<u8>>,
}

impl Stranger {
    fn overhear(&mut self, bytes: &[u8]) {
        let is_check = bytes.first().is_some_and(|&first| first < 4);
        if !is_check && self.random.per_mille(10) {
            self.overheard = Some(bytes.into());
        }
    }

    fn tick(&mut self, now: Instant, ends: &mut [End]) -> Vec<(SocketAddr, Vec<u8>)> {
        self.next_at = now + STRANGE_INTERVAL;
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)), 6_666);
        let mut junk = vec![0; self.random.below(200) as usize];
        self.random.fill(&mut junk);
        let mut forged_media = junk.clone();
        if let Some(first) = forged_media.first_mut() {
            *first = 0x80;
        }
        let forged_check = ends.first_mut().and_then(|end| end.client.checks.check(b"not the password"));
        let repeated = self.overheard.take();
        let from_here = [Some(junk), Some(forged_media.clone()), forged_check, repeated];
        let from_there = ends.iter().map(|end| (end.client.address, forged_media.clone()));
        let from_here = from_here.into_iter().flatten().map(|bytes| (address, bytes));
        from_here.chain(from_there).collect()
    }
}

/// A digest (FNV-1a) of all that was sent.
#[derive(Debug)]
struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    fn note(&mut self, now: Instant, to: SocketAddr, bytes: &[u8]) {
        let when_and_where = now.0.to_be_bytes().into_iter().chain(to.port().to_be_bytes());
        for byte in when_and_where.chain(bytes.iter().copied()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn path(remote: SocketAddr) -> Path {
    Path { protocol: Protocol::Udp, local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), remote }
}

const MOOD_INTERVAL_MAX: Duration = Duration::from_millis(1_500);
const STRANGE_INTERVAL: Duration = Duration::from_millis(100);
