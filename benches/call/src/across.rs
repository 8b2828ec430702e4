//! The same room on two workers: the publisher on one, all subscribers on the other.

use engine::command::{Command, Home, PublicationSpec};
use engine::config::Config;
use engine::engine::Engine;
use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use units::handle::{PeerId, RoomId, WorkerIndex};
use units::time::{Instant, NtpTime};

use crate::call::{BATCH, Counted, check, path};
use crate::media::Media;
use crate::specs::{keys, peer_spec, publication, room, subscription};

/// Peer 0 publishes; the others subscribe.
#[derive(Debug)]
pub struct Across<C: Cipher> {
    media: Media,
    home: Side<C>,
    other: Side<C>,
    now: Instant,
    /// The publisher's end.
    outbound: Outbound<C>,
    sealed: u64,
    received: u64,
    datagrams: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Side<C: Cipher> {
    index: WorkerIndex,
    engine: Engine<C>,
    out: Counted,
    peers: core::ops::Range<u16>,
}

impl<C: Cipher> Across<C> {
    #[must_use]
    pub fn new(media: Media, subscribers: u16) -> Self {
        let now = Instant(1_000_000_000);
        let home = Side::new(now, 0, 0..1, media);
        let mut other = Side::new(now, 1, 1..subscribers + 1, media);
        for peer in other.peers.clone() {
            other.command(now, Command::UpsertSubscription(subscription(peer, media).into()));
        }
        let outbound = Outbound::new(&keys(0, true));
        let (sealed, received) = (0, 0);
        let mut across = Self { media, home, other, now, outbound, sealed, received, datagrams: Vec::new() };
        across.other.engine.tick(now, &mut across.other.out);
        across.tell_home();
        across
    }

    /// Lays so many packets of the publisher ready, at most [`BATCH`], and tells the engines that everyone is still there.
    pub fn prepare(&mut self, count: u64) {
        debug_assert!(count <= BATCH, "consent would be lost");
        for side in [&mut self.home, &mut self.other] {
            side.check_all(self.now);
        }
        self.datagrams.clear();
        for _ in 0..count {
            let datagram = self.media.packet(&mut self.outbound, self.sealed);
            self.datagrams.push(datagram);
            self.sealed += 1;
        }
    }

    /// All that was prepared comes to the publisher's worker, which hands it to the other one.
    pub fn relay_all(&mut self) {
        let (burst, interval) = self.media.rhythm();
        for datagram in &mut self.datagrams {
            if self.received.is_multiple_of(burst) {
                self.now += interval;
            }
            self.home.tick(self.now);
            self.home.engine.receive(self.now, path(0), datagram, &mut self.home.out);
            self.received += 1;
        }
    }

    /// What was handed over is sent to the subscribers.
    pub fn forward_all(&mut self) {
        let (engine, out) = (&mut self.other.engine, &mut self.other.out);
        if engine.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            engine.tick(self.now, out);
        }
        for (relayed, bytes) in self.home.out.crossed() {
            engine.relayed(self.now, self.home.index, relayed, bytes, out);
        }
        engine.flush(self.now, out);
        self.home.out.clear_crossed();
        self.tell_home();
    }

    #[must_use]
    pub fn packets_relayed(&self) -> u64 {
        self.home.engine.counters().packets_relayed
    }

    #[must_use]
    pub fn copies_sent(&self) -> u64 {
        self.other.engine.counters().copies_sent
    }

    fn tell_home(&mut self) {
        for demand in self.other.out.demands.drain(..) {
            self.home.engine.demand(self.now, self.other.index, &demand);
        }
    }
}

impl<C: Cipher> Side<C> {
    fn new(now: Instant, index: u16, peers: core::ops::Range<u16>, media: Media) -> Self {
        let index = WorkerIndex(index);
        let config = Config::new(index, 7, NtpTime(0xe000_0000_0000_0000));
        let mut side = Self { index, engine: Engine::new(config), out: Counted::new(), peers };
        side.command(now, Command::UpsertRoom(room()));
        for peer in side.peers.clone() {
            side.command(now, Command::UpsertPeer(peer_spec(peer).into()));
        }
        side.check_all(now);
        for peer in side.peers.clone() {
            let keys = keys(peer, false).into();
            side.command(now, Command::Keys { peer: PeerId(peer.into()), keys });
        }
        let home = Some(Home { worker: WorkerIndex(0), room: RoomId(1) });
        side.command(now, Command::UpsertPublication(PublicationSpec { home, ..publication(media) }.into()));
        side
    }

    fn tick(&mut self, now: Instant) {
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.engine.tick(now, &mut self.out);
        }
    }

    fn check_all(&mut self, now: Instant) {
        for peer in self.peers.clone() {
            self.engine.receive(now, path(peer), &mut check(peer), &mut self.out);
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        self.engine.command(now, command, &mut self.out).expect("the engine is as empty as it has to be");
    }
}
