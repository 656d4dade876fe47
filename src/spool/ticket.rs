//! A request's place in the log, from its admission to its end.
//!
//! A ticket owns its number: whatever becomes of the request, the number ends in an event or in a counted loss. So it
//! also ends when it is dropped: as the interrupted event that its INTENT already is.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use tracing::{error, warn};

use super::loss::{self, Report};
use super::record::{self, Kind};
use super::shared::{Grown, Shared};
use super::stats::Counters;
use super::sync::Commit;
use super::writer::Log;
use crate::config::WhenFull;
use crate::event::{self, Sequence, Unnumbered};
use crate::types::Timestamp;

/// There is no room for the events of another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full")]
pub struct SpoolFull;

/// A number, and room for what will be recorded under it. See the module.
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There was no room: nothing is recorded.
    Unrecorded,
    /// Nothing is written yet.
    Reserved,
    /// The INTENT is written.
    Intended,
    /// It has ended.
    Sealed,
}

/// Gives out the next number; with no room, as the configuration says.
pub(super) fn reserve(shared: &Arc<Shared>) -> Result<Ticket, SpoolFull> {
    let Some((mut log, grown)) = admit(shared, 0)? else { return Ok(drop_next(shared)) };
    let number = log.reserve();
    shared.give_back(log, grown);
    Ok(Ticket { shared: Arc::clone(shared), number, stage: Stage::Reserved })
}

/// Gives out the next number and records its INTENT in the same moment.
pub(super) fn begin(shared: &Arc<Shared>, key: &str, event: &Unnumbered<'_>) -> Result<Ticket, SpoolFull> {
    let mut payload = keyed(key, event);
    let Some((mut log, grown)) = admit(shared, record::size(payload.capacity()))? else {
        return Ok(drop_next(shared));
    };
    number(shared, event, (log.numbering.next(), &mut payload));
    let number = log.begin(payload);
    shared.give_back(log, grown);
    Ok(Ticket { shared: Arc::clone(shared), number, stage: Stage::Intended })
}

/// Gives out the next number and records its event in the same moment.
pub(super) fn settle(shared: &Arc<Shared>, key: &str, event: &Unnumbered<'_>) -> Result<(Sequence, Commit), SpoolFull> {
    let mut payload = keyed(key, event);
    let now = Timestamp::now().as_millis();
    let Some((mut log, _)) = admit(shared, record::size(payload.capacity()))? else {
        return Ok((drop_next(shared).sequence(), Commit::ready()));
    };
    number(shared, event, (log.numbering.next(), &mut payload));
    let number = log.settle(&payload, now);
    shared.give_back(log, Grown::ByEvent);
    Ok((shared.sequence(number), Commit::join(shared)))
}

/// A payload of an event that has no number yet: its key, and room for the event.
fn keyed(key: &str, event: &Unnumbered<'_>) -> Vec<u8> {
    let key = record::clamp_key(key);
    let mut payload = Vec::with_capacity(2 + key.len() + event.most_bytes());
    payload.extend_from_slice(&record::key_length(key));
    payload.extend_from_slice(key.as_bytes());
    payload
}

fn number(shared: &Shared, event: &Unnumbered<'_>, (number, payload): (u64, &mut Vec<u8>)) {
    event.write(number, shared.previous.as_ref().filter(|_| number == 1), payload);
}

/// The log, with room for a ticket and a record of `bytes`; what was dropped before is reported first. `None` where
/// there is no room and requests are let in without.
fn admit(shared: &Shared, bytes: usize) -> Result<Option<(MutexGuard<'_, Log>, Grown)>, SpoolFull> {
    if shared.closed.load(Ordering::Relaxed) {
        return Err(SpoolFull);
    }
    loop {
        let mut log = shared.log();
        let room = log.room();
        if room.admits() && room.holds(log.ticket_share()) {
            let told = log.owes_reports() && loss::tell(shared, &mut log);
            if log.fit(bytes) {
                return Ok(Some((log, if told { Grown::ByEvent } else { Grown::Otherwise })));
            }
        }
        drop(log);
        // While the disk is full the preparing thread tries again; requests don't.
        if !room.admits() || shared.is_starved() {
            return without_room(shared);
        }
        Counters::add(&shared.counters.made_inline);
        if !shared.make_segment(|log| !log.room().holds(log.ticket_share())) {
            return without_room(shared);
        }
    }
}

fn without_room<T>(shared: &Shared) -> Result<Option<T>, SpoolFull> {
    match shared.when_full {
        WhenFull::Reject => Err(SpoolFull),
        WhenFull::Drop => Ok(None),
    }
}

fn drop_next(shared: &Arc<Shared>) -> Ticket {
    let mut log = shared.log();
    let goes_on = log.owes_reports();
    let number = log.drop_next();
    drop(log);
    if !goes_on {
        warn!(number, "the spool is full: requests are let in and not recorded, as configured");
    }
    Ticket { shared: Arc::clone(shared), number, stage: Stage::Unrecorded }
}

