//! A worker: one pinned thread with an engine, a driver and its mailbox.
//!
//! The worker never waits for another thread: what does not fit into a ring is counted and dropped, but for answers,
//! for which room is kept.

pub mod mail;
pub mod panic;
mod relaying;
pub mod steering;

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use driver::clock::Clock;
use driver::doorbell::Doorbell;
use driver::driver::{Driver, Handler, Io, OpenError, Options, Times};
use driver::gso::Gso;
use driver::pin::pin_to;
use driver::relays::Incoming;
use driver::slab::Slab;
use engine::command::Command;
use engine::config::Config;
use engine::engine::Engine;
use engine::event::Event;
use engine::path::Path;
use srtp::aws_lc::AwsLc;
use thiserror::Error;
use units::handle::{PeerId, WorkerIndex};
use units::time::Instant;
use wire::demux::Class;

use crate::helper::queue::HelperHandle;
use crate::mailbox::{Receiver, Sender, TaskBell};
use crate::worker::mail::{Counted, Link, Order, Outcome, Report, UNANSWERED_MAX};
use crate::worker::panic::{Panics, Verdict, caught};
use crate::worker::steering::Steering;

/// What a worker is made of before it has a thread.
#[derive(Debug)]
pub struct Setup {
    pub index: WorkerIndex,
    /// The same for all workers: what they tell each other has times in it.
    pub clock: Clock,
    /// `None`: the system moves it between cores.
    pub core: Option<usize>,
    pub io: Io,
    pub gso: Gso,
    pub flush_delay: Duration,
    /// `None`: every address of the host.
    pub address: Option<IpAddr>,
    /// Tried in turn.
    pub ports: RangeInclusive<u16>,
    /// How many workers share the port; `None`: it is this one's alone.
    pub shared_by: Option<u16>,
    /// Rung by the other ends of `orders` and `commands`.
    pub bell: Doorbell,
    pub orders: Receiver<Order>,
    /// Keys and DTLS records from the helper.
    pub commands: Receiver<Command>,
    pub reports: Sender<Report, TaskBell>,
    pub helper: HelperHandle,
}

#[derive(Debug)]
pub struct Started {
    pub port: u16,
    pub io: &'static str,
    pub thread: JoinHandle<()>,
}

#[derive(Debug, Error)]
pub enum StartError {
    #[error("worker {0}: {1}")]
    Open(u16, OpenError),
    #[error("worker {0}: cannot start its thread: {1}")]
    Thread(u16, io::Error),
    #[error("worker {0}: its thread ended before it was ready")]
    Ended(u16),
}

/// Starts the thread and waits until it has its port. `Order::Stop` ends it.
///
/// # Errors
/// When there is no thread, no port, or no I/O to be had.
pub fn start(setup: Setup) -> Result<Started, StartError> {
    let index = setup.index.0;
    let (tell, told) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || match Worker::new(setup) {
            Ok(worker) => {
                // The starter is there: it waits for this.
                let _ = tell.send(Ok((worker.driver.port(), worker.driver.name())));
                worker.run();
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        })
        .map_err(|error| StartError::Thread(index, error))?;
    let (port, io) =
        told.recv().map_err(|_| StartError::Ended(index))?.map_err(|error| StartError::Open(index, error))?;
    Ok(Started { port, io, thread })
}

struct Worker {
    index: WorkerIndex,
    engine: Engine<AwsLc>,
    clock: Clock,
    panics: Panics,
    driver: Driver,
    bell: Doorbell,
    orders: Receiver<Order>,
    commands: Receiver<Command>,
    reports: Sender<Report, TaskBell>,
    helper: HelperHandle,
    /// Other workers that share a room with this one.
    neighbours: Vec<(WorkerIndex, Box<Incoming>)>,
    /// Where the port is not this worker's alone.
    steering: Option<Steering>,
    /// The engine was replaced, and the hub has not been told.
    rebuilt: bool,
    /// What the kernel had no room for until the last turn.
    dropped: u64,
    counters: Counters,
}

/// What the worker itself counts.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    commands: u64,
    engines_rebuilt: u64,
    /// The hub did not keep up.
    events_dropped: u64,
    wait_errors: u64,
}

impl Worker {
    fn new(setup: Setup) -> Result<Self, OpenError> {
        let Setup {
            index,
            clock,
            core,
            io,
            gso,
            flush_delay,
            address,
            ports,
            shared_by,
            bell,
            orders,
            commands,
            reports,
            helper,
        } = setup;
        if let Some(core) = core
            && let Err(error) = pin_to(core)
        {
            tracing::warn!(worker = index.0, core, %error, "cannot tie the worker to its core");
        }
        let driver = open((io, gso, flush_delay), (address, ports, shared_by.is_some()), &bell, clock)?;
        let engine = new_engine(index, clock);
        let steering = shared_by.map(|workers| Steering::new(index, workers));
        let (panics, counters) = (Panics::default(), Counters::default());
        Ok(Self {
            index,
            engine,
            clock,
            panics,
            driver,
            bell,
            orders,
            commands,
            reports,
            helper,
            neighbours: Vec::new(),
            steering,
            rebuilt: false,
            dropped: 0,
            counters,
        })
    }

