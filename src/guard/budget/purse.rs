//! What one key has spent of its budget in the running period, and what the calls in flight may add to it.
//!
//! A call is let in while anything is left that no other call in flight may use; what it may cost at most is held until
//! its real cost is known. So the last call may go beyond the budget, by what it costs, and no call after it is let in.
//! Spending beyond the budget of a keys file is debt that the next periods begin with; of a budget that is lent in
//! slices the authority keeps the account. Calls that cross the end of a period count to the one in which they end.

use std::time::Duration;

use crate::reject::{LimitState, Limited, Reject};
use crate::types::{Budget, NanoUsd, Period, Slice, Timestamp, Used};

/// An authority that had nothing to lend is asked again after this.
const ASK_AGAIN_MS: u64 = 1000;

/// A slice is not asked for anew beside the calls sooner than this, however small it is.
const ASK_EARLY_MS: u64 = 250;

/// Why nothing may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard) enum Short {
    /// The budget is spent.
    Spent,
    /// Calls in flight may use all that is left.
    Held,
    /// The slice is used up or over: another may be had.
    Slice,
}

impl Short {
    /// What the client is told. What calls in flight hold may be free again soon, so only that is worth a retry.
    pub(in crate::guard) fn reject(self) -> Reject {
        const SOON: Duration = Duration::from_secs(1);
        match self {
            Self::Held => Reject::Limited(LimitState {
                what: Limited::Budget,
                limit: 0,
                remaining: 0,
                retry_after: Some(SOON),
                reset: SOON,
            }),
            Self::Spent | Self::Slice => Reject::BudgetSpent,
        }
    }
}

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard) enum Keeper {
    /// Ours: all of the budget is spent through this process.
    Here,
    /// The authority's, which lends slices.
    Authority,
}

#[derive(Debug)]
pub(super) struct Purse {
    pub(super) keeper: Keeper,
    period: Period,
    start: Timestamp,
    amount: i64,
    spent: i64,
    held: i64,
    loan: Option<Loan>,
}

#[derive(Clone, Copy, Debug)]
struct Loan {
    /// What is spent may come to this.
    through: i64,
    part: i64,
    at: Timestamp,
    until: Timestamp,
}

impl Purse {
    pub(super) fn new(budget: Budget, keeper: Keeper, now: Timestamp) -> Self {
        let Budget { period, amount } = budget;
        Self { keeper, period, start: period.start(now), amount: amount.0, spent: 0, held: 0, loan: None }
    }

    /// As an earlier process left it.
    pub(super) fn left_by(budget: Budget, (start, spent): (Timestamp, NanoUsd)) -> Self {
        Self { start, spent: spent.0, ..Self::new(budget, Keeper::Here, start) }
    }

    /// Holds what a call may cost, if anything is left.
    pub(super) fn take(
        &mut self,
        (budget, keeper): (Budget, Keeper),
        cost: NanoUsd,
        now: Timestamp,
    ) -> Result<(), Short> {
        self.follow(budget, keeper, now);
        let (left, short) = match (keeper, &self.loan) {
            (Keeper::Here, _) => (self.amount.saturating_sub(self.spent), Short::Spent),
            (Keeper::Authority, Some(loan)) if loan.until > now => {
                let nothing_to_lend = loan.part == 0 && now.as_millis() < loan.at.as_millis() + ASK_AGAIN_MS;
                let short = if nothing_to_lend { Short::Spent } else { Short::Slice };
                (loan.through.saturating_sub(self.spent), short)
            }
            (Keeper::Authority, _) => (0, Short::Slice),
        };
        if left <= 0 {
            return Err(short);
        }
        if left.saturating_sub(self.held) <= 0 {
            return Err(if keeper == Keeper::Here { Short::Held } else { Short::Slice });
        }
        self.held = self.held.saturating_add(cost.0);
        Ok(())
    }

    /// Why a call is not let in even after the authority was asked for more.
    pub(super) fn still_short(&self) -> Short {
        match &self.loan {
            Some(loan) if loan.part > 0 && loan.through > self.spent => Short::Held,
            _ => Short::Spent,
        }
    }

    /// A call that held this much has ended, and cost so much.
    pub(super) fn settle(&mut self, held: NanoUsd, cost: NanoUsd, now: Timestamp) {
        self.roll(now);
        self.held = self.held.saturating_sub(held.0).max(0);
        self.spent = self.spent.saturating_add(cost.0);
    }

    /// Takes a slice, which stands in the place of the one before.
    pub(super) fn lend(&mut self, budget: Budget, slice: &Slice, now: Timestamp) {
        self.follow(budget, Keeper::Authority, now);
        if slice.since != self.start {
            // A slice of another period, from a clock that differs: it is asked for anew.
            return;
        }
        // The authority may know of more than we do: what an earlier answer to us was lost, say.
        self.spent = self.spent.max(slice.used.0);
        let through = slice.used.0.saturating_add(slice.nano_usd.0);
        self.loan = Some(Loan { through, part: slice.nano_usd.0, at: now, until: slice.expires });
    }

    /// Whether more should be asked for before what is lent is used up.
    pub(super) fn runs_low(&self, now: Timestamp) -> bool {
        self.loan.is_some_and(|loan| {
            let left = loan.through.saturating_sub(self.spent).saturating_sub(self.held);
            loan.part > 0 && left < loan.part / 2 && now.as_millis() >= loan.at.as_millis() + ASK_EARLY_MS
        })
    }

