//! When the oldest event that is not delivered was recorded, to about a second, in bounded memory.
//!
//! The log keeps no time per event; this keeps the time of one event per second or less. The answer is never later
//! than the truth.

use std::collections::VecDeque;

const GAP_MS: u64 = 1000;
const MOST: usize = 1024;

/// Times of some events, oldest first.
#[derive(Default)]
pub(super) struct Ages {
    noted: VecDeque<(u64, u64)>,
}

impl Ages {
    /// Event number `ordinal` was recorded now.
    pub(super) fn note(&mut self, ordinal: u64, now_ms: u64) {
        if self.noted.back().is_some_and(|(_, ms)| now_ms.abs_diff(*ms) < GAP_MS) {
            return;
        }
        if self.noted.len() >= MOST {
            self.thin();
        }
        self.noted.push_back((ordinal, now_ms));
    }

    /// The events up to `ordinal` are delivered.
    pub(super) fn trim(&mut self, ordinal: u64) {
        while self.noted.get(1).is_some_and(|(next, _)| *next <= ordinal + 1) {
            self.noted.pop_front();
        }
    }

    /// After everything was delivered, the next event's own time counts.
    pub(super) fn clear(&mut self) {
        self.noted.clear();
    }

    /// When the event after `ordinal` was recorded.
    pub(super) fn after(&self, ordinal: u64) -> Option<u64> {
        let older = self.noted.iter().take_while(|(noted, _)| *noted <= ordinal + 1).last();
        older.or(self.noted.front()).map(|(_, ms)| *ms)
    }

    fn thin(&mut self) {
        let mut keep = false;
        self.noted.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Ages, MOST};

    #[test]
    fn the_oldest_undelivered_event_is_dated_to_the_second() {
        let mut ages = Ages::default();
        for ordinal in 1..=100 {
            ages.note(ordinal, 10_000 + ordinal * 100);
        }
        assert_eq!(ages.after(0), Some(10_100));
        let found = ages.after(55).unwrap();
        assert!((14_600..=15_600).contains(&found), "event 56 was at 15600, dated {found}");
        ages.trim(55);
        assert_eq!(ages.after(55), Some(found));
        ages.clear();
        assert_eq!(ages.after(100), None);
    }

    #[test]
    fn a_long_outage_takes_bounded_memory() {
        let mut ages = Ages::default();
        for ordinal in 1..=100_000 {
            ages.note(ordinal, ordinal * 1000);
        }
        assert!(ages.noted.len() <= MOST);
        assert_eq!(ages.after(0), Some(1000));
    }
}
