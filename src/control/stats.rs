//! What the authority counts. Counters are relaxed: each is right, two of them read together may be a request apart.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys that were allowed.
    pub allowed: u64,
    /// Calls of the guard API that were refused, whatever the reason.
    pub refused: u64,
    /// Of these, for a wrong `SecretKey`.
    pub wrong_secrets: u64,
    /// Of these, because too many wrong ones had come from the same address.
    pub throttled: u64,
    /// Of these, because the database failed.
    pub failures: u64,
    /// Usage events that callers reported.
    pub reported: u64,
    /// Gauge: streams of revocations that are open.
    pub streams: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) allowed: Counter,
    pub(super) refused: Counter,
    pub(super) wrong_secrets: Counter,
    pub(super) throttled: Counter,
    pub(super) failures: Counter,
    pub(super) reported: Counter,
    pub(super) streams: std::sync::Arc<Counter>,
}

impl Counters {
    pub(super) fn read(&self) -> Stats {
        Stats {
            allowed: self.allowed.read(),
            refused: self.refused.read(),
            wrong_secrets: self.wrong_secrets.read(),
            throttled: self.throttled.read(),
            failures: self.failures.read(),
            reported: self.reported.read(),
            streams: self.streams.read(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