impl Ticket {
    /// The event's place, which goes into the event.
    pub fn sequence(&self) -> Sequence {
        self.shared.sequence(self.number)
    }

    /// Records what is to be published if this process dies before `seal`: an encoded event, complete as it is.
    /// The first one counts; one longer than [`event::MAX_BYTES`] is not recorded.
    pub fn intend(&mut self, key: &str, event: &[u8]) {
        if self.stage != Stage::Reserved || is_too_long(event) {
            return;
        }
        let key = record::clamp_key(key);
        let payload = [&record::key_length(key), key.as_bytes(), event].concat();
        let (number, bytes) = (self.number, record::size(payload.len()));
        if self.shared.write(bytes, Grown::Otherwise, |log| log.intend(number, payload)).is_some() {
            self.stage = Stage::Intended;
        }
    }

    /// Records how far the request has come: an encoded event, complete as it is, to be published in place of the INTENT
    /// if this process dies before `seal`. Takes only room that nobody has reserved; without it, or when more than half
    /// of what the spool may take is taken, it does nothing. Never makes a segment, never waits for the disk.
    pub fn progress(&mut self, key: &str, event: &[u8]) {
        if self.stage != Stage::Intended || is_too_long(event) {
            return;
        }
        let key = record::clamp_key(key);
        let payload = [&record::key_length(key), key.as_bytes(), event].concat();
        let bytes = record::size(payload.len());
        let mut log = self.shared.log();
        if log.room().spares_bytes(bytes as u64) && log.fit(bytes) {
            log.progress(self.number, payload);
            self.shared.give_back(log, Grown::Otherwise);
        } else {
            drop(log);
            Counters::add(&self.shared.counters.progress_skipped);
        }
    }

    /// Records the event, with or without an INTENT before it. One longer than [`event::MAX_BYTES`] is not recorded:
    /// the ticket then ends as if it were dropped.
    pub fn seal(mut self, key: &str, event: &[u8]) -> Commit {
        if self.stage == Stage::Unrecorded || is_too_long(event) {
            return Commit::ready();
        }
        let key = record::clamp_key(key);
        self.complete(&[&record::key_length(key), key.as_bytes(), event])
    }

    fn complete(&mut self, payload: &[&[u8]]) -> Commit {
        let (number, stage) = (self.number, self.end());
        let bytes = record::size(payload.iter().map(|part| part.len()).sum());
        let now = Timestamp::now().as_millis();
        let written = self.shared.write(bytes, Grown::ByEvent, |log| {
            match stage {
                Stage::Intended => drop(log.finish_intended(number)),
                _ => log.finish_plain(number),
            }
            log.complete(log.head(Kind::Final, number), payload, now);
        });
        if written.is_none() {
            return self.give_up(stage);
        }
        Commit::join(&self.shared)
    }

    /// The INTENT becomes the event.
    fn interrupt(&mut self) {
        let payload = self.shared.log().open_payload(self.number);
        match payload {
            Some(payload) => drop(self.complete(&[&payload])),
            None => self.lose(),
        }
    }

    /// The number has no event: says so in the log, in the room that was reserved.
    fn lose(&mut self) {
        let (number, stage) = (self.number, self.end());
        let report = Report::unrecorded(&self.shared, (number, number));
        warn!(number, "a request ended without a usage event");
        let written = self.shared.write(report.size(), Grown::ByEvent, |log| {
            match stage {
                Stage::Intended => drop(log.finish_intended(number)),
                _ => log.finish_plain(number),
            }
            log.balance.dropped += 1;
            report.append(log);
        });
        if written.is_none() {
            drop(self.give_up(stage));
        }
    }

    /// No segment could be made although room was reserved. An INTENT stays open in the log: the next start publishes it.
    fn give_up(&mut self, stage: Stage) -> Commit {
        let mut log = self.shared.log();
        if stage == Stage::Intended {
            log.abandon();
        } else {
            log.finish_plain(self.number);
            log.without_record(self.number);
        }
        drop(log);
        error!(number = self.number, "a usage event could not be recorded");
        Commit::ready()
    }

    /// Marks the ticket as ended; the stage that it was in.
    fn end(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Sealed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.stage {
            Stage::Intended => self.interrupt(),
            Stage::Reserved => self.lose(),
            Stage::Unrecorded | Stage::Sealed => {}
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("number", &self.number).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Says so where it is handled: the encoder promises that it cannot happen.
fn is_too_long(event: &[u8]) -> bool {
    let too_long = event.len() > event::MAX_BYTES;
    if too_long {
        error!(bytes = event.len(), most = event::MAX_BYTES, "a usage event is too long to be recorded");
    }
    too_long
}
