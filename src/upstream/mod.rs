//! From an admitted request to the upstream's answer: routes it, strips and adds headers, swaps the credential, sends.
//!
//! The credential goes to the configured host and nowhere else: no field of a request has a say in the address, and
//! redirects are handed to the client as they are. Nothing here reads a body, retries a call that may have reached a
//! model, or knows who the caller is. Files to read: `target` (one call), then `rewrite` and `answer` (what travels),
//! `stream` (when a call may be sent again), `loan` (who drives a connection).

mod answer;
mod body;
mod connect;
mod error;
mod habit;
mod link;
mod loan;
mod location;
mod rewrite;
mod route;
mod stats;
mod stream;
mod target;
mod tie;
mod tls;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;

pub use answer::Answer;
pub use body::AnswerBody;
pub use error::{Blame, BoxError, Cause, Failure, Step, UpstreamsError};
pub use rewrite::{Encoding, PassCredential};
pub use route::Routing;
pub use stats::{Stats, UpstreamStats};
pub use target::{Outbound, Target};
pub use upload::{ClientBody, OutboundBody};

use crate::config;
use link::{Address, Link};
use stats::Counters;
use tls::Roots;

/// All upstreams, in the order of the configuration.
#[derive(Debug)]
pub struct Upstreams {
    targets: ArcSwap<Vec<Arc<Target>>>,
    roots: Roots,
}

impl Upstreams {
    /// Opens no connection yet. `https` upstreams are trusted by the machine's certificates.
    pub fn new(configs: &[config::Upstream]) -> Result<Self, UpstreamsError> {
        Self::build(configs, Roots::default())
    }

    /// As [`Upstreams::new`], but `https` upstreams are trusted by these certificates alone.
    pub fn with_roots(configs: &[config::Upstream], roots: RootCertStore) -> Result<Self, UpstreamsError> {
        Self::build(configs, Roots::given(roots))
    }

    fn build(configs: &[config::Upstream], roots: Roots) -> Result<Self, UpstreamsError> {
        let targets = targets(configs, &[], &roots)?;
        Ok(Self { targets: ArcSwap::from_pointee(targets), roots })
    }

    /// Takes over a new configuration whole, or not at all. Calls under way end as they began; connections are kept
    /// for every upstream whose name, scheme, host, version and connect timeout are unchanged.
    pub fn reload(&self, configs: &[config::Upstream]) -> Result<(), UpstreamsError> {
        let targets = targets(configs, &self.targets.load(), &self.roots)?;
        self.targets.store(Arc::new(targets));
        Ok(())
    }

    /// The first upstream whose lists all match. A list of models never matches a request without a model.
    pub fn route(&self, ask: &Routing<'_>) -> Option<Arc<Target>> {
        self.targets.load().iter().find(|target| target.takes(ask)).map(Arc::clone)
    }

    /// Every upstream, in the order of the configuration.
    pub fn all(&self) -> Vec<Arc<Target>> {
        self.targets.load().iter().map(Arc::clone).collect()
    }

    /// Counts since the start; those of an upstream go when a reload removes it.
    pub fn stats(&self) -> Stats {
        Stats { upstreams: self.targets.load().iter().map(|target| target.link.counters.read()).collect() }
    }
}

fn targets(
    configs: &[config::Upstream],
    before: &[Arc<Target>],
    roots: &Roots,
) -> Result<Vec<Arc<Target>>, UpstreamsError> {
    let target = |config: &config::Upstream| {
        let same_name = before.iter().find(|target| target.name == config.name);
        let link = link(config, same_name.map(|target| &target.link), roots)?;
        Ok(Arc::new(Target::new(config, link)?))
    };
    configs.iter().map(target).collect()
}

fn link(config: &config::Upstream, before: Option<&Arc<Link>>, roots: &Roots) -> Result<Arc<Link>, UpstreamsError> {
    let address = Address::of(config)?;
    if let Some(link) = before.filter(|link| link.address == address) {
        return Ok(Arc::clone(link));
    }
    let counters =
        before.map_or_else(|| Arc::new(Counters::new(Arc::clone(&config.name))), |l| Arc::clone(&l.counters));
    Ok(Arc::new(Link::new(address, counters, roots)?))
}
