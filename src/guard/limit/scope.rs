//! One key, organization or process, and what it uses of its limits.
//!
//! Whoever enters says which limits hold now, so a changed record or configuration takes effect with the next request
//! and what was used before stays used. One short lock per step; nothing waits while it is held.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::hold::Hold;
use super::requests::RequestRate;
use super::shared::Pool;
use super::tokens::Bucket;
use crate::reject::{LimitState, Limited};
use crate::types::Limits;

/// When a request will end is not known, so those that find no room are asked to come back soon.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Who decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    /// This process.
    Here,
    /// All that share a store, which has said yes: it is only counted here.
    Together,
}

#[derive(Default)]
pub(super) struct Scope {
    used: Mutex<Used>,
    /// Its part of the limits that are shared through a store; `None` where it has none.
    pool: OnceLock<Option<Arc<Pool>>>,
}

/// What is used, and of which limits.
#[derive(Default)]
pub(super) struct Used {
    limits: Limits,
    pub(super) in_flight: u32,
    pub(super) tokens: Option<Bucket>,
    pub(super) requests: Option<RequestRate>,
}

impl Scope {
    /// A scope that is never shared with other processes, because it stands for no one in particular.
    pub(super) fn of_this_process() -> Self {
        Self { used: Mutex::default(), pool: OnceLock::from(None) }
    }

    /// Its part of the shared limits, made when there is none.
    pub(super) fn pool(&self, make: impl FnOnce() -> Arc<Pool>) -> Option<&Arc<Pool>> {
        self.pool.get_or_init(|| Some(make())).as_ref()
    }

    /// One more request in flight, held to these limits from now on.
    pub(super) fn enter(self: Arc<Self>, limits: Limits, by: Decided, now: Instant) -> Result<Hold, LimitState> {
        let mut used = self.lock();
        used.hold_to(limits, now);
        if by == Decided::Here {
            used.check_in_flight()?;
        }
        used.in_flight += 1;
        drop(used);
        Ok(Hold::new(self, by))
    }

    /// Whether nothing is used: a new scope would say the same.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        let mut used = self.lock();
        let is_shared = self.pool.get().and_then(Option::as_ref).is_some_and(|pool| Arc::strong_count(pool) > 1);
        !is_shared
            && used.in_flight == 0
            && used.tokens.as_mut().is_none_or(|bucket| bucket.is_whole(now))
            && used.requests.as_ref().is_none_or(|rate| rate.is_whole(now))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn check_in_flight(&self) -> Result<(), LimitState> {
        match self.limits.concurrent_requests {
            Some(limit) if self.in_flight >= limit => Err(busy(limit)),
            _ => Ok(()),
        }
    }

    fn hold_to(&mut self, limits: Limits, now: Instant) {
        if limits == self.limits {
            return;
        }
        self.limits = limits;
        match (&mut self.tokens, limits.tokens_per_minute) {
            (Some(bucket), Some(limit)) => bucket.resize(limit, now),
            (tokens, limit) => *tokens = limit.map(|limit| Bucket::new(limit, now)),
        }
        match (&mut self.requests, limits.requests_per_minute) {
            (Some(rate), Some(limit)) => rate.resize(limit, now),
            (requests, limit) => *requests = limit.map(|limit| RequestRate::new(limit, now)),
        }
    }
}

/// The state of a limit on requests in flight that is reached.
pub(super) fn busy(limit: u32) -> LimitState {
    LimitState {
        what: Limited::Concurrency,
        limit: limit.into(),
        remaining: 0,
        retry_after: (limit > 0).then_some(TRY_AGAIN),
        reset: TRY_AGAIN,
    }
}
