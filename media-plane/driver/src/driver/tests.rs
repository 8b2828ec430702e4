//! What both back ends promise.

mod forbidden;

use super::*;
use engine::outbox::Outbox;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

const BACK_ENDS: [Io; 2] = [Io::IoUring, Io::Epoll];

fn open(io: Io, bell: &Doorbell) -> Driver {
    open_with(io, Gso::Auto, bell)
}

fn open_with(io: Io, gso: Gso, bell: &Doorbell) -> Driver {
    let options = Options {
        io,
        gso,
        address: None,
        port: 0,
        shares_port: false,
        flush_delay: Duration::ZERO,
        send_slots: 256,
    };
    Driver::open(&options, bell, Clock::start()).unwrap()
}

/// Answers every datagram with its bytes reversed, until `count` were seen or 5 s passed.
fn echo(driver: &mut Driver, count: usize) -> Vec<Path> {
    let mut paths = Vec::new();
    let end = driver.now() + Duration::from_secs(5);
    while paths.len() < count && driver.now() < end {
        driver
            .turn(
                Some(end),
                &mut each(|slab, _, path, datagram| {
                    datagram.reverse();
                    slab.lend(datagram.len()).unwrap().copy_from_slice(datagram);
                    slab.send(&path, datagram.len());
                    paths.push(path);
                }),
            )
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
        driver.turn(Some(deadline), &mut each(|_, _, _, _| {})).unwrap();
        while driver.now() < deadline {
            driver.turn(Some(deadline), &mut each(|_, _, _, _| {})).unwrap();
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
                driver.turn(Some(end), &mut each(|_, _, _, _| {})).unwrap();
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
            driver.turn(Some(end), &mut each(|_, _, _, datagram| lens.push(datagram.len()))).unwrap();
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
            driver.turn(Some(soon), &mut each(|_, _, _, _| {})).unwrap();
        }
        assert_eq!(driver.counters().send_errors, 1, "{io:?}");
    }
}

