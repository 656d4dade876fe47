//! One key, organization or process, and what it uses of its limits.
//!
//! Whoever enters says which limits hold now, so a changed record or configuration takes effect with the next request
//! and what was used before stays used. One short lock per step; nothing waits while it is held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::hold::Hold;
use super::requests::RequestRate;
use super::tokens::Bucket;
use crate::reject::{LimitState, Limited};
use crate::types::Limits;

/// When a request will end is not known, so those that find no room are asked to come back soon.
const TRY_AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Scope {
    used: Mutex<Used>,
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
    /// One more request in flight, held to these limits from now on.
    pub(super) fn enter(self: &Arc<Self>, limits: Limits, now: Instant) -> Result<Hold, LimitState> {
        let mut used = self.lock();
        used.hold_to(limits, now);
        used.check_in_flight()?;
        used.in_flight += 1;
        Ok(Hold::new(Arc::clone(self)))
    }

    /// Whether nothing is used: a new scope would say the same.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        let mut used = self.lock();
        used.in_flight == 0
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
            Some(limit) if self.in_flight >= limit => Err(LimitState {
                what: Limited::Concurrency,
                limit: limit.into(),
                remaining: 0,
                retry_after: (limit > 0).then_some(TRY_AGAIN),
                reset: TRY_AGAIN,
            }),
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
