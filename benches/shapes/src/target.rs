//! What is aimed at, beside what was measured of it.

use std::fmt::Write;

use crate::compare::{in_order, of, spread, turns};
use crate::loader::Report;
use crate::row::Row;
use crate::shape::{self, Shape};
use crate::statistics::{Spread, ratios};

/// One sentence of what is aimed at, and what was measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub aim: String,
    pub measured: String,
    pub met: bool,
}

/// In Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| target | measured | |\n|---|---|---|\n");
    for Target { aim, measured, met } in targets(rows) {
        let _ = writeln!(text, "| {aim} | {measured} | {} |", if met { "met" } else { "**missed**" });
    }
    text
}

/// Those that there are rows for. Of servers it is the first one, which is ours.
#[must_use]
pub fn targets(rows: &[Row]) -> Vec<Target> {
    let servers = in_order(rows.iter().map(|row| row.server.as_str()));
    let Some(server) = servers.first() else { return Vec::new() };
    let mut targets = Vec::new();
    for name in ["1-50", "10x10", "5-100-audio"] {
        targets.extend(cpu(&of(rows, name, server), name));
    }
    targets.extend(latency(&of(rows, "half-load", server), "half load, rooms of 50", 1_000.0));
    targets.extend(latency(&of(rows, "80-percent-load", server), "80 % of the most, rooms of 50", 5_000.0));
    targets.extend(most(&of(rows, shape::RAMP, server)));
    targets.extend(fan_out(rows, server));
    for name in ["1-50", "1-200", "idle-100", "idle-200"] {
        targets.extend(memory(&of(rows, name, server), name));
    }
    if servers.contains(&"io_uring") && servers.contains(&"epoll") {
        targets.extend(io(rows));
    }
    targets
}

fn cpu(rows: &[&Row], name: &str) -> Option<Target> {
    let cpu = spread(rows, |_, report| report.cpu_us())?;
    let train = spread(rows, |row, _| row.train).map(|train| train.median);
    let limit = match train {
        _ if name.ends_with("audio") => 4.0,
        Some(train) if train >= 4.0 => 2.0,
        // In between, as far as the mean train is from one to four.
        Some(train) => 3.2 - (train - 1.0).max(0.0) / 3.0 * 1.2,
        None => 3.2,
    };
    let train =
        train.map_or_else(|| String::from("an unknown train"), |train| format!("a mean train of {train:.1}"));
    Some(Target {
        aim: format!("`{name}`: at most {limit:.1} us of CPU per forwarded packet, with {train}"),
        measured: format!("{:.2} us ({:.2} to {:.2})", cpu.median, cpu.min, cpu.max),
        met: cpu.median <= limit,
    })
}

fn latency(rows: &[&Row], name: &str, limit_us: f64) -> Option<Target> {
    let p99 = spread(rows, |_, report| report.latency_us.p99)?.median;
    let rate = spread(rows, |_, report| Some(report.packets_per_second))?.median;
    Some(Target {
        aim: format!("{name}: latency p99 under {} ms", limit_us / 1e3),
        measured: format!("{:.2} ms at {rate:.0} packets/s", p99 / 1e3),
        met: p99 < limit_us,
    })
}

fn most(rows: &[&Row]) -> Option<Target> {
    let passed = rows.iter().filter(|row| row.is_whole()).map(|row| row.report());
    let most = Spread::of(passed.map(|report| report.packets_per_second))?.max;
    let busy = rows.iter().any(|row| row.report().loader_is_bottleneck);
    let note = if busy { ", where the load generator is the bottleneck" } else { "" };
    Some(Target {
        aim: String::from("at least 300,000 forwarded packets/s on one core before loss passes 0.1 %"),
        measured: format!("{most:.0}{note}"),
        met: most >= 300_000.0,
    })
}

fn fan_out(rows: &[Row], server: &str) -> Option<Target> {
    let costs: Vec<(u32, f64)> = [10, 50, 100, 200, 500]
        .into_iter()
        .filter_map(|subscribers| {
            let rows = of(rows, &Shape::fan_out(subscribers).name, server);
            Some((subscribers, spread(&rows, |_, report| report.cpu_us())?.median))
        })
        .collect();
    let all = Spread::of(costs.iter().map(|(_, cost)| *cost))?;
    let (first, last) = (costs.first()?.0, costs.last()?.0);
    let list: Vec<String> =
        costs.iter().map(|(subscribers, cost)| format!("{subscribers}: {cost:.2}")).collect();
    (last > first).then(|| Target {
        aim: format!("cost per subscriber flat from {first} to {last}, within 20 %"),
        measured: format!("{} us", list.join(", ")),
        met: all.max <= all.min * 1.2,
    })
}

