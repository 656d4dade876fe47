//! What the ledger counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::control::store::ledger::Applied;

/// Counts since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Usage events that counted.
    pub counted: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events that told of a loss.
    pub losses: u64,
    /// Records put aside.
    pub dead: u64,
    /// Batches that the database did not take, and that were offered again.
    pub failures: u64,
    /// Records of the topic that had expired before they were read.
    pub skipped: u64,
    /// Gauge: records of this member's partitions not read yet.
    pub lag: u64,
}

/// The counters, shared with whoever reads.
#[derive(Debug, Default)]
pub struct Counters {
    counted: AtomicU64,
    duplicates: AtomicU64,
    losses: AtomicU64,
    dead: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
    #[cfg(feature = "kafka")]
    pub(super) lag: crate::sink::kafka::Lag,
}

impl Counters {
    /// The counts now.
    pub fn read(&self) -> Stats {
        Stats {
            counted: self.counted.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            losses: self.losses.load(Relaxed),
            dead: self.dead.load(Relaxed),
            failures: self.failures.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            #[cfg(feature = "kafka")]
            lag: self.lag.events(),
            #[cfg(not(feature = "kafka"))]
            lag: 0,
        }
    }

    pub(super) fn applied(&self, applied: Applied, dead: usize) {
        self.counted.fetch_add(applied.counted, Relaxed);
        self.duplicates.fetch_add(applied.duplicates, Relaxed);
        self.losses.fetch_add(applied.losses, Relaxed);
        self.dead.fetch_add(dead as u64, Relaxed);
    }

    /// A batch was not taken.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    #[cfg(feature = "kafka")]
    pub(super) fn skipped(&self, records: u64) {
        self.skipped.fetch_add(records, Relaxed);
    }
}
