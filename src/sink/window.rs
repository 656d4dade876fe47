//! The records that are out: read from the feed and not yet acknowledged, in order.
//!
//! They may settle in any order; they leave from the front only, so the acknowledged mark never jumps over one that is
//! not done with. The window is bounded by count and by bytes: a dead broker costs a few megabytes, whatever the spool holds.

use std::collections::{BTreeSet, VecDeque};

use super::feed::Record;
use super::{Fate, Offered, Rejection, Settled, Ticket};

/// The most records that are out at a time.
pub const WINDOW_RECORDS: usize = 10_000;
/// No more records are read while those that are out hold this many bytes.
///
/// While a broker is away they are held twice, here and by the Kafka client: half of the 16 MiB that an outage may take.
pub const WINDOW_BYTES: usize = 4 << 20;

/// Records in order, each with what is known of it.
#[derive(Debug)]
pub(super) struct Window<P> {
    slots: VecDeque<Slot<P>>,
    /// The ticket of the first slot.
    base: usize,
    bytes: usize,
    waiting: BTreeSet<usize>,
    refused: BTreeSet<usize>,
}

#[derive(Debug)]
struct Slot<P> {
    record: Record<P>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Offered,
    Delivered,
    Refused(Rejection),
    Buried,
    Skipped,
}

/// What left the window at the front.
#[derive(Debug)]
pub(super) struct Prefix<P> {
    /// The last position that is done with.
    pub(super) last: P,
    /// How many of them were delivered.
    pub(super) delivered: u64,
    /// How many of them are in the dead-letter file.
    pub(super) rejected: u64,
    /// How many of them were not for the destination.
    pub(super) skipped: u64,
}

/// A record that must go to the dead-letter file.
#[derive(Debug)]
pub(super) struct Refused<'a> {
    pub(super) key: &'a [u8],
    pub(super) event: &'a [u8],
    pub(super) rejection: Rejection,
}

impl<P: Copy> Window<P> {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), base: 0, bytes: 0, waiting: BTreeSet::new(), refused: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < WINDOW_RECORDS && self.bytes < WINDOW_BYTES
    }

    /// Takes a record in at the end; it waits to be offered.
    pub(super) fn push(&mut self, record: Record<P>) {
        self.bytes += record.key.len() + record.event.len();
        self.waiting.insert(self.base + self.slots.len());
        self.slots.push_back(Slot { record, state: State::Waiting });
    }

    /// The first record that waits to be offered.
    pub(super) fn first_waiting(&self) -> Option<Offered<'_>> {
        let &ticket = self.waiting.first()?;
        let slot = self.slots.get(ticket.checked_sub(self.base)?)?;
        Some(Offered { ticket: Ticket(ticket), key: &slot.record.key, event: &slot.record.event })
    }

    /// The sink took it.
    pub(super) fn taken(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket.0);
        if let Some(slot) = self.slot(ticket.0) {
            slot.state = State::Offered;
        }
    }

    /// Notes what became of a record; whether that was open until now. A second settling of a ticket changes nothing.
    pub(super) fn settle(&mut self, settled: Settled) -> bool {
        let Ticket(ticket) = settled.ticket;
        let Some(slot) = self.slot(ticket).filter(|slot| slot.state == State::Offered) else { return false };
        match settled.fate {
            Fate::Delivered | Fate::Skipped => {
                slot.state = if settled.fate == Fate::Skipped { State::Skipped } else { State::Delivered };
                self.forget_body(ticket);
            }
            Fate::Retry(_) => {
                slot.state = State::Waiting;
                self.waiting.insert(ticket);
            }
            Fate::Rejected(rejection) => {
                slot.state = State::Refused(rejection);
                self.refused.insert(ticket);
            }
        }
        true
    }

    /// The records that must be buried, in order.
    pub(super) fn refused(&self) -> impl Iterator<Item = Refused<'_>> {
        self.refused.iter().filter_map(|ticket| {
            let slot = self.slots.get(ticket.checked_sub(self.base)?)?;
            let State::Refused(rejection) = slot.state else { return None };
            Some(Refused { key: &slot.record.key, event: &slot.record.event, rejection })
        })
    }

    /// All refused records are in the dead-letter file now.
    pub(super) fn buried(&mut self) {
        for ticket in std::mem::take(&mut self.refused) {
            if let Some(slot) = self.slot(ticket) {
                slot.state = State::Buried;
            }
            self.forget_body(ticket);
        }
    }

    /// Takes out what is done with at the front.
    pub(super) fn take_prefix(&mut self) -> Option<Prefix<P>> {
        let mut prefix: Option<Prefix<P>> = None;
        while let Some(slot) = self.slots.front() {
            let position = slot.record.position;
            let empty = Prefix { last: position, delivered: 0, rejected: 0, skipped: 0 };
            let so_far = match slot.state {
                State::Waiting | State::Offered | State::Refused(_) => break,
                State::Delivered | State::Buried | State::Skipped => prefix.get_or_insert(empty),
            };
            so_far.last = position;
            so_far.delivered += u64::from(slot.state == State::Delivered);
            so_far.rejected += u64::from(slot.state == State::Buried);
            so_far.skipped += u64::from(slot.state == State::Skipped);
            self.slots.pop_front();
            self.base += 1;
        }
        prefix
    }

    fn slot(&mut self, ticket: usize) -> Option<&mut Slot<P>> {
        self.slots.get_mut(ticket.checked_sub(self.base)?)
    }

    /// What is done with but not at the front needs its place only.
    fn forget_body(&mut self, ticket: usize) {
        let Some(slot) = self.slot(ticket) else { return };
        let freed = std::mem::take(&mut slot.record.key).len() + std::mem::take(&mut slot.record.event).len();
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::sink::{Fate, Record, Settled, Ticket, Trouble};

    fn window(records: u64) -> Window<u64> {
        let mut window = Window::new();
        for position in 1..=records {
            window.push(Record { position, key: b"k".to_vec(), event: b"{}".to_vec() });
        }
        while let Some(ticket) = window.first_waiting().map(|offered| offered.ticket) {
            window.taken(ticket);
        }
        window
    }

    fn settle(window: &mut Window<u64>, ticket: usize, fate: Fate) -> bool {
        window.settle(Settled { ticket: Ticket(ticket), fate })
    }

    #[test]
    fn only_a_contiguous_prefix_leaves_the_window() {
        let mut window = window(3);
        settle(&mut window, 1, Fate::Delivered);
        assert!(window.take_prefix().is_none(), "the first is still out");
        settle(&mut window, 0, Fate::Delivered);
        assert_eq!(window.take_prefix().map(|p| (p.last, p.delivered)), Some((2, 2)));
        assert_eq!(window.len(), 1);
    }

    #[test]
    fn records_to_be_retried_are_offered_again_in_order() {
        let mut window = window(3);
        settle(&mut window, 2, Fate::Retry(Trouble::Other));
        settle(&mut window, 0, Fate::Retry(Trouble::Other));
        assert_eq!(window.first_waiting().map(|o| o.ticket), Some(Ticket(0)));
        window.taken(Ticket(0));
        assert_eq!(window.first_waiting().map(|o| o.ticket), Some(Ticket(2)));
    }

    #[test]
    fn a_ticket_settles_once() {
        let mut window = window(1);
        assert!(settle(&mut window, 0, Fate::Delivered));
        assert!(!settle(&mut window, 0, Fate::Retry(Trouble::Other)));
        assert!(window.first_waiting().is_none());
        assert!(!settle(&mut window, 7, Fate::Delivered), "never handed out");
    }
}
