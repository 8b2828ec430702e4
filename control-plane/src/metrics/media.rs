//! Counters and histograms of a media plane as metrics: `millrace_media_…`, by plane and worker.

use proto::media::v1::{Counter, CountersResponse, Histogram};

use crate::metrics::families::{Distribution, Families, Labels};

pub fn add(families: &mut Families, plane: &str, answer: &CountersResponse) {
    for counter in &answer.process {
        add_counter(families, &[("plane", plane)], counter);
    }
    for worker in &answer.workers {
        let index = worker.worker.to_string();
        let labels = [("plane", plane), ("worker", index.as_str())];
        for counter in &worker.counters {
            add_counter(families, &labels, counter);
        }
        for histogram in &worker.histograms {
            add_histogram(families, &labels, histogram);
        }
    }
}

fn add_counter(families: &mut Families, labels: Labels<'_>, counter: &Counter) {
    let name = counter.name.as_str();
    if !is_name(name) {
        return;
    }
    for (prefix, family, help) in REASONED {
        if let Some(reason) = name.strip_prefix(prefix) {
            let labels = [labels, &[("reason", reason)]].concat();
            return families.counter(family, help, &labels, counter.value);
        }
    }
    let family = format!("millrace_media_{name}");
    if is_gauge(name) {
        families.gauge(&family, "How much there is now.", labels, counter.value);
    } else {
        families.counter(&format!("{family}_total"), "Since its start.", labels, counter.value);
    }
}

fn add_histogram(families: &mut Families, labels: Labels<'_>, histogram: &Histogram) {
    let name = histogram.name.as_str();
    if !is_name(name) {
        return;
    }
    match name.strip_suffix("_us") {
        Some(name) => {
            let values = distribution(histogram, &microseconds(), 1e6);
            let help = "In seconds, since the start.";
            families.histogram(&format!("millrace_media_{name}_seconds"), help, labels, &values);
        }
        None => {
            let values = distribution(histogram, &counts(), 1.0);
            families.histogram(&format!("millrace_media_{name}"), "Since the start.", labels, &values);
        }
    }
}

/// What lies in buckets of others, in those of `bounds`: each is a bound of theirs, too.
fn distribution(histogram: &Histogram, bounds: &[(u64, u64)], divisor: f64) -> Distribution {
    let mut below = 0;
    let mut buckets = histogram.buckets.iter().peekable();
    let cumulative = bounds.iter().map(|(up_to, shown)| {
        while let Some(bucket) = buckets.next_if(|bucket| bucket.up_to <= *up_to) {
            below += bucket.count;
        }
        (*shown as f64 / divisor, below)
    });
    Distribution {
        cumulative: cumulative.collect(),
        count: histogram.buckets.iter().map(|bucket| bucket.count).sum(),
        sum: histogram.sum as f64 / divisor,
    }
}

/// 8 µs to 1 s, two to each power of two: the largest whole number below a bound, and the bound.
fn microseconds() -> Vec<(u64, u64)> {
    let octaves = (3..20).map(|exponent| 1_u64 << exponent);
    octaves.flat_map(|start| [start, start + start / 2]).map(|bound| (bound - 1, bound)).collect()
}

/// 1, 3, 7 and so on to 1023.
fn counts() -> Vec<(u64, u64)> {
    (1..=10).map(|exponent| (1_u64 << exponent) - 1).map(|bound| (bound, bound)).collect()
}

fn is_gauge(name: &str) -> bool {
    GAUGES.contains(&name) || GAUGE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Names of metrics are less free than those of counters.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Counters that are one family with a reason.
const REASONED: [(&str, &str, &str); 3] = [
    (
        "relayed_discarded_",
        "millrace_media_relayed_discarded_total",
        "Packets from other workers, or for them, that went no further.",
    ),
    (
        "copy_discarded_",
        "millrace_media_copies_discarded_total",
        "Copies of packets that a subscriber did not get.",
    ),
    (
        "discarded_",
        "millrace_media_datagrams_discarded_total",
        "Datagrams that were neither forwarded nor consumed.",
    ),
];

/// What does not only grow.
const GAUGES: [&str; 21] = [
    "rooms",
    "peers",
    "publications",
    "subscriptions",
    "paths",
    "ufrags",
    "history_buffers",
    "io_send_pool_high_water",
    "io_send_pool_used",
    "io_busy_permille",
    "overload_step",
    "relay_buffers",
    "relay_ring_high_water",
    "relay_rings",
    "worker_paths_of_others",
    "helper_peers",
    "helper_routes",
    "helper_dtls_associations",
    "helper_sctp_associations",
    "state_bytes",
    "control_planes",
];
const GAUGE_PREFIXES: [&str; 2] = ["resources_", "process_"];

#[cfg(test)]
mod tests {
    use proto::media::v1::{Bucket, WorkerCounters};

    use super::*;

    fn counter(name: &str, value: u64) -> Counter {
        Counter { name: name.into(), value }
    }

    #[test]
    fn rows_carry_their_plane_worker_and_reason() {
        let counters = vec![
            counter("copies_sent", 7),
            counter("discarded_no_keys", 2),
            counter("copy_discarded_paused", 3),
            counter("rooms", 1),
            counter("no name\n", 1),
        ];
        let answer = CountersResponse {
            workers: vec![WorkerCounters { worker: 4, counters, histograms: Vec::new() }],
            process: vec![counter("process_threads", 5)],
        };
        let mut families = Families::default();
        add(&mut families, "2", &answer);
        let text = families.text().unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rows,
            [
                r#"millrace_media_copies_discarded_total{plane="2",worker="4",reason="paused"} 3"#,
                r#"millrace_media_copies_sent_total{plane="2",worker="4"} 7"#,
                r#"millrace_media_datagrams_discarded_total{plane="2",worker="4",reason="no_keys"} 2"#,
                r#"millrace_media_process_threads{plane="2"} 5"#,
                r#"millrace_media_rooms{plane="2",worker="4"} 1"#,
            ]
        );
        assert!(text.contains("# TYPE millrace_media_rooms gauge"), "{text}");
        assert!(text.contains("# TYPE millrace_media_copies_sent_total counter"), "{text}");
    }

    #[test]
    fn buckets_are_summed_up_to_each_bound_and_times_told_in_seconds() {
        let mut measured = units::histogram::Histogram::new();
        for (micros, count) in [(0, 1), (7, 2), (8, 4), (11, 8), (12, 16), (900_000, 32), (3_000_000, 64)] {
            measured.record_many(micros, count);
        }
        let buckets = measured.buckets().map(|it| Bucket { up_to: it.up_to, count: it.count }).collect();
        let histogram = Histogram { name: "x_us".into(), buckets, sum: measured.sum() };
        let values = distribution(&histogram, &microseconds(), 1e6);
        assert_eq!(values.cumulative[..4], [(8e-6, 3), (12e-6, 15), (16e-6, 31), (24e-6, 31)]);
        assert_eq!(values.cumulative.last(), Some(&(0.786_432, 31)));
        assert_eq!((values.count, values.sum), (127, 220.800_326));
        for (bound, _) in microseconds().into_iter().chain(counts()) {
            let mut one = units::histogram::Histogram::new();
            one.record(bound);
            assert_eq!(one.buckets().next().unwrap().up_to, bound, "{bound} is no bound of what is counted");
        }
    }
}
