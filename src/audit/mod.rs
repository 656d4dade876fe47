//! Proves that no usage event is missing, or says which ones are.
//!
//! Promises: every number between the first and the last of an epoch that has no event is named; an event seen twice is
//! counted once and told apart from a different event under the same id; memory follows the gaps, not the events. Reads
//! nothing itself: whoever has a topic, a file or a spool hands the events over, in any order.
//!
//! An epoch's end is told by the first event of the next one, so that a missing tail and a whole missing epoch are named
//! too. What it cannot see: events missing at the very end of the newest epoch, until the process starts again; and the
//! end of an epoch whose successor's first event is missing as well, though that one is named. The spool itself knows
//! more of both. Within an epoch that is all: numbers are given out in the order in which requests are recorded, so a
//! process that is killed leaves no holes, only an end.

mod copies;
mod epoch;
mod fact;
mod numbers;
mod ranges;
mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use copies::Recent;
use epoch::Epoch;
use fact::{Before, Fact, Loss};

pub use fact::NotAnEvent;
pub use report::{Copies, End, EpochReport, Ranges, Report};

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

    /// Takes an event, of usage or of loss: structured JSON, or the `data` of a binary message. Anything else is counted
    /// as unreadable.
    pub fn event(&mut self, bytes: &[u8]) -> Result<(), NotAnEvent> {
        let Ok(fact) = Fact::read(bytes) else { return self.loss(bytes) };
        let (spool, number) = (fact.sequence.spool.as_ref(), fact.sequence.number);
        let id = (spool, fact.sequence.epoch);
        let epoch = at(&mut self.epochs, id);
        if epoch.take(&fact) {
            self.recent.remember(id, number, bytes);
        } else {
            epoch.repeat(number, self.recent.compare(id, number, bytes));
        }
        self.before(spool, fact.sequence.previous);
        Ok(())
    }

    fn loss(&mut self, bytes: &[u8]) -> Result<(), NotAnEvent> {
        let loss = Loss::read(bytes).inspect_err(|_| self.unreadable += 1)?;
        // Without numbers it tells of damage; what that cost is told apart.
        if let (Some(first), Some(last)) = (loss.first, loss.last) {
            self.lost((&loss.spool, loss.epoch), (first, last));
        }
        self.before(&loss.spool, loss.previous);
        Ok(())
    }

    fn before(&mut self, spool: &str, previous: Option<Before>) {
        if let Some(Before { epoch, number, clean }) = previous {
            self.end((spool, epoch), number, if clean { End::Clean } else { End::Cut });
        }
    }

    /// Takes a number whose request was admitted and may not have ended; for spools.
    pub fn intent(&mut self, epoch: (&str, u64), number: u64) {
        at(&mut self.epochs, epoch).intend(number);
    }

    /// Takes numbers, first and last, of which the process itself said that their events are lost.
    pub fn lost(&mut self, epoch: (&str, u64), numbers: (u64, u64)) {
        at(&mut self.epochs, epoch).lose(numbers);
    }

    /// Takes the last number that an epoch gave out, and how it ended.
    pub fn end(&mut self, epoch: (&str, u64), last: u64, how: End) {
        at(&mut self.epochs, epoch).end(last, how);
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
        let epochs = self.epochs.iter().filter_map(|((spool, number), epoch)| {
            let from_first = oldest != Some(spool) && self.beginning == Beginning::First;
            if epoch.is_unseen() && from_first {
                return None;
            }
            oldest = Some(spool);
            let report = epoch.report(spool, *number, from_first);
            (!epoch.is_unseen() || report.missing.count > 0).then_some(report)
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
