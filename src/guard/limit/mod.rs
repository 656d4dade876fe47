//! Holds callers to their limits: requests per minute, tokens per minute and requests in flight, for the key, its
//! organization and the whole process.
//!
//! All or nothing: a request that any limit refuses takes from none, as far as it can be given back (see
//! [`Reservation`]). What was used of a limit belongs to the key's or organization's id, not to the cache or to a
//! configuration, so neither an eviction nor a reload gives anyone a fresh start. Limits are this process's own.

mod hold;
mod registry;
mod requests;
mod reservation;
mod scope;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use super::Caller;
use http::{HeaderMap, HeaderValue};

use crate::config::LimitSet;
use crate::header;
use crate::reject::LimitState;
use crate::types::{KeyId, Limits, OrgId};
use registry::Registry;
use scope::Scope;

pub(super) use reservation::{Need, Reservation};

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

/// A scope and the limits that hold in it now.
type Limited = (Arc<Scope>, Limits);

pub(super) struct Limiters {
    keys: Registry<KeyId>,
    organizations: Registry<OrgId>,
    /// All callers without a key.
    open: Arc<Scope>,
    overall: Arc<Scope>,
}

impl Limiters {
    pub(super) fn new() -> Self {
        Self {
            keys: Registry::new(),
            organizations: Registry::new(),
            open: Arc::new(Scope::default()),
            overall: Arc::new(Scope::default()),
        }
    }

    /// Takes what the request may use from every limit that holds for the caller, the key's own first.
    pub(super) fn reserve(&self, caller: &Caller, limits: &LimitSet, need: Need) -> Result<Reservation, LimitState> {
        let key = set(caller.key_limits(limits.key)).map(|limits| (self.key_scope(caller), limits));
        let organization = set(caller.organization_limits(limits.organization)).zip(caller.organization.as_ref());
        let organization = organization.map(|(limits, id)| (self.organizations.scope(id), limits));
        let overall = set(limits.overall).map(|limits| (Arc::clone(&self.overall), limits));
        Reservation::take([key, organization, overall], need)
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

/// The limits, if any is set at all.
fn set(limits: Limits) -> Option<Limits> {
    (limits != Limits::default()).then_some(limits)
}
