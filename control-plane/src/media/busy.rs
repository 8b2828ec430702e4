//! How busy the workers of a media plane are, asked now and then: what placement goes by, beside what it knows itself.

use std::time::Duration;

use proto::media::v1::{CountersRequest, CountersResponse};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::media::plane::Session;

/// Asks for as long as there is a link, and tells the share of a core that each worker uses, in thousandths.
pub async fn watch(mut session: watch::Receiver<Option<Session>>, busy: watch::Sender<Vec<u32>>) {
    loop {
        let attached = session.borrow_and_update().clone();
        match attached {
            Some(Session { attached, mut client }) => {
                let answer = timeout(INTERVAL, client.counters(CountersRequest {})).await;
                // A media plane that is there and does not answer is no less busy than it was.
                if let Ok(Ok(answer)) = answer {
                    busy.send_replace(of_each(answer.get_ref(), attached.workers.len()));
                }
            }
            None => _ = busy.send_replace(Vec::new()),
        }
        tokio::select! {
            changed = session.changed() => if changed.is_err() { return },
            () = sleep(INTERVAL) => {}
        }
    }
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
const SATURATED: u32 = 1000;
/// As many as a ufrag can name.
const WORKERS_MAX: usize = 36 * 36;

#[cfg(test)]
mod tests {
    use proto::media::v1::{Counter, WorkerCounters};

    use super::*;

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
