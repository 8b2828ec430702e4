//! One publisher and three subscribers: what they show under loss, and what they must never show.

use std::time::Duration;

use sim::oracle::Fared;
use sim::scenario::{Fault, Scenario, Wish};
use sim::world::{Report, World};

/// What each subscriber must at least get.
struct Bounds {
    /// Of the pictures that it wished for, in percent.
    shown: u32,
    /// Between two shown pictures.
    freeze: Duration,
}

fn play(name: &str, scenario: &Scenario, seeds: std::ops::Range<u64>, bounds: &Bounds) {
    for seed in seeds {
        let report = World::new(seed, scenario.clone()).run();
        assert_eq!(report.violations, [], "{name}, seed {seed}");
        assert_eq!(report.unreadable, 0, "{name}, seed {seed}: what comes can be read");
        for (number, (wish, fared)) in scenario.subscribers.iter().zip(&report.fared).enumerate() {
            let wished = report.wished.get(number).copied().unwrap_or(0);
            let shown = shown_up_to(fared, wish);
            println!("{name}, seed {seed}, {wish:?}: {shown} of {wished}, freeze {:?}", fared.longest_freeze);
            assert!(
                shown * 100 >= wished * bounds.shown as usize,
                "{name}, seed {seed}, {wish:?}: {shown} of {wished}"
            );
            assert!(
                fared.longest_freeze <= bounds.freeze,
                "{name}, seed {seed}, {wish:?}: {:?}",
                fared.longest_freeze
            );
        }
    }
}

/// Pictures of the layers that were wished for.
fn shown_up_to(fared: &Fared, wish: &Wish) -> usize {
    fared.shown.iter().take(usize::from(wish.temporal_layer_max) + 1).map(|&count| count as usize).sum()
}

#[test]
fn without_loss_all_that_was_wished_for_is_shown_and_nothing_else() {
    let mut scenario = Scenario::with_loss(0);
    for conditions in [&mut scenario.uplink, &mut scenario.downlink] {
        conditions.reordered_per_mille = 0;
    }
    play("no loss", &scenario, 0..3, &Bounds { shown: 99, freeze: Duration::from_millis(160) });

    let report = World::new(3, scenario.clone()).run();
    for (wish, fared) in scenario.subscribers.iter().zip(&report.fared) {
        let all: u32 = fared.shown.iter().sum();
        assert_eq!(all as usize, shown_up_to(fared, wish), "nothing above {wish:?}");
        assert_eq!(fared.shown_layer, Some(wish.layer_max));
    }
}

#[test]
fn one_percent_of_loss_is_repaired() {
    play("1 %", &Scenario::with_loss(10), 10..13, &Bounds { shown: 98, freeze: Duration::from_millis(500) });
}

#[test]
fn five_percent_of_loss_are_repaired() {
    play("5 %", &Scenario::with_loss(50), 20..23, &Bounds { shown: 94, freeze: Duration::from_millis(700) });
}

/// 36 % are lost on both links together: more than retransmissions are allowed to repair.
#[test]
fn twenty_percent_of_loss_show_no_wrong_picture_and_go_on() {
    play(
        "20 %",
        &Scenario::with_loss(200),
        30..34,
        &Bounds { shown: 25, freeze: Duration::from_millis(3_500) },
    );
}

#[test]
fn subscribers_may_change_their_minds_at_any_time() {
    for loss_per_mille in [0, 20] {
        let scenario = Scenario { is_restless: true, ..Scenario::with_loss(loss_per_mille) };
        for seed in 80..84 {
            let report = World::new(seed, scenario.clone()).run();
            assert_eq!(report.violations, [], "{loss_per_mille} per mille, seed {seed}");
            let shown: u32 = report.fared.iter().flat_map(|fared| fared.shown).sum();
            assert!(shown > 300, "{loss_per_mille} per mille, seed {seed}: {shown}");
        }
    }
}

#[test]
fn bursts_show_no_wrong_picture_and_never_stop_for_long() {
    play(
        "bursts",
        &Scenario::with_bursts(),
        40..44,
        &Bounds { shown: 80, freeze: Duration::from_millis(2_500) },
    );
}

/// Whatever was lost, a picture is repaired or a key frame comes within a second; now and then that is lost, too.
#[test]
fn freezes_end_within_a_second() {
    for (name, scenario, percent, longest) in [
        ("outages", Scenario::with_outages(), 95, Duration::from_millis(1_500)),
        ("20 %", Scenario::with_loss(200), 88, Duration::from_millis(3_500)),
    ] {
        let reports: Vec<Report> = (90..96).map(|seed| World::new(seed, scenario.clone()).run()).collect();
        let freezes = || reports.iter().flat_map(|report| &report.fared).flat_map(|fared| &fared.freezes);
        let all = freezes().count();
        let short = freezes().filter(|freeze| **freeze <= Duration::from_secs(1)).count();
        println!("{name}: {short} of {all} within 1 s, {:?} at most", freezes().max());
        assert!(all > 5, "{name}: {all} are too few to tell");
        assert!(short * 100 >= all * percent, "{name}: {short} of {all}");
        assert!(freezes().all(|freeze| *freeze <= longest), "{name}: {:?}", freezes().max());
    }
}

#[test]
fn retransmissions_reach_subscribers() {
    assert!(World::new(50, Scenario::with_loss(50)).run().repaired > 20);
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_others() {
    let trace = |seed| {
        let scenario = Scenario { duration: Duration::from_secs(4), ..Scenario::with_loss(50) };
        World::new(seed, scenario).run().trace
    };
    assert_eq!(trace(60), trace(60));
    assert_ne!(trace(60), trace(61));
}

/// The canary: a world that is broken on purpose has to fail, each in its own way.
#[test]
fn broken_worlds_are_seen() {
    for (fault, expected) in [
        (Fault::HideBasePictures, "MissingReference"),
        (Fault::RepeatPictureId, "PictureId"),
        (Fault::HideAudio, "AudioNumbers"),
        (Fault::RepeatPacket, "Sequence"),
        (Fault::MixPictures, "NotWhole"),
        (Fault::RepeatPicture, "Backwards"),
        (Fault::KeepChecksFromOracle, "SentUnasked"),
        (Fault::SwallowDatagram, "Unaccounted"),
    ] {
        let Report { violations, .. } = World::new(70, Scenario::with_fault(fault)).run();
        let seen = violations.iter().any(|violation| format!("{violation:?}").starts_with(expected));
        assert!(seen, "{fault:?} has to be seen as {expected}: {violations:?}");
    }
    let garbled = World::new(70, Scenario::with_fault(Fault::GarbleDatagrams)).run();
    assert!(garbled.unreadable > 100, "{}", garbled.unreadable);
}