    fn run(mut self) {
        while self.take_orders() {
            self.take_commands();
            self.take_relayed();
            self.tick();
            self.tell();
            self.wait();
            self.tell();
        }
        self.driver.flush();
    }

    /// False if the worker is to stop.
    fn take_orders(&mut self) -> bool {
        for _ in 0..BATCH {
            match self.orders.pop() {
                None => return true,
                Some(Order::Stop) => return false,
                Some(Order::Counters(reply)) => {
                    // Whoever asked may have lost patience.
                    let _ = reply.send(self.counted());
                }
                #[cfg(test)]
                Some(Order::Panic) => {
                    if caught(|| panic!("as a test wants it")).is_none() {
                        self.panicked(self.driver.now(), None);
                    }
                }
                Some(Order::Link(link)) => {
                    let Link { with, outgoing, incoming } = *link;
                    self.driver.outbox().relays().add(with, outgoing);
                    self.neighbours.push((with, incoming));
                }
                Some(Order::Command(command)) => {
                    let outcome = self.command(command);
                    // What the command brought about is told after the answer.
                    let told = self.reports.push(Report::Done(outcome));
                    debug_assert!(told.is_ok(), "there is room for every answer");
                    self.tell();
                }
            }
        }
        true
    }

    fn take_commands(&mut self) {
        for _ in 0..BATCH {
            let Some(command) = self.commands.pop() else { return };
            // The helper knows no more than we do whether the peer still exists.
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) -> Outcome {
        self.counters.commands += 1;
        let now = self.driver.now();
        let about = peer_of(&command);
        let (engine, slab) = (&mut self.engine, self.driver.outbox());
        match caught(|| engine.command(now, command, slab)) {
            Some(Ok(())) => Outcome::Applied,
            Some(Err(refusal)) => Outcome::Refused(refusal),
            None => {
                self.panicked(now, about);
                Outcome::Panicked
            }
        }
    }

    fn tick(&mut self) {
        let now = self.driver.now();
        if self.engine.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let (engine, slab) = (&mut self.engine, self.driver.outbox());
        if caught(|| engine.tick(now, slab)).is_none() {
            self.panicked(now, None);
        }
    }

    /// Waits for datagrams, the doorbell or the engine's deadline, and lets the engine take what comes.
    fn wait(&mut self) {
        self.bell.arm();
        let mail_waits =
            !self.orders.is_empty() || !self.commands.is_empty() || self.is_relayed_to() || self.rebuilt;
        let deadline = if mail_waits { Some(self.driver.now()) } else { self.engine.next_deadline() };
        let (engine, panics, rebuilt) = (&mut self.engine, &mut self.panics, &mut self.rebuilt);
        let steering = self.steering.as_mut();
        let mut handler =
            Handling { engine, panics, rebuilt, steering, index: self.index, clock: self.clock };
        let outcome = self.driver.turn(deadline, &mut handler);
        self.bell.disarm();
        let dropped = self.driver.dropped();
        if std::mem::replace(&mut self.dropped, dropped) < dropped {
            self.engine.datagrams_lost();
        }
        if let Err(error) = outcome {
            self.counters.wait_errors += 1;
            if self.counters.wait_errors.is_power_of_two() {
                tracing::error!(worker = self.index.0, %error, "cannot wait for datagrams");
            }
            thread::sleep(WAIT_ERROR_PAUSE);
        }
    }

    fn panicked(&mut self, now: Instant, about: Option<PeerId>) {
        let (index, clock) = (self.index, self.clock);
        let peer = about.or_else(|| self.engine.at_work());
        let (engine, slab) = (&mut self.engine, self.driver.outbox());
        self.rebuilt |= recover(engine, &mut self.panics, now, peer, slab, || new_engine(index, clock));
    }

    /// Hands the engine's events to whom they concern, and wakes workers that were told something.
    fn tell(&mut self) {
        self.driver.outbox().relays().ring();
        // Not into the room that is kept for answers.
        if self.rebuilt && self.reports.space() > UNANSWERED_MAX && self.reports.push(Report::Rebuilt).is_ok()
        {
            self.rebuilt = false;
            self.counters.engines_rebuilt += 1;
        }
        for event in self.driver.outbox().drain_events() {
            match event {
                Event::Dtls { peer, bytes } => self.helper.datagram(peer, bytes),
                event if self.reports.space() > UNANSWERED_MAX + 1 => {
                    let told = self.reports.push(Report::Event(event));
                    debug_assert!(told.is_ok(), "space was seen");
                }
                _ => self.counters.events_dropped += 1,
            }
        }
        self.reports.ring();
    }

    fn counted(&mut self) -> Counted {
        let relays = self.driver.outbox().relays().named();
        let own = [
            ("worker_commands", self.counters.commands),
            ("worker_panics", self.panics.count()),
            ("worker_engines_rebuilt", self.counters.engines_rebuilt),
            ("worker_events_dropped", self.counters.events_dropped),
            ("worker_wait_errors", self.counters.wait_errors),
        ];
        let driver = self.driver.counters();
        let steering = self.steering.as_ref().map(Steering::named_counters);
        let own = own.into_iter().chain(steering.into_iter().flatten());
        let all = own.chain(relays).chain(self.engine.counters().iter()).chain(driver.named());
        let histograms = self.driver.measures().named();
        Counted {
            counters: all.collect(),
            histograms: histograms.map(|(name, histogram)| (name, histogram.clone())).collect(),
        }
    }
}

/// What the driver hands its datagrams to.
struct Handling<'a> {
    engine: &'a mut Engine<AwsLc>,
    panics: &'a mut Panics,
    rebuilt: &'a mut bool,
    steering: Option<&'a mut Steering>,
    index: WorkerIndex,
    clock: Clock,
}

