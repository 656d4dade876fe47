//! A request's place in the log, from its admission to its end.
//!
//! A ticket owns its number: whatever becomes of the request, the number ends in an event or in a counted loss. So it
//! also ends when it is dropped: as the interrupted event that its INTENT already is.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use tracing::{error, warn};

use super::loss;
use super::record::{self, FURTHER_PREFIX};
use super::shared::{Grown, Shared};
use super::stats::Counters;
use super::sync::Commit;
use super::writer::Log;
use crate::config::WhenFull;
use crate::event::{self, Sequence, Snapshot, Unnumbered};
use crate::types::Timestamp;

/// There is no room for the events of another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full")]
pub struct SpoolFull;

/// A number, its INTENT in the log, and room for its FINAL. See the module.
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There was no room: nothing is recorded.
    Unrecorded,
    /// The INTENT is written.
    Open,
    /// It has ended.
    Sealed,
}

/// Gives out the next number and records its INTENT in the same moment.
pub(super) fn begin(shared: &Arc<Shared>, key: &str, event: &Unnumbered<'_>) -> Result<Ticket, SpoolFull> {
    begin_as(shared, keyed(key, event.most_bytes()), |number, payload| write(shared, event, (number, payload)))
}

/// As [`begin`], with an event that `write` adds to the payload, within its capacity.
pub(super) fn begin_as(
    shared: &Arc<Shared>,
    mut payload: Vec<u8>,
    write: impl FnOnce(u64, &mut Vec<u8>),
) -> Result<Ticket, SpoolFull> {
    let Some((mut log, grown)) = admit(shared, record::size(payload.capacity()))? else {
        return Ok(drop_next(shared));
    };
    write(log.numbering.next(), &mut payload);
    let number = log.begin(payload);
    shared.give_back(log, grown);
    Ok(Ticket { shared: Arc::clone(shared), number, stage: Stage::Open })
}

/// Gives out the next number and records its event in the same moment.
pub(super) fn settle(shared: &Arc<Shared>, key: &str, event: &Unnumbered<'_>) -> Result<(Sequence, Commit), SpoolFull> {
    settle_as(shared, keyed(key, event.most_bytes()), |number, payload| write(shared, event, (number, payload)))
}

/// As [`settle`], with an event that `write` adds to the payload, within its capacity.
pub(super) fn settle_as(
    shared: &Arc<Shared>,
    mut payload: Vec<u8>,
    write: impl FnOnce(u64, &mut Vec<u8>),
) -> Result<(Sequence, Commit), SpoolFull> {
    let now = Timestamp::now().as_millis();
    let Some((mut log, _)) = admit(shared, record::size(payload.capacity()))? else {
        return Ok((drop_next(shared).sequence(), Commit::ready()));
    };
    write(log.numbering.next(), &mut payload);
    let number = log.settle(&payload, now);
    shared.give_back(log, Grown::ByEvent);
    Ok((shared.sequence(number), Commit::join(shared)))
}

/// A payload of an event that has no number yet: its key, and room for the event.
pub(super) fn keyed(key: &str, event_bytes: usize) -> Vec<u8> {
    let key = record::clamp_key(key);
    let mut payload = Vec::with_capacity(2 + key.len() + event_bytes);
    payload.extend_from_slice(&record::key_length(key));
    payload.extend_from_slice(key.as_bytes());
    payload
}

fn write(shared: &Shared, event: &Unnumbered<'_>, (number, payload): (u64, &mut Vec<u8>)) {
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
            let told = loss::tell(shared, &mut log);
            if !log.owes_report() && log.fit(bytes) {
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
    let goes_on = log.owes_report();
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

    /// Records how far the request has come: an encoded event, complete as it is, to be published in place of the INTENT
    /// if this process dies before `seal`. Takes only room that nobody has reserved; without it, or when more than half
    /// of what the spool may take is taken, it does nothing. Never makes a segment, never waits for the disk. Says whether
    /// it is recorded.
    pub fn progress(&mut self, key: &str, event: &[u8]) -> bool {
        if self.stage != Stage::Open || is_too_long(event) {
            return false;
        }
        let key = record::clamp_key(key);
        let payload = [&record::key_length(key), key.as_bytes(), event].concat();
        self.write_spare(payload.len(), |log| log.progress(self.number, payload))
    }

    /// As [`Self::progress`], where nothing has changed but these numbers since that recorded an event: in a fraction of
    /// the bytes, and without the event.
    pub fn progress_further(&mut self, snapshot: &Snapshot) -> bool {
        let bytes = FURTHER_PREFIX + snapshot.bytes();
        self.stage == Stage::Open && self.write_spare(bytes, |log| log.further(self.number, snapshot))
    }

    /// Writes what can be done without, where there is room for that.
    fn write_spare(&self, payload_bytes: usize, write: impl FnOnce(&mut Log)) -> bool {
        let bytes = record::size(payload_bytes);
        let mut log = self.shared.log();
        let fits = log.room().spares_bytes(bytes as u64) && log.fit(bytes);
        if fits {
            write(&mut log);
            self.shared.give_back(log, Grown::Otherwise);
        } else {
            drop(log);
            Counters::add(&self.shared.counters.progress_skipped);
        }
        fits
    }

    /// Resolves when all that was recorded of the request is as firm as the spool promises of events.
    pub fn commit(&self) -> Commit {
        Commit::join(&self.shared)
    }

    /// Records the event. One longer than [`event::MAX_BYTES`] is not recorded: the ticket then ends as if it were dropped.
    pub fn seal(mut self, key: &str, event: &[u8]) -> Commit {
        if self.stage == Stage::Unrecorded || is_too_long(event) {
            return Commit::ready();
        }
        let key = record::clamp_key(key);
        self.complete(&[&record::key_length(key), key.as_bytes(), event])
    }

    fn complete(&mut self, payload: &[&[u8]]) -> Commit {
        self.stage = Stage::Sealed;
        let bytes = record::size(payload.iter().map(|part| part.len()).sum());
        let now = Timestamp::now().as_millis();
        let written = self.shared.write(bytes, Grown::ByEvent, |log| log.seal(self.number, payload, now));
        if written.is_none() {
            return self.give_up();
        }
        Commit::join(&self.shared)
    }

    /// No segment could be made although room was reserved. The INTENT stays open in the log: the next start publishes it.
    fn give_up(&mut self) -> Commit {
        self.stage = Stage::Sealed;
        self.shared.log().abandon();
        error!(number = self.number, "a usage event could not be recorded");
        Commit::ready()
    }
}

impl Drop for Ticket {
    /// The INTENT becomes the event, as far as it has come.
    fn drop(&mut self) {
        if self.stage != Stage::Open {
            return;
        }
        let begun = self.shared.log().begun(self.number).cloned();
        drop(match begun {
            Some(begun) => self.complete(&[&begun.whole()]),
            None => self.give_up(),
        });
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
