//! What requests do to the log: their numbers, what is reserved for them, and their INTENTs.

use super::Log;
use crate::event::Snapshot;
use crate::spool::begun::Begun;
use crate::spool::loss::LOSS_SHARE;
use crate::spool::record::{CARRIED, Head, Kind};
use crate::spool::room::{RECORD_SHARE, TICKET_SHARE};

impl Log {
    /// Gives out the next number without room for a record.
    pub(in crate::spool) fn drop_next(&mut self) -> u64 {
        self.balance.dropped += 1;
        self.numbering.drop_next()
    }

    /// Gives out the next number with its INTENT, and reserves room for its FINAL; `fit` must have said yes.
    pub(in crate::spool) fn begin(&mut self, payload: Vec<u8>) -> u64 {
        let number = self.numbering.next();
        self.append(self.head(Kind::Intent, number), &[&payload]);
        self.remember(number, payload);
        self.reserved += RECORD_SHARE;
        self.tickets += 1;
        self.numbering.give()
    }

    /// Gives out the next number with its FINAL; `fit` must have said yes.
    pub(in crate::spool) fn settle(&mut self, payload: &[u8], now_ms: u64) -> u64 {
        self.complete(self.head(Kind::Final, self.numbering.next()), &[payload], now_ms);
        self.numbering.give()
    }

    /// What must be free for a ticket to be given out: also what has to be reported before.
    pub(in crate::spool) fn ticket_share(&self) -> u64 {
        TICKET_SHARE + if self.owes_report() { LOSS_SHARE } else { 0 }
    }

    /// Whether something was dropped and is not reported.
    pub(in crate::spool) fn owes_report(&self) -> bool {
        self.numbering.unreported().is_some()
    }

    /// Appends a PROGRESS, which takes the INTENT's place; `fit` must have said yes.
    pub(in crate::spool) fn progress(&mut self, number: u64, payload: Vec<u8>) {
        self.append(self.head(Kind::Progress, number), &[&payload]);
        self.forget(number);
        self.remember(number, payload);
    }

    /// Appends a FURTHER, which changes numbers of what was recorded last; `fit` must have said yes.
    pub(in crate::spool) fn further(&mut self, number: u64, snapshot: &Snapshot) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let from = open.begun.go_on(snapshot);
        self.append(self.head(Kind::Further, number), &[&from.to_le_bytes(), &snapshot.words(), snapshot.report()]);
    }

    /// Ends a ticket with its FINAL; `fit` must have said yes.
    pub(in crate::spool) fn seal(&mut self, number: u64, payload: &[&[u8]], now_ms: u64) {
        self.tickets -= 1;
        self.reserved = self.reserved.saturating_sub(RECORD_SHARE);
        self.forget(number);
        self.complete(self.head(Kind::Final, number), payload, now_ms);
    }

    /// Ends a ticket whose FINAL could not be written: its INTENT stays open, for the next start to publish.
    pub(in crate::spool) fn abandon(&mut self) {
        self.tickets -= 1;
        self.balance.dropped += 1;
        self.reserved = self.reserved.saturating_sub(RECORD_SHARE);
    }

    /// Copies an open INTENT of an old segment into the active one, with what has changed since; `fit` must have said yes.
    /// False, and nothing is done, where more has changed than the copy was made `of`.
    pub(in crate::spool) fn carry(&mut self, number: u64, (of, payload): (&Begun, Vec<u8>)) -> bool {
        if self.begun(number) != Some(of) {
            return false;
        }
        let head = Head { flags: CARRIED, ..self.head(Kind::Intent, number) };
        self.append(head, &[&payload]);
        self.forget(number);
        self.remember(number, payload);
        true
    }
}
