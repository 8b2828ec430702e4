//! How busy the workers of a media plane are, asked now and then: what placement goes by, beside what it knows itself.

use std::time::Duration;

use proto::media::v1::{CountersRequest, CountersResponse};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::media::plane::Session;

/// Asks for as long as there is a link, and tells the share of a core that each worker uses, in thousandths.
pub async fn watch(mut session: watch::Receiver<Option<Session>>, busy: watch::Sender<Vec<u32>>) {
    loop {
        let client = session.borrow_and_update().as_ref().map(|session| session.client.clone());
        let told = match client {
            Some(mut client) => {
                let answer = timeout(INTERVAL, client.counters(CountersRequest {})).await;
                answer.ok().and_then(Result::ok).map(|answer| of_each(answer.get_ref()))
            }
            None => None,
        };
        // A media plane that does not answer is none that we know anything of.
        busy.send_replace(told.unwrap_or_default());
        tokio::select! {
            changed = session.changed() => if changed.is_err() { return },
            () = sleep(INTERVAL) => {}
        }
    }
}

/// By worker index.
fn of_each(counters: &CountersResponse) -> Vec<u32> {
    let mut busy = Vec::new();
    for worker in &counters.workers {
        let index = usize::try_from(worker.worker).unwrap_or(usize::MAX);
        let gauge = worker.counters.iter().find(|counter| counter.name == GAUGE);
        if let Some(gauge) = gauge.filter(|_| index < WORKERS_MAX) {
            if busy.len() <= index {
                busy.resize(index + 1, 0);
            }
            if let Some(place) = busy.get_mut(index) {
                *place = u32::try_from(gauge.value).unwrap_or(u32::MAX);
            }
        }
    }
    busy
}

const INTERVAL: Duration = Duration::from_secs(2);
const GAUGE: &str = "io_busy_permille";
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
            ("none", vec![], vec![]),
            ("two", vec![worker(0, GAUGE, 100), worker(1, GAUGE, 900)], vec![100, 900]),
            ("the second alone answered", vec![worker(1, GAUGE, 900)], vec![0, 900]),
            ("another counter", vec![worker(0, "peers", 7)], vec![]),
            ("no such worker", vec![worker(4_000_000, GAUGE, 7)], vec![]),
        ] {
            let counters = CountersResponse { workers, ..CountersResponse::default() };
            assert_eq!(of_each(&counters), expected, "{name}");
        }
    }
}
