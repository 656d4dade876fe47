//! From a credential to its record: the cache, else one fetch from the source.
//!
//! An authority that does not answer is a 503 for those who waited and is remembered by no one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use tracing::debug;

use super::Credential;
use super::cache::{Cache, CacheKey, Known};
use super::flight::{Answer, Flights};
use super::source::KeySource;
use super::stats::Counters;
use crate::types::KeyRecord;

pub(super) struct Lookup {
    cache: Cache,
    flights: Flights,
    source: Box<dyn KeySource>,
    counters: Arc<Counters>,
    /// How often records were let go: what was asked before is not remembered after.
    forgotten: AtomicU64,
}

impl Lookup {
    pub(super) fn new(source: Box<dyn KeySource>, counters: &Arc<Counters>) -> Self {
        let (counters, forgotten) = (Arc::clone(counters), AtomicU64::new(0));
        Self { cache: Cache::new(), flights: Flights::default(), source, counters, forgotten }
    }

    /// What the cache says; `None` when the source must be asked. Allocates nothing.
    pub(super) fn cached(&self, credential: &Credential<'_>) -> Option<Known> {
        let known = self.cache.get(&self.cache.key(credential));
        match &known {
            Some(Known::Record(_)) => self.counters.hits.add(1),
            Some(Known::Unknown) => self.counters.negative_hits.add(1),
            None => self.counters.misses.add(1),
        }
        known
    }

    /// What the source says, asked once for all who want to know at the same time.
    pub(super) async fn ask(&self, credential: &Credential<'_>) -> Answer {
        let key = self.cache.key(credential);
        self.flights.join(key, || self.fetch(key, credential)).await
    }

    async fn fetch(&self, key: CacheKey, credential: &Credential<'_>) -> Answer {
        // A flight that landed between our look at the cache and our boarding has left the answer there.
        if let Some(known) = self.cache.get(&key) {
            return Ok(known);
        }
        self.counters.fetches.add(1);
        let (asked, forgotten) = (Instant::now(), self.forgotten.load(Ordering::Acquire));
        match self.source.fetch(credential).await {
            Ok(found) => {
                let known = found.map_or(Known::Unknown, Known::Record);
                if forgotten == self.forgotten.load(Ordering::Acquire) {
                    self.counters.evictions.add(self.cache.put(key, &known, asked));
                }
                Ok(known)
            }
            Err(error) => {
                self.counters.fetch_errors.add(1);
                debug!(%error, "a key could not be checked");
                Err(error)
            }
        }
    }

    /// Lets go of the records that are old, so that they are asked for anew. An answer that is under way is used once.
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.cache.forget(is_old);
    }

    /// How many known and how many unknown keys are cached.
    pub(super) fn len(&self) -> (usize, usize) {
        self.cache.len()
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }
}
