//! What is counted of webhooks, under LiveKit's names and ours.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

use crate::webhook::line::Drop;

#[derive(Clone, Debug)]
pub struct Counters {
    dispatched: IntCounterVec,
    queue_len: Histogram,
    pub waiting: IntGauge,
    pub durable: IntGauge,
}

impl Counters {
    /// # Panics
    /// Never: the names are fixed.
    #[must_use]
    pub fn new(node_id: &str) -> Self {
        let opts = |name: &str, help: &str| {
            Opts::new(name, help).const_label("node_id", node_id).const_label("node_type", "SERVER")
        };
        let of_dispatch = opts("livekit_webhook_dispatch_total", "What became of webhook events.");
        let of_queue = opts("livekit_webhook_queue_length", "Events of a room that wait, as each comes.");
        let of_queue = HistogramOpts { common_opts: of_queue, buckets: QUEUE_LENGTHS.to_vec() };
        let gauge = |name, help| IntGauge::new(name, help).expect("a name of ours");
        Self {
            dispatched: IntCounterVec::new(of_dispatch, &["status", "reason"]).expect("a name of LiveKit's"),
            queue_len: Histogram::with_opts(of_queue).expect("a name of LiveKit's"),
            waiting: gauge("millrace_webhook_waiting", "Events that are not delivered, over all URLs."),
            durable: gauge("millrace_webhook_durable", "Whether events that wait are on disk."),
        }
    }

    pub fn delivered(&self) {
        self.dispatched.with_label_values(&["success", ""]).inc();
    }

    pub fn failed(&self) {
        self.dispatched.with_label_values(&["failure", ""]).inc();
    }

    pub fn dropped(&self, why: Drop) {
        self.dropped_for(match why {
            Drop::Depth => "max_depth",
            Drop::Bytes => "max_bytes",
            Drop::Age => "max_age",
            Drop::Rejected => "rejected",
        });
    }

    /// More came than could be taken.
    pub fn overflowed(&self) {
        self.dropped_for("overflow");
    }

    /// The configuration does not have the URL any more.
    pub fn orphaned(&self) {
        self.dropped_for("url_removed");
    }

    pub fn queued(&self, depth: usize) {
        self.queue_len.observe(depth as f64);
    }

    #[must_use]
    pub fn collect(&self) -> Vec<MetricFamily> {
        let Self { dispatched, queue_len, waiting, durable } = self;
        let collectors: [&dyn Collector; 4] = [dispatched, queue_len, waiting, durable];
        collectors
            .into_iter()
            .flat_map(Collector::collect)
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }

    fn dropped_for(&self, reason: &str) {
        self.dispatched.with_label_values(&["drop", reason]).inc();
    }
}

/// LiveKit's.
const QUEUE_LENGTHS: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 40.0, 80.0];
