//! What one request holds of all its limits at once.
//!
//! Taken in the order concurrency, tokens, requests, in each the key's own limit first. On a refusal all that was taken
//! goes back, except a request already counted by a narrower scope: the rate limiter takes nothing back, which is why
//! it comes last. A request refused for its organization or overall thus costs its own key one request. Where limits are
//! shared through a store its yes comes first, and is only counted here.

use tokio::time::Instant;

use super::hold::Hold;
use super::scope::Decided;
use super::shared::Share;
use super::{Limited, RateView};
use crate::reject::LimitState;

/// The most that is reserved for the output of a request which does not bound it.
const UNBOUNDED_OUTPUT: u64 = 1024;

/// What a request may use.
#[derive(Clone, Copy, Debug)]
pub(in crate::guard) struct Need {
    pub(in crate::guard) input_tokens: u64,
    pub(in crate::guard) max_output_tokens: Option<u64>,
}

pub(in crate::guard) struct Reservation {
    holds: Holds,
    tokens: Option<u64>,
    rate: Option<RateView>,
    shares: Option<Box<Shares>>,
}

/// Key, organization, overall.
pub(super) type Scopes = [Option<Limited>; 3];
type Holds = [Option<Hold>; 3];

/// Key and organization, where they are shared.
pub(super) type Shares = [Option<Share>; 2];

impl Reservation {
    pub(super) fn take(scopes: Scopes, need: Need) -> Result<Self, LimitState> {
        let tokens = need.of(&scopes);
        // One look at the clock for all: it costs as much as everything else here.
        let now = Instant::now();
        let mut holds = enter(scopes, now)?;
        match charge(&mut holds, tokens.unwrap_or(0), now) {
            Ok(rate) => Ok(Self { holds, tokens, rate, shares: None }),
            Err(state) => {
                settle(&mut holds, 0, now);
                Err(state)
            }
        }
    }

    /// The same, of scopes in some of which others have a say, too, and gave these shares.
    pub(super) fn take_beside(mut shares: Shares, scopes: Scopes, need: Need) -> Result<Self, LimitState> {
        let mut reservation = Self::take(scopes, need)?;
        for share in shares.iter_mut().flatten() {
            share.take();
            reservation.rate = reservation.rate.into_iter().chain(share.rate()).min_by_key(|rate| rate.remaining);
        }
        reservation.shares = Some(Box::new(shares));
        Ok(reservation)
    }

    pub(in crate::guard) fn reserved_tokens(&self) -> Option<u64> {
        self.tokens
    }

    pub(in crate::guard) fn rate(&self) -> Option<RateView> {
        self.rate
    }

    /// Whether limits that others share were held by this process alone.
    pub(in crate::guard) fn is_unshared(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.iter().flatten().any(Share::is_unshared))
    }

    pub(in crate::guard) fn settle(&mut self, used: u64) {
        settle(&mut self.holds, used, Instant::now());
        for share in self.shares.iter_mut().flat_map(|shares| shares.iter_mut()).flatten() {
            share.settle(used);
        }
    }
}

impl Need {
    /// The tokens to reserve under the tightest of these limits; `None` where no limit on tokens holds.
    pub(super) fn of(self, scopes: &Scopes) -> Option<u64> {
        let tightest = scopes.iter().flatten().filter_map(|limited| limited.limits.tokens_per_minute).min();
        tightest.map(|limit| self.tokens(limit))
    }

    /// The tokens to reserve under this limit. A request that does not bound its output is taken to want a little, but
    /// never so much that a small limit could not admit it.
    fn tokens(self, limit: u64) -> u64 {
        self.input_tokens.saturating_add(self.max_output_tokens.unwrap_or(UNBOUNDED_OUTPUT.min(limit / 4)))
    }
}

impl Limited {
    /// The store's yes is had: this process only counts.
    pub(super) fn decided(&mut self) {
        self.by = Decided::Together;
    }
}

fn enter(scopes: Scopes, now: Instant) -> Result<Holds, LimitState> {
    let mut holds = [const { None }; 3];
    for (hold, limited) in holds.iter_mut().zip(scopes.into_iter().flatten()) {
        *hold = Some(limited.scope.enter(limited.limits, limited.by, now)?);
    }
    Ok(holds)
}

/// Takes tokens, then requests, and says how the tightest limit on requests stands.
fn charge(holds: &mut Holds, tokens: u64, now: Instant) -> Result<Option<RateView>, LimitState> {
    for hold in holds.iter_mut().flatten() {
        hold.take_tokens(tokens, now)?;
    }
    let mut tightest: Option<RateView> = None;
    for hold in holds.iter_mut().flatten() {
        let rate = hold.take_request(now)?;
        tightest = tightest.into_iter().chain(rate).min_by_key(|rate| rate.remaining);
    }
    Ok(tightest)
}

fn settle(holds: &mut Holds, used: u64, now: Instant) {
    for hold in holds.iter_mut().flatten() {
        hold.settle(used, now);
    }
}
