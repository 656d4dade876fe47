//! One request's part of the shared limits of one key or organization.
//!
//! Whatever becomes of the request, its part comes back: a request that was not let in after all gives back everything,
//! one that ended its place among those in flight.

use std::sync::Arc;

use super::Store;
use super::pool::{Given, Next, Pool};
use crate::guard::limit::RateView;

pub(in crate::guard::limit) struct Share {
    store: Arc<Store>,
    pool: Arc<Pool>,
    stage: Stage,
    given: Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Granted by the store; the request is not let in yet.
    Offered,
    Taken,
    /// The store was away: it only counts among those in flight.
    Unshared,
}

impl Share {
    pub(super) fn offered(store: Arc<Store>, pool: Arc<Pool>, given: Given) -> Self {
        Self { store, pool, stage: Stage::Offered, given }
    }

    pub(super) fn unshared(store: Arc<Store>, pool: Arc<Pool>) -> Self {
        Self { store, pool, stage: Stage::Unshared, given: Given { tokens: None, rate: None } }
    }

    /// The request was let in.
    pub(in crate::guard::limit) fn take(&mut self) {
        if self.stage == Stage::Offered {
            self.stage = Stage::Taken;
        }
    }

    pub(in crate::guard::limit) fn is_unshared(&self) -> bool {
        self.stage == Stage::Unshared
    }

    pub(in crate::guard::limit) fn rate(&self) -> Option<RateView> {
        self.given.rate
    }

    /// Corrects the tokens taken to those used. Does nothing where none were taken.
    pub(in crate::guard::limit) fn settle(&mut self, used: u64) {
        let Some(taken) = &mut self.given.tokens else { return };
        let next = self.pool.settle(std::mem::replace(taken, used), used);
        self.tell(next);
    }

    fn tell(&self, next: Next) {
        self.store.enqueue(&self.pool, next);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.stage == Stage::Offered {
            self.settle(0);
            self.tell(self.pool.give_back_request());
        }
        self.tell(self.pool.leave());
    }
}
