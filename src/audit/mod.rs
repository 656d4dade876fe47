//! Proves that no usage event is missing, or says which ones are.
//!
//! Promises: every number between the first and the last of an epoch that has no event is named; an event seen twice is
//! counted once and told apart from a different event under the same id; memory follows the gaps, not the events. Reads
//! nothing itself: whoever has a topic, a file or a spool hands the events over, in any order.
//!
//! What it cannot see: events missing at the very end of an epoch, or a whole epoch, since nothing after them says that
//! they were there; their spool says so. Within an epoch that is all: numbers are given out in the order in which
//! requests are recorded, so a process that is killed leaves no holes, only an end.

mod copies;
mod epoch;
mod fact;
mod numbers;
mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use copies::Recent;
use epoch::Epoch;
use fact::Fact;

pub use fact::NotAnEvent;
pub use report::{Copies, EpochReport, Ranges, Report};

/// Where numbers are expected to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// At 1 in every epoch.
    #[default]
    One,
    /// In the oldest epoch of each spool at the first one found: the older ones have expired.
    First,
}

/// An audit under way.
#[derive(Debug, Default)]
pub struct Audit {
    beginning: Beginning,
    epochs: BTreeMap<(String, u64), Epoch>,
    recent: Recent,
    unreadable: u64,
    damaged: u64,
}

impl Audit {
    /// An audit that has seen nothing.
    pub fn new(beginning: Beginning) -> Self {
        Self { beginning, ..Self::default() }
    }

    /// Takes an event: structured JSON, or the `data` of a binary message. Anything else is counted as unreadable.
    pub fn event(&mut self, bytes: &[u8]) -> Result<(), NotAnEvent> {
        let fact = Fact::read(bytes).inspect_err(|_| self.unreadable += 1)?;
        let (spool, number) = (fact.sequence.spool.as_ref(), fact.sequence.number);
        let id = (spool, fact.sequence.epoch);
        let epoch = at(&mut self.epochs, id);
        if epoch.take(&fact) {
            self.recent.remember(id, number, bytes);
        } else {
            epoch.repeat(number, self.recent.compare(id, number, bytes));
        }
        Ok(())
    }

    /// Takes a number whose request was admitted and may not have ended; for spools.
    pub fn intent(&mut self, epoch: (&str, u64), number: u64) {
        at(&mut self.epochs, epoch).intend(number);
    }

    /// Takes a number of which the process itself said that its event is lost; for spools.
    pub fn lost(&mut self, epoch: (&str, u64), number: u64) {
        at(&mut self.epochs, epoch).lose(number);
    }

    /// Says from which number on all must be there: what came before was delivered and deleted; for spools. Without
    /// one nothing can be said to be missing.
    pub fn expect_from(&mut self, epoch: (&str, u64), number: Option<u64>) {
        at(&mut self.epochs, epoch).expect_from(number.unwrap_or(u64::MAX));
    }

    /// The epochs seen so far.
    pub fn ids(&self) -> Vec<(String, u64)> {
        self.epochs.keys().cloned().collect()
    }

    /// Counts damaged stretches; for spools.
    pub fn damage(&mut self, stretches: u64) {
        self.damaged += stretches;
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        let mut oldest = None;
        let epochs = self.epochs.iter().map(|((spool, number), epoch)| {
            let is_oldest = oldest.replace(spool) != Some(spool);
            epoch.report(spool, *number, is_oldest && self.beginning == Beginning::First)
        });
        let mut report = Report {
            epochs: epochs.collect(),
            unreadable: self.unreadable,
            damaged: self.damaged,
            ..Report::default()
        };
        report.sum();
        report
    }
}

fn at<'a>(epochs: &'a mut BTreeMap<(String, u64), Epoch>, id: (&str, u64)) -> &'a mut Epoch {
    epochs.entry((id.0.to_owned(), id.1)).or_default()
}
