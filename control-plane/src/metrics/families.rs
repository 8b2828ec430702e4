//! Metric families that are put together from numbers counted elsewhere.

use std::collections::BTreeMap;
use std::sync::Once;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// By name.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<String, MetricFamily>);

pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Values of a histogram, in the unit of its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Upper bounds, ascending, and how many values are below or at each.
    pub cumulative: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Families {
    pub fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = with_labels(labels);
        metric.set_counter(counter);
        self.push(name, help, MetricType::COUNTER, metric);
    }

    pub fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value as f64);
        let mut metric = with_labels(labels);
        metric.set_gauge(gauge);
        self.push(name, help, MetricType::GAUGE, metric);
    }

    pub fn histogram(&mut self, name: &str, help: &str, labels: Labels<'_>, values: &Distribution) {
        let bucket = |(bound, count): &(f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(values.cumulative.iter().map(bucket).collect());
        histogram.set_sample_count(values.count);
        histogram.set_sample_sum(values.sum);
        let mut metric = with_labels(labels);
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, metric);
    }

    /// A whole family of somebody else's.
    pub fn add(&mut self, family: MetricFamily) {
        self.0.insert(family.name().to_owned(), family);
    }

    /// # Errors
    /// When a family is not one.
    pub fn text(self) -> Result<String, prometheus::Error> {
        let families: Vec<MetricFamily> = self.0.into_values().collect();
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }

    fn push(&mut self, name: &str, help: &str, kind: MetricType, metric: Metric) {
        let family = self.0.entry(name.to_owned()).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        if family.get_field_type() == kind {
            family.mut_metric().push(metric);
        } else {
            // A media plane's names may be of another version than ours.
            MIXED.call_once(|| {
                tracing::warn!(name, ?kind, "a metric of another type than its family is left out")
            });
        }
    }
}

/// A warning at each scrape would say no more than the first.
static MIXED: Once = Once::new();

fn with_labels(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
