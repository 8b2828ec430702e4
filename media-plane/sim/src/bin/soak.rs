//! Plays many worlds and names each seed that broke a promise: `soak seeds 0 1000`, one of them again:
//! `soak seed bursts 17`, one world for long: `soak hours 1 7`, or the forwarder alone beside its reference model:
//! `soak packets 1000000`. `soak freezes 0 100` tells how long viewers looked at a picture that stood still, and
//! `soak film 0 30` the same of a film that is really encoded and decoded.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use engine::counters::Counters;
use reference::run::{Played, Run};
use sim::film::figures;
use sim::scenario::{KINDS, Kind, Scenario};
use sim::world::{Report, World};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    let broken = match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (Some("seeds"), &[from, to]) => seeds(from..to),
        (Some("freezes"), &[from, to]) => freezes(from..to),
        (Some("hours"), &[hours, seed]) => long(Duration::from_secs(hours * 3_600), seed),
        (Some("seed"), &[seed]) => KINDS
            .iter()
            .filter(|kind| arguments.get(1).is_none_or(|name| kind.name == name))
            .filter(|kind| is_broken(**kind, seed, true))
            .count(),
        (Some("film"), &[from, to]) => figures::print(from..to),
        (Some("packets"), &[count]) => packets(usize::try_from(count).unwrap_or(usize::MAX)),
        _ => {
            eprintln!(
                "usage: soak seeds FROM TO | soak seed KIND SEED | soak hours COUNT SEED | soak packets COUNT | soak freezes FROM TO | soak film FROM TO"
            );
            return ExitCode::from(2);
        }
    };
    println!("{broken} broken");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each seed in each kind of network.
fn seeds(seeds: Range<u64>) -> usize {
    let worlds = seeds.flat_map(|seed| KINDS.map(|kind| (kind, seed)));
    worlds.filter(|&(kind, seed)| is_broken(kind, seed, false)).count()
}

fn is_broken(kind: Kind, seed: u64, in_full: bool) -> bool {
    let report = World::new(seed, kind.scenario(seed)).run();
    if in_full {
        println!("{} {seed}: trace {:016x}", kind.name, report.trace);
        report.fared.iter().for_each(|fared| println!("{fared:?}"));
    }
    tell_if_broken(&format!("./scripts/soak seed {} {seed}", kind.name), &report)
}

/// Worlds of one forwarder and the model that it has to equal, until so many packets came; the first that differs panics.
fn packets(count: usize) -> usize {
    let mut played = Played::default();
    let mut seed = 0;
    while played.packets < count {
        played += Run::new(seed).play(320);
        seed += 1;
    }
    println!("equal in {seed} worlds: {played:?}");
    0
}

/// One subscriber gets all layers, one the middle, one the lowest with no more than temporal layer 0.
fn long(duration: Duration, seed: u64) -> usize {
    let losses = [0, 10, 50];
    let worlds = losses.map(|loss| (loss, Scenario { duration, ..Scenario::with_loss(loss) }));
    worlds
        .into_iter()
        .filter(|(loss, scenario)| {
            let report = World::new(seed, scenario.clone()).run();
            for (wish, (fared, wished)) in
                scenario.subscribers.iter().zip(report.fared.iter().zip(&report.wished))
            {
                println!(
                    "{loss} per mille lost, {wish:?}: {:?} of {wished} shown, {:?}",
                    fared.shown, fared.longest_freeze
                );
            }
            tell_if_broken(&format!("seed {seed}, {loss} per mille"), &report)
        })
        .count()
}

/// In each kind of world, by what the subscriber wishes for.
fn freezes(seeds: Range<u64>) -> usize {
    let scenarios = [
        ("5 %", Scenario::with_loss(50)),
        ("20 %", Scenario::with_loss(200)),
        ("bursts", Scenario::with_bursts()),
        ("outages", Scenario::with_outages()),
    ];
    let mut broken = 0;
    for (name, scenario) in scenarios {
        let reports: Vec<Report> =
            seeds.clone().map(|seed| World::new(seed, scenario.clone()).run()).collect();
        broken += reports.iter().filter(|report| !report.violations.is_empty()).count();
        for (number, wish) in scenario.subscribers.iter().enumerate() {
            let fared = || reports.iter().filter_map(|report| report.fared.get(number));
            let shown: u32 = fared().flat_map(|fared| fared.shown).sum();
            let wished: usize = reports.iter().filter_map(|report| report.wished.get(number)).sum();
            let mut freezes: Vec<Duration> =
                fared().flat_map(|fared| fared.freezes.iter().copied()).collect();
            freezes.sort();
            let within = |limit| freezes.partition_point(|&freeze| freeze <= limit);
            let at = |percent: usize| {
                freezes.get((freezes.len() * percent / 100).min(freezes.len().saturating_sub(1)))
            };
            println!(
                "{name}, {wish:?}: {shown} of {wished} shown; {} freezes, {} within 1 s, {} within 2 s; \
                 median {:?}, 95 of 100 within {:?}, longest {:?}",
                freezes.len(),
                within(Duration::from_secs(1)),
                within(Duration::from_secs(2)),
                at(50),
                at(95),
                freezes.last()
            );
        }
        let sum = |name: &str| -> u64 {
            let of = |report: &Report| {
                let named =
                    report.counters.iter().flat_map(Counters::iter).filter(|(other, _)| *other == name);
                named.map(|(_, count)| count).sum::<u64>()
            };
            reports.iter().map(of).sum()
        };
        for counter in COUNTERS {
            println!("    {counter}: {}", sum(counter));
        }
    }
    broken
}

/// What repair costs.
const COUNTERS: [&str; 10] = [
    "copies_sent",
    "packets_nacked",
    "packets_given_up",
    "packets_restored",
    "key_frame_requests_sent",
    "key_frame_requests_received",
    "nacks_received",
    "packets_resent",
    "nacks_over_budget",
    "nacks_exhausted",
];

fn tell_if_broken(name: &str, report: &Report) -> bool {
    let is_broken = !report.violations.is_empty() || report.unreadable > 0;
    if is_broken {
        println!("{name}: {} unreadable, {:?}", report.unreadable, report.violations);
    }
    is_broken
}
