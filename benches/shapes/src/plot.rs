//! The plots that docs/BENCHMARKS.md shows, from rows: what a packet costs, how long it takes, what a participant takes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::chart::{Bars, Dots, Lines};
use crate::compare::{in_order, of, spread};
use crate::row::Row;
use crate::shape;
use crate::statistics::Spread;

/// Writes each that there are rows for; the files.
pub fn write(rows: &[Row], directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)?;
    let plots = [
        ("cpu", cpu(rows)),
        ("latency", latency(rows)),
        ("fan-out", fan_out(rows)),
        ("memory", memory(rows)),
    ];
    let mut files = Vec::new();
    for (name, drawing) in plots {
        if let Some(drawing) = drawing {
            let file = directory.join(format!("bench-{name}.svg"));
            fs::write(&file, drawing)?;
            files.push(file);
        }
    }
    Ok(files)
}

fn cpu(rows: &[Row]) -> Option<String> {
    let servers = servers(rows);
    let value = |shape: &str, server: &&str| spread(&of(rows, shape, server), |_, report| report.cpu_us());
    let groups = groups(rows, &servers, &value);
    let bars = Bars {
        title: "CPU of both processes per forwarded packet",
        unit: "us, user and system; median of the rounds, and their range",
        series: &servers,
        groups,
        marks: vec![(2.0, "target: 2"), (4.0, "audio: 4")],
    };
    (!bars.groups.is_empty()).then(|| bars.draw())
}

fn memory(rows: &[Row]) -> Option<String> {
    let servers = servers(rows);
    let value = |shape: &str, server: &&str| {
        spread(&of(rows, shape, server), |row, _| Some(row.resident_kb_per_participant()))
    };
    let bars = Bars {
        title: "Resident memory of both processes per participant",
        unit: "kB",
        series: &servers,
        groups: groups(rows, &servers, &value),
        marks: vec![(100.0, "idle: 100"), (150.0, "subscriber: 150")],
    };
    (!bars.groups.is_empty()).then(|| bars.draw())
}

/// Of the first server: the others would hide each other.
fn latency(rows: &[Row]) -> Option<String> {
    let server = *servers(rows).first()?;
    let mut dots = Vec::new();
    for shape in shapes(rows) {
        let rows = of(rows, shape, server);
        let percentiles = [
            spread(&rows, |_, report| report.latency_us.p50),
            spread(&rows, |_, report| report.latency_us.p90),
            spread(&rows, |_, report| report.latency_us.p99),
            spread(&rows, |_, report| report.latency_us.p999),
        ];
        if percentiles.iter().any(Option::is_some) {
            dots.push((shape.to_owned(), percentiles.map(|us| us.map(|us| us.median / 1e3)).to_vec()));
        }
    }
    let title = format!("Latency from publisher to subscriber, {server}");
    let dots = Dots { title: &title, unit: "ms", series: &["p50", "p90", "p99", "p99.9"], rows: dots };
    (!dots.rows.is_empty()).then(|| dots.draw())
}

fn fan_out(rows: &[Row]) -> Option<String> {
    let servers = servers(rows);
    let line = |server: &&str| -> Vec<(f64, Spread)> {
        let points = FAN_OUT.into_iter().filter_map(|subscribers| {
            let rows = of(rows, &shape::Shape::fan_out(subscribers).name, server);
            Some((f64::from(subscribers), spread(&rows, |_, report| report.cpu_us())?))
        });
        points.collect()
    };
    let lines = Lines {
        title: "What one more subscriber costs: CPU per forwarded packet, one camera to N",
        unit: "us",
        below: "subscribers",
        series: &servers,
        lines: servers.iter().map(line).collect(),
    };
    lines.lines.iter().any(|line| line.len() > 1).then(|| lines.draw())
}

fn groups(
    rows: &[Row],
    servers: &[&str],
    value: &dyn Fn(&str, &&str) -> Option<Spread>,
) -> Vec<(String, Vec<Option<Spread>>)> {
    let groups = shapes(rows)
        .into_iter()
        .map(|shape| (shape.to_owned(), servers.iter().map(|server| value(shape, server)).collect()));
    groups.filter(|(_, bars): &(String, Vec<Option<Spread>>)| bars.iter().any(Option::is_some)).collect()
}

/// But for the ramp, whose steps are other loads each.
fn shapes(rows: &[Row]) -> Vec<&str> {
    in_order(rows.iter().map(|row| row.shape.as_str()).filter(|shape| *shape != shape::RAMP))
}

fn servers(rows: &[Row]) -> Vec<&str> {
    in_order(rows.iter().map(|row| row.server.as_str()))
}

const FAN_OUT: [u32; 5] = [10, 50, 100, 200, 500];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn there_is_a_plot_for_whatever_was_measured() {
        let directory = std::env::temp_dir().join(format!("millrace-plots-{}", std::process::id()));
        let rows = [
            row("1", "1-10", "epoll", 1, 2.0),
            row("1", "1-50", "epoll", 1, 2.2),
            row("1", "1-50", "io_uring", 1, 1.9),
            row("1", "ramp", "epoll", 1, 1.0),
        ];
        let names = |rows: &[Row]| -> Vec<String> {
            let files = write(rows, &directory).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let (all, one, none) = (names(&rows), names(&rows[..1]), names(&rows[3..]));
        let cpu = fs::read_to_string(directory.join("bench-cpu.svg")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(all, ["bench-cpu.svg", "bench-latency.svg", "bench-fan-out.svg", "bench-memory.svg"]);
        assert_eq!(one, ["bench-cpu.svg", "bench-latency.svg", "bench-memory.svg"]);
        assert_eq!(none, Vec::<String>::new());
        assert!(!cpu.contains("ramp"), "{cpu}");
    }
}
