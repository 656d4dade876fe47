//! Tells the sink threads to finish, and by when.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shared by all sink threads. Once asked to stop, they deliver what is left until the deadline.
#[derive(Debug, Default)]
pub(super) struct Stop {
    deadline: Mutex<Option<Instant>>,
    asked: Condvar,
}

impl Stop {
    /// Asks the threads to finish within this time. A later, earlier deadline counts.
    pub(super) fn request(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut slot = self.lock();
        *slot = Some(slot.map_or(deadline, |earlier| earlier.min(deadline)));
        self.asked.notify_all();
    }

    /// Whether to finish.
    pub(super) fn requested(&self) -> bool {
        self.lock().is_some()
    }

    /// Whether the time to finish is over.
    pub(super) fn expired(&self) -> bool {
        self.lock().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Sleeps this long, but not past the deadline, and not on when asked to stop meanwhile.
    pub(super) fn pause(&self, length: Duration) {
        let slot = self.lock();
        if let Some(deadline) = *slot {
            drop(slot);
            std::thread::sleep(length.min(deadline.saturating_duration_since(Instant::now())));
            return;
        }
        drop(self.asked.wait_timeout_while(slot, length, |deadline| deadline.is_none()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
