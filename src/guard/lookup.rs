//! From a question to its answer: the cache, else one fetch from the source.
//!
//! An answer that grows old is asked for anew beside the calls that still use it. One that is too old is asked for
//! before it is used; if then the source does not answer, it holds through its grace, and whoever uses it knows that it
//! is stale. What was refused or revoked is held no more, so no grace brings it back. A source that does not answer is a
//! 503 for those of whom nothing is held, and is remembered by no one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::budget::Purses;
use super::cache::{Cache, CacheKey, Held, Terms};
use super::flight::{Answer, Flights};
use super::source::{Before, FetchError, Granted, KeySource, Question, Verdict};
use super::stats::Counters;
use crate::boxed;
use crate::reject::Reject;
use crate::types::KeyRecord;

/// As many answers are asked for anew at the same time; others wait until they are too old.
const RENEWALS: usize = 64;
/// Between two questions to a source that did not answer, for each answer that is held.
const RETRY: Duration = Duration::from_secs(1);

/// A source that did not answer so lately is asked beside the calls, so that none waits for it in vain.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// What is known of a call.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Granted(Arc<Granted>, Age),
    Refused(Reject),
}

/// Whether an answer is as young as was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    /// The source does not answer, and the answer is in its grace.
    Stale,
}

pub(super) struct Lookup {
    cache: Cache,
    flights: Flights,
    source: Arc<dyn KeySource>,
    purses: Arc<Purses>,
    counters: Arc<Counters>,
    renewals: Mutex<JoinSet<()>>,
    /// When the source last did not answer, unless it has since.
    silent: Mutex<Option<Instant>>,
    /// How often records were let go: what was asked before is not remembered after.
    forgotten: AtomicU64,
}

impl Lookup {
    pub(super) fn new(
        source: Arc<dyn KeySource>,
        terms: Terms,
        (counters, purses): (&Arc<Counters>, &Arc<Purses>),
    ) -> Self {
        Self {
            cache: Cache::new(terms),
            flights: Flights::default(),
            source,
            purses: Arc::clone(purses),
            counters: Arc::clone(counters),
            renewals: Mutex::default(),
            silent: Mutex::new(None),
            forgotten: AtomicU64::new(0),
        }
    }

    /// What the cache says; `None` when the source must be asked. Allocates nothing.
    pub(super) fn cached(self: &Arc<Self>, asked: &Question<'_>) -> Option<Known> {
        let (key, now) = (self.cache.key(asked), Instant::now());
        if let Some(held) = self.cache.granted(&key, now) {
            if let Some(age) = self.age(&held, now) {
                if now >= held.renew_at {
                    self.renew(key, &held, asked);
                }
                self.counters.answered_from_cache(age);
                return Some(Known::Granted(Arc::clone(&held.granted), age));
            }
        } else if let Some(reject) = self.cache.refused(&key, now) {
            self.counters.negative_hits.add(1);
            return Some(Known::Refused(reject));
        }
        self.counters.misses.add(1);
        None
    }

    /// What the source says, asked once for all who want to know at the same time.
    pub(super) async fn ask(&self, asked: &Question<'_>) -> Answer {
        let key = self.cache.key(asked);
        // Rarely done: the requests that need not ask make no room for it.
        boxed::pinned(|| self.flights.join(key, || self.fetch(key, asked))).await
    }

    /// As [`Lookup::ask`], although the cache may know: what it knows is used up.
    pub(super) async fn ask_again(&self, asked: &Question<'_>) -> Answer {
        let key = self.cache.key(asked);
        boxed::pinned(|| self.flights.join(key, || self.question(key, asked))).await
    }

    async fn fetch(&self, key: CacheKey, asked: &Question<'_>) -> Answer {
        // A flight that landed between our look at the cache and our boarding has left the answer there.
        let now = Instant::now();
        if let Some(held) = self.cache.granted(&key, now).filter(|held| now < held.fresh_until) {
            return Ok(Known::Granted(Arc::clone(&held.granted), Age::Fresh));
        }
        if let Some(reject) = self.cache.refused(&key, now) {
            return Ok(Known::Refused(reject));
        }
        self.question(key, asked).await
    }

