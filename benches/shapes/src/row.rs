//! One run as a row of JSON: what was measured, where, of which commit.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::loader::Report;
use crate::machine::Machine;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// When the runs began that this one belongs to, in RFC 3339.
    pub began: String,
    /// For a look only: short, or over loopback. Published where there is nothing better.
    #[serde(default)]
    pub provisional: bool,
    pub commit: String,
    pub machine: Machine,
    pub load_average: f64,
    /// Where server and loader ran: namespaces and cores.
    pub layout: String,
    pub shape: String,
    pub server: String,
    pub command: String,
    pub round: u32,
    pub rooms: u32,
    pub participants: u32,
    /// Participants that something was forwarded to.
    pub receivers: u32,
    /// The server's resident memory before the first client, and with all of them.
    pub resident_kb_empty: u64,
    pub resident_kb: u64,
    /// Datagrams per send, over the whole run; none if the server does not tell.
    pub train: Option<f64>,
    /// What the media plane counted of its I/O, of copies, and of what it left out.
    pub io: BTreeMap<String, u64>,
    /// The load generator's report.
    pub load: Value,
}

impl Row {
    #[must_use]
    pub fn report(&self) -> Report {
        Report::deserialize(&self.load).unwrap_or_default()
    }

    /// Copies that a worker left out because it did not keep up, by those that it should have sent, over the whole run. No number
    /// is missing for them, so that nobody else notices.
    #[must_use]
    pub fn left_out(&self) -> f64 {
        let count = |name| self.io.get(name).copied().unwrap_or_default();
        let (left_out, sent) = (count("copy_discarded_shed"), count("copies_sent"));
        #[expect(clippy::cast_precision_loss, reason = "packets of minutes")]
        let share = left_out as f64 / (left_out + sent).max(1) as f64;
        share
    }

    /// Everybody got media, and next to all of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.report().is_whole() && self.left_out() <= LEFT_OUT_MAX
    }

    /// The same of what was measured in turn, and of nothing else.
    #[must_use]
    pub fn turn(&self) -> (&str, u32) {
        (&self.began, self.round)
    }

    /// What one more participant takes.
    #[must_use]
    pub fn resident_kb_per_participant(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
        let grown = self.resident_kb.saturating_sub(self.resident_kb_empty) as f64;
        grown / f64::from(self.participants.max(1))
    }

    /// Adds it to the end of the file.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
    }
}

/// While everybody joins, a moment's load may be more than the load that is measured.
const LEFT_OUT_MAX: f64 = 0.01;
/// Those of the media plane's counters that are kept, beside those of its I/O.
pub const KEPT: [&str; 4] = ["copies_sent", "copy_discarded_shed", "nacks_shed", "overload_step"];

/// All rows of a file.
pub fn read(file: &Path) -> io::Result<Vec<Row>> {
    fs::read_to_string(file)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Of each shape what was measured last, all of one session, so that servers took turns; a session that was only for
/// a look counts where there is no other.
#[must_use]
pub fn latest(rows: Vec<Row>) -> Vec<Row> {
    let mut newest: BTreeMap<String, (bool, String)> = BTreeMap::new();
    for row in &rows {
        let session = (!row.provisional, row.began.clone());
        let kept = newest.entry(row.shape.clone()).or_default();
        if session > *kept {
            *kept = session;
        }
    }
    let is_latest = |row: &Row| {
        newest.get(&row.shape).is_some_and(|(full, began)| (*full, began) == (!row.provisional, &row.began))
    };
    rows.into_iter().filter(is_latest).collect()
}

/// Of datagrams and sends.
#[must_use]
pub fn train(io: &BTreeMap<String, u64>) -> Option<f64> {
    let (datagrams, sends) = (*io.get("io_datagrams_sent")?, *io.get("io_sends")?);
    #[expect(clippy::cast_precision_loss, reason = "packets of minutes")]
    let mean = datagrams as f64 / sends as f64;
    (sends > 0).then_some(mean)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn row(began: &str, shape: &str, server: &str, round: u32, cpu: f64) -> Row {
        Row {
            began: began.to_owned(),
            provisional: false,
            commit: String::from("c0ffee"),
            machine: Machine::default(),
            load_average: 0.5,
            layout: String::from("namespaces"),
            shape: shape.to_owned(),
            server: server.to_owned(),
            command: String::from("x"),
            round,
            rooms: 1,
            participants: 50,
            receivers: 49,
            resident_kb_empty: 10_000,
            resident_kb: 15_000,
            train: Some(4.0),
            io: BTreeMap::new(),
            load: json!({
                "server_cpu_us_per_packet": cpu, "packets_per_second": 14_000, "loss": 0.0,
                "latency_us": { "p50": 200, "p90": 400, "p99": 900, "p999": 1500 }, "join_ms": { "p50": 8, "p99": 20 },
            }),
        }
    }

    #[test]
    fn rows_of_before_there_were_looks_are_full() {
        let mut old = serde_json::to_value(row("1", "1-50", "epoll", 1, 2.0)).unwrap();
        old.as_object_mut().unwrap().remove("provisional").unwrap();
        assert!(!serde_json::from_value::<Row>(old).unwrap().provisional);
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let file = std::env::temp_dir().join(format!("millrace-rows-{}.jsonl", std::process::id()));
        let rows = [row("1", "1-50", "epoll", 1, 2.0), row("1", "1-50", "epoll", 2, 2.5)];
        rows.iter().for_each(|row| row.append(&file).unwrap());
        let back = read(&file);
        fs::remove_file(&file).unwrap();
        assert_eq!(back.unwrap(), rows);
        assert!((rows[0].resident_kb_per_participant() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn only_the_latest_session_of_a_shape_is_kept_and_a_look_only_if_there_is_no_other() {
        let mut looks = [row("3", "1-50", "epoll", 1, 5.0), row("3", "1-200", "epoll", 1, 5.0)];
        looks.iter_mut().for_each(|row| row.provisional = true);
        let mut rows = vec![
            row("1", "1-50", "epoll", 1, 9.0),
            row("1", "1-10", "epoll", 1, 3.0),
            row("2", "1-50", "epoll", 1, 2.0),
            row("2", "1-50", "epoll", 2, 2.1),
            row("1", "1-50", "io_uring", 1, 1.9),
            row("2", "1-50", "io_uring", 1, 1.9),
        ];
        rows.extend(looks);
        let kept: Vec<_> = latest(rows).into_iter().map(|row| (row.began, row.shape, row.server)).collect();
        let named =
            |began: &str, shape: &str, server: &str| (began.to_owned(), shape.to_owned(), server.to_owned());
        assert_eq!(
            kept,
            [
                named("1", "1-10", "epoll"),
                named("2", "1-50", "epoll"),
                named("2", "1-50", "epoll"),
                named("2", "1-50", "io_uring"),
                named("3", "1-200", "epoll"),
            ]
        );
    }

    #[test]
    fn train_is_datagrams_by_sends() {
        let io = |datagrams, sends| {
            BTreeMap::from([("io_datagrams_sent".to_owned(), datagrams), ("io_sends".to_owned(), sends)])
        };
        assert_eq!(train(&io(12, 3)), Some(4.0));
        assert_eq!(train(&io(0, 0)), None);
        assert_eq!(train(&BTreeMap::new()), None);
    }
}
