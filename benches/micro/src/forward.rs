//! What becomes of one packet's copy for one subscriber: VP8 in order, with temporal layers dropped, out of order.

mod timing;

use call::train::{Train, in_order, swapped, video};
use criterion::BatchSize;
use forward::discard::Reason;
use forward::facts::Class;
use forward::forwarder::Forwarder;
use forward::rewrite::Rewrite;

fn main() {
    let mut criterion = timing::criterion();
    let mut group = criterion.benchmark_group("forward VP8");
    for (name, temporal_max, arrangement, forwarded) in [
        ("in order", 2, in_order as fn(u64) -> u64, TRIED),
        ("to temporal layer 0 of 3", 0, in_order, TRIED / 4),
        ("each two packets swapped", 2, swapped, TRIED),
    ] {
        let count = forwarded_when_tried(temporal_max, arrangement);
        assert_eq!(count, forwarded, "{name}");
        println!("note: forward VP8, {name}: {count} of {TRIED} packets are forwarded");
        group.bench_function(name, |bencher| {
            let mut forwarder = forwarder(temporal_max);
            let mut train = Train::new(video, arrangement);
            bencher.iter_batched_ref(
                || train.next_packet(),
                |(now, facts)| forwarder.forward(*now, facts),
                BATCH,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}

fn forwarder(temporal_max: u8) -> Forwarder {
    let mut forwarder = Forwarder::new(Class::Vp8, 90_000);
    forwarder.set_target(Some(0), temporal_max);
    forwarder
}

/// That the bench measures what its name says.
fn forwarded_when_tried(temporal_max: u8, arrangement: fn(u64) -> u64) -> usize {
    let mut forwarder = forwarder(temporal_max);
    let mut train = Train::new(video, arrangement);
    let mut outcome = || -> Result<Rewrite, Reason> {
        let (now, facts) = train.next_packet();
        forwarder.forward(now, &facts)
    };
    (0..TRIED).filter(|_| outcome().is_ok()).count()
}

const TRIED: usize = 1_600; // 100 cycles of the temporal layers
const BATCH: BatchSize = BatchSize::NumIterations(512);
