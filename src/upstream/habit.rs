//! Whether an upstream closes its connections after streamed answers without saying so.
//!
//! Learnt from what it does, since nothing announces it: llama.cpp sends the last chunk, closes a moment later, and
//! throws away whatever it still receives. A request sent in that moment is lost, and nothing tells it from one that was
//! read and acted upon, so it could not be sent again. As long as an upstream is suspected, a connection is used again
//! only when it stayed open for [`SETTLING`] after such an answer. At the start every upstream is; each that keeps its
//! connections is cleared by the first one that it is seen to keep.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// An upstream that closes does so within this time after the last byte.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// So many connections must be kept to outweigh one that was closed. An upstream that restarts closes some, too.
const DOUBT: u32 = 16;

#[derive(Debug)]
pub(super) struct Habit(AtomicU32);

impl Default for Habit {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Habit {
    pub(super) fn is_suspect(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    /// A connection was closed soon after a streamed answer.
    pub(super) fn closed(&self) {
        self.0.store(DOUBT, Relaxed);
    }

    /// A connection stayed open after a streamed answer.
    pub(super) fn kept(&self) {
        // An error says that there was no doubt left to take away.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |doubt| doubt.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{DOUBT, Habit};

    #[test]
    fn a_new_upstream_is_suspected_until_it_keeps_one_connection_and_a_closing_one_for_longer() {
        let habit = Habit::default();
        assert!(habit.is_suspect());
        habit.kept();
        habit.kept();
        assert!(!habit.is_suspect());
        habit.closed();
        for _ in 0..DOUBT {
            assert!(habit.is_suspect());
            habit.kept();
        }
        assert!(!habit.is_suspect());
    }
}
