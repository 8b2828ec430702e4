//! Real VP8 through the engine and into ffmpeg's decoder: under loss every picture that is shown is the one that was sent.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sim::client::decoder::Shown;
use sim::film::{self, Film, LENGTH, PATTERN, Place, Take, ffmpeg};
use sim::link::Conditions;
use sim::scenario::{Fault, Scenario, Wish};
use sim::world::{Report, World};

/// Encoded once for all tests here.
static FILM: LazyLock<Arc<Film>> = LazyLock::new(Arc::default);

/// A film of 15 s for three subscribers: all temporal layers, two, and one.
fn scenario(uplink: Conditions, downlink: Conditions) -> Scenario {
    Scenario {
        duration: Duration::from_secs(15),
        uplink,
        downlink,
        subscribers: [2, 1, 0].map(|temporal_layer_max| Wish { layer_max: 0, temporal_layer_max }).into(),
        film: Some(Arc::clone(&FILM)),
        ..Scenario::with_loss(0)
    }
}

fn losing(loss_per_mille: u32) -> Conditions {
    Conditions {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(8),
        loss_per_mille,
        ..Conditions::default()
    }
}

/// Now and then all of up to 40 datagrams in a row are lost.
fn bursting() -> Conditions {
    Conditions { burst_per_mille: 4, burst_len_max: 40, ..losing(10) }
}

/// What each subscriber must at least get.
struct Bounds {
    /// Of the pictures that it wished for, in percent.
    shown: usize,
    /// Between two shown pictures.
    freeze: Duration,
}

/// How one subscriber fared.
struct Showing {
    /// Pictures of its layers that were sent and shown, and those above that were shown.
    wished: usize,
    shown: usize,
    above: usize,
    /// Where a picture was never shown that later ones need.
    gaps: Vec<Gap>,
    longest_freeze: Duration,
}

/// From the last picture before it to the first one behind it.
#[derive(Debug)]
struct Gap {
    len: Duration,
    ends_with_key_frame: bool,
}

/// Plays worlds; every picture that is shown has to be the one that was sent, and each gap ends with a key frame.
fn play(name: &str, scenario: &Scenario, seeds: Range<u64>, bounds: &Bounds) {
    for seed in seeds {
        let report = World::new(seed, scenario.clone()).run();
        assert_eq!(report.violations, [], "{name}, seed {seed}");
        assert_eq!(report.unreadable, 0, "{name}, seed {seed}: what comes can be read");
        for (wish, screen) in scenario.subscribers.iter().zip(&report.screens) {
            let name = format!("{name}, seed {seed}, up to temporal layer {}", wish.temporal_layer_max);
            assert_eq!(wrong_pictures(&report, screen), Ok(Vec::new()), "{name}");
            let showing = judge(&report, *wish, screen);
            println!("{name}: {showing}");
            let Showing { wished, shown, gaps, longest_freeze, .. } = showing;
            assert!(shown * 100 >= wished * bounds.shown, "{name}: {shown} of {wished}");
            assert!(longest_freeze <= bounds.freeze, "{name}: {longest_freeze:?}");
            assert!(gaps.iter().all(|gap| gap.ends_with_key_frame), "{name}: {gaps:?}");
        }
    }
}

/// Decodes what was shown, and tells which pictures are not what a decoder makes of them that misses none.
fn wrong_pictures(report: &Report, screen: &[Shown]) -> Result<Vec<u32>, String> {
    let pictures: Vec<&[u8]> = screen.iter().map(|shown| shown.bytes.as_slice()).collect();
    let digests = ffmpeg::digests(&pictures)?;
    if digests.len() != screen.len() {
        return Err(format!("{} of {} pictures are decoded", digests.len(), screen.len()));
    }
    let is_wrong = |(shown, digest): &(&Shown, String)| {
        FILM.digest(report.takes[shown.number as usize]) != digest.as_str()
    };
    Ok(screen.iter().zip(digests).filter(is_wrong).map(|(shown, _)| shown.number).collect())
}

