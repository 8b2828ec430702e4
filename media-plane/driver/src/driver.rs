//! The seam between a worker and its I/O: two equal back ends, chosen when the worker starts.

use std::io;
use std::net::IpAddr;

use engine::path::Path;
use thiserror::Error;
use units::time::Instant;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::epoll::Epoll;
use crate::measures::Measures;
use crate::slab::Slab;
use crate::socket::WorkerSocket;
use crate::uring::Uring;

/// Called for each datagram, with the slab to answer into, the time of its batch, where it came from, and its bytes.
pub type Handler<'a> = dyn FnMut(&mut Slab, Instant, Path, &mut [u8]) + 'a;

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
    /// `None`: every address of the host.
    pub address: Option<IpAddr>,
    /// 0: any free one.
    pub port: u16,
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
        let bind = |port| {
            WorkerSocket::bind(options.address, port)
                .and_then(|socket| Ok((socket.port()?, socket)))
                .map_err(|source| OpenError::Bind { port, source })
        };
        let (port, socket) = bind(options.port)?;
        let uring = |socket| {
            Uring::open(socket, bell, clock, options.send_slots).map(|uring| BackEnd::Uring(Box::new(uring)))
        };
        let epoll = |socket| {
            Epoll::open(socket, bell.clone(), clock, options.send_slots)
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
    pub fn turn(&mut self, deadline: Option<Instant>, handler: &mut Handler<'_>) -> io::Result<()> {
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

    #[must_use]
    pub const fn measures(&self) -> &Measures {
        match &self.back_end {
            BackEnd::Epoll(epoll) => epoll.measures(),
            BackEnd::Uring(uring) => uring.measures(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::outbox::Outbox;
    use std::net::UdpSocket;
    use std::time::Duration;

    const BACK_ENDS: [Io; 2] = [Io::IoUring, Io::Epoll];

    fn open(io: Io, bell: &Doorbell) -> Driver {
        let options = Options { io, address: None, port: 0, send_slots: 256 };
        Driver::open(&options, bell, Clock::start()).unwrap()
    }

    /// Answers every datagram with its bytes reversed, until `count` were seen or 5 s passed.
    fn echo(driver: &mut Driver, count: usize) -> Vec<Path> {
        let mut paths = Vec::new();
        let end = driver.now() + Duration::from_secs(5);
        while paths.len() < count && driver.now() < end {
            driver
                .turn(Some(end), &mut |slab, _, path, datagram| {
                    datagram.reverse();
                    slab.lend(datagram.len()).unwrap().copy_from_slice(datagram);
                    slab.send(&path, datagram.len());
                    paths.push(path);
                })
                .unwrap();
        }
        driver.flush();
        paths
    }

    #[test]
    fn datagrams_are_answered_from_the_address_they_came_to() {
        for io in BACK_ENDS {
            for host in ["127.0.0.1", "127.0.0.2", "::1"] {
                let bell = Doorbell::new().unwrap();
                let mut driver = open(io, &bell);
                let client = UdpSocket::bind((host, 0)).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                client.connect((host, driver.port())).unwrap();
                client.send(b"abc").unwrap();
                let paths = echo(&mut driver, 1);
                assert_eq!(paths[0].local, host.parse::<IpAddr>().unwrap(), "{io:?} {host}");
                assert_eq!(paths[0].remote, client.local_addr().unwrap(), "{io:?} {host}");
                let mut answer = [0; 16];
                // A connected socket takes only what comes from the address it sent to.
                assert_eq!(client.recv(&mut answer).unwrap(), 3, "{io:?} {host}");
                assert_eq!(&answer[..3], b"cba", "{io:?} {host}");
            }
        }
    }

    #[test]
    fn thousands_of_datagrams_pass_and_every_buffer_comes_back() {
        for io in BACK_ENDS {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.connect(("127.0.0.1", driver.port())).unwrap();
            let payload = [7_u8; 1200];
            for _ in 0..50 {
                for _ in 0..40 {
                    client.send(&payload).unwrap();
                }
                assert_eq!(echo(&mut driver, 40).len(), 40, "{io:?}");
                let mut buffer = [0; 2048];
                for _ in 0..40 {
                    assert_eq!(client.recv(&mut buffer).unwrap(), 1200, "{io:?}");
                }
            }
            let counters = driver.counters();
            assert_eq!(counters.datagrams_received, 2000, "{io:?}");
            let measures = driver.measures();
            assert_eq!(measures.wake_datagrams.sum(), 2000, "{io:?}");
            assert_eq!(measures.forward_latency_us.count(), 2000, "{io:?}");
            assert_eq!(counters.send_pool_exhausted, 0, "{io:?}");
            assert_eq!(counters.receive_malformed, 0, "{io:?}");
        }
    }

    #[test]
    fn deadline_and_doorbell_end_the_wait() {
        for io in BACK_ENDS {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let deadline = driver.now() + Duration::from_millis(20);
            driver.turn(Some(deadline), &mut |_, _, _, _| {}).unwrap();
            while driver.now() < deadline {
                driver.turn(Some(deadline), &mut |_, _, _, _| {}).unwrap();
            }
            for _ in 0..3 {
                bell.arm();
                let remote = bell.clone();
                let ringer = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(20));
                    remote.ring();
                });
                let before = driver.counters().doorbells;
                let end = driver.now() + Duration::from_secs(10);
                while driver.counters().doorbells == before && driver.now() < end {
                    driver.turn(Some(end), &mut |_, _, _, _| {}).unwrap();
                }
                assert_eq!(driver.counters().doorbells, before + 1, "{io:?}");
                bell.disarm();
                ringer.join().unwrap();
            }
        }
    }

    #[test]
    fn an_oversized_datagram_is_counted_and_not_handed_on() {
        for io in BACK_ENDS {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(("127.0.0.1", driver.port())).unwrap();
            client.send(&[1; 4000]).unwrap();
            client.send(&[2; 10]).unwrap();
            let mut lens = Vec::new();
            let end = driver.now() + Duration::from_secs(5);
            while lens.is_empty() && driver.now() < end {
                driver.turn(Some(end), &mut |_, _, _, datagram| lens.push(datagram.len())).unwrap();
            }
            assert_eq!(lens, [10], "{io:?}");
            assert_eq!(driver.counters().receive_malformed, 1, "{io:?}");
        }
    }

    #[test]
    fn an_unreachable_destination_is_counted() {
        for io in BACK_ENDS {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let path = Path {
                protocol: engine::path::Protocol::Udp,
                // Not an address of this host: the kernel refuses to send from it.
                local: "198.51.100.77".parse().unwrap(),
                remote: "127.0.0.1:9".parse().unwrap(),
            };
            let slab = driver.outbox();
            slab.lend(4).unwrap().fill(0);
            slab.send(&path, 4);
            let end = driver.now() + Duration::from_secs(5);
            while driver.counters().send_errors == 0 && driver.now() < end {
                let soon = driver.now() + Duration::from_millis(10);
                driver.turn(Some(soon), &mut |_, _, _, _| {}).unwrap();
            }
            assert_eq!(driver.counters().send_errors, 1, "{io:?}");
        }
    }
}
