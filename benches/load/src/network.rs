//! The thread that owns the sockets: one epoll, one timer, and a queue of orders from the signalling side.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Orders, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::sync::{mpsc, oneshot};
use units::time::Instant;

use crate::clock;
use crate::ice::{Agent, Credentials};
use crate::keys::Keys;
use crate::measure::Tally;
use crate::peer::{Peer, Work};
use crate::publisher::{Publisher, Script, Track};
use crate::receiver::{Agreement, Mode, Receiver};

/// Names a peer connection on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey(u64);

/// A new peer connection.
#[derive(Debug)]
pub struct Opening {
    pub socket: Arc<UdpSocket>,
    pub local: Credentials,
    /// `None`: it publishes.
    pub receives: Option<Mode>,
    pub dtls: mpsc::Sender<Vec<u8>>,
    pub connected: oneshot::Sender<()>,
}

enum Order {
    Open(PeerKey, Opening),
    Remote { peer: PeerKey, credentials: Credentials, controls: bool },
    Candidates(PeerKey, Vec<SocketAddr>),
    Keys(PeerKey, Box<Keys>),
    Agree(PeerKey, Agreement),
    Publish { peer: PeerKey, id: u32, tracks: Vec<Track> },
    BeginWindow,
    Tell(oneshot::Sender<Told>),
    Stop,
}

/// What a thread has counted since the window began.
#[derive(Debug)]
pub struct Told {
    pub tally: Tally,
    /// CPU time of the thread, all in all.
    pub cpu: Duration,
}

/// A handle to the thread.
#[derive(Clone, Debug)]
pub struct Network {
    orders: Sender<Order>,
    wake: Arc<EventFd>,
    next: Arc<AtomicU64>,
}

impl Network {
    /// `segments`: let the kernel hand over whole trains of datagrams (UDP_GRO).
    pub fn start(name: String, script: Arc<Script>, segments: bool) -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, received) = channel();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let mut looping = Loop::new(received, Arc::clone(&wake), script, segments)?;
        let thread = thread::Builder::new().name(name).spawn(move || looping.run())?;
        Ok((Self { orders, wake, next: Arc::default() }, thread))
    }

    pub fn open(&self, opening: Opening) -> PeerKey {
        let key = PeerKey(self.next.fetch_add(1, Ordering::Relaxed));
        self.order(Order::Open(key, opening));
        key
    }

    /// The server's credentials, and whether it controls.
    pub fn remote(&self, peer: PeerKey, credentials: Credentials, controls: bool) {
        self.order(Order::Remote { peer, credentials, controls });
    }

    pub fn candidates(&self, peer: PeerKey, candidates: Vec<SocketAddr>) {
        self.order(Order::Candidates(peer, candidates));
    }

    pub fn keys(&self, peer: PeerKey, keys: Keys) {
        self.order(Order::Keys(peer, Box::new(keys)));
    }

    pub fn agree(&self, peer: PeerKey, agreement: Agreement) {
        self.order(Order::Agree(peer, agreement));
    }

    /// It begins as soon as there are keys.
    pub fn publish(&self, peer: PeerKey, id: u32, tracks: Vec<Track>) {
        self.order(Order::Publish { peer, id, tracks });
    }

    pub fn begin_window(&self) {
        self.order(Order::BeginWindow);
    }

    /// `None` if the thread has ended.
    pub async fn tell(&self) -> Option<Told> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Tell(tell));
        told.await.ok()
    }

    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        // A thread that has ended needs no orders.
        if self.orders.send(order).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}

struct Loop {
    orders: Orders<Order>,
    wake: Arc<EventFd>,
    epoll: Epoll,
    timer: TimerFd,
    timer_set: Instant,
    script: Arc<Script>,
    segments: bool,
    peers: HashMap<PeerKey, Entry>,
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    reader: Reader,
    tally: Tally,
    running: bool,
}

struct Entry {
    peer: Peer,
    socket: Arc<UdpSocket>,
    /// The earliest of its entries in the heap.
    scheduled: Instant,
    drops: u32,
}

