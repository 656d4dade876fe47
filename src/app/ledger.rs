//! The ledger's place in the process: it reads Kafka where there is one, and the spool otherwise.

use std::sync::Arc;

use anyhow::Result;

use crate::config::Config;
#[cfg(feature = "kafka")]
use crate::control::ledger::Reader;
use crate::control::ledger::{Counters, plan};
use crate::metrics::Metrics;
use crate::metrics::observed::{Family, Kind, Observed, Sample};
use crate::sink::Plan;
use crate::spool::Spool;

/// The ledger of this process.
#[derive(Debug)]
pub(super) struct Ledger {
    counters: Arc<Counters>,
    plan: Option<Plan>,
    #[cfg(feature = "kafka")]
    reader: std::sync::Mutex<Option<Reader>>,
}

impl Ledger {
    /// The ledger that this configuration asks for.
    pub(super) fn of(config: &Config) -> std::io::Result<Self> {
        let counters: Arc<Counters> = Arc::default();
        let database = config.control.as_ref().map(|control| &control.database);
        let of_spool = database.filter(|_| config.events.kafka.is_none());
        let plan = of_spool.map(|database| plan(database, &counters));
        #[cfg(feature = "kafka")]
        let reader = {
            let both = database.zip(config.events.kafka.as_ref());
            both.map(|(database, kafka)| Reader::start(database, kafka, &counters)).transpose()?
        };
        Ok(Self {
            counters,
            plan,
            #[cfg(feature = "kafka")]
            reader: reader.into(),
        })
    }

    /// Its sink, where it reads the spool.
    pub(super) fn plan(&self) -> Option<Plan> {
        self.plan.clone()
    }

    /// Stops reading Kafka. Blocks until the batch at hand is written.
    pub(super) fn stop(&self) {
        #[cfg(feature = "kafka")]
        drop(self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }

    /// Brings its counts to `/metrics`.
    pub(super) fn observe(&self, metrics: &Metrics, spool: &Spool) -> Result<()> {
        const EVENTS: Family =
            ("tollgate_ledger_events_total", "Events that the ledger read, by what they were to it.", Kind::Counter);
        const LAG: Family = ("tollgate_ledger_lag_events", "Events that the ledger has not read yet.", Kind::Gauge);
        const FAILURES: Family = (
            "tollgate_ledger_failures_total",
            "Batches that the ledger's database did not take and that were offered again.",
            Kind::Counter,
        );
        const SKIPPED: Family = (
            "tollgate_ledger_skipped_total",
            "Records of the topic that were gone before the ledger read them.",
            Kind::Counter,
        );
        let (counters, spool, of_spool) = (Arc::clone(&self.counters), spool.clone(), self.plan.is_some());
        let families = [(EVENTS, Some("result")), (LAG, None), (FAILURES, None), (SKIPPED, None)];
        let observed = Observed::new(&families, move || {
            let stats = counters.read();
            let events = [
                ("counted", stats.counted),
                ("duplicate", stats.duplicates),
                ("loss", stats.losses),
                ("put_aside", stats.dead),
            ];
            let labelled = |(result, count): (&str, u64)| {
                let label = Some(("result", result.to_owned()));
                Sample { family: 0, label, value: count as f64 }
            };
            let lag = if of_spool { spool.stats().pending } else { stats.lag };
            let plain = [(1, lag), (2, stats.failures), (3, stats.skipped)];
            let plain = plain.map(|(family, count)| Sample { family, label: None, value: count as f64 });
            events.into_iter().map(labelled).chain(plain).collect()
        })?;
        Ok(metrics.observe(observed)?)
    }
}
