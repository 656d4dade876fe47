//! The proof that a request was admitted, and the hold on what it may use.

use std::fmt;

use super::Caller;
use super::budget::Hold;
use super::limit::{RateView, Reservation};
use super::lookup::Age;
use crate::types::{GroupId, KeyId, NanoUsd, OrgId};

/// Proof of admission. Only the guard makes one.
///
/// While it lives it takes up one concurrent request in each of its caller's limits; dropping it frees them. Tokens are
/// different: a permit dropped without [`Permit::settle`] keeps what it reserved spent, since what it used is not known;
/// and the same holds for money.
pub struct Permit {
    caller: Caller,
    reservation: Reservation,
    budget: Option<Hold>,
    age: Age,
}

impl Permit {
    pub(super) fn new(caller: Caller, reservation: Reservation, budget: Option<Hold>) -> Self {
        // What was to be asked again has been; the plain key in it is not kept.
        let age = caller.age();
        Self { caller: Caller { pending: None, ..caller }, reservation, budget, age }
    }

    /// The key record's id; `None` in mode `open`.
    pub fn key(&self) -> Option<&KeyId> {
        self.caller.key.as_ref()
    }

    /// The organization that pays.
    pub fn organization(&self) -> Option<&OrgId> {
        self.caller.organization.as_ref()
    }

    /// The key's group.
    pub fn group(&self) -> Option<&GroupId> {
        self.caller.group()
    }

    /// The tokens reserved at admission; `None` where no token limit holds.
    pub fn reserved_tokens(&self) -> Option<u64> {
        self.reservation.reserved_tokens()
    }

    /// Whether the client's own credential may pass on to the upstream: in mode `open` only. Elsewhere it is ours.
    pub fn passes_credential(&self) -> bool {
        self.caller.is_anonymous()
    }

    /// The tightest limit on requests per minute after this request, for `x-tollgate-ratelimit-*` on success.
    pub fn rate(&self) -> Option<RateView> {
        self.reservation.rate()
    }

    /// Settles the reservation to the tokens really used: gives back what was not, or takes what was more, even into
    /// debt. Called again, it corrects the former call.
    pub fn settle(&mut self, used: u64) {
        self.reservation.settle(used);
    }

    /// Settles what was held of the budget to what the call cost. A permit dropped without it has cost what it might.
    pub fn pay(&mut self, cost: NanoUsd) {
        if let Some(budget) = &mut self.budget {
            budget.settle(cost);
        }
    }

    /// Gives back all that was reserved: nothing was sent.
    pub fn release(&mut self) {
        self.settle(0);
        self.pay(NanoUsd(0));
    }

    /// What the event should say of the admission.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let stale = (self.age == Age::Stale).then_some("guard_stale");
        let unpriced = self.budget.as_ref().is_some_and(|budget| budget.is_unpriced).then_some("budget_unpriced");
        let alone = self.reservation.is_unshared().then_some("limits_local");
        stale.into_iter().chain(unpriced).chain(alone)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("caller", &self.caller)
            .field("reserved_tokens", &self.reserved_tokens())
            .finish_non_exhaustive()
    }
}