impl Handler for Handling<'_> {
    fn datagram(&mut self, slab: &mut Slab, times: Times, path: Path, datagram: &mut [u8]) {
        let Times { now, received } = times;
        let mut is_check = false;
        if let Some(steering) = &mut self.steering {
            if let Some(owner) = steering.owner(now, &path, datagram) {
                let way = slab.relays().to(owner);
                return steering.count(way.is_some_and(|way| way.hand_over(path, received, datagram)));
            }
            is_check = Class::of(datagram) == Ok(Class::Stun);
        }
        if caught(|| self.engine.receive_late(now, received, path, datagram, slab)).is_none() {
            self.recover(now, slab);
        }
        if is_check
            && self.engine.knows(path)
            && let Some(steering) = &mut self.steering
        {
            steering.forget(&path);
        }
    }

    fn end(&mut self, slab: &mut Slab, now: Instant) {
        if caught(|| self.engine.flush(now, slab)).is_none() {
            self.recover(now, slab);
        }
    }
}

impl Handling<'_> {
    fn recover(&mut self, now: Instant, slab: &mut Slab) {
        let (peer, index, clock) = (self.engine.at_work(), self.index, self.clock);
        *self.rebuilt |= recover(self.engine, self.panics, now, peer, slab, || new_engine(index, clock));
    }
}

/// Sets the engine right after a panic; true if it had to be replaced.
fn recover(
    engine: &mut Engine<AwsLc>,
    panics: &mut Panics,
    now: Instant,
    peer: Option<PeerId>,
    slab: &mut Slab,
    new: impl FnOnce() -> Engine<AwsLc>,
) -> bool {
    let verdict = panics.judge(now);
    tracing::error!(?peer, ?verdict, "the engine panicked");
    let evicted = match (verdict, peer) {
        (Verdict::Rebuild, _) => None,
        (Verdict::Evict, None) => Some(()),
        (Verdict::Evict, Some(peer)) => caught(|| engine.evict(now, peer, slab)),
    };
    if evicted.is_none() {
        *engine = new();
    }
    evicted.is_none()
}

fn new_engine(index: WorkerIndex, clock: Clock) -> Engine<AwsLc> {
    Engine::new(Config::new(index, rand::random(), clock.wall_clock_at_zero()))
}

/// The peer that a command is about: commands are not noted by the engine as anybody's work.
fn peer_of(command: &Command) -> Option<PeerId> {
    match command {
        Command::UpsertPeer(spec) => Some(spec.id),
        Command::UpsertPublication(spec) => Some(spec.peer),
        Command::UpsertSubscription(spec) => Some(spec.peer),
        Command::DeletePeer(peer)
        | Command::Keys { peer, .. }
        | Command::Datagram { peer, .. }
        | Command::DtlsEnded { peer, .. } => Some(*peer),
        Command::UpsertRoom(_)
        | Command::DeleteRoom(_)
        | Command::DeletePublication(_)
        | Command::DeleteSubscription(_)
        | Command::RequestKeyFrame(_) => None,
    }
}

/// Binds the first port that is free.
fn open(
    (io, gso, flush_delay): (Io, Gso, Duration),
    (address, ports, shares_port): (Option<IpAddr>, RangeInclusive<u16>, bool),
    bell: &Doorbell,
    clock: Clock,
) -> Result<Driver, OpenError> {
    let last = *ports.end();
    for port in ports {
        let options = Options { io, gso, address, port, shares_port, flush_delay, send_slots: SEND_SLOTS };
        match Driver::open(&options, bell, clock) {
            Err(OpenError::Bind { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && port < last => {}
            outcome => return outcome,
        }
    }
    Err(OpenError::Bind { port: last, source: io::ErrorKind::AddrInUse.into() })
}

/// Mail that is taken before datagrams and timers have their turn.
const BATCH: usize = 256;
const SEND_SLOTS: usize = 4096; // 6 MiB: twice what the engine makes in one round, and answers
const WAIT_ERROR_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
