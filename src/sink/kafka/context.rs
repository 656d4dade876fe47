//! What librdkafka calls back: delivery reports, errors, statistics, logs. All on the thread that polls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use serde::Deserialize;
use tracing::{debug, warn};

use super::classify::{Verdict, classify};
use crate::sink::stats::Counters;
use crate::sink::{Ticket, Trouble};

/// What the broker said of one message.
pub(super) type Report = (Ticket, Result<(), RDKafkaErrorCode>);

/// Collects delivery reports until the sink takes them.
#[derive(Debug)]
pub(super) struct Context {
    counters: Arc<Counters>,
    reports: Mutex<Vec<Report>>,
    finished: AtomicBool,
    /// How often librdkafka called.
    calls: AtomicU64,
}

/// The few statistics that are worth a metric.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    #[serde(default)]
    state: String,
    #[serde(default)]
    txretries: u64,
    #[serde(default)]
    req_timeouts: u64,
}

impl Context {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, reports: Mutex::default(), finished: AtomicBool::new(false), calls: AtomicU64::new(0) }
    }

    /// How often librdkafka has called so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    fn called(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// The reports since the last time.
    pub(super) fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the producer cannot go on.
    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Relaxed)
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        self.called();
        let said = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(code(error)),
        };
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push((Ticket(ticket), said));
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        self.called();
        // librdkafka repeats itself at every attempt to connect; what matters is told once, below and by the worker.
        debug!(target: "librdkafka", facility, "{message}");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.called();
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else { return };
        let brokers = statistics.brokers.values();
        self.counters.connected(brokers.clone().any(|broker| broker.state == "UP"));
        self.counters.client_retries.store(brokers.clone().map(|broker| broker.txretries).sum(), Relaxed);
        self.counters.client_timeouts.store(brokers.map(|broker| broker.req_timeouts).sum(), Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called();
        let trouble = match classify(code(&error)) {
            Verdict::Retry(trouble) | Verdict::Refuse(trouble) => trouble,
            Verdict::Fatal => {
                self.finished.store(true, Relaxed);
                Trouble::Fatal
            }
        };
        if code(&error) == RDKafkaErrorCode::AllBrokersDown {
            self.counters.connected(false);
        }
        if self.counters.trouble(trouble) {
            warn!(sink = "kafka", code = %code(&error), reason, "Kafka cannot be used now; events wait in the spool");
        }
    }
}

/// The code in an error; errors without one are retried as unknown.
pub(super) fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
}
