//! A room with one publisher and its subscribers, all connected; what the engine sends to them is only counted.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::command::Command;
use engine::config::Config;
use engine::engine::Engine;
use engine::event::Event;
use engine::outbox::{DATAGRAM_LEN_MAX, Outbox};
use engine::path::{Path, Protocol};
use engine::relay::{Demand, Relayed};
use srtp::cipher::Cipher;
use srtp::outbound::Outbound;
use units::handle::{PeerId, WorkerIndex};
use units::time::{Instant, NtpTime};
use wire::stun::write::{BindingRequest, request};
use wire::stun::{Role, Transaction};

use crate::media::Media;
use crate::specs::{credentials, keys, peer_spec, publication, room, subscription};

/// Peer 0 publishes; the others subscribe.
#[derive(Debug)]
pub struct Call<C: Cipher> {
    media: Media,
    engine: Engine<C>,
    out: Counted,
    now: Instant,
    /// The publisher's end.
    outbound: Outbound<C>,
    sealed: u64,
    received: u64,
    datagrams: Vec<Vec<u8>>,
    peers: u16,
}

/// Lends one buffer of many after the other, and keeps nothing.
#[derive(Debug)]
pub(crate) struct Counted {
    slab: Vec<[u8; DATAGRAM_LEN_MAX]>,
    lent: usize,
    datagrams: u64,
    bytes: u64,
    /// What the engine told since last asked.
    told: Vec<Event>,
    /// For the other worker, of which there is but one.
    crossing: Vec<Relayed>,
    crossing_bytes: Vec<([u8; DATAGRAM_LEN_MAX], usize)>,
    pub(crate) demands: Vec<Demand>,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self {
            slab: vec![[0; DATAGRAM_LEN_MAX]; SLAB],
            lent: 0,
            datagrams: 0,
            bytes: 0,
            told: Vec::with_capacity(256),
            crossing: Vec::with_capacity(RING),
            crossing_bytes: vec![([0; DATAGRAM_LEN_MAX], 0); RING],
            demands: Vec::with_capacity(16),
        }
    }

    /// The packets for the other worker.
    pub(crate) fn crossed(&mut self) -> impl Iterator<Item = (&Relayed, &mut [u8])> {
        let bytes = self.crossing_bytes.iter_mut().map(|(bytes, len)| &mut bytes[..*len]);
        self.crossing.iter().zip(bytes)
    }

    pub(crate) fn clear_crossed(&mut self) {
        self.crossing.clear();
    }
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

    fn event(&mut self, event: Event) {
        self.told.push(event);
    }

    fn relay(&mut self, _to: WorkerIndex, packet: &Relayed, bytes: &[u8]) -> bool {
        let slot = self.crossing_bytes.get_mut(self.crossing.len());
        let Some((slot, len)) = slot else { return false };
        slot[..bytes.len()].copy_from_slice(bytes);
        *len = bytes.len();
        self.crossing.push(*packet);
        true
    }

    fn demand(&mut self, _to: WorkerIndex, demand: Demand) -> bool {
        self.demands.push(demand);
        true
    }
}

impl<C: Cipher> Call<C> {
    /// # Panics
    /// If there are too many subscribers for one engine.
    #[must_use]
    pub fn new(media: Media, subscribers: u16) -> Self {
        let peers = subscribers + 1;
        let config = Config::new(WorkerIndex(0), 7, NtpTime(0xe000_0000_0000_0000));
        let mut call = Self {
            media,
            engine: Engine::new(config),
            out: Counted::new(),
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
        call.command(Command::UpsertPublication(publication(media).into()));
        for peer in 1..peers {
            call.command(Command::UpsertSubscription(subscription(peer, media).into()));
        }
        call
    }

    /// Lays so many packets of the publisher ready, and tells the engine that everyone is still there.
    ///
    /// At most [`BATCH`], for the time that they take is not to be longer than consent lasts.
    pub fn prepare(&mut self, count: u64) {
        debug_assert!(count <= BATCH, "consent would be lost");
        self.check_all();
        self.out.told.clear();
        self.datagrams.clear();
        for _ in 0..count {
            let datagram = self.media.packet(&mut self.outbound, self.sealed);
            self.datagrams.push(datagram);
            self.sealed += 1;
        }
    }

    /// All that was prepared, picture by picture: each comes as a burst, and before it the engine does what is due.
    pub fn receive_all(&mut self) {
        let (burst, interval) = self.media.rhythm();
        for datagram in &mut self.datagrams {
            if self.received.is_multiple_of(burst) {
                self.engine.flush(self.now, &mut self.out);
                self.now += interval;
            }
            if self.engine.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.engine.tick(self.now, &mut self.out);
            }
            self.engine.receive(self.now, path(0), datagram, &mut self.out);
            self.received += 1;
        }
        self.engine.flush(self.now, &mut self.out);
    }

    /// What the engine told since the last [`Self::prepare`].
    #[must_use]
    pub fn told(&self) -> &[Event] {
        &self.out.told
    }

    #[must_use]
    pub fn copies_sent(&self) -> u64 {
        self.engine.counters().copies_sent
    }

    /// What was done, in numbers.
    #[must_use]
    pub fn summary(&self) -> String {
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

pub(crate) fn check(peer: u16) -> Vec<u8> {
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

pub(crate) fn path(peer: u16) -> Path {
    Path {
        protocol: Protocol::Udp,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 10_000 + peer),
    }
}

/// Packets to be prepared at once.
pub const BATCH: u64 = 64;
const SLAB: usize = 512;
/// More than [`BATCH`].
const RING: usize = 128;
