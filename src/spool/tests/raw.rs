//! Requests whose events are any bytes: for tests that are not about events.

use crate::event::Sequence;
use crate::spool::{Commit, Spool, SpoolFull, Ticket, ticket};

impl Spool {
    /// Begins a request with these bytes as its INTENT.
    pub(crate) fn begin_raw(&self, key: &str, event: &[u8]) -> Result<Ticket, SpoolFull> {
        self.begin_with(key, event.len(), |_| event.to_vec())
    }

    /// Records these bytes as a request that is over already.
    pub(crate) fn settle_raw(&self, key: &str, event: &[u8]) -> Commit {
        self.settle_with(key, event.len(), |_| event.to_vec()).unwrap().1
    }

    /// As [`Self::begin_raw`], with bytes made of the number, at most so many.
    pub(in crate::spool) fn begin_with(
        &self,
        key: &str,
        most: usize,
        event: impl FnOnce(u64) -> Vec<u8>,
    ) -> Result<Ticket, SpoolFull> {
        ticket::begin_as(&self.0.shared, ticket::keyed(key, most), |number, payload| payload.extend(event(number)))
    }

    /// As [`Self::settle_raw`], with bytes made of the number, at most so many.
    pub(in crate::spool) fn settle_with(
        &self,
        key: &str,
        most: usize,
        event: impl FnOnce(u64) -> Vec<u8>,
    ) -> Result<(Sequence, Commit), SpoolFull> {
        ticket::settle_as(&self.0.shared, ticket::keyed(key, most), |number, payload| payload.extend(event(number)))
    }
}
