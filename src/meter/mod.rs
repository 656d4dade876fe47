//! Watches one request from admission to its end and turns it into one usage event.
//!
//! The client receives every byte unchanged and undelayed; what cannot be understood sets a flag on the event. The
//! meter never guesses silently: every number says where it came from. It decides nothing about who may call.

mod arrival;
mod catalog;
pub mod count;
mod counting;
mod draft;
mod drain;
mod exchange;
mod few;
mod flow;
mod form;
pub mod framing;
mod hide;
mod inject;
mod log;
mod marks;
mod once;
mod open;
mod peeked;
pub mod price;
mod progress;
mod realtime;
mod report;
mod request;
mod seal;
mod tap;
mod watch;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod watch_tests;

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::config::Config;
use crate::event::{self, Beginning, EncodeError, Unnumbered, UsageEvent, Workload};
use crate::metrics::Metrics;
use crate::spool::{Commit, Spool, SpoolFull, Ticket};
use counting::Counting;
use drain::Draining;
use once::Once;

pub use arrival::Arrival;
pub use catalog::Catalog;
pub use exchange::{Exchange, Sealing};
#[cfg(fuzzing)]
pub use form::fuzz as fuzz_form;
pub use inject::{Memory, send};
#[cfg(fuzzing)]
pub use realtime::fuzz as fuzz_websocket;
pub use request::{Content, Sent, take};
pub use tap::{Duties, Tap};

/// What all exchanges share.
#[derive(Debug)]
pub struct Meter {
    spool: Spool,
    metrics: Arc<Metrics>,
    catalog: ArcSwap<Catalog>,
    counting: Counting,
    source: Arc<str>,
    workload: Option<Workload>,
    interrupted: AtomicBool,
    /// Told when streams are about to be cut.
    ending: Arc<Notify>,
    memory: Memory,
    draining: Draining,
    once: Once,
    panics: AtomicU64,
}

impl Meter {
    /// Starts the counting threads.
    pub fn new(config: &Config, spool: Spool, metrics: Arc<Metrics>) -> std::io::Result<Arc<Self>> {
        let workload = config.workload.as_ref().map(|w| Workload {
            cluster: w.cluster.clone(),
            namespace: w.namespace.clone(),
            pod: w.pod.clone(),
            node: w.node.clone(),
            service_account: w.service_account.clone(),
        });
        Ok(Arc::new(Self {
            spool,
            metrics,
            catalog: ArcSwap::from_pointee(Catalog::of(config, &Catalog::new(Arc::default(), &[]))),
            counting: Counting::start()?,
            source: format!("/tollgate/{}", config.instance).into(),
            workload,
            interrupted: AtomicBool::new(false),
            ending: Arc::default(),
            memory: Memory::default(),
            draining: Draining::default(),
            once: Once::default(),
            panics: AtomicU64::new(0),
        }))
    }

    /// Takes new prices, model names and tokenizers.
    pub fn reload(&self, config: &Config) {
        let catalog = Catalog::of(config, &self.catalog.load());
        self.catalog.store(Arc::new(catalog));
    }

    /// Upstreams that are known to refuse the usage field.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// From now on exchanges that end early were interrupted by us, not left by their client. Streams that can still say
    /// so to their clients do, and end.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.ending.notify_waiters();
    }

    fn ending(&self) -> Pin<Box<OwnedNotified>> {
        Box::pin(Arc::clone(&self.ending).notified_owned())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// How many answers had to be estimated because the counting threads were overrun.
    pub fn counts_skipped(&self) -> u64 {
        self.counting.refused()
    }

    /// How many answers were not read to their end because a dialect had a defect.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers were cut although they should have been read on after their client had left.
    pub fn drains_refused(&self) -> u64 {
        self.draining.refused()
    }

    /// How many answers that can be asked for again were forgotten to make room for newer ones.
    pub fn once_forgotten(&self) -> u64 {
        self.once.forgotten()
    }

    /// Cuts the answers that are being read on after their clients have left: the process ends.
    pub fn end_drains(&self) {
        self.draining.end();
    }

    /// Waits until everything handed to the counting threads is recorded, and ends them.
    pub fn stop(&self) {
        self.counting.stop();
    }
}

/// Writes a finished event into the spool, after what it begins with where that is kept.
fn record(ticket: Ticket, event: &mut UsageEvent, beginning: Option<&Beginning>) -> Commit {
    let sealed = encoded(event, beginning, |subject, line| ticket.seal(subject, line));
    sealed.unwrap_or_else(|error| {
        // Only a defect of ours gets here; the dropped ticket records its INTENT's event in place of this one.
        tracing::error!(%error, request_id = %event.data.request_id, "usage event could not be encoded");
        Commit::ready()
    })
}

/// Hands an event over as its line, in a buffer that the thread uses again, with the key that it is sent under. What it
/// begins with is copied where that is kept.
fn encoded<T>(
    event: &mut UsageEvent,
    beginning: Option<&Beginning>,
    take: impl FnOnce(&str, &[u8]) -> T,
) -> Result<T, EncodeError> {
    with_line(|line| {
        match beginning {
            Some(beginning) => event.encode_after(beginning, line)?,
            None => event.encode_into(line)?,
        }
        Ok(take(&event.subject, line))
    })
}

/// As [`encoded`], before the event has its number: for a spool that is to give it out.
fn unnumbered<T>(
    spool: &Spool,
    event: &mut UsageEvent,
    take: impl FnOnce(&str, &Unnumbered<'_>) -> T,
) -> Result<T, EncodeError> {
    event.data.sequence = spool.place();
    with_line(|line| {
        let line = event.encode_unnumbered(line)?;
        Ok(take(&event.subject, &line))
    })
}

/// Gives an event its number and records it, as one step. `None` when only a defect of ours kept it from being encoded.
fn settle(spool: &Spool, event: &mut UsageEvent) -> Option<Result<Commit, SpoolFull>> {
    match unnumbered(spool, event, |subject, line| spool.settle(subject, line)) {
        Ok(Ok((sequence, commit))) => {
            open::place(event, sequence);
            Some(Ok(commit))
        }
        Ok(Err(full)) => Some(Err(full)),
        Err(error) => {
            tracing::error!(%error, request_id = %event.data.request_id, "usage event could not be encoded");
            None
        }
    }
}

fn with_line<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local!(static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(event::MAX_BYTES)));
    LINE.with_borrow_mut(|line| {
        line.clear();
        write(line)
    })
}
