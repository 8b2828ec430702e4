//! What a run has shown, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::cores::Window;
use crate::measure::Tally;
use crate::process::Usage;

/// What the report is made of.
#[derive(Debug)]
pub struct Findings<'a> {
    pub participants: u64,
    /// Streams that there should be: one per subscriber and track.
    pub subscriptions: u64,
    pub tally: &'a Tally,
    pub joins: &'a [Duration],
    pub elapsed: Duration,
    /// CPU time of this process, and of its busiest media thread, in the measured window.
    pub loader_cpu: Duration,
    pub thread_cpu: Duration,
    /// Of the processors that this process may use.
    pub cores: Window,
    /// Before anybody joined, at the begin of the window and at its end.
    pub server: &'a [(u32, [Usage; 3])],
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub participants: u64,
    pub subscriptions: u64,
    /// Of those, how many brought something in the measured window.
    pub subscriptions_live: u64,
    /// That the publishers sent.
    pub packets_in: u64,
    /// That all subscribers got, each once.
    pub packets_forwarded: u64,
    pub packets_in_per_second: f64,
    pub packets_per_second: f64,
    pub bits_per_second: f64,
    /// Of full subscribers, after retransmission.
    pub loss: f64,
    pub packets_lost: u64,
    /// Of sinks, by sequence numbers.
    pub sink_loss: f64,
    pub recovered: u64,
    pub retransmissions: u64,
    pub not_authentic: u64,
    pub without_stamp: u64,
    /// Packets of payload types that nobody agreed on; they count for nothing else.
    pub unknown_payload_type: u64,
    pub key_frame_requests: u64,
    pub latency_us: Option<Latency>,
    pub join_ms: Join,
    pub server_cpu_us_per_packet: Option<f64>,
    pub server_cpu_us_per_packet_of: BTreeMap<u32, f64>,
    pub server_cpu_share: Option<f64>,
    pub server_rss_kb: BTreeMap<u32, Resident>,
    /// What all processes have grown by since before anybody joined.
    pub server_rss_kb_per_participant: Option<f64>,
    pub loader_cpu_share: f64,
    pub loader_thread_share: f64,
    /// How busy the busiest processor was that this process has to itself, with whatever there was.
    pub loader_core_share: Option<f64>,
    /// Datagrams per read: how long the trains are that arrive, if `--no-gro` is not given.
    pub datagrams_per_read: f64,
    pub publisher_lag_us: Option<Lag>,
    pub socket_drops: u64,
    /// Packets that came in on the processors of this process and were dropped before they got to a socket.
    pub backlog_drops: u64,
    pub loader_is_bottleneck: bool,
    pub bottleneck: Vec<String>,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Join {
    pub p50: f64,
    pub p99: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lag {
    pub p50: u64,
    pub p99: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resident {
    /// Before anybody joined.
    pub before: u64,
    pub begin: u64,
    pub end: u64,
}

impl Report {
    #[must_use]
    pub fn new(findings: &Findings<'_>) -> Self {
        let tally = findings.tally;
        let seconds = findings.elapsed.as_secs_f64();
        let per_packet = |cpu: Duration| ratio(cpu.as_secs_f64() * 1e6, float(tally.packets_received));
        let used = |usage: &[Usage; 3]| usage[2].cpu.saturating_sub(usage[1].cpu);
        let server_cpu: Duration = findings.server.iter().map(|(_, usage)| used(usage)).sum();
        let grown: u64 = findings
            .server
            .iter()
            .map(|(_, usage)| usage[2].resident_kb.saturating_sub(usage[0].resident_kb))
            .sum();
        let measured = !findings.server.is_empty();
        let bottleneck = bottleneck(findings);
        Self {
            participants: findings.participants,
            subscriptions: findings.subscriptions,
            subscriptions_live: tally.streams_live,
            packets_in: tally.packets_sent,
            packets_forwarded: tally.packets_received,
            packets_in_per_second: float(tally.packets_sent) / seconds,
            packets_per_second: float(tally.packets_received) / seconds,
            bits_per_second: float(tally.bytes_received) * 8.0 / seconds,
            loss: ratio(float(tally.full_lost), float(tally.full_expected)),
            packets_lost: tally.full_lost,
            sink_loss: ratio(float(tally.sink_lost), float(tally.sink_expected)),
            recovered: tally.recovered,
            retransmissions: tally.retransmissions,
            not_authentic: tally.not_authentic,
            without_stamp: tally.without_stamp,
            unknown_payload_type: tally.unknown_payload_type,
            key_frame_requests: tally.key_frame_requests,
            latency_us: latency(tally),
            join_ms: join(findings.joins),
            server_cpu_us_per_packet: measured.then(|| per_packet(server_cpu)),
            server_cpu_us_per_packet_of: findings
                .server
                .iter()
                .map(|(pid, usage)| (*pid, per_packet(used(usage))))
                .collect(),
            server_cpu_share: measured.then(|| server_cpu.as_secs_f64() / seconds),
            server_rss_kb: findings.server.iter().map(|(pid, usage)| (*pid, resident(usage))).collect(),
            server_rss_kb_per_participant: measured
                .then(|| ratio(float(grown), float(findings.participants))),
            loader_cpu_share: findings.loader_cpu.as_secs_f64() / seconds,
            loader_thread_share: findings.thread_cpu.as_secs_f64() / seconds,
            loader_core_share: findings.cores.busy,
            datagrams_per_read: ratio(float(tally.datagrams), float(tally.reads)),
            publisher_lag_us: tally.lag_at(0.5).zip(tally.lag_at(0.99)).map(|(p50, p99)| Lag { p50, p99 }),
            socket_drops: tally.socket_drops,
            backlog_drops: findings.cores.backlog_drops,
            loader_is_bottleneck: !bottleneck.is_empty(),
            bottleneck,
            seconds,
        }
    }
}

/// Each reason for which the loader, and not the server, may be what was measured.
fn bottleneck(findings: &Findings<'_>) -> Vec<String> {
    let tally = findings.tally;
    let mut reasons = Vec::new();
    let share = findings.thread_cpu.as_secs_f64() / findings.elapsed.as_secs_f64();
    if share > BUSY {
        reasons.push(format!("a media thread was busy {:.0} % of the time", share * 100.0));
    }
    if let Some(share) = findings.cores.busy.filter(|share| *share > CORE_BUSY) {
        reasons.push(format!("its processor was busy {:.0} % of the time", share * 100.0));
    }
    if findings.cores.backlog_drops > 0 {
        let dropped = findings.cores.backlog_drops;
        reasons.push(format!("the backlogs of its processors had no room for {dropped} packets"));
    }
    if tally.socket_drops > 0 {
        reasons.push(format!("its sockets had no room for {} datagrams", tally.socket_drops));
    }
    let lag = tally.lag_at(0.99).unwrap_or_default();
    if lag > LAG_US {
        reasons.push(format!("publishers were {lag} us late (p99)"));
    }
    if tally.pictures_skipped > 0 {
        reasons.push(format!("publishers left {} pictures out", tally.pictures_skipped));
    }
    let refused = tally.packets_due - tally.packets_sent.min(tally.packets_due);
    if refused > 0 {
        reasons.push(format!("the kernel refused {refused} packets of publishers"));
    }
    reasons
}

fn latency(tally: &Tally) -> Option<Latency> {
    Some(Latency {
        p50: tally.latency_at(0.5)?,
        p90: tally.latency_at(0.9)?,
        p99: tally.latency_at(0.99)?,
        p999: tally.latency_at(0.999)?,
    })
}

fn join(joins: &[Duration]) -> Join {
    let mut sorted = joins.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(index).map_or(0.0, |join| join.as_secs_f64() * 1e3)
    };
    Join { p50: at(50), p99: at(99) }
}

fn resident(usage: &[Usage; 3]) -> Resident {
    let [before, begin, end] = usage.map(|usage| usage.resident_kb);
    Resident { before, begin, end }
}

/// Zero of nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

const BUSY: f64 = 0.9;
const CORE_BUSY: f64 = 0.97; // the kernel's receiving included, and of no more than ticks
const LAG_US: u64 = 5_000;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { participants, subscriptions, subscriptions_live, seconds, .. } = self;
        writeln!(
            f,
            "{participants} participants, {subscriptions_live} of {subscriptions} subscriptions live, {seconds:.1} s"
        )?;
        writeln!(
            f,
            "in        {:>10.0} packets/s\nforwarded {:>10.0} packets/s, {:.1} Mbit/s, {:.1} datagrams per read",
            self.packets_in_per_second,
            self.packets_per_second,
            self.bits_per_second / 1e6,
            self.datagrams_per_read,
        )?;
        writeln!(
            f,
            "loss      {:>10.4} % of full subscribers after {} recoveries, {:.4} % of sinks",
            self.loss * 100.0,
            self.recovered,
            self.sink_loss * 100.0
        )?;
        if let Some(Latency { p50, p90, p99, p999 }) = self.latency_us {
            writeln!(f, "latency   p50 {p50} p90 {p90} p99 {p99} p99.9 {p999} us")?;
        }
        writeln!(f, "join      p50 {:.1} p99 {:.1} ms", self.join_ms.p50, self.join_ms.p99)?;
        if let (Some(cpu), Some(share), Some(rss)) =
            (self.server_cpu_us_per_packet, self.server_cpu_share, self.server_rss_kb_per_participant)
        {
            writeln!(
                f,
                "server    {cpu:.2} us CPU per packet forwarded, {share:.2} cores, {rss:.0} kB more per participant"
            )?;
        }
        write!(f, "loader    {:.2} cores", self.loader_cpu_share)?;
        if let Some(Lag { p50, p99 }) = self.publisher_lag_us {
            write!(f, ", publishers late by p50 {p50} p99 {p99} us")?;
        }
        if self.unknown_payload_type > 0 {
            write!(f, "\n{} packets had payload types that nobody agreed on", self.unknown_payload_type)?;
        }
        for reason in &self.bottleneck {
            write!(f, "\nTHE LOADER IS THE BOTTLENECK: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use units::time::Instant;

    use super::*;

    const JOINS: [Duration; 3] =
        [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(20)];

    fn findings<'a>(tally: &'a Tally, server: &'a [(u32, [Usage; 3])]) -> Findings<'a> {
        Findings {
            participants: 4,
            subscriptions: 3,
            tally,
            joins: &JOINS,
            elapsed: Duration::from_secs(2),
            loader_cpu: Duration::from_secs(1),
            thread_cpu: Duration::from_millis(500),
            cores: Window::default(),
            server,
        }
    }

    #[test]
    fn server_is_charged_for_the_window_only_and_for_memory_since_before_it() {
        let mut tally = Tally::new();
        tally.packets_received = 1_000;
        let at = |ms, resident_kb| Usage { cpu: Duration::from_millis(ms), resident_kb };
        let server =
            [(5, [at(0, 100), at(500, 300), at(503, 500)]), (6, [at(0, 50), at(10, 50), at(11, 50)])];
        let report = Report::new(&findings(&tally, &server));
        assert_eq!(report.server_cpu_us_per_packet, Some(4.0));
        assert_eq!(report.server_cpu_us_per_packet_of[&5], 3.0);
        assert_eq!(report.server_rss_kb_per_participant, Some(100.0));
        assert_eq!(report.packets_per_second, 500.0);
        assert_eq!((report.join_ms.p50, report.join_ms.p99), (20.0, 30.0));
        assert!(!report.loader_is_bottleneck);
        assert_eq!(report.latency_us, None);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["server_rss_kb"]["5"]["end"], 500);
    }

    #[test]
    fn loader_says_when_it_is_the_bottleneck() {
        let late = |tally: &mut Tally| tally.lag(Instant(0), Instant(8_000_000));
        type Change = fn(&mut Tally);
        let cases: [(&str, Change); 3] = [
            ("no room", |tally| tally.socket_drops = 1),
            ("left", |tally| tally.pictures_skipped = 2),
            ("refused", |tally| tally.packets_due = 3),
        ];
        for (word, change) in cases {
            let mut tally = Tally::new();
            change(&mut tally);
            let report = Report::new(&findings(&tally, &[]));
            assert!(report.loader_is_bottleneck && report.bottleneck[0].contains(word), "{word}");
        }
        let mut tally = Tally::new();
        late(&mut tally);
        assert!(Report::new(&findings(&tally, &[])).bottleneck[0].contains("late"));
        let busy = Tally::new();
        let findings = Findings { thread_cpu: Duration::from_millis(1_900), ..findings(&busy, &[]) };
        assert!(Report::new(&findings).bottleneck[0].contains("busy 95 %"));
        for (name, cores, word) in [
            ("all day", Window { busy: Some(0.99), backlog_drops: 0 }, Some("processor was busy 99 %")),
            ("nearly", Window { busy: Some(0.96), backlog_drops: 0 }, None),
            ("drops", Window { busy: None, backlog_drops: 7 }, Some("no room for 7 packets")),
        ] {
            let findings =
                Findings { cores, thread_cpu: Duration::ZERO, elapsed: Duration::from_secs(2), ..findings };
            let reasons = Report::new(&findings).bottleneck;
            assert_eq!(reasons.len(), usize::from(word.is_some()), "{name}: {reasons:?}");
            assert!(word.is_none_or(|word| reasons[0].contains(word)), "{name}: {reasons:?}");
        }
    }
}
