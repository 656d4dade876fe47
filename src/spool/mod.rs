//! The write-ahead log of usage events.
//!
//! Promises: what was recorded survives the death of the process (`sync: process`) or the loss of power
//! (`sync: disk`, once its [`Commit`] is ready); it is handed to every sink until that sink has acknowledged it, in the
//! order of the log, at least once; every number given out ends in an event or in a counted loss; a request that was
//! cut short with the process ends, at the next start, as the interrupted event that its INTENT is.
//!
//! It does not look into events, does not know what a sink does with them, and never makes a request wait for one.
//!
//! Why this way: the log is appended to on the way of the request, by a copy into a mapped file, because handing over
//! to another task costs more than the write. Everything slow (making, syncing, deleting segments) has a thread of its
//! own or runs in a sink's. Files are append-only, written by one process only and deleted whole, oldest first, so a
//! crash at any moment leaves a log that reads.
//!
//! Read `ticket`, `writer`, `record`, then `reader`, `delete`, `recovery`, `accounts`.

mod accounts;
mod acknowledged;
mod ages;
mod balance;
mod begun;
mod cursor;
mod delete;
mod directory;
mod disk;
mod given;
mod loss;
mod mapped;
mod numbering;
mod numbers;
mod open;
mod position;
mod prepare;
mod reader;
mod record;
mod recovery;
mod repair;
mod room;
mod scan;
mod segment;
mod segments;
mod shared;
mod stats;
mod survey;
mod sync;
mod ticket;
mod unsynced;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tracing::{error, info};

use crate::config::{self, WhenFull};
use crate::event::{Sequence, Unnumbered};
use record::Kind;
use shared::{Grown, Shared, lock};

pub use cursor::Record;
pub use open::OpenError;
pub use position::Position;
pub use reader::Reader;
#[cfg(fuzzing)]
pub use record::fuzz;
pub use stats::Stats;
pub use survey::{Seen, Survey, survey};
pub use sync::Commit;
pub use ticket::{SpoolFull, Ticket};

/// The least that `max_bytes` may be.
pub const LEAST_BYTES: u64 = room::LEAST_BYTES;

/// The log. Clones are handles to the same one. The directory's lock is given up when the last handle, ticket, commit
/// and reader is gone: as long as one of them is there, something may still be written.
#[derive(Clone)]
pub struct Spool(Arc<Owner>);

/// Ends the threads when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Spool {
    /// Locks the directory, reads what earlier processes left, ends their open requests as interrupted, and begins a
    /// new epoch. Damage is counted, never an error.
    pub fn open(config: &config::Spool) -> Result<Self, OpenError> {
        let shared = Arc::new(open::open(config, disk::Disk::Real)?);
        let owner = Arc::new(Owner { shared, threads: Mutex::default() });
        let mut threads = lock(&owner.threads);
        let shared = Arc::clone(&owner.shared);
        threads.push(open::spawn("spool-prepare", move || prepare::run(&shared))?);
        if owner.shared.group.is_some() {
            let shared = Arc::clone(&owner.shared);
            let run = move || shared.group.iter().for_each(|group| group.run(&shared));
            threads.push(open::spawn("spool-sync", run)?);
        }
        drop(threads);
        Ok(Self(owner))
    }

    /// The spool's name, in every event id: 12 hex digits, the same at every start.
    pub fn id(&self) -> &str {
        self.0.shared.id.as_str()
    }

    /// Counts the starts of a process on this spool, from 1.
    pub fn epoch(&self) -> u64 {
        self.0.shared.epoch
    }

    /// The place of no event: spool and epoch for one that is encoded before it has its number.
    pub fn place(&self) -> Sequence {
        Sequence { previous: None, ..self.0.shared.sequence(0) }
    }

    /// Gives out the next number, writes it into this event and records that as the INTENT, all in one step: the numbers
    /// in the log have no holes at any moment. Keeps room for the FINAL. Without room: `SpoolFull`, or with
    /// [`WhenFull::Drop`] a ticket that records nothing and counts as dropped. After `close` always `SpoolFull`.
    pub fn begin(&self, key: &str, event: &Unnumbered<'_>) -> Result<Ticket, SpoolFull> {
        ticket::begin(&self.0.shared, key, event)
    }

    /// As [`Self::begin`], for what is over already: records the event itself. Dropped for want of room, it has a number
    /// and no record.
    pub fn settle(&self, key: &str, event: &Unnumbered<'_>) -> Result<(Sequence, Commit), SpoolFull> {
        ticket::settle(&self.0.shared, key, event)
    }

    /// As [`Self::readers`], where there is one sink only: what it has acknowledged is deleted.
    pub fn reader(&self, sink: &str) -> Reader {
        let reader = Reader::register(Arc::clone(&self.0.shared), sink);
        delete::delete_delivered(&self.0.shared);
        reader
    }

    /// Registers sinks by their names, each to read on after its mark. All in one call: what all registered sinks have
    /// acknowledged is deleted, and one that is not known yet would lose what the others have. A name registered again
    /// takes the place of the former.
    pub fn readers<'a>(&self, sinks: impl IntoIterator<Item = &'a str>) -> Vec<Reader> {
        let readers: Vec<_> =
            sinks.into_iter().map(|sink| Reader::register(Arc::clone(&self.0.shared), sink)).collect();
        // What was delivered before may only now be free to go.
        delete::delete_delivered(&self.0.shared);
        readers
    }

    /// The state and the counters.
    pub fn stats(&self) -> Stats {
        stats::collect(&self.0.shared)
    }

    /// Whether the next request will be let in: there is room for it, or it would be let in without.
    pub fn has_room(&self) -> bool {
        let shared = &self.0.shared;
        if shared.closed.load(Ordering::Relaxed) {
            return false;
        }
        let log = shared.log();
        let (room, share) = (log.room(), log.ticket_share());
        drop(log);
        shared.when_full == WhenFull::Drop || (room.admits() && (room.holds(share) || !shared.is_starved()))
    }

    /// Gives out no more tickets, notes the end of the epoch, syncs, and ends the threads. Tickets that are open still
    /// record. Only the first call does anything.
    pub fn close(&self) {
        let shared = &self.0.shared;
        if shared.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        loss::tell_at_end(shared);
        let bytes = record::size(0);
        let noted = shared.write(bytes, Grown::Otherwise, |log| {
            log.append(log.head(Kind::EpochClose, log.numbering.last()), &[]);
        });
        self.0.stop();
        let clean = match &shared.group {
            Some(group) => group.round(shared),
            None => sync::sync_files(shared),
        };
        if noted.is_none() || !clean {
            error!("the spool could not note its end; nothing that was recorded is affected");
        } else {
            info!(epoch = shared.epoch, "spool closed");
        }
    }
}

impl Owner {
    fn stop(&self) {
        self.shared.log().signals.stopping = true;
        self.shared.chores.notify_all();
        if let Some(group) = &self.shared.group {
            group.stop();
        }
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let _ = thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("id", &self.id()).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}
