//! Limits that hold across all sidecars which share a Valkey or Redis store.
//!
//! **Promised**: requests per minute, tokens per minute and requests in flight of a key or organization hold for all
//! sidecars together. A limit below 64 is exact: each request asks the store, and of calls from everywhere at once as
//! many are let in as the limit says. Of a larger one a sidecar may hold a 64th ahead, and less the less is left; what
//! it holds and does not use goes back within two seconds. So at worst sidecars let in a 64th each beyond the limit,
//! or refuse while others hold that much. Tokens are reserved and settled as in one process; debt is the store's to
//! remember. What a sidecar that died had in flight is free again ten seconds later.
//!
//! **Not promised**: while the store is away (or slower than `timeout`) each sidecar holds callers to the full limit by
//! itself, and the event says `limits_local`, or refuses them, as configured. What was used meanwhile is not told to
//! the store afterwards; what is in flight is. A store that loses its memory starts afresh: requests and tokens have
//! a fresh minute, requests in flight are said anew within three seconds. Limits for the whole process stay its own.
//!
//! **Cost**: one round trip at a time carries what all requests of this process have to ask and to tell, in one script
//! call per key or organization; a request waits for one or two of them, or for none where something is held ahead.
//! No request waits longer than two `timeout`s; while the store is away none waits at all. Each sidecar counts its own
//! use beside, so that the moment the store is away it knows what it has let in.

mod courier;
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "nobody is told anything there"))]
mod message;
mod pool;
mod reckon;
mod share;
#[cfg(test)]
mod tests;
#[cfg_attr(not(feature = "redis"), path = "no_wire.rs")]
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use crate::config::{SharedLimits, WhenUnreachable};
use crate::guard::stats::Counter;
use crate::reject::LimitState;
use crate::types::Limits;
use pool::{Next, Waiter};

pub(super) use pool::Pool;
pub(super) use share::Share;
pub use wire::StoreError;

/// How long a start waits for the store.
const JOINING: Duration = Duration::from_secs(1);

/// What is counted of the shared limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Gauge: 1 while the store answers.
    pub up: u64,
    /// Round trips to it.
    pub round_trips: u64,
    /// Times that it was lost.
    pub losses: u64,
    /// Requests let in after asking it.
    pub asked: u64,
    /// Requests let in from what was held ahead.
    pub ahead: u64,
    /// Requests decided here alone, or refused, because it was away.
    pub away: u64,
}

/// Why a request has no share.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoShare {
    Limited(LimitState),
    /// The store does not answer.
    Away,
}

/// This process's side of the store.
pub(super) struct Store {
    settings: SharedLimits,
    /// This process among all that share the store.
    holder: String,
    is_up: AtomicBool,
    came_up: Notify,
    /// Pools that have something to ask or to tell, each once.
    ready: Mutex<Vec<Arc<Pool>>>,
    wake: Notify,
    /// Pools that hold anything, each once.
    tracked: Mutex<Vec<Arc<Pool>>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    round_trips: Counter,
    losses: Counter,
    asked: Counter,
    ahead: Counter,
    away: Counter,
}

impl Store {
    /// Nothing is connected before [`Store::run`].
    pub(super) fn new(settings: &SharedLimits) -> Self {
        Self {
            settings: settings.clone(),
            holder: format!("{:016x}", fastrand::u64(..)),
            is_up: AtomicBool::new(false),
            came_up: Notify::new(),
            ready: Mutex::default(),
            wake: Notify::new(),
            tracked: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// A pool for the scope of this name.
    pub(super) fn pool(&self, name: &str) -> Arc<Pool> {
        Arc::new(Pool::new(format!("{}:{{{name}}}", self.settings.prefix).into()))
    }

    /// Takes what a request needs of these limits, from what is held ahead or from the store.
    pub(super) async fn take(self: &Arc<Self>, pool: &Arc<Pool>, limits: Limits, need: u64) -> Result<Share, NoShare> {
        if !self.is_up() {
            return Err(self.away());
        }
        self.track(pool);
        if let Some((given, next)) = pool.take(limits, need, Instant::now()) {
            self.counters.ahead.add(1);
            self.enqueue(pool, next);
            return Ok(Share::offered(Arc::clone(self), Arc::clone(pool), given));
        }
        let (answer, answered) = oneshot::channel();
        self.enqueue(pool, pool.wait(Waiter { need, answer }));
        // Looked at again: else one that began to wait just after the store was lost would wait until it is back.
        if !self.is_up() {
            return Err(self.away());
        }
        match answered.await {
            Ok(Ok(share)) => {
                self.counters.asked.add(1);
                Ok(share)
            }
            Ok(Err(state)) => Err(NoShare::Limited(state)),
            Err(_) => Err(self.away()),
        }
    }

    /// A place among those in flight for a request that is let in without the store, which will hear of it when it is
    /// back; `None` where such a request is to be refused.
    pub(super) fn unshared(self: &Arc<Self>, pool: &Arc<Pool>, limits: Limits) -> Option<Share> {
        if self.settings.when_unreachable == WhenUnreachable::Reject {
            return None;
        }
        pool.enter(limits, Instant::now());
        self.track(pool);
        Some(Share::unshared(Arc::clone(self), Arc::clone(pool)))
    }

    /// Whether requests with limits can be let in.
    pub(super) fn can_admit(&self) -> bool {
        self.is_up() || self.settings.when_unreachable == WhenUnreachable::Local
    }

    /// Waits until the store answers, though not for long.
    pub(super) async fn joined(&self) {
        let mut came_up = std::pin::pin!(self.came_up.notified());
        came_up.as_mut().enable();
        if !self.is_up() && timeout(JOINING, came_up).await.is_err() {
            tracing::warn!("the store of limits does not answer: starting without it");
        }
    }

    pub(super) fn stats(&self) -> StoreStats {
        let counters = &self.counters;
        StoreStats {
            up: u64::from(self.is_up()),
            round_trips: counters.round_trips.read(),
            losses: counters.losses.read(),
            asked: counters.asked.read(),
            ahead: counters.ahead.read(),
            away: counters.away.read(),
        }
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    fn away(&self) -> NoShare {
        self.counters.away.add(1);
        NoShare::Away
    }

    fn enqueue(&self, pool: &Arc<Pool>, next: Next) {
        if next == Next::Tell {
            lock(&self.ready).push(Arc::clone(pool));
            self.wake.notify_one();
        }
    }

    fn track(&self, pool: &Arc<Pool>) {
        if pool.track() {
            lock(&self.tracked).push(Arc::clone(pool));
        }
    }
}

/// Whether the store can be used as configured: reached, signed in to, and running the script.
///
/// # Errors
/// Why not, without any secret.
pub async fn probe(settings: &SharedLimits) -> Result<(), StoreError> {
    Store::new(settings).connect().await.map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
