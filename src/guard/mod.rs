//! Decides who may call and how much: from a request's headers to a [`Permit`], or to a [`Refused`].
//!
//! Two steps, because between them the body is read: [`Guard::identify`] finds the key's record and the organization,
//! [`Guard::admit`] holds model permission and limits against what the request wants. Nothing else makes a `Permit`.
//! Once a key is cached, neither waits nor, for a key in a header, allocates.
//!
//! A plain key is kept nowhere: not in the cache, not in a record, not in any `Debug` output. Budgets are not held here.

mod access;
mod base64;
mod bounded;
mod cache;
mod caller;
mod check;
mod credential;
mod flight;
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

use crate::config;
use crate::reject::Reject;
use crate::types::KeyRecord;
use access::Access;
use limit::{Limiters, Need};
use stats::Counters;

pub use caller::{Caller, Refused, Wants};
pub use credential::{CREDENTIAL_HEADERS, Credential};
pub use limit::RateView;
pub use permit::Permit;
pub use query::without_key;
pub use source::{FetchError, Fetching, FileSource, KeySource};
pub use stats::Stats;

/// The guard of one process, shared by `Arc`.
///
/// What the configuration says is swapped as one; what callers have used of their limits outlives every reload.
pub struct Guard {
    rules: ArcSwap<Rules>,
    limiters: Limiters,
    counters: Arc<Counters>,
    authority: Option<Arc<dyn KeySource>>,
}

/// What one configuration says. Its cache goes with it, so a fetch begun under old keys can never fill the new cache.
struct Rules {
    access: Access,
    limits: config::LimitSet,
}

impl Guard {
    /// A guard that has seen no one yet.
    pub fn new(config: &config::Guard, limits: &config::LimitSet) -> Self {
        Self::beside(None, config, limits)
    }

    /// The same, beside an authority in this process, whose keys are asked for where the keys file does not know one.
    pub fn beside(authority: Option<Arc<dyn KeySource>>, config: &config::Guard, limits: &config::LimitSet) -> Self {
        let counters = Arc::new(Counters::default());
        let access = Access::new(config, authority.as_ref(), &counters);
        Self { authority, ..Self::with(access, limits, counters) }
    }

    fn with(access: Access, limits: &config::LimitSet, counters: Arc<Counters>) -> Self {
        let rules = ArcSwap::from_pointee(Rules { access, limits: *limits });
        Self { rules, limiters: Limiters::new(), counters, authority: None }
    }

    /// Lets go of the records that are old: each is asked for anew when its key comes next.
    pub fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.rules.load().access.forget(is_old);
    }

    /// Keys and limits from now on; a key that is gone is refused at once. Permits already given stay valid, and what
    /// a key has used of its limits stays used as long as its id is the same.
    pub fn reload(&self, config: &config::Guard, limits: &config::LimitSet) {
        let access = Access::new(config, self.authority.as_ref(), &self.counters);
        self.rules.store(Arc::new(Rules { access, limits: *limits }));
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
        rules.access.ask(headers, uri).await
    }

    /// Whether this caller may have what it wants: model permission, then limits, reserving what the request may use.
    ///
    /// A request without a model (a list of models, say) is not held to the key's models; where a dialect needs a
    /// model, it is for the dialect to refuse a body without one.
    ///
    /// # Errors
    /// [`Reject::ModelForbidden`] or [`Reject::Limited`], always with the caller.
    pub fn admit(&self, caller: Caller, wants: &Wants<'_>) -> Result<Permit, Refused> {
        if !caller.may_use(wants.model) {
            return Err(Refused { reject: Reject::ModelForbidden, caller: Some(caller) });
        }
        let need = Need { input_tokens: wants.input_tokens, max_output_tokens: wants.max_output_tokens };
        match self.limiters.reserve(&caller, &self.rules.load().limits, need) {
            Ok(reservation) => Ok(Permit::new(caller, reservation)),
            Err(state) => Err(Refused { reject: Reject::Limited(state), caller: Some(caller) }),
        }
    }

    /// Looks at the headers that may name an organization.
    pub fn with_organization_headers<T>(&self, look: impl FnOnce(&[HeaderName]) -> T) -> T {
        look(self.rules.load().access.organization_headers())
    }

    /// What the guard has done so far, and how much it holds.
    pub fn stats(&self) -> Stats {
        let (cached_keys, cached_unknown) = self.rules.load().access.cached();
        let (limit_scopes, shared_scope_uses) = (self.limiters.scopes(), self.limiters.shared_uses());
        Stats { cached_keys, cached_unknown, limit_scopes, shared_scope_uses, ..self.counters.read() }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
