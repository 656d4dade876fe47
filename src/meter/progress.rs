//! Tells the spool how far an answer has come, so that a killed process leaves more than the beginning of an event.
//!
//! At the first generated content and then at most once a second, by a look at the clock that the watcher has read
//! anyway: no timer, and nothing where no content passes. The tap waits with it until the content has left. A snapshot is
//! the event as it would be if the process ended now. Without room in the spool it is left out. It decides nothing about
//! the event that is sealed in the end.

use std::time::Duration;

use super::draft::Draft;
use super::price;
use super::seal::BYTES_PER_TOKEN;
use crate::spool::Commit;
use crate::types::{Source, Usage};

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

impl Draft {
    /// What the spool should be told, now that a chunk has passed.
    pub(super) fn owes_progress(&self) -> Option<Owed> {
        let now = self.marks.last_content()?;
        let Some(due) = self.progress_due else { return Some(Owed::First) };
        (now >= due).then_some(Owed::Again)
    }

    /// Tells the spool, if it should be told.
    pub(super) fn note_progress(&mut self) {
        if self.owes_progress().is_some() {
            self.progress_due = self.marks.last_content().map(|now| now + EVERY);
            self.event.data.flag(PARTIAL);
            let usage = Usage { complete: false, ..self.usage_so_far() };
            self.record_progress(usage);
            self.event.data.flags.retain(|flag| flag != PARTIAL);
        }
    }

    /// Tells the spool what the answer comes to if it is over now. Once that is as safe as its event would be, its end may
    /// pass, and the answer may yet go on. Nothing where that cannot be had: without room, or where tokens must be counted.
    pub(super) fn note_end(&mut self) -> Option<Commit> {
        if !self.reading.has_usage() {
            return None;
        }
        let usage = self.usage_so_far();
        self.event.data.finish_reasons.clone_from(&self.reading.finish_reasons);
        self.passed_end = self.record_progress(usage);
        self.passed_end.then(|| self.ticket.commit())
    }

    /// All that is set here is set anew when the event is sealed.
    fn record_progress(&mut self, usage: Usage) -> bool {
        let catalog = self.meter.catalog.load();
        let data = &mut self.event.data;
        data.model_served.clone_from(&self.reading.model_served);
        data.timing = self.marks.timing(usage.output_tokens);
        let models = (data.model_served.as_deref(), data.model_requested.as_deref());
        let bill = price::Bill::of(&usage, self.reading.billed());
        data.cost = price::cost(&catalog.prices, models.0, models.1, &bill);
        data.usage = usage;
        // An event that cannot be encoded is said when it is sealed.
        let Self { event, ticket, beginning, .. } = self;
        super::encoded(event, beginning.as_ref(), |subject, line| ticket.progress(subject, line)).unwrap_or(false)
    }

    /// What the provider has reported so far, else an estimate from the text that has passed.
    fn usage_so_far(&self) -> Usage {
        if let Some(usage) = self.reading.usage() {
            return usage;
        }
        let (input, output) = (self.prompt.estimate, self.reading.text_bytes().div_ceil(BYTES_PER_TOKEN));
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            total_tokens: Some(input.saturating_add(output)),
            source: Source::Estimate,
            ..Usage::default()
        }
    }
}
