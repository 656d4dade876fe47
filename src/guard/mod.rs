//! Decides who may call and how much: from a request's headers to a [`Permit`], or to a [`Refused`].
//!
//! Two steps, because between them the body is read: [`Guard::identify`] finds the key's record and the organization,
//! [`Guard::admit`] holds model permission and limits against what the request wants. Nothing else makes a `Permit`.
//! Once a key is cached, neither waits nor, for a key in a header, allocates.
//!
//! A plain key is kept nowhere: not in the cache, not in a record, not in any `Debug` output. Budgets that an authority lends in slices
//! are held by it over many sidecars; those of a keys file are this process's own.

mod access;
mod base64;
mod bounded;
mod budget;
mod cache;
mod caller;
mod check;
mod credential;
mod flight;
mod follow;
mod limit;
mod lookup;
mod permit;
mod query;
mod source;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, Uri};
use tokio::sync::Notify;

use crate::config;
use crate::reject::Reject;
use crate::types::{KeyRecord, PriceTable};
use access::{Access, Shared};
use budget::{Hold, Purses, Short};
use limit::{Limiters, Need, Reservation};

pub use budget::{Kept, KeptError};
pub use caller::{Caller, Refused, Wants};
pub use credential::{CREDENTIAL_HEADERS, Credential};
pub use limit::{RateView, StoreError, StoreStats, probe as probe_store};
pub use permit::Permit;
pub use query::without_key;
pub use source::{Before, FetchError, Fetching, FileSource, Granted, KeySource, Question, Returning, Verdict};
pub use stats::Stats;

/// The guard of one process, shared by `Arc`.
///
/// What the configuration says is swapped as one; what callers have used of their limits outlives every reload.
pub struct Guard {
    rules: ArcSwap<Rules>,
    limiters: Limiters,
    shared: Shared,
    /// Woken when another authority may have to be followed.
    reloaded: Notify,
}

/// What one configuration says. Its cache goes with it, so a fetch begun under old keys can never fill the new cache.
struct Rules {
    access: Access,
    limits: config::LimitSet,
}

impl Guard {
    /// A guard that has seen no one yet.
    pub fn new(config: &config::Guard, limits: &config::LimitSet) -> Self {
        Self::beside((None, "sidecar"), config, limits)
    }

    /// The same, beside an authority in this process, whose keys are asked for where the keys file does not know one.
    /// `holder` names this life of the process to an authority elsewhere, as the ids of its events begin.
    pub fn beside(
        (authority, holder): (Option<Arc<dyn KeySource>>, &str),
        config: &config::Guard,
        limits: &config::LimitSet,
    ) -> Self {
        let (counters, purses) = (Arc::default(), Arc::new(Purses::new()));
        let shared = Shared { authority, holder: holder.into(), counters, purses };
        Self::with(Access::new(config, &shared, None), limits, shared)
    }

    /// The same, sharing the limits of keys and organizations through this store, if there is one.
    pub fn sharing(mut self, store: Option<&config::SharedLimits>) -> Self {
        if let Some(store) = store {
            self.limiters.share_through(store);
        }
        self
    }

    fn with(access: Access, limits: &config::LimitSet, shared: Shared) -> Self {
        let rules = ArcSwap::from_pointee(Rules { access, limits: *limits });
        Self { rules, limiters: Limiters::new(), shared, reloaded: Notify::new() }
    }

    /// What tokens cost from now on: budgets are held by it.
    pub fn price(&self, prices: &Arc<PriceTable>) {
        self.shared.purses.price(Arc::clone(prices));
    }

