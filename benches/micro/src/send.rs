//! A flush of the driver: equal packets to a few destinations or to many, by io_uring and by epoll, over loopback.

mod timing;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use driver::clock::Clock;
use driver::doorbell::Doorbell;
use driver::driver::{Driver, Io, Options, each};
use driver::gso::Gso;
use engine::outbox::Outbox;
use engine::path::{Path, Protocol};
use timing::CpuTime;

fn main() {
    let mut criterion = timing::criterion();
    for (io, name) in [(Io::IoUring, "io_uring"), (Io::Epoll, "epoll")] {
        let bell = Doorbell::new().expect("a file may be opened");
        let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let options = Options {
            io,
            gso: Gso::Auto,
            address,
            port: 0,
            shares_port: false,
            flush_delay: Duration::ZERO,
            send_slots: 4 * PACKETS,
        };
        let Ok(mut driver) = Driver::open(&options, &bell, Clock::start()) else {
            println!("note: send, {name}: not to be had here");
            continue;
        };
        let mut group = criterion.benchmark_group(format!("send by {name}"));
        for train in [1, 2, 4, 8, 16] {
            let receivers: Vec<UdpSocket> = (0..PACKETS / train).map(|_| receiver()).collect();
            let paths: Vec<Path> = receivers.iter().map(path).collect();
            group.bench_function(format!("{PACKETS} packets, each destination {train}"), |bencher| {
                bencher.iter_custom(|packets| flushes(&mut driver, &paths, train, packets));
            });
        }
        let counted: Vec<String> = driver
            .counters()
            .named()
            .filter(|(name, value)| name.contains("send") && *value > 0)
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        println!("note: send by {name}: {}", counted.join(", "));
        group.finish();
    }
    criterion.final_summary();
}

/// CPU time of so many packets, a slab's worth at once.
fn flushes(driver: &mut Driver, paths: &[Path], train: usize, packets: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = packets;
    while left > 0 {
        let begun = CpuTime::now();
        let destinations = paths.iter().flat_map(|path| std::iter::repeat_n(path, train));
        for path in destinations.take(usize::try_from(left).unwrap_or(PACKETS)) {
            driver.outbox().lend(LEN).expect("a flush returns the buffers").fill(0x5a);
            driver.outbox().send(path, LEN);
            left -= 1;
        }
        driver.flush();
        // With io_uring, buffers come back with the completions.
        driver.turn(Some(driver.now()), &mut each(|_, _, _, _| {})).expect("the kernel lets us wait");
        spent += CpuTime::now().saturating_sub(begun);
    }
    spent
}

/// Nobody reads it: what does not fit is dropped, which costs the same for all.
fn receiver() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free")
}

fn path(receiver: &UdpSocket) -> Path {
    let remote = receiver.local_addr().expect("it is bound");
    Path { protocol: Protocol::Udp, local: IpAddr::V4(Ipv4Addr::LOCALHOST), remote }
}

const PACKETS: usize = 64;
const LEN: usize = 1_200;