/// A socket that packets are sent to, and the path there.
fn client(host: &str) -> (UdpSocket, Path) {
    let socket = UdpSocket::bind((host, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let remote = socket.local_addr().unwrap();
    (socket, Path { protocol: engine::path::Protocol::Udp, local: remote.ip(), remote })
}

fn post(slab: &mut Slab, path: &Path, number: u8, len: usize) {
    slab.lend(len).unwrap().fill(number);
    slab.send(path, len);
}

/// The number and length of each of the next `count` packets.
fn receive(socket: &UdpSocket, count: usize) -> Vec<(u8, usize)> {
    let mut buffer = [0; 2048];
    (0..count)
        .map(|_| {
            let len = socket.recv(&mut buffer).unwrap();
            assert!(buffer[..len].iter().all(|byte| *byte == buffer[0]), "bytes of one packet");
            (buffer[0], len)
        })
        .collect()
}

/// Lets the driver finish what it has begun.
fn settle(driver: &mut Driver) {
    for _ in 0..3 {
        driver.flush();
        driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
    }
    assert_eq!(driver.counters().send_pool_used, 0, "every buffer came back");
}

#[test]
fn equal_packets_to_one_client_leave_as_one_train() {
    for io in BACK_ENDS {
        for host in ["127.0.0.1", "::1"] {
            for (gso, sends) in [(Gso::Auto, 4), (Gso::Off, 24)] {
                let bell = Doorbell::new().unwrap();
                let mut driver = open_with(io, gso, &bell);
                let clients = [client(host), client(host)];
                // In turn to both: equal ones, a shorter one that ends the train, and equal ones again.
                let lens = [[1200; 5].as_slice(), &[700], &[900; 6]].concat();
                for (number, len) in (0..).zip(&lens) {
                    clients.iter().for_each(|(_, path)| post(driver.outbox(), path, number, *len));
                }
                driver.flush();
                let expected: Vec<_> = (0..).zip(lens.iter().copied()).collect();
                for (socket, _) in &clients {
                    assert_eq!(receive(socket, 12), expected, "{io:?} {gso:?} {host}");
                }
                settle(&mut driver);
                let counters = driver.counters();
                assert_eq!((counters.sends, counters.datagrams_sent), (sends, 24), "{io:?} {gso:?} {host}");
                assert_eq!(counters.bytes_sent, 2 * lens.iter().sum::<usize>() as u64, "{io:?} {gso:?}");
                assert_eq!(counters.send_errors, 0, "{io:?} {gso:?} {host}");
                let segments = &driver.measures().send_segments;
                assert_eq!((segments.count(), segments.sum()), (sends, 24), "{io:?} {gso:?} {host}");
            }
        }
    }
}

#[test]
fn refused_trains_leave_plainly_and_in_the_end_are_not_tried() {
    for io in BACK_ENDS {
        let bell = Doorbell::new().unwrap();
        let mut driver = open(io, &bell);
        refuse_trains(&driver);
        let (socket, path) = client("127.0.0.1");
        for round in 0..20 {
            (0..8).for_each(|number| post(driver.outbox(), &path, number, 1000));
            settle(&mut driver);
            let received = receive(&socket, 8);
            assert!(received.iter().copied().eq((0..8).map(|number| (number, 1000))), "{io:?} {round}");
        }
        let counters = driver.counters();
        assert_eq!((counters.trains_refused, counters.resent_plainly), (8, 64), "{io:?}: of 20 trains");
        assert_eq!((counters.sends, counters.datagrams_sent, counters.send_errors), (160, 160, 0), "{io:?}");
    }
}

#[test]
fn a_train_that_cannot_leave_plainly_either_is_counted_by_its_packets() {
    for io in BACK_ENDS {
        for (name, local, port, refused) in [
            ("an address that is not ours", "198.51.100.77", 9, 0),
            // EINVAL, which may be the train's fault.
            ("no port", "127.0.0.1", 0, 20),
        ] {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let (socket, path) = client("127.0.0.1");
            let nowhere =
                Path { local: local.parse().unwrap(), remote: (path.remote.ip(), port).into(), ..path };
            for _ in 0..20 {
                (0..8).for_each(|number| post(driver.outbox(), &nowhere, number, 1000));
                settle(&mut driver);
            }
            (0..8).for_each(|number| post(driver.outbox(), &path, number, 1000));
            settle(&mut driver);
            assert_eq!(receive(&socket, 8).len(), 8, "{io:?} {name}");
            let counters = driver.counters();
            assert_eq!((counters.trains_refused, counters.resent_plainly), (refused, 0), "{io:?} {name}");
            assert_eq!((counters.send_errors, counters.datagrams_sent), (160, 8), "{io:?} {name}");
            assert_eq!(counters.sends, 1, "{io:?} {name}: trains were not to blame");
        }
    }
}

/// The kernel cuts nothing up for a socket that is to send without checksums: EINVAL.
fn refuse_trains(driver: &Driver) {
    let socket = match &driver.back_end {
        BackEnd::Epoll(epoll) => epoll.socket(),
        BackEnd::Uring(uring) => uring.socket(),
    };
    let on: i32 = 1;
    // SAFETY: `on` is four readable bytes and outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), 4)
    };
    assert_eq!(result, 0);
}

#[test]
fn a_datagram_has_the_time_at_which_the_kernel_received_it() {
    for io in BACK_ENDS {
        let bell = Doorbell::new().unwrap();
        let mut driver = open(io, &bell);
        let (socket, _) = client("127.0.0.1");
        let pause = Duration::from_millis(20);
        // The two clocks are read one after the other, and the wall's may be slewed.
        let slack = Duration::from_millis(5);
        let end = driver.now() + Duration::from_secs(5);
        let mut waited = false;
        // A kernel begins to take these times a little after it was asked to.
        while !waited && driver.now() < end {
            let before = driver.now();
            socket.send_to(b"abc", ("127.0.0.1", driver.port())).unwrap();
            std::thread::sleep(pause);
            let mut seen = None;
            while seen.is_none() && driver.now() < end {
                driver.turn(Some(end), &mut each(|_, times, _, _| seen = Some(times))).unwrap();
            }
            let times = seen.unwrap();
            assert!(times.received <= times.now && before <= times.received + slack, "{io:?}: {times:?}");
            waited = times.received + pause <= times.now + slack;
        }
        assert!(waited, "{io:?}: the time of the batch instead");
    }
}

#[test]
fn a_wake_of_a_busy_worker_takes_all_that_comes_soon() {
    for io in BACK_ENDS {
        let bell = Doorbell::new().unwrap();
        let mut driver = open(io, &bell);
        driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
        let (socket, _) = client("127.0.0.1");
        let to = ("127.0.0.1", driver.port());
        let gather = match &mut driver.back_end {
            BackEnd::Epoll(epoll) => epoll.gather(),
            BackEnd::Uring(uring) => uring.gather(),
        };
        // As a saturated worker with a patience of 0.3 s.
        let patience = Duration::from_millis(300);
        *gather = crate::gather::Gather::new(patience);
        gather.took(1, 1000);
        let before = driver.now();
        for _ in 0..3 {
            socket.send_to(b"abc", to).unwrap();
        }
        let mut seen = 0;
        driver.turn(None, &mut each(|_, _, _, _| seen += 1)).unwrap();
        assert!(driver.now() >= before + patience, "{io:?}");
        assert_eq!(seen, 3, "{io:?}");
    }
}

#[test]
fn a_turn_ends_in_time_though_more_datagrams_wait_and_the_next_one_takes_them() {
    const DATAGRAMS: usize = 400;
    for io in BACK_ENDS {
        let bell = Doorbell::new().unwrap();
        let mut driver = open(io, &bell);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", driver.port())).unwrap();
        let now = Some(Instant(0));
        driver.turn(now, &mut each(|_, _, _, _| {})).unwrap();
        for _ in 0..DATAGRAMS {
            client.send(b"abcd").unwrap();
        }
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < DATAGRAMS && turns.len() < DATAGRAMS {
            let mut handled = 0;
            let slow = |_: &mut Slab, _, _, _: &mut [u8]| {
                handled += 1;
                std::thread::sleep(Duration::from_millis(1));
            };
            driver.turn(now, &mut each(slow)).unwrap();
            turns.push(handled);
        }
        assert_eq!(turns.iter().sum::<usize>(), DATAGRAMS, "{io:?}: {turns:?}");
        assert!(turns.iter().all(|handled| *handled <= 64), "{io:?}: {turns:?}");
    }
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted() {
    for io in BACK_ENDS {
        let bell = Doorbell::new().unwrap();
        let mut driver = open(io, &bell);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", driver.port())).unwrap();
        let mut sent = 0;
        while driver.dropped() == 0 && sent < 100_000 {
            // More than the largest queue that is asked for.
            for _ in 0..10_000 {
                client.send(&[0; 1_200]).unwrap();
            }
            sent += 10_000;
            let before = driver.counters().datagrams_received;
            for _ in 0..2_000 {
                driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
            }
            assert!(driver.counters().datagrams_received > before, "{io:?}: nothing arrives");
            client.send(b"the one that tells").unwrap();
            driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).unwrap();
        }
        let counters = driver.counters();
        assert!(counters.receive_dropped > 0, "{io:?}: of {sent}");
        assert!(counters.receive_dropped + counters.datagrams_received <= sent + sent / 10_000, "{io:?}");
    }
}
