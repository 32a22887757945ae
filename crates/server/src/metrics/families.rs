//! Metrics being collected, as Prometheus' encoder wants to have them.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Metrics being collected.
#[derive(Default)]
pub(super) struct Families(pub(super) Vec<MetricFamily>);

/// A label and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

impl Families {
    pub(super) fn add(&mut self, kind: MetricType, name: &str, help: &str, metrics: Vec<Metric>) {
        // The encoder takes no family without metrics.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.counters(name, help, vec![counter(&[], value)]);
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, metrics: Vec<Metric>) {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.add(MetricType::COUNTER, name, help, metrics);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, vec![gauge(&[], value)]);
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, metrics: Vec<Metric>) {
        self.add(MetricType::GAUGE, name, help, metrics);
    }
}

pub(super) fn labelled(labels: &[Label<'_>]) -> Metric {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

pub(super) fn counter(labels: &[Label<'_>], value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = labelled(labels);
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(labels: &[Label<'_>], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    metric
}
