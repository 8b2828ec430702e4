//! What a driver measures beyond counting: how full its wakes are, how long packets stay, and how busy its thread is.

use std::time::Duration;

use units::histogram::Histogram;
use units::time::Instant;

/// Of one thread, read by snapshot.
#[derive(Debug, Default)]
pub struct Measures {
    /// Datagrams that came at once, of wakes that brought any.
    pub wake_datagrams: Histogram,
    /// Packets of each message that the kernel took: 1, or the length of a train.
    pub send_segments: Histogram,
    /// From the receipt of a datagram to the end of the flush that carried what it brought about, in microseconds.
    pub forward_latency_us: Histogram,
    waiting: Waiting,
    busy: Busy,
    load: Busy,
}

impl Measures {
    /// A datagram is about to be handled.
    pub(crate) fn received(&mut self, at: Instant) {
        self.waiting.add(at);
    }

    /// What was received until now brought nothing about that is to be sent.
    pub(crate) fn nothing_to_send(&mut self) {
        self.waiting.0.clear();
    }

    /// The flush is over that carries all that the datagrams until now brought about.
    pub(crate) fn sent(&mut self, now: Instant) {
        for (at, count) in self.waiting.0.drain(..) {
            let micros = now.as_micros().saturating_sub(at.as_micros());
            self.forward_latency_us.record_many(micros, count);
        }
    }

    pub(crate) const fn message(&mut self, segments: usize) {
        self.send_segments.record(segments as u64);
    }

    pub(crate) fn woke(&mut self, datagrams: u64) {
        if datagrams > 0 {
            self.wake_datagrams.record(datagrams);
        }
    }

    /// To be called often; costs two comparisons but ten times a second.
    pub(crate) fn turned(&mut self, now: Instant) {
        self.busy.sample(now, WINDOW, thread_time);
        self.load.sample(now, LOAD_WINDOW, thread_time);
    }

    /// The same as [`Self::busy_permille`] over a tenth of a second.
    pub(crate) const fn load_permille(&self) -> u64 {
        self.load.permille
    }

    /// The thread's share of a core over the last second or more that it looked at, in thousandths.
    #[must_use]
    pub const fn busy_permille(&self) -> u64 {
        self.busy.permille
    }

    /// Every histogram by its exported name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        [
            ("io_wake_datagrams", &self.wake_datagrams),
            ("io_send_segments", &self.send_segments),
            ("io_forward_latency_us", &self.forward_latency_us),
        ]
        .into_iter()
    }
}

/// When the datagrams came that were handled since the last flush: a time and how many came then.
#[derive(Debug, Default)]
struct Waiting(Vec<(Instant, u64)>);

impl Waiting {
    fn add(&mut self, at: Instant) {
        let full = self.0.len() >= TIMES_MAX;
        match self.0.last_mut() {
            Some((last, count)) if *last == at || full => *count += 1,
            _ => self.0.push((at, 1)),
        }
    }
}

/// More times than a wake's datagrams have; what comes above is counted with the last.
const TIMES_MAX: usize = 512;

/// The processor time of a thread against the clock's.
#[derive(Debug, Default)]
struct Busy {
    /// `None` until the first look: what the thread did before is not ours.
    since: Option<Instant>,
    used: Duration,
    permille: u64,
}

impl Busy {
    fn sample(&mut self, now: Instant, window: Duration, thread_time: impl FnOnce() -> Duration) {
        let Some(since) = self.since else {
            *self = Self { since: Some(now), used: thread_time(), permille: 0 };
            return;
        };
        let elapsed = now.since(since);
        if elapsed < window {
            return;
        }
        let used = thread_time();
        let share = used.saturating_sub(self.used).as_nanos() * 1000 / elapsed.as_nanos().max(1);
        *self = Self { since: Some(now), used, permille: u64::try_from(share).unwrap_or(u64::MAX).min(1000) };
    }
}

const WINDOW: Duration = Duration::from_secs(1);
const LOAD_WINDOW: Duration = Duration::from_millis(100);

/// The processor time that the calling thread has used.
fn thread_time() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is writable and outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spec) };
    Duration::new(spec.tv_sec.unsigned_abs(), u32::try_from(spec.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant(micros * 1000)
    }

    #[test]
    fn latency_runs_from_each_receipt_to_the_flush_that_carries_the_copies() {
        let mut measures = Measures::default();
        measures.received(at(10));
        measures.nothing_to_send();
        for received in [100, 100, 103] {
            measures.received(at(received));
        }
        measures.sent(at(105));
        measures.sent(at(900));
        let buckets: Vec<_> = measures.forward_latency_us.buckets().map(|it| (it.up_to, it.count)).collect();
        assert_eq!(buckets, [(2, 1), (5, 2)]);
    }

    #[test]
    fn more_times_than_are_kept_are_counted_with_the_last() {
        let mut measures = Measures::default();
        let count = TIMES_MAX as u64 * 2;
        for micros in 0..count {
            measures.received(at(micros));
        }
        assert_eq!(measures.waiting.0.len(), TIMES_MAX);
        measures.sent(at(count));
        assert_eq!(measures.forward_latency_us.count(), count);
    }

    #[test]
    fn busy_is_the_share_of_the_last_window() {
        let mut busy = Busy::default();
        let mut shares = Vec::new();
        let looks = [
            (100, 7000),
            (1000, 7200),
            (1100, 7250),
            (2000, 8100),
            (2100, 8150),
            (12_100, 8150),
            (13_100, 9500),
        ];
        for (ms, used_ms) in looks {
            busy.sample(at(ms * 1000), WINDOW, || Duration::from_millis(used_ms));
            shares.push(busy.permille);
        }
        assert_eq!(shares, [0, 0, 250, 250, 900, 0, 1000]);
    }

    #[test]
    fn work_uses_the_threads_time_and_sleep_does_not() {
        let before = thread_time();
        while thread_time() < before + Duration::from_millis(5) {}
        let worked = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        assert!(thread_time() - worked < Duration::from_millis(25));
    }
}
