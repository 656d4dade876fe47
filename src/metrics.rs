//! Every metric of `/metrics`, by name (DESIGN §7). No global registry: `app` makes one `Metrics` and hands it on.
//!
//! Labels have small closed sets. A request resolves its handles once per combination of upstream, model and operation
//! ([`Series`]); after that counting is a few atomic additions. What other modules count themselves is read at scrape
//! time ([`observed`]), so that they need not know Prometheus.

pub mod observed;
mod series;

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::FixedState;
use prometheus::core::{AtomicF64, GenericCounterVec};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

pub use series::{Series, SeriesKey};

/// Seconds, from the OpenTelemetry GenAI conventions for durations.
const DURATION: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Seconds to the first token, likewise, with a longer tail for reasoning models.
const FIRST_TOKEN: [f64; 20] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0,
];
/// Seconds between tokens, likewise.
const INTER_TOKEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Seconds that we add ourselves.
const OVERHEAD: [f64; 11] = [5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 250e-3];

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    first_token: HistogramVec,
    inter_token: HistogramVec,
    tokens: IntCounterVec,
    cost: GenericCounterVec<AtomicF64>,
    rejections: IntCounterVec,
    flags: IntCounterVec,
    reloads: IntCounterVec,
    /// Time that we add to a request before it goes upstream.
    pub overhead: Histogram,
    /// Requests between admission and their end.
    pub in_flight: IntGauge,
    // Its keys are a closed set, so nobody can choose them to collide.
    series: DashMap<SeriesKey, Arc<Series>, FixedState>,
}

impl Metrics {
    /// Makes and registers every metric.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let place = ["upstream", "model", "operation"];
        let metrics = Self {
            registry: Registry::new(),
            requests: counters(
                "tollgate_requests_total",
                "Requests by how they ended.",
                &["upstream", "model", "operation", "outcome", "code"],
            )?,
            duration: histograms(
                "tollgate_request_duration_seconds",
                "Time from a request's arrival to its end.",
                &DURATION,
                &place,
            )?,
            first_token: histograms(
                "tollgate_time_to_first_token_seconds",
                "Time from a request's arrival to the first generated content of its stream.",
                &FIRST_TOKEN,
                &place,
            )?,
            inter_token: histograms(
                "tollgate_inter_token_seconds",
                "Mean gap between content frames of a stream.",
                &INTER_TOKEN,
                &place,
            )?,
            tokens: counters(
                "tollgate_tokens_total",
                "Tokens by direction and by where the count came from.",
                &["direction", "source", "model", "upstream"],
            )?,
            cost: GenericCounterVec::new(
                Opts::new("tollgate_cost_usd_total", "What requests cost by the price table, in US dollars."),
                &["upstream", "model"],
            )?,
            rejections: counters("tollgate_rejections_total", "Refused requests by reason.", &["reason"])?,
            reloads: counters(
                "tollgate_config_reloads_total",
                "Changed configurations by what became of them.",
                &["result"],
            )?,
            flags: counters("tollgate_meter_flags_total", "Events by the flags that they carry.", &["flag"])?,
            overhead: Histogram::with_opts(
                HistogramOpts::new(
                    "tollgate_overhead_seconds",
                    "Time that Tollgate adds before a request goes upstream.",
                )
                .buckets(OVERHEAD.to_vec()),
            )?,
            in_flight: IntGauge::new("tollgate_in_flight_requests", "Admitted requests that have not ended.")?,
            series: DashMap::with_hasher(FixedState::default()),
        };
        metrics.register()?;
        Ok(Arc::new(metrics))
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let build = prometheus::IntGaugeVec::new(
            Opts::new("tollgate_build_info", "Constant 1, labelled with the build."),
            &["version", "rustc"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_RUST_VERSION")]).set(1);
        self.registry.register(Box::new(build))?;
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        for family in [&self.requests, &self.tokens, &self.rejections, &self.flags, &self.reloads] {
            self.registry.register(Box::new(family.clone()))?;
        }
        for family in [&self.duration, &self.first_token, &self.inter_token] {
            self.registry.register(Box::new(family.clone()))?;
        }
        self.registry.register(Box::new(self.cost.clone()))?;
        self.registry.register(Box::new(self.overhead.clone()))?;
        self.registry.register(Box::new(self.in_flight.clone()))
    }

    /// Adds what another module counts itself, read anew at every scrape.
    pub fn observe(&self, source: observed::Observed) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(source))
    }

    /// The handles of one combination of labels, made on first use. The caller bounds the models.
    pub fn series(&self, key: &SeriesKey) -> Arc<Series> {
        if let Some(series) = self.series.get(key) {
            return Arc::clone(&series);
        }
        let made = Arc::new(Series::new(self, key.clone()));
        Arc::clone(&self.series.entry(key.clone()).or_insert(made))
    }

    /// Counts a refusal, known caller or not.
    pub fn rejected(&self, reason: &'static str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    /// Counts a changed configuration: `applied` or `refused`.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// Counts a flag of an event.
    pub fn flagged(&self, flag: &str) {
        self.flags.with_label_values(&[flag]).inc();
    }

    /// The text exposition, format 0.0.4.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histograms(name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Metrics, SeriesKey};
    use crate::event::Outcome;
    use crate::types::{NanoUsd, Source};

    #[test]
    fn a_series_counts_under_the_documented_names() {
        let metrics = Metrics::new().unwrap();
        let key = SeriesKey { upstream: Arc::from("up"), model: Arc::from("demo"), operation: "chat" };
        let series = metrics.series(&key);
        series.ended(Outcome::Ok, 200);
        series.ended(Outcome::Ok, 200);
        series.ended(Outcome::UpstreamError, 502);
        series.tokens("input", Source::Provider, 12);
        series.spent(NanoUsd(1_500_000_000));
        series.duration.observe(0.5);
        metrics.rejected("unknown_key");
        let text = metrics.render().unwrap();
        for line in [
            r#"tollgate_requests_total{code="200",model="demo",operation="chat",outcome="ok",upstream="up"} 2"#,
            r#"tollgate_requests_total{code="502",model="demo",operation="chat",outcome="upstream_error",upstream="up"} 1"#,
            r#"tollgate_tokens_total{direction="input",model="demo",source="provider",upstream="up"} 12"#,
            r#"tollgate_cost_usd_total{model="demo",upstream="up"} 1.5"#,
            r#"tollgate_rejections_total{reason="unknown_key"} 1"#,
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
    }
}
