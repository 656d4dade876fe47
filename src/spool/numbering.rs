//! The numbers of this epoch: which is next, and which have no record and were not yet reported.
//!
//! A number is given out with its record or without one for ever, never with one to come: so the records of a log are
//! dense but for what is reported, and nothing is recorded under a later number before it is. Each number is noted where
//! the death of the process leaves it, so those without a record are known at the next start even if nothing could be
//! written about them.

use super::given::Given;

/// See the module.
#[derive(Default)]
pub(super) struct Numbering {
    last: u64,
    given: Option<Given>,
    /// From here on nothing is recorded and nothing reported.
    unreported: Option<u64>,
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

    /// Gives out the next number, whose record stands in the log: a number noted without one is lost.
    pub(super) fn give(&mut self) -> u64 {
        debug_assert!(self.unreported.is_none(), "what was dropped before is reported first");
        self.last += 1;
        self.note();
        self.last
    }

    /// Gives out the next number, without a record.
    pub(super) fn drop_next(&mut self) -> u64 {
        self.last += 1;
        self.unreported.get_or_insert(self.last);
        self.note();
        self.last
    }

    /// Up to this number each has a record or a report.
    pub(super) fn settled(&self) -> u64 {
        self.unreported.map_or(self.last, |first| first - 1)
    }

    /// What is to be reported: the first and the last.
    pub(super) fn unreported(&self) -> Option<(u64, u64)> {
        self.unreported.map(|first| (first, self.last))
    }

    /// The numbers up to this one are reported.
    pub(super) fn reported(&mut self, last: u64) {
        self.unreported = self.unreported.map(|first| first.max(last + 1)).filter(|first| *first <= self.last);
    }

    fn note(&mut self) {
        if let Some(given) = &mut self.given {
            given.set(self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Numbering;

    #[test]
    fn what_is_dropped_is_unreported_until_it_is_said() {
        let mut numbering = Numbering::default();
        assert_eq!((numbering.give(), numbering.settled(), numbering.unreported()), (1, 1, None));
        assert_eq!((numbering.drop_next(), numbering.drop_next()), (2, 3));
        assert_eq!((numbering.last(), numbering.settled(), numbering.unreported()), (3, 1, Some((2, 3))));
        numbering.drop_next();
        numbering.reported(3);
        assert_eq!((numbering.settled(), numbering.unreported()), (3, Some((4, 4))), "one more came meanwhile");
        numbering.reported(4);
        assert_eq!((numbering.settled(), numbering.unreported(), numbering.give()), (4, None, 5));
    }
}
