//! At most so many connections are open at once. The next one waits, not yet accepted, in the system's queue: it costs
//! nothing there, and is served as soon as another closes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::stats::{Counts, Open};

/// Hands out places for connections.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    counts: Counts,
}

/// A place that is taken, with no connection on it yet.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// One connection's place. Free again when dropped.
pub(super) struct Seat {
    _place: Place,
    _open: Open,
}

impl Seats {
    /// At least one, whatever is asked for: none would be a listener that never answers.
    pub(super) fn new(count: usize, counts: Counts) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(count)), counts }
    }

    /// Waits for a free place.
    pub(super) async fn free(&self) -> Place {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Place { _permit: permit };
        }
        self.counts.at_limit();
        loop {
            // The semaphore is never closed, so this never fails.
            if let Ok(permit) = Arc::clone(&self.free).acquire_owned().await {
                return Place { _permit: permit };
            }
        }
    }

    /// A connection takes the place.
    pub(super) fn seat(&self, place: Place) -> Seat {
        Seat { _place: place, _open: self.counts.opened() }
    }
}
