//! All runs of one call of `scripts/bench`, in their order: server after server within each round, then the next one.

use std::fs;
use std::path::PathBuf;

use crate::contender::Contender;
use crate::loader::{self, Loader};
use crate::machine::{self, Machine};
use crate::process;
use crate::ramp::{Limit, Verdict, search};
use crate::row::{self, Row};
use crate::server::{self, Place, Server};
use crate::shape::Shape;

#[derive(Debug)]
pub struct Session {
    pub place: Place,
    pub loader: Loader,
    pub began: String,
    /// See [`Row::provisional`].
    pub provisional: bool,
    pub commit: String,
    pub machine: Machine,
    pub layout: String,
    /// Rows are appended to it as they are made.
    pub results: PathBuf,
    pub rows: Vec<Row>,
    /// What could not be measured.
    pub failures: u32,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] server::Failure),
    #[error(transparent)]
    Loader(#[from] loader::Failure),
    #[error("{0}: {1}")]
    Results(PathBuf, std::io::Error),
}

impl Session {
    /// Each shape with each server, so many times.
    pub fn measure(&mut self, shapes: &[Shape], contenders: &[Contender], rounds: u32) {
        for shape in shapes {
            for round in 1..=rounds {
                for contender in contenders {
                    if rounds > 1 {
                        say(&format!("{}, {}, round {round} of {rounds}", shape.name, contender.name));
                    } else {
                        say(&format!("{}, {}", shape.name, contender.name));
                    }
                    self.run(shape, contender, round);
                }
            }
        }
    }

    /// How much this server takes before it loses packets, and how it fares at half and at four fifths of that.
    pub fn ramp(&mut self, contender: &Contender) {
        let limit = search(ROOMS_MAX, |rooms| {
            say(&format!("ramp, {}: {rooms} rooms of 2 cameras and 50 subscribers", contender.name));
            self.run(&Shape::halls("ramp", rooms), contender, 1).map_or(Verdict::Failed, |row| verdict(&row))
        });
        let Some(Limit { passed, then }) = limit else {
            say("packets are lost with one room already, or it failed: no ramp");
            return;
        };
        let why = match then {
            Verdict::Lost => "the next step loses packets",
            Verdict::Failed => "the next step failed",
            Verdict::LoaderBusy => "then the load generator is the bottleneck",
            Verdict::Passed => "more was not tried",
        };
        say(&format!("{}: {passed} rooms pass; {why}", contender.name));
        let shares = shares(passed);
        if shares.is_empty() {
            say("too few rooms for half and four fifths of them: left out");
        }
        for (name, rooms) in shares {
            let percent = rooms * 100 / passed;
            say(&format!("{name}, {}: {rooms} of {passed} rooms, {percent} %", contender.name));
            self.run(&Shape::halls(name, rooms), contender, 1);
        }
    }

