//! Counters of workers, helper and process, read by snapshot.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use proto::media::v1::{Bucket, Counter, CountersResponse, Histogram, WorkerCounters};
use tokio::time::timeout;
use tracing_appender::non_blocking::ErrorCounter;

use crate::grpc::request::CountersWanted;
use crate::worker::mail::Counted;

/// Waits for the threads that were asked, all at once; one that does not answer in time is left out.
pub async fn collect(wanted: CountersWanted, log_lines_dropped: Option<&ErrorCounter>) -> CountersResponse {
    let CountersWanted { mut process, workers, helper } = wanted;
    let workers = join_all(workers.into_iter().map(|answer| timeout(PATIENCE, answer)));
    let (workers, helper) = tokio::join!(workers, timeout(PATIENCE, helper));
    let answers =
        (0..).zip(workers).filter_map(|(worker, answer)| Some(of_worker(worker, answer.ok()?.ok()?)));
    let answers = answers.collect();
    if let Ok(Ok(counters)) = helper {
        process.extend(counters.rows().into_iter().map(|(name, value)| (name.into(), value)));
    }
    if let Some(dropped) = log_lines_dropped {
        process.push(("log_lines_dropped".into(), dropped.dropped_lines() as u64));
    }
    process.extend(of_the_system().into_iter().map(|(name, value)| (name.into(), value)));
    let process = process.into_iter().map(|(name, value)| counter(name, value)).collect();
    CountersResponse { workers: answers, process }
}

fn of_worker(worker: u32, counted: Counted) -> WorkerCounters {
    let counters = counted.counters.into_iter().map(|(name, value)| counter(name.into(), value));
    let histograms = counted.histograms.into_iter().map(|(name, histogram)| Histogram {
        name: name.into(),
        buckets: histogram.buckets().map(|it| Bucket { up_to: it.up_to, count: it.count }).collect(),
        sum: histogram.sum(),
    });
    WorkerCounters { worker, counters: counters.collect(), histograms: histograms.collect() }
}

const PATIENCE: Duration = Duration::from_secs(1);

const fn counter(name: String, value: u64) -> Counter {
    Counter { name, value }
}

/// What the system says of this process, as far as it does.
fn of_the_system() -> Vec<(&'static str, u64)> {
    let mut rows = Vec::new();
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        rows.push(("process_open_files", files.count() as u64));
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let number = |label: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(label))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        rows.extend(number("Threads:").map(|count| ("process_threads", count)));
        rows.extend(number("VmRSS:").map(|kib| ("process_resident_bytes", kib.saturating_mul(1024))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn threads_that_are_stuck_are_waited_for_together() {
        let (stuck, workers): (Vec<_>, Vec<_>) = (0..4).map(|_| oneshot::channel()).unzip();
        let (stuck_helper, helper) = oneshot::channel();
        let before = Instant::now();
        let response = collect(CountersWanted { process: Vec::new(), workers, helper }, None).await;
        assert_eq!(response.workers, []);
        assert!(before.elapsed() < PATIENCE * 2, "{:?}", before.elapsed());
        drop((stuck, stuck_helper));
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_is_left_out() {
        let (answering, answer) = oneshot::channel();
        let mut lens = units::histogram::Histogram::new();
        lens.record_many(9, 2);
        let counted = Counted { counters: vec![("packets", 7)], histograms: vec![("lens", lens)] };
        answering.send(counted).unwrap();
        let wanted = CountersWanted {
            process: vec![("events".into(), 3)],
            workers: vec![oneshot::channel().1, answer],
            helper: oneshot::channel().1,
        };
        let response = collect(wanted, None).await;
        let packets = Counter { name: "packets".into(), value: 7 };
        let lens = Histogram { name: "lens".into(), buckets: vec![Bucket { up_to: 9, count: 2 }], sum: 18 };
        let expected = WorkerCounters { worker: 1, counters: vec![packets], histograms: vec![lens] };
        assert_eq!(response.workers, [expected]);
        for name in ["events", "process_open_files", "process_threads", "process_resident_bytes"] {
            assert!(
                response.process.iter().any(|counter| counter.name == name && counter.value > 0),
                "{name}"
            );
        }
    }
}
