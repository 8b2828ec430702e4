//! The thread that runs the helper: drain the queues, advance, flush, sleep.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::helper::input::Input;
use crate::helper::output::Sink;
use crate::helper::queue::HelperHandle;
use crate::helper::{Config, Helper};

/// How much of each queue is taken before timers and the flush have their turn.
const BATCH: usize = 256;
/// Sleep at most this long, so that a wake-up that was lost by mistake is an inconvenience, not a stall.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Rings have no bell for "there is room again".
const RETRY: Duration = Duration::from_millis(1);

/// Starts the helper; `Input::Stop` ends it.
///
/// # Errors
/// If the DTLS library can't be set up, or the system gives no thread.
pub fn spawn(
    config: Config,
    mut sink: impl Sink + Send + 'static,
) -> io::Result<(HelperHandle, JoinHandle<()>)> {
    let handle = HelperHandle::new();
    let shared = handle.shared();
    let (report, outcome) = std::sync::mpsc::channel();
    let thread = Builder::new().name("helper".into()).spawn(move || {
        shared.enter();
        let mut helper = match Helper::new(Instant::now(), &config) {
            Ok(helper) => helper,
            Err(error) => return drop(report.send(Err(error))),
        };
        drop(report.send(Ok(())));
        loop {
            let mut work = 0;
            while work < BATCH
                && let Some(order) = shared.next_order()
            {
                if matches!(order, Input::Stop) {
                    helper.order(Instant::now(), order, &mut sink);
                    sink.flush();
                    return;
                }
                helper.order(Instant::now(), order, &mut sink);
                work += 1;
            }
            while work < BATCH
                && let Some(datagram) = shared.next_datagram()
            {
                helper.datagram(Instant::now(), datagram, &mut sink);
                work += 1;
            }
            helper.add_ring_full(shared.take_dropped());
            helper.tick(Instant::now(), &mut sink);
            let waits = sink.flush();
            if work < BATCH {
                let most = if waits { RETRY } else { SLEEP_MAX };
                let wait = helper
                    .next_deadline()
                    .map_or(most, |deadline| deadline.saturating_duration_since(Instant::now()).min(most));
                if !wait.is_zero() {
                    shared.sleep(wait);
                }
            }
        }
    })?;
    // The library belongs to the thread, so the thread makes it.
    outcome.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok((handle, thread))
}
