//! Metrics whose values other modules keep: a closure yields them at every scrape.

use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value of a family, with at most one label.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Index of its family in the list given to [`Observed::new`].
    pub family: usize,
    /// Label and value.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// A family's name, help and kind.
pub type Family = (&'static str, &'static str, Kind);

/// Families whose values a closure yields.
pub struct Observed {
    families: Vec<(Family, Desc)>,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families.iter().map(|(family, _)| family.0)).finish()
    }
}

impl Observed {
    /// `read` is called at every scrape and yields every value; `label` names the label of each family that has one.
    pub fn new(
        families: &[(Family, Option<&'static str>)],
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Result<Self, prometheus::Error> {
        let described = families.iter().map(|(family, label)| {
            let labels = label.iter().map(|&l| l.to_owned()).collect();
            let desc = Desc::new(family.0.to_owned(), family.1.to_owned(), labels, std::collections::HashMap::new())?;
            Ok((*family, desc))
        });
        Ok(Self { families: described.collect::<Result<_, prometheus::Error>>()?, read: Box::new(read) })
    }
}

impl Collector for Observed {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().map(|(_, desc)| desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let samples = (self.read)();
        let families = self.families.iter().enumerate();
        families
            .filter_map(|(index, ((name, help, kind), _))| {
                let metrics: Vec<_> = samples.iter().filter(|s| s.family == index).map(|s| metric(s, *kind)).collect();
                (!metrics.is_empty()).then(|| family(name, help, *kind, metrics))
            })
            .collect()
    }
}

fn family(name: &str, help: &str, kind: Kind, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(if kind == Kind::Counter { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(metrics);
    family
}

fn metric(sample: &Sample, kind: Kind) -> Metric {
    let mut metric = Metric::default();
    if let Some((label, value)) = &sample.label {
        let mut pair = LabelPair::default();
        pair.set_name((*label).to_owned());
        pair.set_value(value.clone());
        metric.set_label(vec![pair]);
    }
    if kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(sample.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(sample.value);
        metric.set_gauge(gauge);
    }
    metric
}
