//! Holds callers to their limits: requests per minute, tokens per minute and requests in flight, for the key, its
//! organization and the whole process.
//!
//! All or nothing: a request that any limit refuses takes from none, as far as it can be given back (see
//! [`Reservation`]). What was used of a limit belongs to the key's or organization's id, not to the cache or to a
//! configuration, so neither an eviction nor a reload gives anyone a fresh start. Limits are this process's own, unless
//! a store is configured through which processes share them (see [`shared`]).

mod hold;
mod registry;
mod requests;
mod reservation;
mod scope;
mod shared;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use super::Caller;
use http::{HeaderMap, HeaderValue};

use crate::boxed;
use crate::config::{LimitSet, SharedLimits};
use crate::header;
use crate::reject::Reject;
use crate::types::{KeyId, Limits, OrgId};
use registry::Registry;
use reservation::{Scopes, Shares};
use scope::{Decided, Scope};
use shared::{NoShare, Store};

pub(super) use reservation::{Need, Reservation};
pub use shared::{StoreError, StoreStats, probe};

/// How a limit on requests stands after a request was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateView {
    /// Requests per minute.
    pub limit: u64,
    /// How many are left now.
    pub remaining: u64,
    /// When the limit is whole again.
    pub reset: Duration,
}

impl RateView {
    /// Tells the client how its limit stands, under names that no provider uses.
    pub fn stamp(&self, headers: &mut HeaderMap) {
        let reset = self.reset.as_secs_f64().ceil() as u64;
        headers.extend(header::RATE.into_iter().zip([self.limit, self.remaining, reset].map(HeaderValue::from)));
    }
}

/// A scope, the limits that hold in it now, and who holds them.
struct Limited {
    scope: Arc<Scope>,
    limits: Limits,
    by: Decided,
}

pub(super) struct Limiters {
    keys: Registry<KeyId>,
    organizations: Registry<OrgId>,
    /// All callers without a key.
    open: Arc<Scope>,
    overall: Arc<Scope>,
    /// What limits are shared through, if they are.
    store: Option<Arc<Store>>,
}

impl Limiters {
    pub(super) fn new() -> Self {
        Self {
            keys: Registry::new(),
            organizations: Registry::new(),
            open: Arc::new(Scope::default()),
            overall: Arc::new(Scope::of_this_process()),
            store: None,
        }
    }

    /// Shares the limits of keys and organizations through a store.
    pub(super) fn share_through(&mut self, store: &SharedLimits) {
        self.store = Some(Arc::new(Store::new(store)));
    }

    /// Takes what the request may use from every limit that holds for the caller, the key's own first. Waits only for
    /// a store.
    pub(super) async fn reserve(&self, caller: &Caller, limits: &LimitSet, need: Need) -> Result<Reservation, Reject> {
        let scopes = self.scopes_of(caller, limits);
        match &self.store {
            None => Reservation::take(scopes, need).map_err(Reject::Limited),
            Some(store) => boxed::pinned(|| reserve_shared(store, caller, (scopes, need))).await,
        }
    }

    /// Carries what is shared, until it is dropped.
    pub(super) async fn run(&self) {
        match &self.store {
            Some(store) => store.run().await,
            None => std::future::pending().await,
        }
    }

    /// Gives back what is held of shared limits.
    pub(super) async fn leave(&self) {
        if let Some(store) = &self.store {
            store.leave().await;
        }
    }

    /// Waits for the store, though not for long.
    pub(super) async fn joined(&self) {
        if let Some(store) = &self.store {
            store.joined().await;
        }
    }

    pub(super) fn can_admit(&self) -> bool {
        self.store.as_ref().is_none_or(|store| store.can_admit())
    }

    pub(super) fn store(&self) -> Option<StoreStats> {
        self.store.as_ref().map(|store| store.stats())
    }

    fn scopes_of(&self, caller: &Caller, limits: &LimitSet) -> Scopes {
        let here = |scope, limits| Limited { scope, limits, by: Decided::Here };
        let key = set(caller.key_limits(limits.key)).map(|limits| here(self.key_scope(caller), limits));
        let organization = set(caller.organization_limits(limits.organization)).zip(caller.organization.as_ref());
        let organization = organization.map(|(limits, id)| here(self.organizations.scope(id), limits));
        let overall = set(limits.overall).map(|limits| here(Arc::clone(&self.overall), limits));
        [key, organization, overall]
    }

    fn key_scope(&self, caller: &Caller) -> Arc<Scope> {
        caller.key.as_ref().map_or_else(|| Arc::clone(&self.open), |id| self.keys.scope(id))
    }

    /// How many keys and organizations have their use held.
    pub(super) fn scopes(&self) -> u64 {
        (self.keys.len() + self.organizations.len()) as u64
    }

    /// How often a request was held to the shared scope, because there was no room for one of its own.
    pub(super) fn shared_uses(&self) -> u64 {
        self.keys.shared_uses() + self.organizations.shared_uses()
    }
}

/// Asks the store about the key and the organization, then takes the rest here. What it had given goes back when a
/// later limit refuses.
async fn reserve_shared(
    store: &Arc<Store>,
    caller: &Caller,
    (mut scopes, need): (Scopes, Need),
) -> Result<Reservation, Reject> {
    let tokens = need.of(&scopes).unwrap_or(0);
    let mut shares: Shares = [None, None];
    let names = [name_of_key, name_of_organization];
    for ((share, limited), name) in shares.iter_mut().zip(&mut scopes).zip(names) {
        let Some(limited) = limited else { continue };
        let Some(pool) = limited.scope.pool(|| store.pool(&name(caller))) else { continue };
        match store.take(pool, limited.limits, tokens).await {
            Ok(taken) => {
                *share = Some(taken);
                limited.decided();
            }
            Err(NoShare::Limited(state)) => return Err(Reject::Limited(state)),
            Err(NoShare::Away) => *share = Some(store.unshared(pool, limited.limits).ok_or(Reject::LimitsUnreachable)?),
        }
    }
    Reservation::take_beside(shares, scopes, need).map_err(Reject::Limited)
}

/// What the store knows a caller's key by; all without one are one.
fn name_of_key(caller: &Caller) -> String {
    caller.key.as_ref().map_or_else(|| "open".to_owned(), |id| format!("key:{id}"))
}

fn name_of_organization(caller: &Caller) -> String {
    caller.organization.as_ref().map_or_else(String::new, |id| format!("org:{id}"))
}

/// The limits, if any is set at all.
fn set(limits: Limits) -> Option<Limits> {
    (limits != Limits::default()).then_some(limits)
}
