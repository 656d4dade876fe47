//! Follows the store's revisions, so that a record changed by any process is known here in a fraction of a second.
//!
//! One small question to the database every 200 ms, whatever the number of listeners; it also shows whether the database
//! answers. Polling rather than a database's own notices, because both databases can be polled, and nothing is missed
//! when a connection breaks.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::store::Store;
use crate::types::{Digest, Timestamp};

const LOOK: Duration = Duration::from_millis(200);
/// A question that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// The database is gone when it has not answered for so long.
const STALE: Duration = Duration::from_secs(3);
/// Revocations are told of for so long; who was away for longer drops all that it holds.
const KEPT: Duration = Duration::from_hours(24);
const FORGET: Duration = Duration::from_hours(1);

/// What is no longer true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The records of these keys.
    Keys(Vec<Digest>),
    /// Perhaps any: it is not known which.
    All,
}

/// How far this process has followed.
pub(super) struct Followed {
    revision: watch::Sender<u64>,
    answered: Mutex<Instant>,
}

impl Followed {
    pub(super) fn new(revision: u64) -> Self {
        Self { revision: watch::Sender::new(revision), answered: Mutex::new(Instant::now()) }
    }

    /// The newest revision seen, and those after it.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < STALE
    }

    pub(super) async fn run(&self, store: &Store, tell: impl Fn(&Revoked) + Send) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forgotten = Instant::now();
        loop {
            look.tick().await;
            match timeout(PATIENCE, self.look(store, &tell)).await {
                Ok(Ok(())) => *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now(),
                Ok(Err(error)) => tracing::debug!(%error, "the database could not be followed"),
                Err(_) => tracing::debug!("the database did not answer in time"),
            }
            if forgotten.elapsed() > FORGET {
                forgotten = Instant::now();
                let before = Timestamp::now().as_millis().saturating_sub(KEPT.as_millis() as u64);
                if let Err(error) = store.forget_revocations(Timestamp::from_millis(before)).await {
                    tracing::warn!(%error, "old revocations could not be forgotten");
                }
            }
        }
    }

    async fn look(&self, store: &Store, tell: &impl Fn(&Revoked)) -> super::store::Result<()> {
        let now = store.revision().await?;
        let known = *self.revision.borrow();
        if now == known {
            return Ok(());
        }
        let revoked = match store.revoked_after(known).await? {
            // A revision that goes back is another database's.
            Some(revoked) if now > known => Revoked::Keys(revoked.into_iter().map(|one| one.key).collect()),
            _ => Revoked::All,
        };
        // What was told of may be newer than `now`; then it is told of again, which does no harm.
        tell(&revoked);
        self.revision.send_replace(now);
        Ok(())
    }
}
