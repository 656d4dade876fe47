//! One key's or organization's part of this sidecar: what it holds of the shared limits, who waits, what to say next.
//!
//! Knows nothing of the store or of time beyond what it is told. What is lent ahead is at most a 64th of each limit
//! (nothing of a limit below 64, where every request asks), and goes back when it was not touched for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::message::{Ask, Terms, Told, Verdict};
use super::reckon::Seen;
use super::share::Share;
use crate::guard::limit::RateView;
use crate::reject::LimitState;
use crate::types::Limits;

/// The part of a limit that one sidecar may hold ahead.
const PART: u64 = 64;
/// What is held ahead goes back after this long without a request.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Requests that one message asks for; more wait for the next.
const MOST_NEEDS: usize = 256;
/// What was held when a sidecar died is free again after this long.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often what is held is said anew.
const RENEW_AFTER: Duration = Duration::from_secs(3);

pub(in crate::guard::limit) struct Pool {
    key: Arc<str>,
    state: Mutex<State>,
}

/// A request that waits for the store's answer.
pub(super) struct Waiter {
    pub(super) need: u64,
    pub(super) answer: oneshot::Sender<Result<Share, LimitState>>,
}

/// What a request was given.
pub(super) struct Given {
    /// `None` where no limit on tokens holds.
    pub(super) tokens: Option<u64>,
    pub(super) rate: Option<RateView>,
}

/// Whether there is something to tell the store, and whether the pool is in its queue for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Tell,
}

/// What is to be done with a pool that is looked at now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Keep(Next),
    /// It holds nothing: nobody needs to look again.
    LetGo,
}

#[derive(Default)]
struct State {
    limits: Limits,
    /// Held and not used. Tokens below zero are owed.
    requests: u64,
    tokens: i64,
    slots: u64,
    in_flight: u64,
    /// Whether the store knows of what is in flight.
    is_known: bool,
    is_queued: bool,
    is_tracked: bool,
    waiting: VecDeque<Waiter>,
    seen: Option<Seen>,
    used_at: Option<Instant>,
    told_at: Option<Instant>,
}

impl Pool {
    pub(super) fn new(key: Arc<str>) -> Self {
        Self { key, state: Mutex::default() }
    }

    /// Takes from what is held here; `None` where that is not enough.
    pub(super) fn take(&self, limits: Limits, need: u64, now: Instant) -> Option<(Given, Next)> {
        let mut state = self.lock();
        state.hold_to(limits, now);
        let given = state.take(need, now)?;
        let next = if state.runs_low() { state.tell() } else { Next::Nothing };
        Some((given, next))
    }

    /// Waits for the next answer of the store.
    pub(super) fn wait(&self, waiter: Waiter) -> Next {
        let mut state = self.lock();
        state.waiting.push_back(waiter);
        state.tell()
    }

    /// One more in flight that the store knows nothing of.
    pub(super) fn enter(&self, limits: Limits, now: Instant) {
        let mut state = self.lock();
        state.hold_to(limits, now);
        state.in_flight += 1;
    }

    /// One in flight has ended, of those that the store knows of or of the others.
    pub(super) fn leave(&self) -> Next {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.is_known && state.limits.concurrent_requests.is_some() {
            state.slots += 1;
        }
        state.tell_if_needed()
    }

    /// Gives back the request itself: it was not let in.
    pub(super) fn give_back_request(&self) -> Next {
        let mut state = self.lock();
        if state.limits.requests_per_minute.is_some() {
            state.requests += 1;
        }
        state.tell_if_needed()
    }

    /// Gives tokens back, or takes more, even into debt.
    pub(super) fn settle(&self, taken: u64, used: u64) -> Next {
        let mut state = self.lock();
        if state.limits.tokens_per_minute.is_some() {
            let back = i128::from(taken) - i128::from(used);
            let back = i64::try_from(back).unwrap_or(if back < 0 { i64::MIN } else { i64::MAX });
            state.tokens = state.tokens.saturating_add(back);
        }
        state.tell_if_needed()
    }

    /// What to tell the store now, and who waits for the answer.
    pub(super) fn ask(&self, now: Instant) -> (Ask, Vec<Waiter>) {
        self.lock().ask(&self.key, now)
    }

    /// Takes the store's answer; says for each who waited what became of it, and whether there is more to tell.
    pub(super) fn told(&self, told: &Told, waited: &[Waiter], now: Instant) -> (Vec<Result<Given, LimitState>>, Next) {
        let mut state = self.lock();
        let outcomes = state.told(told, waited, now);
        let next = if state.waiting.is_empty() { state.tell_if_needed() } else { state.tell() };
        (outcomes, next)
    }

    /// The store has not answered this: what was owed still is, what is in flight will be said anew.
    pub(super) fn unanswered(&self, ask: &Ask) {
        let mut state = self.lock();
        state.tokens = state.tokens.saturating_add(ask.tokens.back.min(0));
    }

    /// The store is away: whoever waits need not, and nothing that it knew counts.
    pub(super) fn lost(&self) {
        let mut state = self.lock();
        state.is_known = false;
        state.is_queued = false;
        state.slots = 0;
        state.waiting.clear();
    }

