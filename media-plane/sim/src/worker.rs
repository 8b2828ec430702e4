//! The engines that a room is spread over, what they send, and the rings between them.

use std::net::SocketAddr;
use std::time::Duration;

use engine::command::{Command, Refusal};
use engine::config::Config;
use engine::counters::Counters;
use engine::engine::Engine;
use engine::event::Event;
use engine::outbox::{DATAGRAM_LEN_MAX, Outbox};
use engine::path::Path;
use engine::relay::{Demand, Relayed};
use srtp::rust_crypto::RustCrypto;
use units::handle::WorkerIndex;
use units::time::{Instant, NtpTime};

use crate::at_work;
use crate::random::Random;
use crate::scenario::Rings;

pub(crate) struct Worker {
    pub(crate) index: WorkerIndex,
    engine: Engine<RustCrypto>,
    slab: Slab,
    /// How long a wake takes, in which packets wait for its end; and when this one ends.
    wakes: Random,
    wake_ends_at: Option<Instant>,
}

/// What goes from one worker to another.
pub(crate) enum Crossing {
    Packet(Box<Relayed>, Vec<u8>),
    Demand(Demand),
}

/// What a worker has sent and told.
pub(crate) struct Out {
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
    pub(crate) crossing: Vec<(WorkerIndex, Crossing)>,
}

impl Worker {
    pub(crate) fn new(index: WorkerIndex, rings: Rings, random: &mut Random) -> Self {
        let config = Config::new(index, random.draw(), NtpTime(3_950_000_000 << 32));
        let slab = Slab { rings: (rings.workers > 1).then(|| Full::new(rings, random)), ..Slab::default() };
        Self { index, engine: Engine::new(config), slab, wakes: random.fork(), wake_ends_at: None }
    }

    pub(crate) fn receive(&mut self, now: Instant, path: Path, bytes: &mut [u8]) {
        at_work::within(|| self.engine.receive(now, path, bytes, &mut self.slab));
        self.wake(now);
    }

    pub(crate) fn cross(&mut self, now: Instant, from: WorkerIndex, crossing: Crossing) {
        at_work::within(|| match &crossing {
            Crossing::Packet(packet, bytes) => {
                let mut bytes = at_work::aside(|| bytes.clone());
                self.engine.relayed(now, from, packet, &mut bytes, &mut self.slab);
            }
            Crossing::Demand(demand) => self.engine.demand(now, from, demand),
        });
        self.wake(now);
    }

    /// It takes what comes for a while, and then forwards all of it.
    fn wake(&mut self, now: Instant) {
        if self.wake_ends_at.is_none() {
            self.wake_ends_at = Some(now + self.wakes.duration(WAKE_MAX));
        }
    }

    /// Ends the wake.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.wake_ends_at = None;
        at_work::within(|| self.engine.flush(now, &mut self.slab));
    }

    pub(crate) fn command(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        self.engine.command(now, command, &mut self.slab)
    }

    /// Does what is due. Returns whether anything was.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let has_come = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let (is_over, is_due) = (has_come(self.wake_ends_at), has_come(self.engine.next_deadline()));
        if is_over {
            self.rest(now);
        }
        if is_due {
            at_work::within(|| self.engine.tick(now, &mut self.slab));
        }
        is_over || is_due
    }

    pub(crate) fn take(&mut self) -> Out {
        let Slab { sent, events, crossing, .. } = &mut self.slab;
        Out { sent: std::mem::take(sent), events: std::mem::take(events), crossing: std::mem::take(crossing) }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.engine.next_deadline().into_iter().chain(self.wake_ends_at).min()
    }

    pub(crate) const fn counters(&self) -> &Counters {
        self.engine.counters()
    }

    pub(crate) const fn handed_over(&self) -> u64 {
        self.slab.handed_over
    }
}

/// The engine's way out.
struct Slab {
    buffer: Vec<u8>,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    handed_over: u64,
    crossing: Vec<(WorkerIndex, Crossing)>,
    /// `None` for a worker that is alone.
    rings: Option<Full>,
}

impl Default for Slab {
    fn default() -> Self {
        Self {
            // Not zeros: what is lent has unspecified content.
            buffer: vec![0xa5; DATAGRAM_LEN_MAX],
            sent: Vec::new(),
            events: Vec::new(),
            handed_over: 0,
            crossing: Vec::new(),
            rings: None,
        }
    }
}

impl Outbox for Slab {
    fn lend(&mut self, capacity: usize) -> Option<&mut [u8]> {
        self.buffer.get_mut(..capacity)
    }

    fn send(&mut self, path: &Path, len: usize) {
        let bytes = self.buffer.iter().take(len);
        at_work::aside(|| self.sent.push((path.remote, bytes.copied().collect())));
    }

    fn event(&mut self, event: Event) {
        self.handed_over += allocations(&event);
        at_work::aside(|| self.events.push(event));
    }

    fn relay(&mut self, to: WorkerIndex, packet: &Relayed, bytes: &[u8]) -> bool {
        let has_room = self.rings.as_mut().is_some_and(|rings| !rings.are_full());
        if has_room {
            at_work::aside(|| {
                self.crossing.push((to, Crossing::Packet(Box::new(*packet), bytes.to_vec())));
            });
        }
        has_room
    }

    fn demand(&mut self, to: WorkerIndex, demand: Demand) -> bool {
        let has_room = self.rings.as_mut().is_some_and(|rings| !rings.are_full());
        if has_room {
            at_work::aside(|| self.crossing.push((to, Crossing::Demand(demand))));
        }
        has_room
    }
}

/// When there is no room in the rings: now and then, and then for some messages in a row.
struct Full {
    random: Random,
    per_mille: u32,
    left: u32,
}

impl Full {
    fn new(rings: Rings, random: &mut Random) -> Self {
        Self { random: random.fork(), per_mille: rings.full_per_mille, left: 0 }
    }

    fn are_full(&mut self) -> bool {
        if self.left == 0 && self.random.per_mille(self.per_mille) {
            self.left = 1 + self.random.below(FULL_MAX);
        }
        let are_full = self.left > 0;
        self.left = self.left.saturating_sub(1);
        are_full
    }
}

/// What a message to other threads owns.
fn allocations(event: &Event) -> u64 {
    match event {
        Event::Dtls { .. } => 1,
        Event::Speakers { speakers, .. } => u64::from(!speakers.is_empty()),
        Event::Quality { publications, subscriptions, .. } => {
            u64::from(!publications.is_empty()) + u64::from(!subscriptions.is_empty())
        }
        _ => 0,
    }
}

/// How long a message takes from one worker to another that sleeps.
pub(crate) const CROSSING_MAX: Duration = Duration::from_micros(300);
const FULL_MAX: u32 = 20;
const WAKE_MAX: Duration = Duration::from_millis(2);