    pub(super) fn used(&self) -> Used {
        Used { nano_usd: NanoUsd(self.spent), since: self.start, held: NanoUsd(self.held) }
    }

    /// What a process that ends suddenly should leave behind: calls in flight have cost what they may cost.
    pub(super) fn left_behind(&self) -> (Timestamp, NanoUsd) {
        (self.start, NanoUsd(self.spent.saturating_add(self.held)))
    }

    pub(super) fn period(&self) -> Period {
        self.period
    }

    pub(super) fn holds_loan(&self) -> bool {
        self.loan.is_some()
    }

    /// The budget as its record has it now.
    fn follow(&mut self, budget: Budget, keeper: Keeper, now: Timestamp) {
        if budget.period != self.period || keeper != self.keeper {
            // What was spent in other periods is not known of this one.
            *self = Self { held: self.held, ..Self::new(budget, keeper, now) };
        }
        self.amount = budget.amount.0;
        self.roll(now);
    }

    /// Begins a new period when the old one is over.
    fn roll(&mut self, now: Timestamp) {
        let start = self.period.start(now);
        if start <= self.start {
            return;
        }
        if self.keeper == Keeper::Authority {
            (self.start, self.spent, self.loan) = (start, 0, None);
        }
        while self.start < start {
            self.spent = self.spent.saturating_sub(self.amount).max(0);
            self.start = match self.period.end(self.start) {
                Some(end) if self.spent > 0 => end,
                _ => start,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Keeper, Purse, Short};
    use crate::types::{Budget, NanoUsd, Period, Slice, Timestamp};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn budget(period: Period, nano: i64) -> Budget {
        Budget { period, amount: NanoUsd(nano) }
    }

    #[test]
    fn the_months_first_call_passes_exactly_at_its_beginning_and_debt_is_carried() {
        let (month, before) = (budget(Period::Month, 100), at("2026-11-30T23:59:59.999Z"));
        let mut purse = Purse::new(month, Keeper::Here, before);
        let take = |purse: &mut Purse, now| purse.take((month, Keeper::Here), NanoUsd(10), now);
        take(&mut purse, before).unwrap();
        purse.settle(NanoUsd(10), NanoUsd(130), before);
        assert_eq!(take(&mut purse, before), Err(Short::Spent));
        take(&mut purse, at("2026-12-01T00:00:00Z")).unwrap();
        assert_eq!(purse.used().nano_usd, NanoUsd(30), "what went beyond the last month's budget is owed");
        purse.settle(NanoUsd(10), NanoUsd(250), at("2026-12-01T00:00:01Z"));
        assert_eq!(
            take(&mut purse, at("2027-01-31T00:00:00Z")),
            Err(Short::Spent),
            "180 are owed, 100 of them paid off"
        );
        take(&mut purse, at("2027-02-28T00:00:00Z")).unwrap();
        assert_eq!(purse.used().nano_usd, NanoUsd(80));
    }

    #[test]
    fn calls_in_flight_hold_what_they_may_cost_and_the_last_one_alone_goes_beyond() {
        let (total, now) = (budget(Period::Total, 100), at("2026-11-21T00:00:00Z"));
        let mut purse = Purse::new(total, Keeper::Here, now);
        purse.take((total, Keeper::Here), NanoUsd(99), now).unwrap();
        purse.take((total, Keeper::Here), NanoUsd(500), now).unwrap();
        assert_eq!(purse.take((total, Keeper::Here), NanoUsd(0), now), Err(Short::Held));
        purse.settle(NanoUsd(500), NanoUsd(0), now);
        purse.settle(NanoUsd(99), NanoUsd(100), now);
        assert_eq!(purse.take((total, Keeper::Here), NanoUsd(0), now), Err(Short::Spent));
    }

    #[test]
    fn a_slice_ends_by_use_by_time_and_with_its_period() {
        let (day, now) = (budget(Period::Day, 1000), at("2026-11-21T10:00:00Z"));
        let slice = |used, nano, until: &str| Slice {
            nano_usd: NanoUsd(nano),
            used: NanoUsd(used),
            since: Period::Day.start(now),
            expires: at(until),
        };
        let mut purse = Purse::new(day, Keeper::Authority, now);
        let take = |purse: &mut Purse, now| purse.take((day, Keeper::Authority), NanoUsd(1), now);
        assert_eq!(take(&mut purse, now), Err(Short::Slice));
        purse.lend(day, &slice(0, 50, "2026-11-21T10:01:00Z"), now);
        take(&mut purse, now).unwrap();
        assert_eq!((purse.used().nano_usd, purse.used().held), (NanoUsd(0), NanoUsd(1)), "what is in flight is told");
        assert_eq!(take(&mut purse, at("2026-11-21T10:01:00Z")), Err(Short::Slice), "it is over");
        purse.settle(NanoUsd(1), NanoUsd(60), now);
        assert_eq!(take(&mut purse, now), Err(Short::Slice), "it is used up");
        purse.lend(day, &slice(60, 0, "2026-11-21T10:01:00Z"), now);
        assert_eq!(take(&mut purse, now), Err(Short::Spent), "there is nothing to lend");
        purse.lend(day, &slice(60, 40, "2026-11-22T10:01:00Z"), now);
        take(&mut purse, now).unwrap();
        assert_eq!(take(&mut purse, at("2026-11-22T00:00:00Z")), Err(Short::Slice), "it is yesterday's");
        assert_eq!(purse.used().nano_usd, NanoUsd(0));
    }
}