    /// One run; what fails is told and counted, and the next one goes on.
    fn run(&mut self, shape: &Shape, contender: &Contender, round: u32) -> Option<Row> {
        match self.attempt(shape, contender, round) {
            Ok(row) => {
                eprintln!("  {}", summary(&row));
                self.rows.push(row.clone());
                Some(row)
            }
            Err(failure) => {
                eprintln!("  failed: {failure}; the server's last words:");
                let log = fs::read_to_string(self.place.log()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                lines.iter().skip(lines.len().saturating_sub(10)).for_each(|line| eprintln!("  | {line}"));
                self.failures += 1;
                None
            }
        }
    }

    fn attempt(&self, shape: &Shape, contender: &Contender, round: u32) -> Result<Row, Failure> {
        let load_average = machine::load_average();
        let server = Server::start(&self.place, contender)?;
        let resident_kb_empty = process::resident_kb(server.pids());
        let outcome = self.loader.run(shape, &self.place.url(), &server)?;
        // After the run: asking meanwhile would be work of the server's.
        let mut io = server.counters();
        io.retain(|name, _| name.starts_with("io_") || row::KEPT.contains(&name.as_str()));
        let row = Row {
            began: self.began.clone(),
            provisional: self.provisional,
            commit: self.commit.clone(),
            machine: self.machine.clone(),
            load_average,
            layout: self.layout.clone(),
            shape: shape.name.clone(),
            server: contender.name.clone(),
            command: contender.command.clone(),
            round,
            rooms: shape.rooms,
            participants: shape.participants(),
            receivers: shape.receivers(),
            resident_kb_empty,
            resident_kb: outcome.resident_kb,
            train: row::train(&io),
            io,
            load: outcome.whole,
        };
        row.append(&self.results).map_err(|error| Failure::Results(self.results.clone(), error))?;
        Ok(row)
    }
}

/// About half and about four fifths of the rooms that passed; nothing of so few that rounding makes it something else.
fn shares(passed: u32) -> Vec<(&'static str, u32)> {
    let shares = [("half-load", passed / 2), ("80-percent-load", passed * 4 / 5)];
    if passed < SHARED_MIN { Vec::new() } else { shares.to_vec() }
}

fn verdict(row: &Row) -> Verdict {
    let report = row.report();
    match (row.is_whole(), report.loader_is_bottleneck) {
        (true, _) => Verdict::Passed,
        (false, true) => Verdict::LoaderBusy,
        (false, false) => Verdict::Lost,
    }
}

fn summary(row: &Row) -> String {
    let report = row.report();
    let mut parts = Vec::new();
    if let Some(cpu) = report.cpu_us() {
        parts.push(format!("{cpu:.2} us CPU per packet, {:.0} packets/s", report.packets_per_second));
        parts.push(format!("loss {:.3} %", report.lost() * 100.0));
    }
    if row.left_out() > 0.0 {
        parts.push(format!("{:.2} % left out under load", row.left_out() * 100.0));
    }
    if report.dead() > 0 {
        parts.push(format!("{} OF {} SUBSCRIPTIONS GOT NOTHING", report.dead(), report.subscriptions));
    }
    if let Some(train) = row.train {
        parts.push(format!("trains of {train:.1}"));
    }
    let milliseconds =
        |value: Option<f64>| value.map_or_else(|| String::from("-"), |us| format!("{:.2}", us / 1e3));
    let latency = report.latency_us;
    if latency.p50.is_some() {
        parts.push(format!("latency p50 {} p99 {} ms", milliseconds(latency.p50), milliseconds(latency.p99)));
    }
    parts.push(format!("{:.0} kB per participant", row.resident_kb_per_participant()));
    if report.loader_is_bottleneck {
        parts.push(String::from("the load generator was the bottleneck"));
    }
    parts.join("; ")
}

/// Progress, beside what the load generator says of its own.
fn say(text: &str) {
    eprintln!("== {text}");
}

/// About 1.2 million forwarded packets a second.
const ROOMS_MAX: u32 = 48;
const SHARED_MIN: u32 = 4;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::row::tests::row;

    #[test]
    fn loss_is_the_server_s_unless_the_loader_was_busy() {
        for (loss, live, busy, expected) in [
            (0.0, 50, false, Verdict::Passed),
            (0.001, 50, true, Verdict::Passed),
            (0.002, 50, false, Verdict::Lost),
            (0.002, 50, true, Verdict::LoaderBusy),
            (0.0, 49, false, Verdict::Lost),
        ] {
            let mut row = row("1", "ramp", "epoll", 1, 2.0);
            row.load = json!({
                "loss": loss, "subscriptions": 50, "subscriptions_live": live, "loader_is_bottleneck": busy,
            });
            assert_eq!(verdict(&row), expected, "{loss} {live} {busy}");
        }
        for (left_out, expected) in [(10, Verdict::Passed), (11, Verdict::Lost)] {
            let mut row = row("1", "ramp", "epoll", 1, 2.0);
            row.io.insert("copies_sent".to_owned(), 1_000 - left_out);
            row.io.insert("copy_discarded_shed".to_owned(), left_out);
            assert_eq!(verdict(&row), expected, "{left_out} of 1000 left out");
        }
    }

    #[test]
    fn half_of_the_rooms_is_measured_where_there_is_a_half() {
        for (passed, expected) in [
            (3, vec![]),
            (4, vec![("half-load", 2), ("80-percent-load", 3)]),
            (11, vec![("half-load", 5), ("80-percent-load", 8)]),
        ] {
            assert_eq!(shares(passed), expected, "{passed}");
        }
    }

    #[test]
    fn a_line_says_what_there_is() {
        let line = summary(&row("1", "1-50", "epoll", 1, 2.0));
        assert_eq!(
            line,
            "2.00 us CPU per packet, 14000 packets/s; loss 0.000 %; trains of 4.0; latency p50 0.20 p99 0.90 ms; \
             100 kB per participant"
        );
        let mut idle = row("1", "idle-100", "epoll", 1, 2.0);
        (idle.load, idle.train) = (json!({ "packets_per_second": 0 }), None);
        assert_eq!(summary(&idle), "100 kB per participant");
        idle.load = json!({ "subscriptions": 7, "subscriptions_live": 4 });
        assert_eq!(summary(&idle), "3 OF 7 SUBSCRIPTIONS GOT NOTHING; 100 kB per participant");
    }
}
