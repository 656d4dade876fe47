//! What the guard does beside the calls: it follows what a remote authority revokes, keeps what was spent, carries what
//! of limits is shared, and gives back what was lent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Guard;
use super::budget::{Kept, KeptError};
use super::source::Revoked;

const KEEP_EVERY: Duration = Duration::from_secs(1);
const GIVING_BACK: Duration = Duration::from_secs(2);

impl Guard {
    /// Follows the remote authority's revocations, if there is one, so that what it revokes is refused at once. Runs
    /// until it is dropped; without it revocations are seen when answers grow old.
    pub async fn follow(&self) {
        loop {
            let rules = self.rules.load_full();
            let asking = rules.access.asking().cloned();
            drop(rules);
            let following = async {
                let Some(asking) = asking else { return std::future::pending().await };
                let counters = &self.shared.counters;
                let tell = |revoked: Revoked| match revoked {
                    Revoked::All => asking.forget(|_| true),
                    Revoked::Key(key) => {
                        counters.revoked.add(1);
                        asking.forget(|record| record.key == key);
                    }
                };
                asking.authority.follow(tell, counters).await;
            };
            tokio::select! {
                () = following => {}
                () = self.reloaded.notified() => {}
            }
        }
    }

    /// Goes on from what keys of the keys file had spent when an earlier process ended, as it stands in this folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recall(&self, dir: &Path) -> Result<Kept, KeptError> {
        self.shared.purses.recall(dir)
    }

    /// Writes what keys have spent, if it has changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, kept: &Kept) -> Result<(), KeptError> {
        self.shared.purses.keep(kept)
    }

    /// Keeps what keys have spent, at most a second late. Runs until it is dropped.
    pub async fn keep_up(self: Arc<Self>, kept: Arc<Kept>) {
        let mut tick = interval(KEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (guard, kept) = (Arc::clone(&self), Arc::clone(&kept));
            let writing = tokio::task::spawn_blocking(move || guard.keep(&kept));
            if let Ok(Err(error)) = writing.await {
                tracing::error!(%error, "a restart would forget what keys have spent");
            }
        }
    }

    /// Carries questions to the store through which limits are shared, and its answers. Runs until it is dropped;
    /// without it, or without a store, limits are this process's own.
    pub async fn share_limits(&self) {
        self.limiters.run().await;
    }

    /// Waits until the store of limits answers, if there is one, though not for long.
    pub async fn joined(&self) {
        self.limiters.joined().await;
    }

    /// Whether requests with limits can be let in; not while a store that must be asked is away.
    pub fn can_limit(&self) -> bool {
        self.limiters.can_admit()
    }

    /// Gives every slice of a budget back to the authority that lent it, and what is held of shared limits to their
    /// store: the process ends.
    pub async fn give_back(&self) {
        self.limiters.leave().await;
        let slices = self.shared.purses.slices();
        let rules = self.rules.load_full();
        if let Some(source) = rules.access.source().filter(|_| !slices.is_empty()) {
            let returned = timeout(GIVING_BACK, source.give_back(slices)).await;
            if returned.is_err() {
                tracing::warn!("slices of budgets could not be given back: they end by time");
            }
        }
    }
}
