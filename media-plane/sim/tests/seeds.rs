//! Many worlds of every kind of network, and an hour of one: what the oracles know must never happen does not happen.

use std::time::Duration;

use sim::scenario::{KINDS, Scenario, Wish};
use sim::world::World;

/// `scripts/soak` plays a thousand, each in every kind of network and twice as long.
#[test]
fn two_hundred_seeds_break_no_promise() {
    const SEEDS: u64 = 200;
    const THREADS: usize = 2;
    let shown: u64 = std::thread::scope(|scope| {
        let parts = (0..).take(THREADS).map(|part| {
            scope.spawn(move || (part..SEEDS).step_by(THREADS).map(|seed| u64::from(play(seed))).sum::<u64>())
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().map(|part| part.join().expect("its seed was printed")).sum()
    });
    assert!(shown > SEEDS * 150, "only {shown} pictures in {SEEDS} worlds");
}

/// Pictures that were shown to anybody.
fn play(seed: u64) -> u32 {
    let kind = *KINDS.iter().cycle().nth(usize::try_from(seed).unwrap()).unwrap();
    let again = format!("again: ./scripts/soak seed {} {seed}", kind.name);
    let scenario = Scenario { duration: Duration::from_secs(5), ..kind.scenario(seed) };
    let report = World::new(seed, scenario).run();
    assert_eq!(report.violations, [], "{again}");
    assert_eq!(report.unreadable, 0, "{again}");
    assert_eq!(report.overflowed > 0, kind.name == "narrow", "{again}");
    report.fared.iter().flat_map(|fared| fared.shown).sum()
}

/// The receiver of nothing but the base layer sees no hole in any number for as long as the camera's wrap.
#[test]
fn hour_of_temporal_layer_0_shows_all_of_it_and_hardly_more() {
    let hour = Scenario {
        duration: Duration::from_secs(3_600),
        subscribers: vec![Wish { layer_max: 0, temporal_layer_max: 0 }],
        layers: 1,
        ..Scenario::with_loss(10)
    };
    let report = World::new(1, hour).run();
    assert_eq!((report.violations, report.unreadable), (vec![], 0));
    let (fared, wished) = (&report.fared[0], report.wished[0]);
    let [base, above @ ..] = fared.shown;
    println!("{base} of {wished} shown, {above:?} above, freeze {:?}", fared.longest_freeze);
    assert!(wished > 26_000, "a quarter of 30 a second: {wished}");
    assert!(base as usize * 1_000 >= wished * 995, "{base} of {wished}");
    // Behind a gap a picture is shown whatever its layer.
    assert!(above.iter().sum::<u32>() * 100 < base * 3, "{above:?}");
    assert!(fared.longest_freeze < Duration::from_millis(1_000), "{:?}", fared.longest_freeze);
}
