//! Remembers whose usage was counted, so that an answer which is looked at again and again is counted once.
//!
//! A response made in the background reports its usage whenever it is asked for. Only the fingerprint of its id is
//! kept, for the last [`MOST`] responses; with the memory goes the promise: after a restart, or at another replica, an
//! answer that is asked for once more is counted once more.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

const MOST: usize = 65_536;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct Once {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashSet<u64, RandomState>,
    order: VecDeque<u64>,
    forgotten: u64,
}

impl Once {
    /// Whether this is the first time.
    pub(super) fn first(&self, id: &str) -> bool {
        let print = self.hasher.hash_one(id);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.known.insert(print) {
            return false;
        }
        seen.order.push_back(print);
        if seen.order.len() > MOST
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.known.remove(&oldest);
            seen.forgotten += 1;
        }
        true
    }

    /// How many were forgotten to make room.
    pub(super) fn forgotten(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Once};

    #[test]
    fn each_is_first_once_and_the_oldest_is_forgotten() {
        let once = Once::default();
        assert!(once.first("a") && once.first("b"));
        assert!(!once.first("a"));
        for i in 0..MOST {
            assert!(once.first(&format!("{i}")));
        }
        assert_eq!(once.forgotten(), 2);
        assert!(once.first("a"));
    }
}
