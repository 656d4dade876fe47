//! Waits that grow while nothing works and are short again once something does.

use std::time::{Duration, Instant};

/// A growing pause. It never sleeps itself: the owner asks how long is left.
#[derive(Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// From the first pause to the longest.
    pub(super) fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, next: shortest, until: None }
    }

    /// Starts a pause, twice as long as the one before. Failures during a pause are part of what started it.
    pub(super) fn fail(&mut self) {
        if self.remaining().is_zero() {
            // Jitter keeps a fleet of sidecars from returning to a broker at the same moment.
            self.until = Some(Instant::now() + self.next.mul_f64(0.75 + fastrand::f64() / 4.0));
            self.next = (self.next * 2).min(self.longest);
        }
    }

    /// Something worked: the next pause is short again. One that has begun goes on, so that a mix of failures and
    /// successes never spins.
    pub(super) fn reset(&mut self) {
        self.next = self.shortest;
    }

    /// How much of the pause is left; zero when there is none.
    pub(super) fn remaining(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}
