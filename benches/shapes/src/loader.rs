//! One run of the load generator against a server, and what it reports.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::process;
use crate::ramp::LOSS_MAX;
use crate::server::{KEY, SECRET, Server};
use crate::shape::Shape;

#[derive(Clone, Debug)]
pub struct Loader {
    /// Words before the program: a core.
    pub prefix: Vec<String>,
    pub program: PathBuf,
    pub warm_up: u32,
    pub seconds: u32,
}

/// What the report has that is looked at here; the whole of it goes into the row.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Streams that there should be, and those of them that brought something while it was measured.
    pub subscriptions: u64,
    pub subscriptions_live: u64,
    pub packets_per_second: f64,
    /// Of what was forwarded to those who ask again, from 0 to 1.
    pub loss: f64,
    /// Of what was forwarded to those who only count.
    pub sink_loss: f64,
    #[serde(deserialize_with = "or_default")]
    pub latency_us: Percentiles,
    #[serde(deserialize_with = "or_default")]
    pub join_ms: Percentiles,
    pub server_cpu_us_per_packet: Option<f64>,
    pub loader_is_bottleneck: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
}

impl Report {
    /// User and system time by forwarded packets, if there were any.
    #[must_use]
    pub fn cpu_us(&self) -> Option<f64> {
        self.server_cpu_us_per_packet.filter(|_| self.packets_per_second > 0.0)
    }

    /// The worse of both kinds of subscribers.
    #[must_use]
    pub fn lost(&self) -> f64 {
        self.loss.max(self.sink_loss)
    }

    /// Subscriptions that brought nothing. No packet of theirs is missed, as the first one tells which they are.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.subscriptions.saturating_sub(self.subscriptions_live)
    }

    /// Everybody got media, and next to all of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.dead() == 0 && self.lost() <= LOSS_MAX
    }
}

/// A `null` is nothing measured.
fn or_default<'de, D: Deserializer<'de>>(value: D) -> Result<Percentiles, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// What one run gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub report: Report,
    pub whole: Value,
    /// The server's resident memory while everyone was there, at most.
    pub resident_kb: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0:?} could not be run: {1}")]
    Start(PathBuf, std::io::Error),
    #[error("the load generator took more than {0:?}")]
    Hung(Duration),
    #[error("the load generator ended with {0}, and without a report")]
    NoReport(std::process::ExitStatus),
}

impl Loader {
    pub fn run(&self, shape: &Shape, url: &str, server: &Server) -> Result<Outcome, Failure> {
        let cannot_start = |error| Failure::Start(self.program.clone(), error);
        let mut words = self.prefix.iter().map(String::as_str);
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => Command::new(&self.program),
        };
        command.args(words);
        if !self.prefix.is_empty() {
            command.arg(&self.program);
        }
        command.args(self.arguments(shape, url, server.pids()));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot_start)?;
        let mut output = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            output.as_mut().map(|output| output.read_to_string(&mut text));
            text
        });
        // Joining takes longest, and longer with more of them; the load generator gives up after a minute.
        let patience =
            Duration::from_secs(u64::from(100 + self.warm_up + self.seconds + shape.participants() / 5));
        let end = Instant::now() + patience;
        let mut resident_kb = 0;
        let status = loop {
            resident_kb = resident_kb.max(process::resident_kb(server.pids()));
            if let Some(status) = child.try_wait().map_err(cannot_start)? {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::Hung(patience));
            }
            thread::sleep(Duration::from_millis(250));
        };
        let text = reader.join().unwrap_or_default();
        let (report, whole) = last_line(&text).ok_or(Failure::NoReport(status))?;
        Ok(Outcome { report, whole, resident_kb })
    }

    fn arguments(&self, shape: &Shape, url: &str, pids: &[u32]) -> Vec<String> {
        // Those who decrypt, ask again and measure: enough for percentiles, few enough for the loader's core.
        let full = FULL.div_ceil(shape.rooms).min(shape.receivers() / shape.rooms);
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut arguments: Vec<String> = [
            ("--url", url.to_owned()),
            ("--key", KEY.to_owned()),
            ("--secret", SECRET.to_owned()),
            ("--rooms", shape.rooms.to_string()),
            ("--publishers", shape.publishers.to_string()),
            ("--subscribers", shape.subscribers.to_string()),
            ("--media", shape.media.name().to_owned()),
            ("--full", full.to_string()),
            ("--warm-up", self.warm_up.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--server-pids", pids.join(",")),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        arguments.extend(["--progress", "--json"].map(str::to_owned));
        if shape.publishers_subscribe {
            arguments.push(String::from("--publishers-subscribe"));
        }
        arguments
    }
}

fn last_line(text: &str) -> Option<(Report, Value)> {
    let whole: Value = serde_json::from_str(text.lines().rfind(|line| !line.trim().is_empty())?).ok()?;
    let report = whole.is_object().then(|| Report::deserialize(&whole).ok()).flatten()?;
    Some((report, whole))
}

const FULL: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_report() {
        let (report, whole) = last_line(
            "joining\n{\"packets_per_second\": 14000, \"loss\": 0.001, \"latency_us\": {\"p50\": 210, \"p99\": 900.5}, \
             \"join_ms\": {\"p50\": 9}, \"server_cpu_us_per_packet\": 2.5, \"participants\": 51}\n\n",
        )
        .unwrap();
        assert_eq!(report.cpu_us(), Some(2.5));
        assert_eq!((report.latency_us.p99, report.latency_us.p999), (Some(900.5), None));
        assert!(!report.loader_is_bottleneck);
        let (report, _) =
            last_line(r#"{"latency_us": null, "server_cpu_us_per_packet": null, "sink_loss": 0.5}"#).unwrap();
        assert_eq!((report.latency_us, report.lost()), (Percentiles::default(), 0.5));
        assert_eq!(whole["participants"], 51);
        for (live, loss, dead, whole) in [(9, 0.0, 1, false), (10, 0.001, 0, true), (10, 0.01, 0, false)] {
            let report = Report { subscriptions: 10, subscriptions_live: live, loss, ..Report::default() };
            assert_eq!((report.dead(), report.is_whole()), (dead, whole), "{live} {loss}");
        }
        for text in ["", "{}x", "done\n", "7\n"] {
            assert!(last_line(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_shape_becomes_arguments() {
        let loader = Loader { prefix: Vec::new(), program: PathBuf::new(), warm_up: 1, seconds: 3 };
        for (name, expected) in [
            ("1-50", "--rooms 1 --publishers 1 --subscribers 50 --media video --full 10"),
            ("idle-100", "--rooms 1 --publishers 0 --subscribers 100 --media none --full 0"),
            ("20x1-1", "--rooms 20 --publishers 2 --subscribers 0 --media video --full 1"),
        ] {
            let shape = crate::shape::named(name).unwrap();
            let line = loader.arguments(&shape, "ws://a:1", &[7, 8]).join(" ");
            assert!(line.contains(expected), "{line}");
            assert!(line.contains("--server-pids 7,8"), "{line}");
            assert_eq!(line.contains("--publishers-subscribe"), name == "20x1-1", "{line}");
        }
    }
}