impl Loop {
    fn new(
        orders: Orders<Order>,
        wake: Arc<EventFd>,
        script: Arc<Script>,
        segments: bool,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            orders,
            wake,
            epoll,
            timer,
            timer_set: NEVER,
            script,
            segments,
            peers: HashMap::new(),
            due: BinaryHeap::new(),
            reader: Reader::new(),
            tally: Tally::new(),
            running: true,
        })
    }

    fn run(&mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        while self.running {
            self.arm();
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => panic!("the kernel refuses to wait for sockets that it took: {error}"),
            };
            for event in &events[..count] {
                match event.data() {
                    WAKE => self.obey(),
                    TIMER => {
                        // Only whether it rang matters, and it did.
                        let _ = self.timer.wait();
                        self.timer_set = NEVER;
                    }
                    key => self.read(PeerKey(key)),
                }
                // Publishers keep their time also while many sockets are full.
                self.advance();
            }
            self.advance();
        }
    }

    /// Sets the timer to the next thing that is due.
    fn arm(&mut self) {
        let next = self.due.peek().map_or(NEVER, |Reverse((at, _))| *at);
        if next == self.timer_set || next == NEVER {
            return;
        }
        let at = TimeSpec::nanoseconds(i64::try_from(next.0).unwrap_or(i64::MAX).max(1));
        if self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME).is_ok() {
            self.timer_set = next;
        }
    }

    fn advance(&mut self) {
        let now = clock::now();
        // Who is always late must still read and obey.
        for _ in 0..ADVANCES_MAX {
            let Some(&Reverse((at, key))) = self.due.peek() else { break };
            if at > now {
                break;
            }
            self.due.pop();
            let Some(entry) = self.peers.get_mut(&PeerKey(key)) else { continue };
            if entry.scheduled == at {
                entry.scheduled = NEVER;
                entry.peer.advance(now, &mut self.tally);
                entry.schedule(key, &mut self.due);
            }
        }
    }

    fn read(&mut self, key: PeerKey) {
        let Some(entry) = self.peers.get_mut(&key) else { return };
        let Some(arrival) = self.reader.read(&entry.socket) else { return };
        let now = clock::now();
        self.tally.reads += 1;
        self.tally.socket_drops += u64::from(arrival.drops.saturating_sub(entry.drops));
        entry.drops = entry.drops.max(arrival.drops);
        let arrived = arrival.at.unwrap_or(now);
        for datagram in self.reader.bytes(&arrival).chunks(arrival.segment_len) {
            self.tally.datagrams += 1;
            entry.peer.receive(now, arrived, datagram, &mut self.tally);
        }
        entry.schedule(key.0, &mut self.due);
    }

    fn obey(&mut self) {
        // Cleared first: what is ordered from now on rings again.
        let _ = self.wake.read();
        let now = clock::now();
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Open(key, opening) => self.open(now, key, opening),
                Order::Remote { peer, credentials, controls } => {
                    self.with(peer, |entry| entry.peer.agent.set_remote(now, credentials, controls));
                }
                Order::Candidates(peer, candidates) => {
                    self.with(peer, |entry| entry.peer.agent.add_candidates(now, &candidates));
                }
                Order::Keys(peer, keys) => self.with(peer, |entry| entry.peer.keys = Some(*keys)),
                Order::Agree(peer, agreement) => self.with(peer, |entry| {
                    if let Work::Receives(receiver) = &mut entry.peer.work {
                        receiver.agree(&agreement);
                    }
                }),
                Order::Publish { peer, id, tracks } => {
                    let script = Arc::clone(&self.script);
                    self.with(peer, |entry| {
                        if let Work::Publishes(publishers) = &mut entry.peer.work {
                            publishers.extend(
                                tracks
                                    .into_iter()
                                    .map(|track| Publisher::new(now, id, track, Arc::clone(&script))),
                            );
                        }
                    });
                }
                Order::BeginWindow => self.begin_window(),
                // Nobody waits any more: nothing to tell.
                Order::Tell(tell) => _ = tell.send(self.told(now)),
                Order::Stop => self.running = false,
            }
        }
    }

    fn open(&mut self, now: Instant, key: PeerKey, opening: Opening) {
        let Opening { socket, local, receives, dtls, connected } = opening;
        let work = match receives {
            Some(mode) => Work::Receives(Box::new(Receiver::new(now, mode))),
            None => Work::Publishes(Vec::new()),
        };
        prepare(&socket, self.segments);
        if self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, key.0)).is_err() {
            return;
        }
        let peer = Peer::new(Arc::clone(&socket), Agent::new(local), dtls, connected, work);
        self.peers.insert(key, Entry { peer, socket, scheduled: NEVER, drops: 0 });
        self.with(key, |_| ());
    }

    fn with(&mut self, key: PeerKey, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.peers.get_mut(&key) {
            change(entry);
            entry.schedule(key.0, &mut self.due);
        }
    }

    fn begin_window(&mut self) {
        self.tally = Tally::new();
        for entry in self.peers.values_mut() {
            if let Work::Receives(receiver) = &mut entry.peer.work {
                receiver.begin_window();
            }
        }
    }

    fn told(&self, now: Instant) -> Told {
        let mut tally = self.tally.clone();
        for entry in self.peers.values() {
            if let Work::Receives(receiver) = &entry.peer.work {
                receiver.tell(now, &mut tally);
            }
        }
        Told { tally, cpu: clock::thread_cpu() }
    }
}

