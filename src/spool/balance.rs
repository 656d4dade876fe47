//! Where the log's events come from, so that what went in and what came out can be compared at any moment.
//!
//! Kept with the log and under its lock: `inherited + committed + recovered + losses` is what the log has held, and
//! that is what was delivered, what waits, and what damage took. A number without an event is `dropped`.

use super::record::{Head, Kind, RECOVERED};

/// Counted since the spool was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    /// Events found in the log.
    pub(super) inherited: u64,
    /// Events recorded by tickets.
    pub(super) committed: u64,
    /// Events made of what a request left that did not come to record its own.
    pub(super) recovered: u64,
    /// Loss events.
    pub(super) losses: u64,
    /// Numbers given out whose event was not recorded.
    pub(super) dropped: u64,
    /// Events that were in the log and that damage took.
    pub(super) spoiled: u64,
}

impl Balance {
    /// An event was appended.
    pub(super) fn recorded(&mut self, head: Head) {
        *match head.kind {
            Kind::LossReport => &mut self.losses,
            _ if head.flags & RECOVERED != 0 => &mut self.recovered,
            _ => &mut self.committed,
        } += 1;
    }
}
