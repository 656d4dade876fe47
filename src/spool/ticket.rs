//! A request's place in the log, from its admission to its end.
//!
//! A ticket owns its number: whatever becomes of the request, the number ends in an event or in a counted loss. So it
//! also ends when it is dropped: as the interrupted event that its INTENT already is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::error;

use super::record::{self, Kind};
use super::room::TICKET_SHARE;
use super::shared::{Grown, Shared};
use super::stats::Counters;
use super::sync::Commit;
use crate::config::WhenFull;
use crate::event::{self, Sequence};
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
    if shared.closed.load(Ordering::Relaxed) {
        return Err(SpoolFull);
    }
    loop {
        let mut log = shared.log();
        let room = log.room();
        if room.holds(TICKET_SHARE) && room.admits() {
            let number = log.reserve();
            shared.give_back(log, Grown::Otherwise);
            return Ok(Ticket { shared: Arc::clone(shared), number, stage: Stage::Reserved });
        }
        drop(log);
        // While the disk is full the preparing thread tries again; requests don't.
        if !room.admits() || shared.is_starved() {
            return without_room(shared);
        }
        Counters::add(&shared.counters.made_inline);
        if !shared.make_segment(|log| !log.room().holds(TICKET_SHARE)) {
            return without_room(shared);
        }
    }
}

fn without_room(shared: &Arc<Shared>) -> Result<Ticket, SpoolFull> {
    match shared.when_full {
        WhenFull::Reject => Err(SpoolFull),
        WhenFull::Drop => {
            Counters::add(&shared.counters.dropped);
            let number = shared.log().skip_number();
            Ok(Ticket { shared: Arc::clone(shared), number, stage: Stage::Unrecorded })
        }
    }
}

impl Ticket {
    /// The event's place, which goes into the event.
    pub fn sequence(&self) -> Sequence {
        Sequence { spool: self.shared.id.as_str().into(), epoch: self.shared.epoch, number: self.number }
    }

    /// Records what is to be published if this process dies before `seal`: an encoded event, complete as it is.
    /// The first one counts; one longer than [`event::MAX_BYTES`] is not recorded.
    pub fn intend(&mut self, key: &str, event: &[u8]) {
        if self.stage != Stage::Reserved || is_too_long(event) {
            return;
        }
        let key = record::clamp_key(key);
        let payload = [&record::key_length(key), key.as_bytes(), event].concat().into_boxed_slice();
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
        let payload = [&record::key_length(key), key.as_bytes(), event].concat().into_boxed_slice();
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
                _ => log.finish_plain(),
            }
            log.complete(log.head(Kind::Final, number), payload, now);
        });
        if written.is_none() {
            return self.give_up(stage);
        }
        Counters::add(&self.shared.counters.committed);
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

    /// The number has no event: says so in the log.
    fn lose(&mut self) {
        let (number, stage) = (self.number, self.end());
        let written = self.shared.write(record::size(0), Grown::Otherwise, |log| {
            match stage {
                Stage::Intended => drop(log.finish_intended(number)),
                _ => log.finish_plain(),
            }
            log.append(log.head(Kind::LossReport, number), &[]);
        });
        if written.is_none() {
            drop(self.give_up(stage));
        } else {
            Counters::add(&self.shared.counters.dropped);
        }
    }

    /// No segment could be made although room was reserved. An INTENT stays open in the log: the next start publishes it.
    fn give_up(&mut self, stage: Stage) -> Commit {
        if stage != Stage::Intended {
            self.shared.log().finish_plain();
        }
        Counters::add(&self.shared.counters.dropped);
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
