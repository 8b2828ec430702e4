//! What a datagram is and whose: its class by the first bytes, its peer by the path it came on.

mod timing;

use core::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use criterion::Criterion;
use engine::config::Limits;
use engine::demux::Demux;
use engine::hash::Seeded;
use engine::path::{Path, Protocol};
use engine::slots::Slots;
use timing::CpuTime;
use units::handle::PeerId;
use wire::demux::Class;

fn main() {
    let mut criterion = timing::criterion();
    class(&mut criterion);
    peer(&mut criterion);
    criterion.final_summary();
}

fn class(criterion: &mut Criterion<CpuTime>) {
    let datagrams = [(0x80, 96), (0x80, 205), (22, 254), (0, 1)].map(|(first, second)| {
        let mut datagram = [0; 64];
        [datagram[0], datagram[1]] = [first, second];
        datagram
    });
    let classes = datagrams.map(|datagram| Class::of(&datagram));
    assert_eq!(classes, [Class::Rtp, Class::Rtcp, Class::Dtls, Class::Stun].map(Ok));
    let mut turn = datagrams.iter().cycle();
    criterion.bench_function("demux/class of a datagram", |bencher| {
        bencher.iter(|| Class::of(black_box(turn.next().expect("it goes round"))));
    });
}

/// Paths are asked for in another order than they came in, one after the other.
fn peer(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("demux");
    for count in [100_u16, 10_000] {
        let mut slots = Slots::new(count.into(), SEED);
        let mut demux = Demux::new(&Limits::default(), SEED);
        for number in 0..count {
            let slot = slots.insert(PeerId(number.into()), ()).expect("there is room");
            demux.add_path(path(number), slot);
        }
        let found = (0..count).filter(|number| demux.by_path(path(*number)).is_some()).count();
        assert_eq!(found, usize::from(count));
        let paths: Vec<Path> = (0..count).map(|number| path((number * 7) % count)).collect();
        let mut turn = paths.iter().cycle();
        group.bench_function(format!("peer by path, of {count}"), |bencher| {
            bencher.iter(|| demux.by_path(*black_box(turn.next().expect("it goes round"))));
        });
    }
    group.finish();
}

fn path(number: u16) -> Path {
    let [high, low] = number.to_be_bytes();
    Path {
        protocol: Protocol::Udp,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
        remote: SocketAddr::from(([192, 0, high, low], 40_000 + number % 1_000)),
    }
}

const SEED: Seeded = Seeded(7);
