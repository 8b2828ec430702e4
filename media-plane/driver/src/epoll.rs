//! The epoll back end: recvmmsg and sendmmsg, for hosts that forbid io_uring.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use engine::path::{Path, Protocol};
use units::time::Instant;

use crate::clock::Clock;
use crate::control::{self, Arrival};
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::driver::{Handler, Options, Times, turn_is_over};
use crate::gather::Gather;
use crate::gso::Segmentation;
use crate::measures::Measures;
use crate::send_batch::{SendBatch, Way};
use crate::slab::Slab;
use crate::sockaddr;
use crate::socket::WorkerSocket;

/// Datagrams per system call.
const BATCH: usize = 64;
/// The same, as the kernel counts.
#[expect(clippy::cast_possible_truncation, reason = "64")]
const BATCH_U32: u32 = BATCH as u32;
/// Batches taken per wake before timers and mailboxes have their turn.
const BATCHES_MAX: usize = 4;
/// A receive buffer: a whole datagram and a byte to spare, rounded up.
const RECEIVE_LEN: usize = 2048;

const SOCKET: u64 = 0;
const BELL: u64 = 1;

#[derive(Debug)]
pub struct Epoll {
    poll: OwnedFd,
    socket: WorkerSocket,
    bell: Doorbell,
    clock: Clock,
    receive: Receive,
    sends: SendBatch,
    segmentation: Segmentation,
    slab: Slab,
    counters: Counters,
    measures: Measures,
    gather: Gather,
}

impl Epoll {
    pub(crate) fn open(
        socket: WorkerSocket,
        bell: Doorbell,
        clock: Clock,
        options: &Options,
    ) -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked before use.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just returned by the kernel and belongs to nobody else.
        let poll = unsafe { OwnedFd::from_raw_fd(fd) };
        for (fd, token) in [(socket.as_raw_fd(), SOCKET), (bell.as_raw_fd(), BELL)] {
            let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
            // SAFETY: `interest` is readable and outlives the call; both descriptors are open.
            if unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut interest) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let segmentation = Segmentation::probe(options.gso, &socket);
        Ok(Self {
            poll,
            socket,
            bell,
            clock,
            receive: Receive::new(),
            sends: SendBatch::new(),
            segmentation,
            slab: Slab::new(options.send_slots),
            counters: Counters::default(),
            measures: Measures::default(),
            gather: Gather::new(options.flush_delay),
        })
    }

    pub(crate) fn turn(&mut self, deadline: Option<Instant>, handler: &mut dyn Handler) -> io::Result<()> {
        self.flush();
        let (readable, mut rung) = self.wait(deadline)?;
        let now = self.clock.now();
        let patience = self.gather.patience(now, deadline);
        if readable && !patience.is_zero() {
            self.bell.pause(patience);
            rung = true;
        }
        self.counters.wakes += 1;
        if rung && self.bell.clear() {
            self.counters.doorbells += 1;
        }
        let before = self.counters.datagrams_received;
        let mut taken = Ok(false);
        if readable {
            for _ in 0..BATCHES_MAX {
                taken = self.take_batch(handler);
                if !matches!(taken, Ok(true)) || turn_is_over(0, now, self.clock) {
                    break;
                }
            }
            handler.end(&mut self.slab, self.clock.now());
        }
        let count = self.counters.datagrams_received - before;
        self.measures.woke(count);
        self.measures.turned(now);
        self.gather.took(count, self.measures.load_permille());
        // All at once: the more packets of one destination come together, the longer are its trains.
        self.flush();
        taken.map(|_| ())
    }

    /// Sends all that waits in the slab.
    pub(crate) fn flush(&mut self) {
        if self.slab.waiting() == 0 {
            self.measures.nothing_to_send();
            return;
        }
        self.counters.flushes += 1;
        let departures = self.slab.take_departures(self.segmentation.is_on());
        let Self { sends, slab, socket, segmentation, counters, measures, .. } = self;
        sends.send(&departures, Way { slab, socket, segmentation, counters, measures });
        for departure in &departures {
            self.slab.release(departure.slot);
        }
        self.slab.return_departures(departures);
        self.measures.sent(self.clock.now());
    }

    /// Waits until there is something to do; tells whether the socket is readable and whether the bell was rung.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<(bool, bool)> {
        let timeout = deadline.map(|deadline| deadline.since(self.clock.now()));
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        let count = epoll_wait(self.poll.as_raw_fd(), &mut events, timeout)?;
        let mut result = (false, false);
        for event in &events[..count] {
            match event.u64 {
                SOCKET => result.0 = true,
                _ => result.1 = true,
            }
        }
        Ok(result)
    }

    /// Receives and handles one batch; true if there may be more.
    fn take_batch(&mut self, handler: &mut dyn Handler) -> io::Result<bool> {
        let count = match self.receive.batch(&self.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => {
                self.counters.receive_errors += 1;
                return Err(error);
            }
        };
        let both = self.clock.both();
        for index in 0..count {
            let Some((arrival, remote, datagram)) = self.receive.datagram(index) else {
                self.counters.receive_malformed += 1;
                continue;
            };
            arrival.dropped.inspect(|dropped| self.counters.dropped(*dropped));
            let times = Times { now: both.now, received: both.at(arrival.wall) };
            let path = Path { protocol: Protocol::Udp, local: arrival.local, remote };
            self.counters.datagrams_received += 1;
            self.counters.bytes_received += datagram.len() as u64;
            self.measures.received(times.received);
            handler.datagram(&mut self.slab, times, path, datagram);
            if self.slab.waiting() > self.slab.slots() / 2 {
                self.flush();
            }
        }
        Ok(count == BATCH)
    }

    #[cfg(test)]
    pub(crate) const fn gather(&mut self) -> &mut Gather {
        &mut self.gather
    }

    #[cfg(test)]
    pub(crate) const fn socket(&self) -> &WorkerSocket {
        &self.socket
    }

    pub(crate) const fn slab(&mut self) -> &mut Slab {
        &mut self.slab
    }

    pub(crate) const fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.send_pool_exhausted = self.slab.exhausted();
        counters.send_pool_high_water = self.slab.high_water() as u64;
        counters.send_pool_used = self.slab.used() as u64;
        counters.busy_permille = self.measures.busy_permille();
        counters
    }

    pub(crate) const fn measures(&self) -> &Measures {
        &self.measures
    }
}

