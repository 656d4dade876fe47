//! A map that never holds more than its capacity: the entry put in longest ago makes room.
//!
//! Reading takes one shard's read lock and nothing else. Entries end by time too; one that has ended is as good as
//! absent and goes when its turn comes. Putting takes a lock over all, which only a fetch ever waits for.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use tokio::time::Instant;

pub(super) struct Bounded<K, V> {
    entries: DashMap<K, Entry<V>>,
    order: Mutex<Order<K>>,
    capacity: usize,
}

struct Entry<V> {
    value: V,
    until: Instant,
    stamp: u64,
}

/// One place per put, oldest first. An entry put anew leaves its old place behind, told by the stamp.
struct Order<K> {
    places: VecDeque<(K, u64)>,
    next_stamp: u64,
}

impl<K: Copy + Eq + Hash, V: Clone> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let order = Mutex::new(Order { places: VecDeque::new(), next_stamp: 0 });
        Self { entries: DashMap::new(), order, capacity }
    }

    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entry = self.entries.get(key)?;
        (now < entry.until).then(|| entry.value.clone())
    }

    /// Puts an entry in and says how many others had to go.
    pub(super) fn put(&self, key: K, value: V, until: Instant) -> u64 {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = order.next_stamp;
        order.next_stamp += 1;
        order.places.push_back((key, stamp));
        self.entries.insert(key, Entry { value, until, stamp });
        let mut evicted = 0;
        while order.places.len() > self.capacity {
            let Some((oldest, stamp)) = order.places.pop_front() else { break };
            evicted += u64::from(self.entries.remove_if(&oldest, |_, entry| entry.stamp == stamp).is_some());
        }
        evicted
    }

    pub(super) fn remove(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Removes every entry whose value is such. Looks at all of them, shard by shard.
    pub(super) fn remove_where(&self, is_such: impl Fn(&V) -> bool) {
        // Its place stays behind and goes when its turn comes, like that of an entry put anew.
        self.entries.retain(|_, entry| !is_such(&entry.value));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn the_oldest_makes_room_and_a_renewed_entry_is_young() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let map = Bounded::new(3);
        assert_eq!((map.put(1, 'a', later), map.put(2, 'b', later), map.put(1, 'c', later)), (0, 0, 0));
        // The place of the first 1 goes, which is no longer an entry's.
        assert_eq!(map.put(3, 'd', later), 0);
        assert_eq!(map.put(4, 'e', later), 1);
        let held = [1, 2, 3, 4].map(|key| map.get(&key, now));
        assert_eq!(held, [Some('c'), None, Some('d'), Some('e')]);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn an_entry_ends_at_its_time() {
        let now = Instant::now();
        let map = Bounded::new(3);
        map.put(1, (), now + Duration::from_secs(1));
        assert!(map.get(&1, now).is_some());
        assert!(map.get(&1, now + Duration::from_secs(1)).is_none());
    }
}
