//! Resolved handles of one combination of upstream, model and operation.

use std::sync::Arc;
use std::sync::Mutex;

use prometheus::core::{AtomicF64, GenericCounter};
use prometheus::{Histogram, IntCounter};

use super::Metrics;
use crate::event::Outcome;
use crate::types::{NanoUsd, Source, Usage};

/// What a series is labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// The upstream's configured name, or `none`.
    pub upstream: Arc<str>,
    /// A known model, else `other`.
    pub model: Arc<str>,
    /// The operation.
    pub operation: &'static str,
}

/// The handles.
#[derive(Debug)]
pub struct Series {
    key: SeriesKey,
    /// Time from arrival to end.
    pub duration: Histogram,
    /// Time from arrival to first content.
    pub first_token: Histogram,
    /// Mean gap between content frames.
    pub inter_token: Histogram,
    cost: GenericCounter<AtomicF64>,
    requests: prometheus::IntCounterVec,
    tokens: prometheus::IntCounterVec,
    // Few combinations of outcome and status occur, so a short list is searched faster than a map.
    ended: Mutex<Vec<((Outcome, u16), IntCounter)>>,
    counted: Mutex<Vec<((&'static str, Source), IntCounter)>>,
}

impl Series {
    pub(super) fn new(metrics: &Metrics, key: SeriesKey) -> Self {
        let labels: [&str; 3] = [&key.upstream, &key.model, key.operation];
        Self {
            duration: metrics.duration.with_label_values(&labels),
            first_token: metrics.first_token.with_label_values(&labels),
            inter_token: metrics.inter_token.with_label_values(&labels),
            cost: metrics.cost.with_label_values(&[&*key.upstream, &*key.model]),
            requests: metrics.requests.clone(),
            tokens: metrics.tokens.clone(),
            ended: Mutex::default(),
            counted: Mutex::default(),
            key,
        }
    }

    /// Counts a request that ended.
    pub fn ended(&self, outcome: Outcome, code: u16) {
        resolve(&self.ended, (outcome, code), || {
            let code = if code == 0 { "none".to_owned() } else { code.to_string() };
            let key = &self.key;
            self.requests.with_label_values(&[&*key.upstream, &*key.model, key.operation, outcome.as_str(), &code])
        })
        .inc();
    }

    /// Counts what a call used, as far as it is known, and what that cost.
    pub fn used(&self, usage: &Usage, cost: Option<NanoUsd>) {
        for (direction, count) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            if let Some(count) = count {
                self.tokens(direction, usage.source, count);
            }
        }
        if let Some(cost) = cost {
            self.spent(cost);
        }
    }

    /// Counts tokens; `direction` is `input` or `output`.
    pub fn tokens(&self, direction: &'static str, source: Source, count: u64) {
        resolve(&self.counted, (direction, source), || {
            self.tokens.with_label_values(&[direction, source.as_str(), &*self.key.model, &*self.key.upstream])
        })
        .inc_by(count);
    }

    /// Counts money.
    pub fn spent(&self, amount: NanoUsd) {
        if amount.0 > 0 {
            self.cost.inc_by(amount.as_usd());
        }
    }
}

fn resolve<K: PartialEq>(list: &Mutex<Vec<(K, IntCounter)>>, key: K, make: impl FnOnce() -> IntCounter) -> IntCounter {
    let mut list = list.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, counter)) = list.iter().find(|(known, _)| *known == key) {
        return counter.clone();
    }
    let counter = make();
    list.push((key, counter.clone()));
    counter
}
