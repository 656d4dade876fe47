//! One fetch in flight per key: the first asks, the others wait for its answer.
//!
//! Whoever asks may be dropped at any time (its client left). Then one of the waiters asks in its place; none is
//! stranded, and no task runs without an owner. As many flights are held as requests wait, and no more.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use tokio::sync::OnceCell;

use super::cache::CacheKey;
use super::lookup::Known;
use super::source::FetchError;

pub(super) type Answer = Result<Known, FetchError>;

#[derive(Default)]
pub(super) struct Flights {
    flights: DashMap<CacheKey, Flight>,
}

#[derive(Default)]
struct Flight {
    answer: Arc<OnceCell<Answer>>,
    passengers: usize,
}

impl Flights {
    /// The answer of the key's flight; `ask` runs only if no one else's is under way.
    pub(super) async fn join<F: Future<Output = Answer>>(&self, key: CacheKey, ask: impl FnOnce() -> F) -> Answer {
        let seat = self.board(key);
        seat.answer.get_or_init(ask).await.clone()
    }

    fn board(&self, key: CacheKey) -> Seat<'_> {
        let mut flight = self.flights.entry(key).or_default();
        flight.passengers += 1;
        Seat { answer: Arc::clone(&flight.answer), key, flights: self }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }
}

struct Seat<'a> {
    answer: Arc<OnceCell<Answer>>,
    key: CacheKey,
    flights: &'a Flights,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let Entry::Occupied(mut flight) = self.flights.flights.entry(self.key) else { return };
        flight.get_mut().passengers -= 1;
        if flight.get().passengers == 0 {
            flight.remove();
        }
    }
}
