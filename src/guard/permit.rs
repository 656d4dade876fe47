//! The proof that a request was admitted, and the hold on what it may use.

use std::fmt;

use super::Caller;
use super::limit::{RateView, Reservation};
use crate::types::{GroupId, KeyId, OrgId};

/// Proof of admission. Only the guard makes one.
///
/// While it lives it takes up one concurrent request in each of its caller's limits; dropping it frees them. Tokens are
/// different: a permit dropped without [`Permit::settle`] keeps what it reserved spent, since what it used is not known.
pub struct Permit {
    caller: Caller,
    reservation: Reservation,
}

impl Permit {
    pub(super) fn new(caller: Caller, reservation: Reservation) -> Self {
        Self { caller, reservation }
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
        self.caller.group.as_ref()
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
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("caller", &self.caller)
            .field("reserved_tokens", &self.reserved_tokens())
            .finish_non_exhaustive()
    }
}
