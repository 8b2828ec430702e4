//! One publisher of VP8 and its subscribers through the whole engine: the cost of each forwarded copy.

mod call;
mod timing;

use call::Call;

fn main() {
    let mut criterion = timing::criterion();
    let mut group = criterion.benchmark_group("engine, per copy");
    for subscribers in [1, 10, 50] {
        let mut call = Call::new(subscribers);
        group.bench_function(format!("1 to {subscribers}"), |bencher| {
            bencher.iter_custom(|packets| {
                let before = call.copies_sent();
                let spent = call.run(packets);
                assert_eq!(
                    call.copies_sent() - before,
                    packets * u64::from(subscribers),
                    "each copy was sent"
                );
                spent / subscribers
            });
        });
        println!("note: engine, 1 to {subscribers}: {}", call.summary());
    }
    group.finish();
    criterion.final_summary();
}
