//! Figures of the film under many kinds of loss, as a table: how much is shown, and how long the picture stands still.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::film::screening::{Showing, bursting, judge, losing, scenario, wrong_pictures};
use crate::world::World;

/// Plays these seeds, and prints a row for each kind of loss and each limit of temporal layers; tells how much was wrong.
#[must_use]
pub fn print(seeds: Range<u64>) -> usize {
    let film = Arc::default();
    let mut wrong = 0;
    println!("| loss | up to layer | shown | wrong | gaps | over 1 s | longest | longest freeze |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (name, uplink, downlink) in [
        ("none", losing(0), losing(0)),
        ("1 % on both paths", losing(10), losing(10)),
        ("5 % on both paths", losing(50), losing(50)),
        ("20 % from the publisher", losing(200), losing(0)),
        ("20 % to the subscribers", losing(0), losing(200)),
        ("20 % on both paths", losing(200), losing(200)),
        ("bursts on both paths", bursting(), bursting()),
    ] {
        let scenario = scenario(&film, uplink, downlink);
        let mut totals: Vec<Total> = scenario.subscribers.iter().map(|_| Total::default()).collect();
        for seed in seeds.clone() {
            let report = World::new(seed, scenario.clone()).run();
            if !report.violations.is_empty() {
                println!("{name}, seed {seed}: {:?}", report.violations);
                wrong += 1;
            }
            for ((wish, screen), total) in scenario.subscribers.iter().zip(&report.screens).zip(&mut totals) {
                total.add(&judge(&report, *wish, screen));
                match wrong_pictures(&film, &report, screen) {
                    Ok(pictures) => total.wrong += pictures.len(),
                    Err(error) => {
                        println!("{name}, seed {seed}, {wish:?}: {error}");
                        total.wrong += 1;
                    }
                }
            }
        }
        for (wish, total) in scenario.subscribers.iter().zip(&totals) {
            println!("| {name} | {} | {total} |", wish.temporal_layer_max);
            wrong += total.wrong;
        }
    }
    wrong
}

#[derive(Default)]
struct Total {
    wished: usize,
    shown: usize,
    wrong: usize,
    gaps: usize,
    long_gaps: usize,
    longest_gap: Duration,
    longest_freeze: Duration,
}

impl Total {
    fn add(&mut self, showing: &Showing) {
        self.wished += showing.wished;
        self.shown += showing.shown;
        self.gaps += showing.gaps.len();
        for gap in &showing.gaps {
            self.long_gaps += usize::from(gap.len > Duration::from_secs(1));
            self.longest_gap = self.longest_gap.max(gap.len);
            // Anything else can't be right.
            self.wrong += usize::from(!gap.ends_with_key_frame);
        }
        self.longest_freeze = self.longest_freeze.max(showing.longest_freeze);
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.shown as f64 / self.wished as f64;
        let Self { wrong, gaps, long_gaps, longest_gap, longest_freeze, .. } = self;
        write!(f, "{share:.1} % | {wrong} | {gaps} | {long_gaps} | {} ms | ", longest_gap.as_millis())?;
        write!(f, "{} ms", longest_freeze.as_millis())
    }
}
