//! What was seen of one life of a process: its numbers and the sums over its events.

use std::collections::{BTreeMap, BTreeSet};

use super::copies::Likeness;
use super::fact::Fact;
use super::numbers::Numbers;
use super::ranges::{minus, union};
use super::report::{Copies, End, EpochReport, Ranges};

/// More kinds of outcome than there are; whatever a file may hold beyond is counted together.
const MOST_OUTCOMES: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    events: Numbers,
    /// Every number with an event, or open.
    known: Numbers,
    open: BTreeSet<u64>,
    lost: BTreeSet<(u64, u64)>,
    /// The last number given out, where that is known, and how the process ended.
    end: Option<(u64, End)>,
    repeated: Numbers,
    copies: Copies,
    floor: Option<u64>,
    outcomes: BTreeMap<String, u64>,
    input_tokens: u64,
    output_tokens: u64,
    cost_nano: i64,
}

impl Epoch {
    /// Takes an event in; false, and nothing counted, if it was seen before.
    pub(super) fn take(&mut self, fact: &Fact<'_>) -> bool {
        let number = fact.sequence.number;
        if !self.events.insert(number) {
            return false;
        }
        self.known.insert(number);
        self.open.remove(&number);
        let full = self.outcomes.len() >= MOST_OUTCOMES && !self.outcomes.contains_key(fact.outcome.as_ref());
        let outcome = if full { "other" } else { fact.outcome.as_ref() };
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        self.input_tokens = self.input_tokens.saturating_add(fact.usage.input_tokens.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(fact.usage.output_tokens.unwrap_or(0));
        self.cost_nano = self.cost_nano.saturating_add(fact.cost.as_ref().map_or(0, |cost| cost.total_nano));
        true
    }

    pub(super) fn repeat(&mut self, number: u64, likeness: Likeness) {
        self.repeated.insert(number);
        *match likeness {
            Likeness::Identical => &mut self.copies.identical,
            Likeness::Different => &mut self.copies.different,
            Likeness::Unknown => &mut self.copies.not_compared,
        } += 1;
    }

    /// An INTENT stands before its FINAL, and a copy of it may stand anywhere in between.
    pub(super) fn intend(&mut self, number: u64) {
        self.known.insert(number);
        self.open.insert(number);
    }

    /// The process says so of the numbers from the first to the last.
    pub(super) fn lose(&mut self, (first, last): (u64, u64)) {
        if first > 0 && first <= last {
            self.open.extract_if(first..=last, |_| true).for_each(drop);
            self.lost.insert((first, last));
        }
    }

    /// The last number that was given out, as somebody tells who came after.
    pub(super) fn end(&mut self, number: u64, how: End) {
        let (known, before) = self.end.unwrap_or((0, how));
        let how = if before == End::Clean { before } else { how };
        self.end = Some((known.max(number), how));
    }

    /// Whether nothing but its end is known.
    pub(super) fn is_unseen(&self) -> bool {
        self.known.first().is_none() && self.lost.is_empty()
    }

    pub(super) fn expect_from(&mut self, number: u64) {
        self.floor = Some(number);
    }

    pub(super) fn report(&self, spool: &str, epoch: u64, from_first: bool) -> EpochReport {
        let lost = union(self.lost.iter().copied().collect());
        let first = self.known.first().into_iter().chain(lost.first().map(|range| range.0)).min();
        let floor = if from_first { first } else { self.floor };
        let upto = self.end.map_or(0, |end| end.0).max(lost.last().map_or(0, |range| range.1));
        let mut copies = self.copies;
        copies.events = self.repeated.count();
        EpochReport {
            spool: spool.to_owned(),
            epoch,
            first,
            last: self.known.last().max(lost.last().map(|range| range.1)),
            end: self.end.map(|end| end.1),
            events: self.events.count(),
            missing: Ranges::of(minus(&self.known.gaps(floor.unwrap_or(1), upto), &lost)),
            lost: Ranges::of(if lost.is_empty() { lost } else { minus(&lost, &self.events.ranges()) }),
            open: Ranges::of(self.open.iter().map(|number| (*number, *number)).collect()),
            duplicates: copies,
            outcomes: self.outcomes.clone(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_nano: self.cost_nano,
        }
    }
}
