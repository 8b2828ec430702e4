//! How busy the workers of a media plane are, asked now and then: what placement and `limit.bytes_per_sec` go by, beside
//! what is known here.

use std::time::{Duration, Instant};

use proto::media::v1::{CountersRequest, CountersResponse};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::media::plane::Session;

/// What a media plane does just now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Busy {
    /// The share of a core that each worker uses, in thousandths.
    pub permille: Vec<u32>,
    /// Of all workers, in and out.
    pub bytes_per_second: f64,
}

/// Asks for as long as there is a link.
pub async fn watch(mut session: watch::Receiver<Option<Session>>, busy: watch::Sender<Busy>) {
    let mut rate = Rate::default();
    loop {
        let attached = session.borrow_and_update().clone();
        match attached {
            Some(Session { attached, mut client }) => {
                let answer = timeout(INTERVAL, client.counters(CountersRequest {})).await;
                // A media plane that is there and does not answer is no less busy than it was.
                if let Ok(Ok(answer)) = answer {
                    let counters = answer.get_ref();
                    busy.send_replace(Busy {
                        permille: of_each(counters, attached.workers.len()),
                        bytes_per_second: rate.next(Instant::now(), bytes(counters)),
                    });
                }
            }
            None => _ = busy.send_replace(Busy::default()),
        }
        tokio::select! {
            changed = session.changed() => if changed.is_err() { return },
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Bytes, as they were counted when they were last asked for.
#[derive(Debug, Default)]
struct Rate(Option<(Instant, u64)>);

impl Rate {
    /// 0 at first, and when counting has begun anew.
    fn next(&mut self, now: Instant, total: u64) -> f64 {
        let before = self.0.replace((now, total));
        let Some((then, before)) = before else { return 0.0 };
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        match total.checked_sub(before) {
            #[expect(clippy::cast_precision_loss, reason = "bytes of seconds")]
            Some(bytes) if seconds > 0.0 => bytes as f64 / seconds,
            _ => 0.0,
        }
    }
}

fn bytes(counters: &CountersResponse) -> u64 {
    let all = counters.workers.iter().flat_map(|worker| &worker.counters);
    all.filter(|counter| BYTES.contains(&counter.name.as_str())).map(|counter| counter.value).sum()
}

/// By worker index. A worker that had no time to answer its own media plane has none for anybody.
fn of_each(counters: &CountersResponse, workers: usize) -> Vec<u32> {
    let mut busy = vec![SATURATED; workers.min(WORKERS_MAX)];
    for worker in &counters.workers {
        let index = usize::try_from(worker.worker).unwrap_or(usize::MAX);
        let gauge = worker.counters.iter().find(|counter| counter.name == GAUGE);
        if let Some(place) = busy.get_mut(index) {
            *place = gauge.map_or(0, |gauge| u32::try_from(gauge.value).unwrap_or(u32::MAX));
        }
    }
    busy
}

const INTERVAL: Duration = Duration::from_secs(2);
const GAUGE: &str = "io_busy_permille";
const BYTES: [&str; 2] = ["io_bytes_received", "io_bytes_sent"];
const SATURATED: u32 = 1000;
/// As many as a ufrag can name.
const WORKERS_MAX: usize = 36 * 36;

#[cfg(test)]
mod tests {
    use proto::media::v1::{Counter, WorkerCounters};

    use super::*;

    #[test]
    fn bytes_become_a_rate_that_starts_over_with_the_count() {
        let counter = |name: &str, value| Counter { name: name.into(), value };
        let worker = |received, sent| WorkerCounters {
            counters: vec![counter(BYTES[0], received), counter(BYTES[1], sent), counter("peers", 9)],
            ..WorkerCounters::default()
        };
        let counters = CountersResponse { workers: vec![worker(1, 2), worker(3, 4)], ..Default::default() };
        assert_eq!(bytes(&counters), 10);
        let (mut rate, start) = (Rate::default(), Instant::now());
        for (name, seconds, total, expected) in [
            ("the first", 0, 1_000, 0.0),
            ("two seconds later", 2, 5_000, 2_000.0),
            ("nothing came", 4, 5_000, 0.0),
            ("another process", 6, 100, 0.0),
            ("which goes on", 7, 300, 200.0),
            ("at the same time", 7, 400, 0.0),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert!((rate.next(now, total) - expected).abs() < 1e-6, "{name}");
        }
    }

    #[test]
    fn the_gauge_is_read_by_worker() {
        let worker = |worker, name: &str, value| WorkerCounters {
            worker,
            counters: vec![Counter { name: name.into(), value }],
            ..WorkerCounters::default()
        };
        for (name, workers, expected) in [
            ("both", vec![worker(0, GAUGE, 100), worker(1, GAUGE, 900)], [100, 900]),
            ("the second alone answered", vec![worker(1, GAUGE, 200)], [1000, 200]),
            ("none answered", vec![], [1000, 1000]),
            ("another counter", vec![worker(0, "peers", 7), worker(1, GAUGE, 2)], [0, 2]),
            ("no such worker", vec![worker(4_000_000, GAUGE, 7)], [1000, 1000]),
        ] {
            let counters = CountersResponse { workers, ..CountersResponse::default() };
            assert_eq!(of_each(&counters, 2), expected, "{name}");
        }
    }
}