impl Entry {
    fn schedule(&mut self, key: u64, due: &mut BinaryHeap<Reverse<(Instant, u64)>>) {
        let deadline = self.peer.deadline();
        if deadline < self.scheduled {
            self.scheduled = deadline;
            due.push(Reverse((deadline, key)));
        }
    }
}

/// What a socket is asked for; without any of it the loader still works.
fn prepare(socket: &UdpSocket, segments: bool) {
    // As root beyond the limit that the system sets.
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &segments);
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
    let _ = setsockopt(socket, sockopt::RxqOvfl, &1);
}

/// Reads one datagram or one train of them at a time.
struct Reader {
    buffer: Vec<u8>,
    control: Vec<u8>,
    /// What to take off the kernel's times.
    wall_ahead: Duration,
    wall_read: Instant,
}

/// What one read brought.
#[derive(Clone, Copy, Debug)]
struct Batch {
    len: usize,
    /// Of each datagram but the last, which may be shorter.
    segment_len: usize,
    at: Option<Instant>,
    /// That this socket had no room for, ever.
    drops: u32,
}

impl Reader {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            control: cmsg_space!(TimeSpec, i32, u32),
            wall_ahead: clock::wall_ahead(),
            wall_read: clock::now(),
        }
    }

    /// `None` if there is nothing, or only an error of an earlier send.
    fn read(&mut self, socket: &UdpSocket) -> Option<Batch> {
        self.follow_the_clock();
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut self.control), MsgFlags::MSG_DONTWAIT)
                .ok()?;
        let mut batch = Batch { len: message.bytes, segment_len: message.bytes.max(1), at: None, drops: 0 };
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    let wall = u64::try_from(time.num_nanoseconds()).unwrap_or_default();
                    batch.at = wall.checked_sub(nanoseconds(self.wall_ahead)).map(Instant);
                }
                ControlMessageOwned::UdpGroSegments(len) => {
                    batch.segment_len = usize::try_from(len).unwrap_or_default().max(1);
                }
                ControlMessageOwned::RxqOvfl(drops) => batch.drops = drops,
                _ => {}
            }
        }
        (batch.len > 0).then_some(batch)
    }

    fn bytes(&self, batch: &Batch) -> &[u8] {
        self.buffer.get(..batch.len).unwrap_or_default()
    }

    /// The wall clock is slewed and set.
    fn follow_the_clock(&mut self) {
        let now = clock::now();
        if now.since(self.wall_read) > CLOCK_INTERVAL {
            self.wall_read = now;
            self.wall_ahead = clock::wall_ahead();
        }
    }
}

const NEVER: Instant = Instant(u64::MAX);
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const EVENTS: usize = 256;
const ADVANCES_MAX: usize = 16;
const BUFFER: usize = 65_535; // the longest train
const RECEIVE_BUFFER: usize = 2 << 20;
const CLOCK_INTERVAL: Duration = Duration::from_millis(100);

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