    /// Whether the pool is new to those that are looked at now and then.
    pub(super) fn track(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_tracked, true)
    }

    /// Whether to say anything unasked: that what is in flight still is, or that what is held ahead is not used.
    pub(super) fn look(&self, now: Instant) -> Look {
        self.lock().look(now)
    }

    /// To be told to the store in any case.
    pub(super) fn tell(&self) -> Next {
        self.lock().tell()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hold_to(&mut self, limits: Limits, now: Instant) {
        self.used_at = Some(now);
        self.limits = limits;
    }

    fn take(&mut self, need: u64, now: Instant) -> Option<Given> {
        let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = self.limits;
        let fits = self.is_known
            && (requests_per_minute.is_none() || self.requests > 0)
            && (tokens_per_minute.is_none() || u64::try_from(self.tokens).is_ok_and(|held| held > 0 && held >= need))
            && (concurrent_requests.is_none() || self.slots > 0);
        if !fits {
            return None;
        }
        self.requests -= u64::from(requests_per_minute.is_some());
        self.slots -= u64::from(concurrent_requests.is_some());
        if tokens_per_minute.is_some() {
            self.tokens -= need as i64;
        }
        self.in_flight += 1;
        Some(self.given(need, self.requests, now))
    }

    fn given(&self, need: u64, held: u64, now: Instant) -> Given {
        let rate = self.limits.requests_per_minute.zip(self.seen).map(|(limit, seen)| seen.rate(limit, held, now));
        Given { tokens: self.limits.tokens_per_minute.map(|_| need), rate }
    }

    /// Whether what is held ahead should be filled up before someone has to wait.
    fn runs_low(&self) -> bool {
        let low =
            |held: u64, limit: Option<u64>| limit.is_some_and(|limit| ahead(limit) > 1 && held < ahead(limit) / 2);
        low(self.requests, self.limits.requests_per_minute.map(u64::from))
            || low(self.tokens.max(0) as u64, self.limits.tokens_per_minute)
            || low(self.slots, self.limits.concurrent_requests.map(u64::from))
    }

    /// Whether something is owed, or more is held than may be.
    fn tell_if_needed(&mut self) -> Next {
        let over = |held: u64, limit: Option<u64>| held > limit.map_or(0, ahead);
        let needed = self.tokens < 0
            || over(self.requests, self.limits.requests_per_minute.map(u64::from))
            || over(self.tokens.max(0) as u64, self.limits.tokens_per_minute)
            || over(self.slots, self.limits.concurrent_requests.map(u64::from));
        if needed { self.tell() } else { Next::Nothing }
    }

    fn tell(&mut self) -> Next {
        if std::mem::replace(&mut self.is_queued, true) { Next::Nothing } else { Next::Tell }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.used_at.is_none_or(|at| now.saturating_duration_since(at) >= KEPT_FOR)
    }

    fn ask(&mut self, key: &Arc<str>, now: Instant) -> (Ask, Vec<Waiter>) {
        self.is_queued = false;
        let count = self.waiting.len().min(MOST_NEEDS);
        // Who has left does not ask any more.
        let waited: Vec<_> = self.waiting.drain(..count).filter(|waiter| !waiter.answer.is_closed()).collect();
        let kept = |limit: Option<u64>| if self.is_idle(now) { 0 } else { limit.map_or(0, ahead) };
        let Limits { requests_per_minute, tokens_per_minute, concurrent_requests } = self.limits;
        let limits = [requests_per_minute.map(u64::from), tokens_per_minute, concurrent_requests.map(u64::from)];
        let [requests, tokens, slots] = limits.map(|limit| (limit, kept(limit)));
        let (held_requests, held_tokens) = (self.requests.min(requests.1), self.tokens.clamp(0, tokens.1 as i64));
        let held_slots = if self.is_known { self.slots.min(slots.1) } else { 0 };
        let terms = |(limit, kept): (Option<u64>, u64), back: i64, held: u64| Terms { limit, back, more: kept - held };
        let ask = Ask {
            key: Arc::clone(key),
            requests: terms(requests, (self.requests - held_requests) as i64, held_requests),
            tokens: terms(tokens, self.tokens.saturating_sub(held_tokens), held_tokens as u64),
            slots: terms(slots, (self.in_flight + held_slots) as i64, held_slots),
            needs: waited.iter().map(|waiter| waiter.need).collect(),
        };
        (self.requests, self.tokens, self.slots) = (held_requests, held_tokens, held_slots);
        (ask, waited)
    }

    fn told(&mut self, told: &Told, waited: &[Waiter], now: Instant) -> Vec<Result<Given, LimitState>> {
        let seen = Seen::new(told, now);
        (self.seen, self.told_at, self.is_known) = (Some(seen), Some(now), true);
        self.requests += told.requests_more;
        self.tokens = self.tokens.saturating_add_unsigned(told.tokens_more);
        self.slots += told.slots_more;
        let mut to_come = told.verdicts.iter().filter(|verdict| **verdict == Verdict::Granted).count() as u64;
        let outcome = |(verdict, waiter): (&Verdict, &Waiter)| {
            if let Some(state) = seen.refusal(*verdict, self.limits, waiter.need) {
                return Err(state);
            }
            self.in_flight += 1;
            to_come -= 1;
            // Those behind it have been counted by the store already.
            Ok(self.given(waiter.need, self.requests + to_come, now))
        };
        told.verdicts.iter().zip(waited).map(outcome).collect()
    }

    fn look(&mut self, now: Instant) -> Look {
        let counts_slots = self.limits.concurrent_requests.is_some();
        let ahead = self.requests > 0 || self.tokens > 0 || self.slots > 0;
        let in_flight = counts_slots && self.in_flight > 0;
        if !ahead && self.tokens == 0 && !in_flight && self.waiting.is_empty() && !self.is_queued {
            self.is_tracked = false;
            return Look::LetGo;
        }
        let due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= RENEW_AFTER);
        let says = (ahead && self.is_idle(now)) || (due && counts_slots && (in_flight || self.slots > 0));
        Look::Keep(if says { self.tell() } else { Next::Nothing })
    }
}

/// How much of a limit one sidecar may hold ahead.
fn ahead(limit: u64) -> u64 {
    limit.min(super::message::MOST_TOKENS) / PART
}
