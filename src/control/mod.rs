//! The authority: keys, organizations, budgets and money in a database, and the guard API that sidecars ask.
//!
//! It decides about a key for others; what passes through this process's own proxy is the guard's to decide, which reads
//! the same records. With the data plane it shares only `types` and `event`: whoever puts the process together connects
//! the two (`Links`).
//!
//! Read `store` for what is kept, `guard_api` for what is asked.

mod follow;
mod guard_api;
mod keys;
pub mod ledger;
mod rate;
mod reply;
mod stats;
pub mod store;

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderName, Request, Response};
use hyper::body::Incoming;

use crate::config;
use crate::event::UsageData;
use crate::shutdown::Shutdown;
use crate::types::{Digest, KeyRecord, Timestamp};
use follow::Followed;
use keys::Keys;
use rate::Rates;
use stats::Counters;
use store::{Store, StoreError};

pub use follow::Revoked;
pub use reply::Body;
pub use stats::Stats;

/// Takes a usage event that a caller reported; ready when it is recorded.
pub type Report = Arc<dyn Fn(UsageData, Timestamp) -> Recording + Send + Sync>;
/// An event being recorded.
pub type Recording = Pin<Box<dyn Future<Output = Result<(), NotRecorded>> + Send>>;

/// A reported event could not be recorded: there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the usage event could not be recorded")]
pub struct NotRecorded;

/// What the rest of the process lends the authority.
pub struct Links {
    /// Takes reported usage.
    pub report: Report,
    /// Headers that may name an organization, in order of preference.
    pub organization_headers: Vec<HeaderName>,
    /// Limits of those that have none of their own.
    pub limits: config::LimitSet,
    /// Larger request bodies are refused.
    pub max_request_bytes: u64,
    /// Ends streams when the process drains.
    pub shutdown: Shutdown,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The authority of one process.
pub struct Control {
    keys: Keys,
    links: Links,
    guard_secret: Option<Digest>,
    rates: Rates,
    followed: Followed,
    counters: Counters,
}

impl Control {
    /// Opens the database, bringing its schema up to date. `records` are those of the keys file, if there is one.
    pub async fn open(config: &config::Control, records: &[KeyRecord], links: Links) -> Result<Arc<Self>, StoreError> {
        let store = Store::open(&config.database).await?;
        let followed = Followed::new(store.revision().await?);
        Ok(Arc::new(Self {
            keys: Keys::new(store, records),
            links,
            guard_secret: config.guard_secret.as_ref().map(|secret| Digest::of(secret.expose().as_bytes())),
            rates: Rates::default(),
            followed,
            counters: Counters::default(),
        }))
    }

    /// Whether a request for this path is the authority's to answer.
    pub fn serves(path: &str) -> bool {
        path.starts_with("/api/guard/")
    }

    /// Answers a request from this address.
    pub async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
        guard_api::answer(self, request, from).await
    }

    /// The records of the keys file from now on.
    pub fn reload(&self, records: &[KeyRecord]) {
        self.keys.reload(records);
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.keys.store()
    }

    /// Whether the database answered within the last seconds.
    pub fn is_ready(&self) -> bool {
        self.followed.is_fresh()
    }

    /// Follows what is revoked, from any process on the same database, and tells of it within half a second. Runs until
    /// it is dropped; without it the authority is not ready and its streams are silent.
    pub async fn follow(&self, tell: impl Fn(&Revoked) + Send) {
        self.followed.run(self.store(), tell).await;
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("store", self.store()).finish_non_exhaustive()
    }
}
