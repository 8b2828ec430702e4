//! Tables of what was measured, and of how servers compare: medians over the rounds, with the least and the most.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::loader::Report;
use crate::row::Row;
use crate::statistics::{Spread, ratios};

/// Names in the order in which they come first.
#[must_use]
pub fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// The rows of one shape with one server, over the rounds.
#[must_use]
pub fn of<'a>(rows: &'a [Row], shape: &str, server: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| row.shape == shape && row.server == server).collect()
}

/// Of what was measured in each round.
pub fn spread(rows: &[&Row], value: impl Fn(&Row, &Report) -> Option<f64>) -> Option<Spread> {
    Spread::of(rows.iter().filter_map(|row| value(row, &row.report())))
}

/// The same, with the session and the round that it was measured in.
pub fn turns<'a>(rows: &[&'a Row], value: &dyn Fn(&Report) -> Option<f64>) -> Vec<((&'a str, u32), f64)> {
    rows.iter().filter_map(|row| Some((row.turn(), value(&row.report())?))).collect()
}

/// One line for each shape and server, in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| shape | server | CPU per packet, us | packets/s | train | latency p50 / p90 / p99 / p99.9, ms | loss, % | join p50 / p99, ms | RSS, MB | RSS per participant, kB |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for shape in in_order(rows.iter().map(|row| row.shape.as_str())) {
        for server in in_order(rows.iter().map(|row| row.server.as_str())) {
            // Each step of a ramp is another load.
            let steps = of(rows, shape, server);
            let rooms: BTreeSet<u32> = steps.iter().map(|row| row.rooms).collect();
            for count in &rooms {
                let step: Vec<&Row> = steps.iter().copied().filter(|row| row.rooms == *count).collect();
                let name = if rooms.len() > 1 { format!("{shape}, {count} rooms") } else { shape.to_owned() };
                line(&mut text, &name, server, &step);
            }
        }
    }
    text
}

fn line(text: &mut String, shape: &str, server: &str, rows: &[&Row]) {
    let cpu = spread(rows, |_, report| report.cpu_us());
    let median =
        |value: &dyn Fn(&Row, &Report) -> Option<f64>| spread(rows, value).map(|spread| spread.median);
    let latency = [
        median(&|_, report| report.latency_us.p50),
        median(&|_, report| report.latency_us.p90),
        median(&|_, report| report.latency_us.p99),
        median(&|_, report| report.latency_us.p999),
    ];
    let join = [median(&|_, report| report.join_ms.p50), median(&|_, report| report.join_ms.p99)];
    let sent = |value: &dyn Fn(&Report) -> f64| median(&|_, report| report.cpu_us().map(|_| value(report)));
    let dead: u64 = rows.iter().map(|row| row.report().dead()).sum();
    let mut loss = number(sent(&|report| report.lost() * 100.0), 3);
    if dead > 0 {
        let all: u64 = rows.iter().map(|row| row.report().subscriptions).sum();
        let _ = write!(loss, " **and {dead} of {all} subscriptions got nothing**");
    }
    let cells = [
        cpu.map_or_else(String::new, |cpu| within(cpu, 2)),
        number(sent(&|report| report.packets_per_second), 0),
        number(median(&|row, _| row.train), 1),
        latency.map(|us| number(us.map(|us| us / 1e3), 2)).join(" / "),
        loss,
        join.map(|ms| number(ms, 0)).join(" / "),
        number(median(&|row, _| Some(f64::from(u32::try_from(row.resident_kb).ok()?) / 1e3)), 1),
        number(median(&|row, _| Some(row.resident_kb_per_participant())), 0),
    ];
    let _ = writeln!(text, "| {shape} | {server} | {} |", cells.join(" | "));
}

/// How each further server compares with the first, in Markdown; nothing if there is but one.
#[must_use]
pub fn comparison(rows: &[Row]) -> String {
    let servers = in_order(rows.iter().map(|row| row.server.as_str()));
    let Some((first, others)) = servers.split_first().filter(|(_, others)| !others.is_empty()) else {
        return String::new();
    };
    let mut text =
        String::from("| shape | ratio | CPU per packet | latency p99 | rounds |\n|---|---|---:|---:|---:|\n");
    for shape in in_order(rows.iter().map(|row| row.shape.as_str())) {
        for other in others {
            let (base, compared) = (of(rows, shape, first), of(rows, shape, other));
            let ratio = |value: &dyn Fn(&Report) -> Option<f64>| {
                ratios(&turns(&base, value), &turns(&compared, value))
                    .map_or_else(|| String::from("-"), |ratio| within(ratio, 2))
            };
            if base.is_empty() || compared.is_empty() {
                continue;
            }
            let cpu = ratio(&|report| report.cpu_us());
            let latency = ratio(&|report| report.latency_us.p99);
            let rounds =
                base.iter().filter(|row| compared.iter().any(|other| row.turn() == other.turn())).count();
            let _ = writeln!(text, "| {shape} | {other} / {first} | {cpu} | {latency} | {rounds} |");
        }
    }
    text
}

/// The median, and what it lies between.
fn within(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    if min < max {
        format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
    } else {
        format!("{median:.digits$}")
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| String::from("-"), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    fn rows() -> Vec<Row> {
        let measured = [(1, 2.0, 1.0), (2, 2.2, 1.1), (3, 2.1, 2.1)];
        let rounds = measured.into_iter().flat_map(|(round, epoll, uring)| {
            [row("1", "1-50", "epoll", round, epoll), row("1", "1-50", "io_uring", round, uring)]
        });
        rounds.collect()
    }

    #[test]
    fn medians_and_their_spread_stand_in_the_table() {
        let table = table(&rows());
        let line = table.lines().nth(2).unwrap();
        assert_eq!(
            line,
            "| 1-50 | epoll | 2.10 (2.00..2.20) | 14000 | 4.0 | 0.20 / 0.40 / 0.90 / 1.50 | 0.000 | 8 / 20 | 15.0 | 100 |"
        );
        assert_eq!(table.lines().count(), 4);
    }

    #[test]
    fn steps_of_a_ramp_are_lines_of_their_own() {
        let mut rows = vec![row("1", "ramp", "epoll", 1, 2.0), row("1", "ramp", "epoll", 1, 3.0)];
        rows[1].rooms = 2;
        let table = table(&rows);
        assert!(table.contains("| ramp, 1 rooms | epoll | 2.00 |"), "{table}");
        assert!(table.contains("| ramp, 2 rooms | epoll | 3.00 |"), "{table}");
    }

    #[test]
    fn servers_are_compared_round_by_round() {
        let text = comparison(&rows());
        assert!(text.contains("| 1-50 | io_uring / epoll | 0.50 (0.50..1.00) | 1.00 | 3 |"), "{text}");
        assert_eq!(comparison(&rows()[..1]), "");
        let strangers = [row("1", "1-50", "epoll", 1, 2.0), row("2", "1-50", "io_uring", 1, 9.0)];
        let text = comparison(&strangers);
        assert!(text.contains("| 1-50 | io_uring / epoll | - | - | 0 |"), "of other sessions: {text}");
    }

    #[test]
    fn who_got_nothing_stands_beside_the_loss() {
        let mut row = row("1", "1-50", "epoll", 1, 2.0);
        (row.load["subscriptions"], row.load["subscriptions_live"]) = (50.into(), 48.into());
        let table = table(&[row]);
        assert!(table.contains("| 0.000 **and 2 of 50 subscriptions got nothing** |"), "{table}");
    }
}
