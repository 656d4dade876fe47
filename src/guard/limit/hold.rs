//! One request's part of what a scope uses.
//!
//! Dropping it frees its place among the requests in flight. Tokens and the request itself stay used.

use std::sync::Arc;

use tokio::time::Instant;

use super::RateView;
use super::scope::{Decided, Scope};
use crate::reject::LimitState;

pub(super) struct Hold {
    scope: Arc<Scope>,
    by: Decided,
    /// The tokens taken, as last settled; `None` where no token limit held.
    charged: Option<u64>,
}

impl Hold {
    pub(super) fn new(scope: Arc<Scope>, by: Decided) -> Self {
        Self { scope, by, charged: None }
    }

    pub(super) fn take_tokens(&mut self, tokens: u64, now: Instant) -> Result<(), LimitState> {
        if let Some(bucket) = &mut self.scope.lock().tokens {
            match self.by {
                Decided::Here => bucket.take(tokens, now)?,
                Decided::Together => bucket.settle(0, tokens, now),
            }
            self.charged = Some(tokens);
        }
        Ok(())
    }

    pub(super) fn take_request(&mut self, now: Instant) -> Result<Option<RateView>, LimitState> {
        let taken = self.scope.lock().requests.as_mut().map(|rate| rate.take(now));
        match self.by {
            Decided::Here => taken.transpose(),
            Decided::Together => Ok(None),
        }
    }

    /// Corrects the tokens taken to those used. Does nothing where none were taken.
    pub(super) fn settle(&mut self, used: u64, now: Instant) {
        let Some(charged) = &mut self.charged else { return };
        if let Some(bucket) = &mut self.scope.lock().tokens {
            bucket.settle(*charged, used, now);
        }
        *charged = used;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut used = self.scope.lock();
        used.in_flight = used.in_flight.saturating_sub(1);
    }
}