    async fn question(&self, key: CacheKey, asked: &Question<'_>) -> Answer {
        self.counters.fetches.add(1);
        let (at, forgotten) = (Instant::now(), self.forgotten.load(Ordering::Acquire));
        let held = self.cache.granted(&key, at);
        let used = held.as_ref().and_then(|held| self.purses.used(&held.granted.record));
        let answer = self.source.fetch(asked, Before { is_known: held.is_some(), used }).await;
        if !matches!(answer, Err(FetchError::Busy)) {
            let silent = answer.as_ref().err().map(|_| Instant::now());
            *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = silent;
        }
        match answer {
            Ok(Verdict::Granted(granted)) => {
                if let Some(slice) = &granted.slice {
                    self.purses.lend(&granted.record, slice);
                }
                if forgotten == self.forgotten.load(Ordering::Acquire) {
                    self.counters.evictions.add(self.cache.grant(key, &granted, at));
                }
                Ok(Known::Granted(granted, Age::Fresh))
            }
            Ok(Verdict::Refused(reject)) => {
                self.counters.evictions.add(self.cache.refuse(key, &reject, at));
                Ok(Known::Refused(reject))
            }
            Err(error) => self.unanswered(&key, error),
        }
    }

    /// What is held goes on through its grace.
    fn unanswered(&self, key: &CacheKey, error: FetchError) -> Answer {
        self.counters.fetch_errors.add(1);
        debug!(%error, "a key could not be checked");
        // Looked at again: it may have been revoked while we asked.
        let Some(held) = self.cache.granted(key, Instant::now()) else { return Err(error) };
        self.counters.stale.add(1);
        Ok(Known::Granted(Arc::clone(&held.granted), Age::Stale))
    }

    /// How old what is held is; `None` when the source must be asked before it is used.
    fn age(&self, held: &Held, now: Instant) -> Option<Age> {
        if now < held.fresh_until {
            return Some(Age::Fresh);
        }
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.filter(|at| now.saturating_duration_since(*at) < SILENT_FOR).map(|_| Age::Stale)
    }

    /// Asks anew beside the call, unless someone does or enough are doing so.
    fn renew(self: &Arc<Self>, key: CacheKey, held: &Arc<Held>, asked: &Question<'_>) {
        if held.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
        while renewals.try_join_next().is_some() {}
        if renewals.len() >= RENEWALS {
            held.renewing.store(false, Ordering::Release);
            return;
        }
        let (lookup, held, asked) = (Arc::clone(self), Arc::clone(held), asked.clone().into_owned());
        renewals.spawn(async move {
            let begun = Instant::now();
            let answer = lookup.flights.join(key, || lookup.question(key, &asked)).await;
            if matches!(answer, Err(_) | Ok(Known::Granted(_, Age::Stale))) {
                sleep(RETRY.saturating_sub(begun.elapsed())).await;
            }
            held.renewing.store(false, Ordering::Release);
        });
    }

    /// Asks anew beside the calls, although what is held is young: it is nearly used up.
    pub(super) fn renew_soon(self: &Arc<Self>, asked: &Question<'_>) {
        let key = self.cache.key(asked);
        if let Some(held) = self.cache.granted(&key, Instant::now()) {
            self.renew(key, &held, asked);
        }
    }

    /// Lets go of the records that are old, so that they are asked for anew. An answer that is under way is used once.
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.cache.forget(is_old);
    }

    pub(super) fn source(&self) -> &Arc<dyn KeySource> {
        &self.source
    }

    /// How many granted and how many refused questions are cached.
    pub(super) fn len(&self) -> (usize, usize) {
        self.cache.len()
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }
}
