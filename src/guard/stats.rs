//! What the guard counts. Counters are relaxed: each is right, two of them read together may be a request apart.

use std::sync::atomic::{AtomicU64, Ordering};

use super::limit::StoreStats;
use super::lookup::Age;

/// Counts since the process began, and gauges as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lookups answered from the cache with a record.
    pub hits: u64,
    /// Lookups answered from the cache with "unknown".
    pub negative_hits: u64,
    /// Answers used beyond their time, because the source did not answer.
    pub stale: u64,
    /// Lookups that the cache could not answer.
    pub misses: u64,
    /// Entries removed from a full cache to make room.
    pub evictions: u64,
    /// Times the key source was asked.
    pub fetches: u64,
    /// Times the key source did not answer.
    pub fetch_errors: u64,
    /// Gauge: known keys in the cache.
    pub cached_keys: u64,
    /// Gauge: unknown keys in the cache.
    pub cached_unknown: u64,
    /// Gauge: keys and organizations whose use of a limit is held.
    pub limit_scopes: u64,
    /// Requests held to a shared limit because no more scopes could be held.
    pub shared_scope_uses: u64,
    /// Gauge: keys whose spending is held against a budget.
    pub purses: u64,
    /// Requests with a budget that were admitted without a price, so with nothing reserved.
    pub unpriced: u64,
    /// Milliseconds since the remote authority last gave a sign; `None` without one.
    pub silence_ms: Option<u64>,
    /// Gauge: 1 while revocations are followed.
    pub following: u64,
    /// Times that the stream of revocations broke.
    pub stream_breaks: u64,
    /// Records revoked by the authority.
    pub revoked: u64,
    /// Of the store through which limits are shared; `None` without one.
    pub store: Option<StoreStats>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) negative_hits: Counter,
    pub(super) stale: Counter,
    pub(super) misses: Counter,
    pub(super) evictions: Counter,
    pub(super) fetches: Counter,
    pub(super) fetch_errors: Counter,
    pub(super) following: Counter,
    pub(super) stream_breaks: Counter,
    pub(super) revoked: Counter,
}

impl Counters {
    pub(super) fn answered_from_cache(&self, age: Age) {
        match age {
            Age::Fresh => self.hits.add(1),
            Age::Stale => self.stale.add(1),
        }
    }

    pub(super) fn read(&self) -> Stats {
        Stats {
            hits: self.hits.read(),
            negative_hits: self.negative_hits.read(),
            stale: self.stale.read(),
            misses: self.misses.read(),
            evictions: self.evictions.read(),
            fetches: self.fetches.read(),
            fetch_errors: self.fetch_errors.read(),
            following: self.following.read(),
            stream_breaks: self.stream_breaks.read(),
            revoked: self.revoked.read(),
            ..Stats::default()
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
