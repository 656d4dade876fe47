//! The ledger: takes usage events in and keeps who spent what.
//!
//! Each event counts once, by its id: what it adds and how far its source was read become true in one transaction, so
//! that replays, copies, crashes and several control planes at once change nothing. Losses are kept apart and charge
//! nobody; a record that is no event is put aside and stops nobody.
//!
//! With Kafka it reads the topic, as a member of a consumer group that all control planes share, from the positions in
//! the database. Without, it is one of the spool's sinks. Either has a thread, a runtime and connections of its own: no
//! request waits for it.

mod counters;
mod entry;
#[cfg(feature = "kafka")]
mod from_kafka;
mod from_spool;

pub use counters::{Counters, Stats};
#[cfg(feature = "kafka")]
pub use from_kafka::Reader;
pub use from_spool::plan;

use tokio::runtime::{Builder, Runtime};

use super::store::{Store, StoreError};
use crate::config::Database;

/// At most so many events become true together, and none waits longer than this for others.
const BATCH: usize = 500;
const BATCH_WAIT: std::time::Duration = std::time::Duration::from_millis(200);
/// Old ids are forgotten this often.
const FORGET: std::time::Duration = std::time::Duration::from_hours(1);

/// A store, and the runtime that its connections live on.
struct Books {
    runtime: Runtime,
    store: Store,
}

impl Books {
    fn open(database: &Database) -> Result<Self, StoreError> {
        // A worker of its own: what connections do when they are let go of must not wait for the next batch.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ledger-io")
            .enable_all()
            .build()
            .map_err(sqlx::Error::Io)?;
        let store = runtime.block_on(Store::open(database))?;
        Ok(Self { runtime, store })
    }
}
