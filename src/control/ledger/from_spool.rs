//! The ledger as a sink of the spool, where there is no Kafka.
//!
//! The acknowledged mark moves after the transaction; a crash between the two brings events again, which then are there.
//! A record that is no event goes where every sink puts what it will never take: the dead-letter file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::entry::{self, Entry};
use super::{BATCH, BATCH_WAIT, Books, Counters, FORGET};
use crate::config::Database;
use crate::control::store::ledger::Batch;
use crate::sink::{Fate, Offer, Offered, Plan, Rejection, Restart, Settled, Sink, Ticket, Trouble};
use crate::types::Timestamp;

/// Also the name of its mark in the spool.
const NAME: &str = "ledger";

struct FromSpool {
    books: Books,
    counters: Arc<Counters>,
    batch: Batch,
    offered: Vec<Ticket>,
    refused: Vec<Settled>,
    /// When the first of the batch was offered.
    begun: Instant,
    forgotten: Instant,
}

/// The sink, to be started with the others.
pub fn plan(database: &Database, counters: &Arc<Counters>) -> Plan {
    let (database, counters) = (database.clone(), Arc::clone(counters));
    Plan::given(
        NAME,
        Arc::new(move || {
            let books = Books::open(&database).map_err(|error| {
                warn!(%error, "the ledger's database cannot be opened; usage events wait in the spool");
                Restart(Trouble::Unreachable)
            })?;
            let sink = FromSpool {
                books,
                counters: Arc::clone(&counters),
                batch: Batch::default(),
                offered: Vec::new(),
                refused: Vec::new(),
                begun: Instant::now(),
                forgotten: Instant::now(),
            };
            let sink: Box<dyn Sink> = Box::new(sink);
            Ok(sink)
        }),
    )
}

impl FromSpool {
    fn apply(&mut self) -> Fate {
        match self.books.runtime.block_on(self.books.store.apply(&self.batch)) {
            Ok(applied) => {
                self.counters.applied(applied, 0);
                Fate::Delivered
            }
            Err(error) => {
                self.counters.failed();
                warn!(%error, events = self.batch.len(), "the ledger's database did not take a batch; it is offered again");
                Fate::Retry(Trouble::Unreachable)
            }
        }
    }

    fn forget_when_due(&mut self) {
        if self.forgotten.elapsed() < FORGET {
            return;
        }
        self.forgotten = Instant::now();
        if let Err(error) = self.books.runtime.block_on(self.books.store.forget_applied(Timestamp::now())) {
            warn!(%error, "old event ids could not be forgotten");
        }
    }
}

impl Sink for FromSpool {
    fn offer(&mut self, offered: Offered<'_>) -> Offer {
        if self.offered.len() >= BATCH {
            return Offer::Full;
        }
        match entry::read(offered.event, Timestamp::now()) {
            Ok(Entry::Usage(charge)) => self.batch.charges.push(charge),
            Ok(Entry::Loss(loss)) => self.batch.losses.push(loss),
            Err(reason) => {
                warn!(reason, "a usage event cannot be counted and is put aside");
                self.counters.applied(crate::control::store::ledger::Applied::default(), 1);
                let fate = Fate::Rejected(Rejection { trouble: Trouble::Invalid, code: None });
                self.refused.push(Settled { ticket: offered.ticket, fate });
                return Offer::Taken;
            }
        }
        if self.offered.is_empty() {
            self.begun = Instant::now();
        }
        self.offered.push(offered.ticket);
        Offer::Taken
    }

    fn settle(&mut self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), Restart> {
        settled.append(&mut self.refused);
        let more = BATCH_WAIT.saturating_sub(self.begun.elapsed());
        if !self.offered.is_empty() && self.offered.len() < BATCH && !more.is_zero() {
            // Each batch is one commit to the disk: let it grow.
            std::thread::sleep(wait.min(more));
        } else if !self.offered.is_empty() {
            let fate = self.apply();
            settled.extend(self.offered.drain(..).map(|ticket| Settled { ticket, fate }));
            self.batch = Batch::default();
        }
        self.forget_when_due();
        Ok(())
    }
}