/// `epoll_pwait2` where the kernel has it (5.11), else whole milliseconds, rounded up.
fn epoll_wait(
    poll: i32,
    events: &mut [libc::epoll_event; 2],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    #[expect(clippy::cast_possible_wrap, reason = "seconds of a timeout")]
    let spec = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    });
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `events` has room for two events and `spec` is null or readable; both outlive the call.
    let mut count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            poll,
            events.as_mut_ptr(),
            2,
            spec,
            std::ptr::null::<u8>(),
            0_usize,
        )
    };
    if count < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        let millis = timeout
            .map_or(-1, |timeout| i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        // SAFETY: as above.
        count = unsafe { libc::epoll_wait(poll, events.as_mut_ptr(), 2, millis) }.into();
    }
    usize::try_from(count).or_else(|_| match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        error => Err(error),
    })
}

/// The buffers of one receive batch, and the headers that tell the kernel where they are.
struct Receive {
    bytes: Box<[[u8; RECEIVE_LEN]]>,
    names: Box<[[u8; sockaddr::LEN_MAX]]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; control::RECEIVED_LEN_MAX]);

impl std::fmt::Debug for Receive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receive").finish_non_exhaustive()
    }
}

impl Receive {
    fn new() -> Self {
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is plain data for which all zeroes is a value.
        let message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            bytes: vec![[0; RECEIVE_LEN]; BATCH].into(),
            names: vec![[0; sockaddr::LEN_MAX]; BATCH].into(),
            controls: vec![Control([0; control::RECEIVED_LEN_MAX]); BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            messages: vec![message; BATCH].into(),
        }
    }

    fn batch(&mut self, socket: &WorkerSocket) -> io::Result<usize> {
        for index in 0..BATCH {
            self.vectors[index] =
                libc::iovec { iov_base: self.bytes[index].as_mut_ptr().cast(), iov_len: RECEIVE_LEN };
            let header = &mut self.messages[index].msg_hdr;
            header.msg_name = self.names[index].as_mut_ptr().cast();
            #[expect(clippy::cast_possible_truncation, reason = "28")]
            let name_len = sockaddr::LEN_MAX as u32;
            header.msg_namelen = name_len;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = control::RECEIVED_LEN_MAX;
            header.msg_flags = 0;
        }
        // SAFETY: all that the headers point to was set just now, is owned by `self` and outlives the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                BATCH_U32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// `None` for a datagram that was cut or has no usable address.
    fn datagram(&mut self, index: usize) -> Option<(Arrival, SocketAddr, &mut [u8])> {
        let message = self.messages[index];
        if message.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return None;
        }
        let name = self.names[index].get(..message.msg_hdr.msg_namelen as usize)?;
        let remote = sockaddr::read(name)?;
        let arrival = control::read(self.controls[index].0.get(..message.msg_hdr.msg_controllen)?)?;
        let datagram = self.bytes[index].get_mut(..message.msg_len as usize)?;
        Some((arrival, remote, datagram))
    }
}