fn memory(rows: &[&Row], name: &str) -> Option<Target> {
    let (limit, whom) =
        if name.starts_with("idle") { (100.0, "idle participant") } else { (150.0, "subscriber") };
    let grown = spread(rows, |row, _| Some(row.resident_kb_per_participant()))?.median;
    Some(Target {
        aim: format!("`{name}`: at most {limit:.0} kB of resident memory per {whom}"),
        measured: format!("{grown:.0} kB"),
        met: grown <= limit,
    })
}

/// Behind is what is slower in the median of the rounds, by more than what is within the measurement's error.
fn io(rows: &[Row]) -> Option<Target> {
    let mut worst: Option<(&str, Spread)> = None;
    for shape in in_order(rows.iter().map(|row| row.shape.as_str())) {
        let (epoll, uring) = (of(rows, shape, "epoll"), of(rows, shape, "io_uring"));
        let ratio = ratios(&turns(&epoll, &Report::cpu_us), &turns(&uring, &Report::cpu_us));
        let Some(ratio) = ratio else { continue };
        if worst.is_none_or(|(_, other)| ratio.median > other.median) {
            worst = Some((shape, ratio));
        }
    }
    let (shape, Spread { median, min, max }) = worst?;
    Some(Target {
        aim: format!("io_uring not behind epoll in any shape: in the median at most {BEHIND} times its CPU"),
        measured: format!(
            "at most {median:.2} ({min:.2} to {max:.2}) times its CPU per packet, in `{shape}`"
        ),
        met: median <= BEHIND,
    })
}

const BEHIND: f64 = 1.02;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::row::tests::row;

    fn verdicts(rows: &[Row]) -> Vec<(String, bool)> {
        targets(rows)
            .into_iter()
            .map(|target| (format!("{} = {}", target.aim, target.measured), target.met))
            .collect()
    }

    #[test]
    fn cpu_is_allowed_by_the_length_of_trains() {
        for (train, spent, limit, met) in [
            (Some(4.0), 2.0, "2.0", true),
            (Some(9.0), 2.1, "2.0", false),
            (Some(1.0), 3.1, "3.2", true),
            (Some(2.5), 2.7, "2.6", false),
            (None, 3.3, "3.2", false),
        ] {
            let mut row = row("1", "10x10", "epoll", 1, spent);
            row.train = train;
            let target = cpu(&[&row], "10x10").unwrap();
            assert!(target.aim.contains(&format!("at most {limit} us")), "{target:?}");
            assert_eq!(target.met, met, "{target:?}");
        }
        assert!(cpu(&[&row("1", "5-100-audio", "epoll", 1, 3.9)], "5-100-audio").unwrap().met);
    }

    #[test]
    fn only_what_was_measured_is_told() {
        assert_eq!(targets(&[]), []);
        let told = verdicts(&[row("1", "1-50", "epoll", 1, 2.0)]);
        let told: Vec<(&str, bool)> = told.iter().map(|(text, met)| (text.as_str(), *met)).collect();
        assert_eq!(
            told,
            [
                (
                    "`1-50`: at most 2.0 us of CPU per forwarded packet, with a mean train of 4.0 = 2.00 us (2.00 to 2.00)",
                    true
                ),
                ("`1-50`: at most 150 kB of resident memory per subscriber = 100 kB", true),
            ]
        );
    }

    #[test]
    fn fan_out_is_flat_or_not() {
        for (last, met) in [(2.3, true), (2.6, false)] {
            let rows = [row("1", "1-10", "epoll", 1, 2.0), row("1", "1-500", "epoll", 1, last)];
            assert_eq!(fan_out(&rows, "epoll").unwrap().met, met, "{last}");
        }
    }

    #[test]
    fn the_most_is_that_of_a_step_without_loss() {
        let step = |rate: u32, loss: f64| {
            let mut row = row("1", "ramp", "epoll", 1, 2.0);
            row.load = json!({ "packets_per_second": rate, "loss": loss });
            row
        };
        let (low, high, lossy) = (step(200_000, 0.0), step(310_000, 0.0005), step(400_000, 0.01));
        assert!(most(&[&low, &high, &lossy]).unwrap().met);
        assert!(!most(&[&low, &lossy]).unwrap().met);
        assert_eq!(most(&[&lossy]), None);
    }

    #[test]
    fn io_uring_is_behind_if_the_median_says_so() {
        for (name, uring, met) in [
            ("ahead", [1.8, 1.9], true),
            ("as good as equal", [1.99, 2.07], true),
            ("behind, although not in every round", [1.9, 2.2], false),
            ("behind", [2.1, 2.4], false),
        ] {
            let rows: Vec<Row> = (1..=2)
                .zip(uring)
                .flat_map(|(round, cpu)| {
                    [row("1", "1-50", "io_uring", round, cpu), row("1", "1-50", "epoll", round, 2.0)]
                })
                .collect();
            assert_eq!(io(&rows).unwrap().met, met, "{name}");
        }
    }
}
