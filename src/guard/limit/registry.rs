//! The scopes of one kind by id, bounded.
//!
//! A scope that nobody uses and whose limits are whole says nothing that a new one would not, so it is let go. When
//! there is no room even so (someone names a new organization with each request), the rest share one scope: memory
//! stays bounded and nobody passes unlimited.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use super::scope::Scope;
use crate::guard::stats::Counter;

/// As many scopes of one kind are held.
const CAPACITY: usize = 65_536;
/// Fewer are not worth looking for idle ones.
const FEW: usize = 1024;
/// Between two looks, so that a full registry does not make each new id pay for one.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Registry<K> {
    scopes: DashMap<K, Arc<Scope>>,
    shared: Arc<Scope>,
    shared_uses: Counter,
    swept: Mutex<Option<Instant>>,
    capacity: usize,
}

impl<K: Clone + Eq + Hash> Registry<K> {
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self {
            scopes: DashMap::new(),
            shared: Arc::new(Scope::of_this_process()),
            shared_uses: Counter::default(),
            swept: Mutex::new(None),
            capacity,
        }
    }

    /// The scope of this id, made when there is none.
    pub(super) fn scope(&self, id: &K) -> Arc<Scope> {
        if let Some(scope) = self.scopes.get(id) {
            return Arc::clone(&scope);
        }
        if !self.has_room() {
            self.shared_uses.add(1);
            return Arc::clone(&self.shared);
        }
        Arc::clone(&self.scopes.entry(id.clone()).or_default())
    }

    pub(super) fn len(&self) -> usize {
        self.scopes.len()
    }

    pub(super) fn shared_uses(&self) -> u64 {
        self.shared_uses.read()
    }

    fn has_room(&self) -> bool {
        if self.scopes.len() < FEW.min(self.capacity) {
            return true;
        }
        if self.sweep_is_due() {
            let now = Instant::now();
            // One reference is the map's own; while its shard is locked, no one can take another.
            self.scopes.retain(|_, scope| Arc::strong_count(scope) > 1 || !scope.is_whole(now));
        }
        self.scopes.len() < self.capacity
    }

    fn sweep_is_due(&self) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
        if due {
            *swept = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;
    use crate::guard::limit::scope::Decided;
    use crate::types::Limits;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_ids_stays_bounded_and_idle_scopes_are_let_go() {
        let (limits, now) = (Limits { requests_per_minute: Some(10), ..Limits::default() }, Instant::now());
        let registry = Registry::with_capacity(8);
        for id in 0..100 {
            let mut hold = registry.scope(&id).enter(limits, Decided::Here, now).unwrap();
            let _ = hold.take_request(now);
        }
        assert_eq!((registry.len(), registry.shared_uses()), (8, 92));
        assert!(Arc::ptr_eq(&registry.scope(&98), &registry.scope(&99)));
        let held = registry.scope(&3);
        tokio::time::advance(Duration::from_secs(80)).await;
        registry.scope(&100);
        assert_eq!(registry.len(), 2, "all but the one still held were idle");
        assert!(Arc::ptr_eq(&held, &registry.scope(&3)));
    }
}
