//! Real VP8 through the engine and into ffmpeg's decoder: under loss every picture that is shown is the one that was sent.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sim::film::screening::{Showing, bursting, judge, losing, scenario, sent, wrong_pictures};
use sim::film::{self, Film, LENGTH, PATTERN, Place, Take, ffmpeg};
use sim::scenario::{Fault, Scenario};
use sim::world::World;

/// Encoded once for all tests here.
static FILM: LazyLock<Arc<Film>> = LazyLock::new(Arc::default);

/// What each subscriber must at least get.
struct Bounds {
    /// Of the pictures that it wished for, in percent.
    shown: usize,
    /// Between two shown pictures.
    freeze: Duration,
}

/// Plays worlds; every picture that is shown has to be the one that was sent, and each gap ends with a key frame soon.
fn play(name: &str, scenario: &Scenario, seeds: Range<u64>, bounds: &Bounds) {
    let mut all_gaps = Vec::new();
    for seed in seeds {
        let report = World::new(seed, scenario.clone()).run();
        assert_eq!(report.violations, [], "{name}, seed {seed}");
        assert_eq!(report.unreadable, 0, "{name}, seed {seed}: what comes can be read");
        for (wish, screen) in scenario.subscribers.iter().zip(&report.screens) {
            let name = format!("{name}, seed {seed}, up to temporal layer {}", wish.temporal_layer_max);
            assert_eq!(wrong_pictures(&FILM, &report, screen), Ok(Vec::new()), "{name}");
            let showing = judge(&report, *wish, screen);
            println!("{name}: {showing}");
            let Showing { wished, shown, gaps, longest_freeze, .. } = showing;
            assert!(shown * 100 >= wished * bounds.shown, "{name}: {shown} of {wished}");
            assert!(longest_freeze <= bounds.freeze, "{name}: {longest_freeze:?}");
            assert!(gaps.iter().all(|gap| gap.ends_with_key_frame), "{name}: {gaps:?}");
            all_gaps.extend(gaps.into_iter().map(|gap| gap.len));
        }
    }
    // What asks for a key frame, and most of one, can be lost as well: a few take longer.
    let long = all_gaps.iter().filter(|&&len| len > Duration::from_secs(1)).count();
    assert!(long * 4 <= all_gaps.len(), "{name}: most gaps end within a second: {all_gaps:?}");
    assert!(all_gaps.iter().all(|&len| len <= GAP_MAX), "{name}: each gap ends soon: {all_gaps:?}");
}

const GAP_MAX: Duration = Duration::from_millis(2_500);

#[test]
fn film_is_what_was_filmed_and_shows_whether_a_picture_misses_another() {
    let frames = FILM.frames(0);
    let likeness = ffmpeg::likeness(frames).unwrap();
    assert!(likeness > 30.0, "the film is like its source: {likeness} dB");
    let key_frames = frames.iter().map(|frame| frame[0] & 1 == 0); // RFC 6386 §9.1
    let expected = (0..LENGTH).map(|frame| film::is_key_frame(Take { phase: 0, frame }));
    assert!(key_frames.eq(expected), "key frames lie where they should");
    let digests: Vec<&str> = (0..LENGTH).map(|frame| FILM.digest(Take { phase: 0, frame })).collect();
    assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len(), "no two frames are alike");

    for (name, is_left_out, is_right) in [
        ("layers 0 and 1", (|place| place.temporal > 1) as fn(&Place) -> bool, true),
        ("layer 0", |place| place.temporal > 0, true),
        ("without the synced picture of layer 2", |place| place.temporal == 2 && place.sync, true),
        ("without layer 1", |place| place.temporal == 1, false),
    ] {
        let kept: Vec<usize> =
            (0..frames.len()).filter(|&at| !is_left_out(&PATTERN[at % PATTERN.len()])).collect();
        let pictures: Vec<&[u8]> = kept.iter().map(|&at| frames[at].as_slice()).collect();
        let shown = ffmpeg::digests(&pictures).unwrap();
        assert_eq!(shown.len(), kept.len(), "{name}");
        let matches = shown.iter().zip(&kept).all(|(digest, &at)| digest == digests[at]);
        assert_eq!(matches, is_right, "{name}");
    }
}

#[test]
fn without_loss_all_pictures_of_the_chosen_layers_are_shown_and_no_others() {
    let scenario = scenario(&FILM, losing(0), losing(0));
    play("no loss", &scenario, 0..1, &Bounds { shown: 100, freeze: Duration::from_millis(250) });

    let report = World::new(0, scenario.clone()).run();
    for (wish, screen) in scenario.subscribers.iter().zip(&report.screens) {
        let showing = judge(&report, *wish, screen);
        assert_eq!(showing.above, 0, "{wish:?}");
        let sent = sent(&report) as usize;
        let every = [4, 2, 1][usize::from(wish.temporal_layer_max)];
        assert_eq!(showing.shown, sent.div_ceil(every), "{wish:?}: one in {every} of {sent}");
    }
}

#[test]
fn one_percent_of_loss_is_repaired() {
    let bounds = Bounds { shown: 99, freeze: Duration::from_millis(600) };
    play("1 %", &scenario(&FILM, losing(10), losing(10)), 10..12, &bounds);
}

#[test]
fn five_percent_of_loss_are_repaired() {
    let bounds = Bounds { shown: 97, freeze: Duration::from_millis(800) };
    play("5 %", &scenario(&FILM, losing(50), losing(50)), 20..22, &bounds);
}

#[test]
fn twenty_percent_of_loss_on_the_way_here_show_no_wrong_picture() {
    let bounds = Bounds { shown: 90, freeze: Duration::from_millis(2_000) };
    play("20 % up", &scenario(&FILM, losing(200), losing(0)), 30..32, &bounds);
}

#[test]
fn twenty_percent_of_loss_on_the_way_to_subscribers_show_no_wrong_picture() {
    let bounds = Bounds { shown: 60, freeze: Duration::from_secs(3) };
    play("20 % down", &scenario(&FILM, losing(0), losing(200)), 40..42, &bounds);
}

#[test]
fn bursts_of_loss_show_no_wrong_picture() {
    let bounds = Bounds { shown: 85, freeze: Duration::from_millis(2_000) };
    play("bursts", &scenario(&FILM, bursting(), bursting()), 50..52, &bounds);
}

#[test]
fn subscribers_may_change_their_limits_at_any_time() {
    let scenario = Scenario { is_restless: true, ..scenario(&FILM, losing(20), losing(20)) };
    for seed in 60..62 {
        let report = World::new(seed, scenario.clone()).run();
        assert_eq!(report.violations, [], "seed {seed}");
        for (number, screen) in report.screens.iter().enumerate() {
            let name = format!("seed {seed}, subscriber {number}");
            assert_eq!(wrong_pictures(&FILM, &report, screen), Ok(Vec::new()), "{name}");
            let shown = [0, 1, 2].map(|layer| screen.iter().filter(|shown| shown.temporal == layer).count());
            println!("restless, {name}: {shown:?} pictures of each temporal layer");
            assert!(shown.iter().all(|&count| count > 10), "{name}: {shown:?}");
        }
    }
}

/// The canary: a base picture that is hidden without a trace spoils those that refer to it, and the decoder shows it.
#[test]
fn picture_without_its_reference_is_seen_to_be_wrong() {
    let mut scenario = Scenario::with_fault(Fault::HideBasePictures);
    scenario.film = Some(Arc::clone(&FILM));
    let report = World::new(70, scenario).run();
    let wrong = wrong_pictures(&FILM, &report, &report.screens[0]).unwrap();
    assert!(wrong.len() > 10, "{wrong:?}");
}
