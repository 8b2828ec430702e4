//! What letting datagrams gather gains: video frames come as browsers send them, and each packet goes to many.
//!
//! For each number of publishers and subscribers, both back ends, with and without `flush_delay`: CPU time per packet sent
//! and the mean length of trains. How long packets stay is told too, but means something on an idle machine only.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use driver::clock::Clock;
use driver::doorbell::Doorbell;
use driver::driver::{Driver, Io, Options, each};
use driver::gso::Gso;
use driver::pin::{allowed_cores, pin_to};
use engine::outbox::Outbox;
use engine::path::{Path, Protocol};

mod place;

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_secs(1);
/// What is still under way when the last packet was sent.
const REST: Duration = Duration::from_millis(100);
const FRAME: Duration = Duration::from_micros(33_333);
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1)];

fn main() {
    let place = place::make();
    let cores = allowed_cores().expect("a list of cores");
    assert!(cores.len() > 1, "one core forwards, another sends");
    pin_to(cores[0]).expect("a core of ours");
    let shapes = [(1, 50), (10, 9), (20, 30)];
    let mut rows = Vec::new();
    for (publishers, subscribers) in shapes {
        for io in [Io::IoUring, Io::Epoll] {
            rows.extend(DELAYS.map(|delay| Row { publishers, subscribers, io, delay, samples: Vec::new() }));
        }
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.samples.push(forward(&place, row, cores[1]));
        }
    }
    println!(
        "| publishers, each to | back end | longest delay | ns per packet | train | datagrams per wake | p50, µs | p99, µs |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for row in &rows {
        let median = |figure: fn(&Sample) -> f64| {
            let mut figures: Vec<_> = row.samples.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        println!(
            "| {}, {} | {:?} | {:?} | {:.0} | {:.2} | {:.1} | {:.0} | {:.0} |",
            row.publishers,
            row.subscribers,
            row.io,
            row.delay,
            median(|it| it.nanos),
            median(|it| it.train),
            median(|it| it.wake),
            median(|it| it.half_within_us),
            median(|it| it.most_within_us),
        );
    }
}

struct Row {
    publishers: usize,
    subscribers: u16,
    io: Io,
    delay: Duration,
    samples: Vec<Sample>,
}

struct Sample {
    nanos: f64,
    train: f64,
    wake: f64,
    half_within_us: f64,
    most_within_us: f64,
}

fn forward(place: &place::Place, row: &Row, senders_core: usize) -> Sample {
    let options = Options {
        io: row.io,
        gso: Gso::Auto,
        address: None,
        port: 0,
        shares_port: false,
        flush_delay: row.delay,
        send_slots: 4096,
    };
    let bell = Doorbell::new().expect("an eventfd");
    let mut driver = Driver::open(&options, &bell, Clock::start()).expect("this host has both back ends");
    let paths: Vec<_> = (0..row.subscribers)
        .map(|index| Path {
            protocol: Protocol::Udp,
            local: place.local.into(),
            remote: SocketAddr::new(place.remote.into(), place::PORTS.start + index),
        })
        .collect();
    let publishers = publish(row.publishers, driver.port(), senders_core);
    let before = place::thread_time();
    let end = driver.now() + LENGTH + REST;
    while driver.now() < end {
        let mut copy = each(|slab: &mut driver::slab::Slab, _, _, datagram: &mut [u8]| {
            for path in &paths {
                if let Some(buffer) = slab.lend(datagram.len()) {
                    buffer.copy_from_slice(datagram);
                    slab.send(path, datagram.len());
                }
            }
        });
        driver.turn(Some(end), &mut copy).expect("a turn");
    }
    let spent = place::thread_time() - before;
    publishers.join().expect("the publishers sent");
    let (counters, measures) = (driver.counters(), driver.measures());
    let (received, latency) = (&measures.wake_datagrams, &measures.forward_latency_us);
    let within = |per_mille| latency.quantile(per_mille).unwrap_or(0) as f64;
    assert_eq!((counters.send_errors, counters.send_pool_exhausted), (0, 0));
    Sample {
        nanos: spent.as_nanos() as f64 / counters.datagrams_sent as f64,
        train: counters.datagrams_sent as f64 / counters.sends as f64,
        wake: received.sum() as f64 / received.count() as f64,
        half_within_us: within(500),
        most_within_us: within(990),
    }
}

/// Frames of 4 to 10 packets in two lengths that are a byte apart, 30 a second; most gaps are 14 to 44 µs and some 60 to
/// 260 µs, as `benches/load/spacing.tsv` has it of Chromium.
fn publish(publishers: usize, port: u16, core: usize) -> JoinHandle<()> {
    let mut random = Random(7);
    let mut packets = Vec::new();
    for publisher in 0..publishers {
        let mut frame = Duration::from_micros(random.below(33_333).into());
        while frame < LENGTH {
            let (count, short) = (4 + random.below(7), 1000 + usize::from(random.below(150)));
            let mut at = frame;
            for number in 0..count {
                packets.push((at, publisher, short + usize::from(number >= count / 2)));
                let gap = if random.below(4) == 0 { 60 + random.below(200) } else { 14 + random.below(30) };
                at += Duration::from_micros(gap.into());
            }
            frame += FRAME;
        }
    }
    packets.sort_unstable();
    thread::spawn(move || {
        pin_to(core).expect("a core of ours");
        let sockets: Vec<_> = (0..publishers)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
            .collect();
        let start = Instant::now();
        for (at, publisher, len) in packets {
            // The pause is cut short, and its end waited for awake: gaps are shorter than a thread takes to wake up.
            thread::sleep(at.saturating_sub(start.elapsed()).saturating_sub(Duration::from_micros(200)));
            while start.elapsed() < at {
                std::hint::spin_loop();
            }
            sockets[publisher].send_to(&[7; 1500][..len], (Ipv4Addr::LOCALHOST, port)).expect("loopback");
        }
    })
}

/// A linear congruential generator: the same packets in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((self.0 >> 33) % u64::from(end)).expect("below a u16")
    }
}
