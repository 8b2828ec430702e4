//! One publisher of VP8 and its subscribers through the whole engine: the cost of each forwarded copy.

mod timing;

use core::time::Duration;

use call::call::{BATCH, Call};
use call::media::Media;
use srtp::aws_lc::AwsLc;
use timing::CpuTime;

fn main() {
    let mut criterion = timing::criterion();
    let mut group = criterion.benchmark_group("engine, per copy");
    for subscribers in [1, 10, 50] {
        let mut call = Call::<AwsLc>::new(Media::Video, subscribers);
        group.bench_function(format!("1 to {subscribers}"), |bencher| {
            bencher.iter_custom(|packets| {
                let before = call.copies_sent();
                let spent = run(&mut call, packets);
                assert_eq!(
                    call.copies_sent() - before,
                    packets * u64::from(subscribers),
                    "each copy was sent"
                );
                spent / u32::from(subscribers)
            });
        });
        println!("note: engine, 1 to {subscribers}: {}", call.summary());
    }
    group.finish();
    criterion.final_summary();
}

/// Time that the engine took for so many packets of the publisher, and for what was due meanwhile.
fn run(call: &mut Call<AwsLc>, packets: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = packets;
    while left > 0 {
        let count = left.min(BATCH);
        left -= count;
        call.prepare(count);
        let begun = CpuTime::now();
        call.receive_all();
        spent += CpuTime::now().saturating_sub(begun);
    }
    spent
}
