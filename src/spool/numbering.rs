//! The numbers of this epoch: which is next, and which have no record and were not yet reported.
//!
//! Each number is noted where the death of the process leaves it, so those without a record are known at the next
//! start even if nothing could be written about them.

use std::collections::BTreeSet;

use super::given::Given;
use super::numbers::Numbers;

/// More ranges are not kept: the next start finds them as gaps.
const MOST_UNREPORTED: usize = 16;

/// See the module.
#[derive(Default)]
pub(super) struct Numbering {
    last: u64,
    given: Option<Given>,
    unreported: Numbers,
    /// Given out before anything was recorded under them.
    bare: BTreeSet<u64>,
}

impl Numbering {
    /// From now on numbers are noted here.
    pub(super) fn note_in(&mut self, given: Given) {
        self.given = Some(given);
    }

    /// The last number given out.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The number that will be given out next.
    pub(super) fn next(&self) -> u64 {
        self.last + 1
    }

    /// Gives out the next number. Its record, where there is one, comes first: a number noted without one is lost.
    pub(super) fn give(&mut self) -> u64 {
        self.last += 1;
        if let Some(given) = &mut self.given {
            given.set(self.last);
        }
        self.last
    }

    /// Gives out the next number before anything is recorded under it.
    pub(super) fn give_bare(&mut self) -> u64 {
        let number = self.give();
        self.bare.insert(number);
        number
    }

    /// Something is recorded under this number, or never will be.
    pub(super) fn covered(&mut self, number: u64) {
        if !self.bare.is_empty() {
            self.bare.remove(&number);
        }
    }

    /// Numbers given out under which something may yet be recorded for the first time.
    pub(super) fn bare(&self) -> &BTreeSet<u64> {
        &self.bare
    }

    /// Up to this number the first record of each is written, or there will be none.
    pub(super) fn settled(&self) -> u64 {
        self.bare.first().map_or(self.last, |number| number - 1)
    }

    /// This number has no record.
    pub(super) fn without_record(&mut self, number: u64) {
        if self.unreported.ranges().count() < MOST_UNREPORTED || self.unreported.touches(number) {
            self.unreported.insert(number, number);
        }
    }

    /// What was handed over is still to be reported.
    pub(super) fn not_reported(&mut self, (first, last): (u64, u64)) {
        self.unreported.insert(first, last);
    }

    /// What is to be reported.
    pub(super) fn unreported(&self) -> &Numbers {
        &self.unreported
    }

    /// Hands over what is to be reported: first and last of each range.
    pub(super) fn take_unreported(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.unreported).ranges().collect()
    }
}
