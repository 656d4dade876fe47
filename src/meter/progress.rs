//! Tells the spool how far an answer has come, so that a killed process leaves more than the beginning of an event.
//!
//! At the first generated content and then at most once a second, by a look at the clock that the watcher has read
//! anyway: no timer, and nothing where no content passes. The tap waits with it until the content has left. A snapshot is
//! the event as it would be if the process ended now. Without room in the spool it is left out. It decides nothing about
//! the event that is sealed in the end.
//!
//! Streams are many and last, and encoding their events anew each second was a third of what they cost. So the first
//! snapshot is a whole event, and those after it are the numbers that have changed, as long as nothing else has: the spool
//! puts them into that event if it is ever needed. Once the provider reports usage, which some do with each chunk, the next
//! is whole again, and those after it say what was reported last.

use std::sync::Arc;
use std::time::Duration;

use super::draft::Draft;
use super::price::{self, Bill};
use super::seal::BYTES_PER_TOKEN;
use crate::event::{Reported, Snapshot, Tokens};
use crate::spool::Commit;
use crate::types::{PriceTable, Usage};

/// Between two snapshots.
const EVERY: Duration = Duration::from_secs(1);
const PARTIAL: &str = "usage_partial";

/// What the spool has not been told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// That there is content.
    First,
    /// How much more there is.
    Again,
}

/// What the spool was told as a whole event, besides its numbers.
#[derive(Debug)]
pub(super) struct Told {
    prices: Arc<PriceTable>,
    /// The row of the table that the model is paid by.
    row: Option<usize>,
    /// How many flags there were: none is ever taken away.
    flags: usize,
    /// Whether its usage was the provider's.
    reported: bool,
    /// Whether it had a cost.
    paid: bool,
}

impl Draft {
    /// What the spool should be told, now that a chunk has passed.
    pub(super) fn owes_progress(&self) -> Option<Owed> {
        let now = self.marks.last_content()?;
        let Some(due) = self.progress_due else { return Some(Owed::First) };
        (now >= due).then_some(Owed::Again)
    }

    /// Tells the spool, if it should be told.
    pub(super) fn note_progress(&mut self) {
        if self.owes_progress().is_none() {
            return;
        }
        self.progress_due = self.marks.last_content().map(|now| now + EVERY);
        self.reading.take_in();
        match self.snapshot() {
            // Without room for this there is none for more.
            Some(snapshot) => drop(self.ticket.progress_further(&snapshot)),
            None => self.note_whole(),
        }
    }

    /// The numbers of now, where nothing else has changed since the spool was told.
    fn snapshot(&self) -> Option<Snapshot> {
        let (told, data) = (self.told.as_ref()?, &self.event.data);
        let same = Arc::ptr_eq(&told.prices, &self.meter.catalog.load().prices)
            && told.flags == data.flags.len()
            && told.reported == self.reading.has_usage()
            && data.model_served == self.reading.model_served;
        if !same {
            return None;
        }
        let (tokens, bill) = self.tokens_so_far()?;
        let cost = price::parts(&told.prices, told.row, &bill);
        let snapshot = Snapshot { delivered: self.delivered, spans: self.marks.spans(), tokens, cost };
        (told.paid == cost.is_some()).then_some(snapshot)
    }

    /// What the usage so far comes to; `None` where only a whole event can say it.
    fn tokens_so_far(&self) -> Option<(Tokens, Bill)> {
        let Some(usage) = self.reading.usage() else {
            let (input, output) = self.estimate();
            return Some((Tokens::Estimated { input, output }, Bill::estimated(input, output)));
        };
        let usage = Usage { complete: false, ..usage };
        Some((Tokens::Reported(Reported::of(&usage)?), Bill::of(&usage, self.reading.billed())))
    }

    fn note_whole(&mut self) {
        let (flags, prices) = (self.event.data.flags.len(), self.prices());
        self.event.data.flag(PARTIAL);
        let usage = Usage { complete: false, ..self.usage_so_far() };
        let recorded = self.record_progress(usage, &prices);
        let data = &mut self.event.data;
        data.flags.retain(|flag| flag != PARTIAL);
        self.told = recorded.then(|| {
            let row = price::place(&prices, self.reading.model_served.as_deref(), data.model_requested.as_deref());
            Told { prices, row, flags, reported: self.reading.has_usage(), paid: data.cost.is_some() }
        });
    }

    /// Tells the spool what the answer comes to if it is over now. Once that is as safe as its event would be, its end may
    /// pass, and the answer may yet go on. Nothing where that cannot be had: without room, or where tokens must be counted.
    pub(super) fn note_end(&mut self) -> Option<Commit> {
        if !self.reading.has_usage() {
            return None;
        }
        let usage = self.usage_so_far();
        self.event.data.finish_reasons.clone_from(&self.reading.finish_reasons);
        self.told = None;
        self.passed_end = self.record_progress(usage, &self.prices());
        self.passed_end.then(|| self.ticket.commit())
    }

    /// All that is set here is set anew when the event is sealed.
    fn record_progress(&mut self, usage: Usage, prices: &PriceTable) -> bool {
        let data = &mut self.event.data;
        data.model_served.clone_from(&self.reading.model_served);
        data.timing = self.marks.timing(usage.output_tokens);
        let models = (data.model_served.as_deref(), data.model_requested.as_deref());
        let bill = Bill::of(&usage, self.reading.billed());
        data.cost = price::cost(prices, models.0, models.1, &bill);
        data.usage = usage;
        data.delivered = self.delivered;
        // An event that cannot be encoded is said when it is sealed.
        let Self { event, ticket, beginning, .. } = self;
        super::encoded(event, beginning.as_ref(), |subject, line| ticket.progress(subject, line)).unwrap_or(false)
    }

    fn prices(&self) -> Arc<PriceTable> {
        Arc::clone(&self.meter.catalog.load().prices)
    }

    /// What the provider has reported so far, else an estimate.
    fn usage_so_far(&self) -> Usage {
        let (input, output) = self.estimate();
        self.reading.usage().unwrap_or_else(|| Usage::estimated(input, output))
    }

    /// Input and output tokens, from the text that has passed.
    fn estimate(&self) -> (u64, u64) {
        (self.prompt.estimate, self.reading.text_bytes().div_ceil(BYTES_PER_TOKEN))
    }
}

#[cfg(test)]
mod tests;
