//! What a datagram costs in the two back ends: CPU time of the thread that sends or receives, in the kernel and outside.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use driver::clock::Clock;
use driver::doorbell::Doorbell;
use driver::driver::{Driver, Io, Options, each};
use driver::gso::Gso;
use engine::outbox::Outbox;
use engine::path::{Path, Protocol};
use units::time::Instant;

mod place;

const PACKET_LEN: usize = 1200;
const DESTINATIONS: u16 = 50;
const PACKETS_PER_SAMPLE: usize = 20_000;
const ROUNDS: usize = 7;

fn main() {
    let place = place::make();
    println!("Packets of {PACKET_LEN} bytes, {DESTINATIONS} destinations.\n");
    let mut rows = Vec::new();
    for train in [1, 2, 4, 8, 16] {
        for order in [Order::ByDestination, Order::ByPacket] {
            for gso in [Gso::Auto, Gso::Off] {
                for io in BACK_ENDS {
                    let name = format!("send, {train} to each, {}, gso {gso:?}", order.name());
                    rows.push(Row::new(name, io, Work::Send { train, order, gso }));
                }
            }
        }
    }
    for batch in [1, 4, 16, 64] {
        for io in BACK_ENDS {
            rows.push(Row::new(format!("receive, {batch} per wake"), io, Work::Receive { batch }));
            rows.push(Row::new(format!("receive and answer, {batch} per wake"), io, Work::Answer { batch }));
        }
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let sample = match row.work {
                Work::Send { train, order, gso } => send(row.io, gso, train, order, &place),
                Work::Receive { batch } => receive(row.io, batch, false),
                Work::Answer { batch } => receive(row.io, batch, true),
            };
            row.samples.push(sample);
        }
    }
    report(rows);
}

const BACK_ENDS: [Io; 2] = [Io::IoUring, Io::Epoll];

struct Row {
    name: String,
    io: Io,
    work: Work,
    samples: Vec<f64>,
}

enum Work {
    Send { train: usize, order: Order, gso: Gso },
    Receive { batch: usize },
    Answer { batch: usize },
}

#[derive(Clone, Copy)]
enum Order {
    ByDestination,
    ByPacket,
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::ByDestination => "in order",
            Self::ByPacket => "in turn",
        }
    }
}

impl Row {
    const fn new(name: String, io: Io, work: Work) -> Self {
        Self { name, io, work, samples: Vec::new() }
    }

    fn median(&mut self) -> f64 {
        self.samples.sort_by(f64::total_cmp);
        self.samples[self.samples.len() / 2]
    }
}

fn report(mut rows: Vec<Row>) {
    println!("| ns of CPU per packet, median of {ROUNDS} | io_uring | epoll |\n|---|---:|---:|");
    let mut names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    names.dedup();
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            continue;
        }
        let of = |rows: &mut Vec<Row>, io| {
            rows.iter_mut().find(|row| row.name == name && row.io == io).map_or(f64::NAN, Row::median)
        };
        println!("| {name} | {:.0} | {:.0} |", of(&mut rows, Io::IoUring), of(&mut rows, Io::Epoll));
        seen.push(name);
    }
}

fn open(io: Io, gso: Gso, local: Ipv4Addr) -> Driver {
    let options = Options {
        io,
        gso,
        address: Some(local.into()),
        port: 0,
        shares_port: false,
        flush_delay: Duration::ZERO,
        send_slots: 4096,
    };
    let bell = Doorbell::new().expect("an eventfd");
    Driver::open(&options, &bell, Clock::start()).expect("this host has both back ends")
}

/// One flush of `train` packets to each destination after the other.
fn send(io: Io, gso: Gso, train: usize, order: Order, place: &place::Place) -> f64 {
    let mut driver = open(io, gso, place.local);
    let paths: Vec<_> = (0..DESTINATIONS)
        .map(|index| Path {
            protocol: Protocol::Udp,
            local: place.local.into(),
            remote: SocketAddr::new(place.remote.into(), place::PORTS.start + index),
        })
        .collect();
    let flush = |driver: &mut Driver| {
        let count = paths.len() * train;
        for index in 0..count {
            let path = match order {
                Order::ByDestination => &paths[index / train],
                Order::ByPacket => &paths[index % paths.len()],
            };
            let slab = driver.outbox();
            slab.lend(PACKET_LEN).expect("a slot").fill(7);
            slab.send(path, PACKET_LEN);
        }
        driver.flush();
        driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).expect("a turn");
        count
    };
    flush(&mut driver);
    let (before, mut count) = (place::thread_time(), 0);
    while count < PACKETS_PER_SAMPLE {
        count += flush(&mut driver);
    }
    let spent = place::thread_time() - before;
    let counters = driver.counters();
    assert_eq!((counters.send_errors, counters.send_blocked), (0, 0));
    per_packet(spent, count)
}

/// `batch` datagrams wait when the driver wakes; only the driver's part is timed.
fn receive(io: Io, batch: usize, answer: bool) -> f64 {
    let mut driver = open(io, Gso::Auto, Ipv4Addr::LOCALHOST);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.connect(("127.0.0.1", driver.port())).expect("loopback");
    let payload = [7; PACKET_LEN];
    let (mut spent, mut count) = (Duration::ZERO, 0);
    driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).expect("a turn");
    let mut answers = [0; 2048];
    while count < PACKETS_PER_SAMPLE / 2 {
        for _ in 0..batch {
            client.send(&payload).expect("loopback");
        }
        let before = place::thread_time();
        let mut seen = 0;
        while seen < batch {
            driver
                .turn(
                    Some(Instant(u64::MAX)),
                    &mut each(|slab, _, path, datagram| {
                        seen += 1;
                        if answer {
                            slab.lend(datagram.len()).expect("a slot").copy_from_slice(datagram);
                            slab.send(&path, datagram.len());
                        }
                    }),
                )
                .expect("a turn");
        }
        if answer {
            // As a worker's next wait would.
            driver.turn(Some(Instant(0)), &mut each(|_, _, _, _| {})).expect("a turn");
        }
        spent += place::thread_time() - before;
        if answer {
            (0..batch).for_each(|_| assert_eq!(client.recv(&mut answers).expect("an answer"), PACKET_LEN));
        }
        count += batch;
    }
    per_packet(spent, count)
}

fn per_packet(spent: Duration, count: usize) -> f64 {
    spent.as_nanos() as f64 / count as f64
}
