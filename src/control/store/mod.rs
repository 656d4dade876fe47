//! The authority's memory: organizations, keys, models, money and who changed what, in SQLite or PostgreSQL.
//!
//! Promises: a change is in the database whole or not at all, together with its audit row and its revision; revisions
//! are dense and become visible in their order, so whoever follows them misses none. A plain key is kept nowhere: its
//! digest is, with a few letters to know it by. What must hold, the schema holds.
//!
//! It decides nothing about a request and knows no HTTP. One SQL text serves both databases, always with parameters.
//! Reads run beside each other; changes run one at a time, which the first statement of each sees to (`change`).

mod audit;
mod balances;
mod budgets;
mod change;
mod connect;
mod deployments;
mod error;
mod groups;
mod keys;
mod leases;
pub mod ledger;
mod limits;
mod listing;
mod migrate;
mod models;
mod organizations;
mod permissions;
mod record;
mod revocations;
mod spending;
mod standing;
#[cfg(test)]
mod tests;
mod usage;
mod users;

use std::fmt;
use std::sync::Arc;

use sqlx::AnyPool;

use connect::Backend;

pub use audit::AuditRow;
pub use balances::{Payer, Payment};
pub use change::By;
pub use error::StoreError;
pub use groups::Group;
pub use keys::{Enabled, KeyRole, KeyView, MadeKey, NewKey, key_letters};
pub use leases::Loan;
pub use listing::{Listed, Page};
pub use models::{Model, Priced};
pub use organizations::{Member, MemberRole, Organization};
pub use permissions::Holder;
pub use record::Found;
pub use revocations::Revocation;
pub use standing::{Asked, Membership, ModelStanding, Standing};
pub use usage::{Grouping, UsageAsked, UsageRow};
pub use users::{Plan, User};

/// What every function of the store answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    read: AnyPool,
    write: AnyPool,
    backend: Backend,
    /// What the database is, for messages; no part of it is secret.
    name: Arc<str>,
}

impl Store {
    /// What the database is, without its credentials.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Closes every connection, when those that work have finished.
    pub async fn close(&self) {
        self.write.close().await;
        self.read.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("name", &self.name).finish_non_exhaustive()
    }
}
