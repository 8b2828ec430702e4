//! The seam between a worker and its I/O: two equal back ends, chosen when the worker starts.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use engine::path::Path;
use thiserror::Error;
use units::time::Instant;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::epoll::Epoll;
use crate::gso::Gso;
use crate::measures::Measures;
use crate::slab::Slab;
use crate::socket::WorkerSocket;
use crate::uring::Uring;

/// What is done with what comes; the slab takes what is to be sent.
pub trait Handler {
    /// A datagram: when it came, where it came from, and its bytes.
    fn datagram(&mut self, slab: &mut Slab, times: Times, path: Path, datagram: &mut [u8]);

    /// That was the last one of this turn: what it brought about is sent next.
    fn end(&mut self, slab: &mut Slab, now: Instant);
}

/// A handler that deals with each datagram at once.
#[derive(Debug)]
pub struct Each<F>(F);

/// Deals with each datagram at once, by one function.
pub const fn each<F: FnMut(&mut Slab, Times, Path, &mut [u8])>(deal: F) -> Each<F> {
    Each(deal)
}

impl<F: FnMut(&mut Slab, Times, Path, &mut [u8])> Handler for Each<F> {
    fn datagram(&mut self, slab: &mut Slab, times: Times, path: Path, datagram: &mut [u8]) {
        (self.0)(slab, times, path, datagram);
    }

    fn end(&mut self, _slab: &mut Slab, _now: Instant) {}
}

/// When a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time of the batch that it is handled with.
    pub now: Instant,
    /// When the kernel received it: not later than `now`.
    pub received: Instant,
}

/// Which back end is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the host allows it, else epoll.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub io: Io,
    pub gso: Gso,
    /// `None`: every address of the host.
    pub address: Option<IpAddr>,
    /// 0: any free one.
    pub port: u16,
    /// With the other workers of this process: the kernel spreads what comes by the addresses of its senders.
    pub shares_port: bool,
    /// How long datagrams may gather before a wake when the worker is all but saturated; a fifth of it up to half load,
    /// nothing when it is idle.
    pub flush_delay: Duration,
    /// Send buffers; a flush is forced when half of them wait.
    pub send_slots: usize,
}

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot bind UDP port {port}: {source}")]
    Bind { port: u16, source: io::Error },
    #[error("cannot use io_uring here: {0}")]
    IoUring(io::Error),
    #[error("cannot use epoll here: {0}")]
    Epoll(io::Error),
}

#[derive(Debug)]
pub struct Driver {
    back_end: BackEnd,
    clock: Clock,
    port: u16,
}

#[derive(Debug)]
enum BackEnd {
    Epoll(Box<Epoll>),
    Uring(Box<Uring>),
}

impl Driver {
    /// Binds the worker's port and sets up its I/O. Call it on the thread that will call [`Self::turn`].
    ///
    /// # Errors
    /// When the port can't be bound, or the back end that was asked for is not to be had.
    pub fn open(options: &Options, bell: &Doorbell, clock: Clock) -> Result<Self, OpenError> {
        fine_timers();
        let bind = |port| {
            WorkerSocket::bind(options.address, port, options.shares_port)
                .and_then(|socket| Ok((socket.port()?, socket)))
                .map_err(|source| OpenError::Bind { port, source })
        };
        let (port, socket) = bind(options.port)?;
        let uring =
            |socket| Uring::open(socket, bell, clock, options).map(|uring| BackEnd::Uring(Box::new(uring)));
        let epoll = |socket| {
            Epoll::open(socket, bell.clone(), clock, options)
                .map(|epoll| BackEnd::Epoll(Box::new(epoll)))
                .map_err(OpenError::Epoll)
        };
        let back_end = match options.io {
            Io::IoUring => uring(socket).map_err(OpenError::IoUring)?,
            Io::Epoll => epoll(socket)?,
            Io::Auto => match uring(socket) {
                Ok(back_end) => back_end,
                Err(error) => {
                    tracing::info!(%error, "io_uring is not to be had here, using epoll");
                    epoll(bind(port)?.1)?
                }
            },
        };
        Ok(Self { back_end, clock, port })
    }

    /// Sends what waits, then waits for datagrams, the doorbell or `deadline`, and hands each datagram to `handler`.
    ///
    /// # Errors
    /// When the kernel refuses the wait itself; single datagrams that fail are counted instead.
    pub fn turn(&mut self, deadline: Option<Instant>, handler: &mut dyn Handler) -> io::Result<()> {
        match &mut self.back_end {
            BackEnd::Epoll(epoll) => epoll.turn(deadline, handler),
            BackEnd::Uring(uring) => uring.turn(deadline, handler),
        }
    }

    /// Sends what waits in the slab.
    pub fn flush(&mut self) {
        match &mut self.back_end {
            BackEnd::Epoll(epoll) => epoll.flush(),
            BackEnd::Uring(uring) => uring.flush(),
        }
    }

    /// Where commands and timers put what they send, and where events are taken from.
    pub fn outbox(&mut self) -> &mut Slab {
        match &mut self.back_end {
            BackEnd::Epoll(epoll) => epoll.slab(),
            BackEnd::Uring(uring) => uring.slab(),
        }
    }

    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The UDP port that was bound.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `"io_uring"` or `"epoll"`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.back_end {
            BackEnd::Epoll(_) => "epoll",
            BackEnd::Uring(_) => "io_uring",
        }
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        match &self.back_end {
            BackEnd::Epoll(epoll) => epoll.counters(),
            BackEnd::Uring(uring) => uring.counters(),
        }
    }

    /// How many datagrams the kernel had no room for, as far as it told.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counters().receive_dropped
    }

    #[must_use]
    pub const fn measures(&self) -> &Measures {
        match &self.back_end {
            BackEnd::Epoll(epoll) => epoll.measures(),
            BackEnd::Uring(uring) => uring.measures(),
        }
    }
}

/// Whether a turn that began to handle datagrams at `began`, and has handled so many, has to end before it has handled
/// all that came: mailboxes and timers, too, have to have their turn.
pub(crate) fn turn_is_over(handled: usize, began: Instant, clock: Clock) -> bool {
    handled.is_multiple_of(LOOK_AFTER) && clock.now().since(began) > TURN_MAX
}

/// Datagrams between two looks at the clock.
const LOOK_AFTER: usize = 8;
const TURN_MAX: Duration = Duration::from_millis(5);

/// Timeouts of this thread are not put off to meet others: by default the kernel may add 50 µs to each.
fn fine_timers() {
    const NANOS: libc::c_ulong = 1;
    // SAFETY: takes no pointers, and concerns the calling thread alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, NANOS, 0, 0, 0) };
}

#[cfg(test)]
mod tests;
