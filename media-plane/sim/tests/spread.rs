//! A room on several workers: its subscribers fare as they do on one, wherever they are.

use std::time::Duration;

use engine::discard::RelayReason;
use sim::oracle::Fared;
use sim::scenario::{Rings, Scenario, Wish};
use sim::world::{Report, World};

/// A scenario on one worker, and on several.
fn both(seed: u64, scenario: &Scenario, workers: u16) -> [Report; 2] {
    [1, workers].map(|workers| {
        let rings = Rings { workers, full_per_mille: 0 };
        let report = World::new(seed, Scenario { rings, ..scenario.clone() }).run();
        assert_eq!((report.violations.as_slice(), report.unreadable), (&[][..], 0), "seed {seed}");
        report
    })
}

/// Pictures of the layers that were wished for.
fn shown_up_to(fared: &Fared, wish: &Wish) -> u32 {
    fared.shown.iter().take(usize::from(wish.temporal_layer_max) + 1).sum()
}

fn relayed(report: &Report) -> u64 {
    report.counters.iter().map(|counters| counters.packets_relayed).sum()
}

#[test]
fn without_loss_the_same_pictures_are_shown_as_on_one_worker() {
    let mut scenario = Scenario::with_loss(0);
    for conditions in [&mut scenario.uplink, &mut scenario.downlink] {
        conditions.reordered_per_mille = 0;
    }
    for (seed, workers) in [(0, 2), (1, 3), (2, 4)] {
        let [one, several] = both(seed, &scenario, workers);
        assert_eq!((relayed(&one), relayed(&several) > 1_000), (0, true));
        for ((wish, one), several) in scenario.subscribers.iter().zip(&one.fared).zip(&several.fared) {
            assert_eq!(several.shown_layer, Some(wish.layer_max));
            // One may be between workers at the end.
            assert!(several.audio_packets.abs_diff(one.audio_packets) <= 1, "{wish:?}");
            let (one, several) = (shown_up_to(one, wish), shown_up_to(several, wish));
            assert!(one.abs_diff(several) <= 6, "{workers} workers, {wish:?}: {several} instead of {one}");
        }
    }
}

#[test]
fn loss_is_repaired_as_on_one_worker() {
    let scenario = Scenario::with_loss(50);
    let (mut shown, mut longest) = ([0, 0], [Duration::ZERO; 2]);
    for seed in 0..5 {
        let reports = both(seed, &scenario, 2);
        for ((shown, longest), report) in shown.iter_mut().zip(&mut longest).zip(&reports) {
            let fared = || scenario.subscribers.iter().zip(&report.fared);
            *shown += fared().map(|(wish, fared)| shown_up_to(fared, wish)).sum::<u32>();
            *longest = fared().map(|(_, fared)| fared.longest_freeze).fold(*longest, Duration::max);
            assert!(report.repaired > 20, "seed {seed}: {}", report.repaired);
        }
    }
    println!("{shown:?} shown, freezes of at most {longest:?}");
    assert!(shown[1] * 100 >= shown[0] * 97, "{shown:?}");
    assert!(longest[1] <= Duration::from_millis(1_200), "{longest:?}");
}

#[test]
fn minds_may_change_on_any_worker() {
    for seed in 0..12 {
        for (workers, full_per_mille) in [(2, 0), (3, 2)] {
            let scenario = Scenario {
                is_restless: true,
                duration: Duration::from_secs(6),
                ..Scenario::on_workers(workers, 20, full_per_mille)
            };
            let report = World::new(seed, scenario).run();
            assert_eq!((report.violations.as_slice(), report.unreadable), (&[][..], 0), "seed {seed}");
            let shown: u32 = report.fared.iter().flat_map(|fared| fared.shown).sum();
            assert!(shown > 90, "seed {seed}, {workers} workers: {shown}");
        }
    }
}

/// What finds no room is not sent again; a key frame ends what it broke.
#[test]
fn rings_that_are_full_now_and_then_stop_nothing_for_long() {
    for seed in 0..6 {
        let report = World::new(seed, Scenario::on_workers(2, 0, 3)).run();
        assert_eq!((report.violations.as_slice(), report.unreadable), (&[][..], 0), "seed {seed}");
        let refused = report.counters[0].relayed_discarded(RelayReason::NoRoom);
        assert!(refused > 10, "seed {seed}: {refused}");
        for fared in &report.fared {
            assert!(
                fared.longest_freeze <= Duration::from_millis(1_500),
                "{seed}: {:?}",
                fared.longest_freeze
            );
            assert!(fared.last_shown_at.unwrap().0 > 11_000_000_000, "{seed}: goes on to the end");
        }
    }
}