    /// Lets go of the records that are old: each is asked for anew when its key comes next.
    pub fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.rules.load().access.forget(is_old);
    }

    /// Keys and limits from now on; a key that is gone is refused at once. Permits already given stay valid, and what
    /// a key has used of its limits stays used as long as its id is the same.
    pub fn reload(&self, config: &config::Guard, limits: &config::LimitSet) {
        let access = Access::new(config, &self.shared, Some(&self.rules.load().access));
        self.rules.store(Arc::new(Rules { access, limits: *limits }));
        self.reloaded.notify_one();
    }

    /// Who calls: credential, key record, `SecretKey`, organization, in this order.
    ///
    /// Waits only when the key is not cached; of many requests with the same new key one asks and the others wait for
    /// its answer. In mode `open` nothing is checked and the organization header is taken as said.
    ///
    /// # Errors
    /// Every 401 leaves `caller` empty: who calls is not known then. A foreign organization names the key.
    pub async fn identify(&self, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Refused> {
        if let Some(known) = self.rules.load().access.known(headers, uri) {
            return known;
        }
        let rules = self.rules.load_full();
        // Asking is rare: apart, it does not make every request's future larger.
        Box::pin(rules.access.ask(headers, uri)).await
    }

    /// Whether this caller may have what it wants: model permission, then limits and budget, reserving what the request
    /// may use.
    ///
    /// A request without a model (a list of models, say) is not held to the key's models; where a dialect needs a
    /// model, it is for the dialect to refuse a body without one. Waits only for an authority that decides about each
    /// model, or that lends the next part of a budget, and for the store through which limits are shared.
    ///
    /// # Errors
    /// What the caller is told, always with the caller.
    pub async fn admit(&self, mut caller: Caller, wants: &Wants<'_>) -> Result<Permit, Refused> {
        match self.reserve(&mut caller, wants).await {
            Ok((reservation, budget)) => Ok(Permit::new(caller, reservation, budget)),
            Err(reject) => Err(Refused { reject, caller: Some(caller) }),
        }
    }

    async fn reserve(&self, caller: &mut Caller, wants: &Wants<'_>) -> Result<(Reservation, Option<Hold>), Reject> {
        if !caller.may_use(wants.model) {
            return Err(Reject::ModelForbidden);
        }
        if let Some(model) = wants.model.filter(|_| caller.is_decided_by_model()) {
            let rules = self.rules.load_full();
            Box::pin(rules.access.may_have(caller, model)).await?;
        }
        let need = Need { input_tokens: wants.input_tokens, max_output_tokens: wants.max_output_tokens };
        let limits = self.rules.load().limits;
        let mut reservation = self.limiters.reserve(caller, &limits, need).await?;
        match self.hold(caller, wants).await {
            Ok(budget) => Ok((reservation, budget)),
            Err(reject) => {
                reservation.settle(0);
                Err(reject)
            }
        }
    }

    /// Holds what the request may cost of its key's budget.
    async fn hold(&self, caller: &Caller, wants: &Wants<'_>) -> Result<Option<Hold>, Reject> {
        let Some(granted) = caller.granted().filter(|granted| granted.record.budget.is_some()) else {
            return Ok(None);
        };
        let purses = &self.shared.purses;
        let short = match purses.take(granted, wants) {
            Ok(hold) => {
                if purses.runs_low(granted) {
                    self.rules.load().access.ask_soon(caller);
                }
                return Ok(hold);
            }
            Err(Short::Slice) => {
                let rules = self.rules.load_full();
                Box::pin(rules.access.ask_for_more(caller)).await?;
                match purses.take(granted, wants) {
                    Ok(hold) => return Ok(hold),
                    Err(_) => purses.still_short(&granted.record),
                }
            }
            Err(short) => short,
        };
        Err(short.reject())
    }

    /// Looks at the headers that may name an organization.
    pub fn with_organization_headers<T>(&self, look: impl FnOnce(&[HeaderName]) -> T) -> T {
        look(self.rules.load().access.organization_headers())
    }

    /// What the guard has done so far, and how much it holds.
    pub fn stats(&self) -> Stats {
        let rules = self.rules.load();
        let (cached_keys, cached_unknown) = rules.access.cached();
        Stats {
            cached_keys,
            cached_unknown,
            limit_scopes: self.limiters.scopes(),
            shared_scope_uses: self.limiters.shared_uses(),
            purses: self.shared.purses.len(),
            unpriced: self.shared.purses.unpriced(),
            store: self.limiters.store(),
            silence_ms: rules.access.asking().map(|asking| asking.authority.silence().as_millis() as u64),
            ..self.shared.counters.read()
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