fn judge(report: &Report, wish: Wish, screen: &[Shown]) -> Showing {
    let is_wished = |number: u32| film::place(number).temporal <= wish.temporal_layer_max;
    // What was sent when the world ended was still on its way.
    let end = u32::try_from(report.takes.len()).unwrap().saturating_sub(TAIL);
    let shown: Vec<&Shown> = screen.iter().filter(|shown| shown.number < end).collect();
    let above = shown.iter().filter(|shown| !is_wished(shown.number)).count();
    let pairs: Vec<_> = shown.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let misses_base = |before: &Shown, after: &Shown| {
        (before.number + 1..after.number).any(|number| film::place(number).temporal == 0)
    };
    Showing {
        wished: (0..end).filter(|&number| is_wished(number)).count(),
        shown: shown.len() - above,
        above,
        gaps: pairs
            .iter()
            .filter(|(before, after)| misses_base(before, after))
            .map(|(before, after)| Gap { len: after.at - before.at, ends_with_key_frame: after.is_key })
            .collect(),
        longest_freeze: pairs.iter().map(|(before, after)| after.at - before.at).max().unwrap_or_default(),
    }
}

impl fmt::Display for Showing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.shown as f64 / self.wished as f64;
        let gaps: Vec<_> = self.gaps.iter().map(|gap| gap.len.as_millis()).collect();
        let Self { wished, shown, above, longest_freeze, .. } = self;
        write!(f, "{shown} of {wished} shown ({share:.1} %), {above} of higher layers, ")?;
        write!(f, "longest freeze {} ms, gaps of {gaps:?} ms", longest_freeze.as_millis())
    }
}

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
    let scenario = scenario(losing(0), losing(0));
    play("no loss", &scenario, 0..1, &Bounds { shown: 100, freeze: Duration::from_millis(250) });

    let report = World::new(0, scenario.clone()).run();
    for (wish, screen) in scenario.subscribers.iter().zip(&report.screens) {
        let showing = judge(&report, *wish, screen);
        assert_eq!(showing.above, 0, "{wish:?}");
        let sent = report.takes.len() - TAIL as usize;
        let every = [4, 2, 1][usize::from(wish.temporal_layer_max)];
        assert_eq!(showing.shown, sent.div_ceil(every), "{wish:?}: one in {every} of {sent}");
    }
}

#[test]
fn one_percent_of_loss_is_repaired() {
    let bounds = Bounds { shown: 99, freeze: Duration::from_millis(600) };
    play("1 %", &scenario(losing(10), losing(10)), 10..12, &bounds);
}

#[test]
fn five_percent_of_loss_are_repaired() {
    let bounds = Bounds { shown: 97, freeze: Duration::from_millis(800) };
    play("5 %", &scenario(losing(50), losing(50)), 20..22, &bounds);
}

#[test]
fn twenty_percent_of_loss_on_the_way_here_show_no_wrong_picture() {
    let bounds = Bounds { shown: 85, freeze: Duration::from_millis(1_500) };
    play("20 % up", &scenario(losing(200), losing(0)), 30..32, &bounds);
}

#[test]
fn twenty_percent_of_loss_on_the_way_to_subscribers_show_no_wrong_picture() {
    let bounds = Bounds { shown: 40, freeze: Duration::from_secs(4) };
    play("20 % down", &scenario(losing(0), losing(200)), 40..42, &bounds);
}

#[test]
fn bursts_of_loss_show_no_wrong_picture() {
    let bounds = Bounds { shown: 50, freeze: Duration::from_secs(4) };
    play("bursts", &scenario(bursting(), bursting()), 50..52, &bounds);
}

/// The canary: a base picture that is hidden without a trace spoils those that refer to it, and the decoder shows it.
#[test]
fn picture_without_its_reference_is_seen_to_be_wrong() {
    let mut scenario = Scenario::with_fault(Fault::HideBasePictures);
    scenario.film = Some(Arc::clone(&FILM));
    let report = World::new(70, scenario).run();
    let wrong = wrong_pictures(&report, &report.screens[0]).unwrap();
    assert!(wrong.len() > 10, "{wrong:?}");
}

/// Frames at the end that need not have been shown: half a second.
const TAIL: u32 = 15;
