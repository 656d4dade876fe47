//! From the levels that the store tells to what a client is told: what is left, when to come back, when it is whole.

use std::time::Duration;

use tokio::time::Instant;

use super::message::{SIXTHS, TOKEN, Told, Verdict};
use crate::guard::limit::RateView;
use crate::guard::limit::scope::busy;
use crate::reject::{LimitState, Limited};
use crate::types::Limits;

/// How often requests come back, as in the script.
const STEP: Duration = Duration::from_secs(10);

/// The levels as last told, and when that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    requests: i64,
    tokens: i64,
    step_began: Instant,
    told_at: Instant,
}

impl Seen {
    pub(super) fn new(told: &Told, now: Instant) -> Self {
        let into = Duration::from_millis(told.into_step_ms).min(STEP);
        let step_began = now.checked_sub(into).unwrap_or(now);
        Self { requests: told.requests_level, tokens: told.tokens_level, step_began, told_at: now }
    }

    /// How the limit on requests stands, with so many held here besides.
    pub(super) fn rate(&self, limit: u32, held: u64, now: Instant) -> RateView {
        let held = i64::try_from(held).unwrap_or(i64::MAX / SIXTHS);
        let level = self.requests.saturating_add(held.saturating_mul(SIXTHS));
        let missing = i64::from(limit) * SIXTHS - level;
        let remaining = (level / SIXTHS).clamp(0, limit.into()) as u64;
        RateView { limit: limit.into(), remaining, reset: self.until_gained(limit, missing, now) }
    }

    /// Why a request that needs so many tokens was refused; `None` if it was not.
    pub(super) fn refusal(&self, verdict: Verdict, limits: Limits, need: u64) -> Option<LimitState> {
        match verdict {
            Verdict::Granted => None,
            Verdict::Concurrency => Some(busy(limits.concurrent_requests.unwrap_or_default())),
            Verdict::Requests => Some(self.too_many(limits.requests_per_minute.unwrap_or_default())),
            Verdict::Tokens => Some(self.too_large(limits.tokens_per_minute.unwrap_or_default(), need)),
        }
    }

    fn too_many(&self, limit: u32) -> LimitState {
        let at = self.told_at;
        let retry_after = (limit > 0).then(|| self.until_gained(limit, SIXTHS - self.requests, at));
        let reset = self.until_gained(limit, i64::from(limit) * SIXTHS - self.requests, at);
        LimitState { what: Limited::Requests, limit: limit.into(), remaining: 0, retry_after, reset }
    }

    fn too_large(&self, limit: u64, need: u64) -> LimitState {
        let gain = |tokens: u64| {
            let missing = i128::from(tokens) * i128::from(TOKEN) - i128::from(self.tokens);
            let ms = missing.max(0).div_euclid(i128::from(limit.max(1))) + 1;
            Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
        };
        LimitState {
            what: Limited::Tokens,
            limit,
            remaining: (self.tokens.max(0) / TOKEN) as u64,
            retry_after: (need <= limit).then(|| gain(need)),
            reset: gain(limit),
        }
    }

    /// How long until the limit on requests has gained so many sixths.
    fn until_gained(&self, limit: u32, sixths: i64, now: Instant) -> Duration {
        let steps = u64::try_from(sixths.max(0)).unwrap_or_default().div_ceil(u64::from(limit.max(1)));
        let at = self.step_began + STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX).min(1 << 20));
        if steps == 0 { Duration::ZERO } else { at.saturating_duration_since(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, Verdict};
    use crate::guard::limit::shared::message::Told;
    use crate::types::Limits;
    use std::time::Duration;
    use tokio::time::Instant;

    fn seen(requests_level: i64, into_step_ms: u64, tokens_level: i64) -> Seen {
        let told = Told {
            requests_level,
            into_step_ms,
            tokens_level,
            requests_more: 0,
            tokens_more: 0,
            slots_more: 0,
            verdicts: Vec::new(),
        };
        Seen::new(&told, Instant::now())
    }

    const LIMITS: Limits =
        Limits { requests_per_minute: Some(60), tokens_per_minute: Some(600), concurrent_requests: Some(2) };

    #[tokio::test(start_paused = true)]
    async fn what_is_held_here_is_left_too_and_comes_back_by_steps() {
        let rate = seen(354, 3_000, 0).rate(60, 1, Instant::now());
        assert_eq!((rate.limit, rate.remaining, rate.reset), (60, 60, Duration::ZERO));
        let rate = seen(60, 3_000, 0).rate(60, 0, Instant::now());
        assert_eq!((rate.remaining, rate.reset), (10, Duration::from_secs(47)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_when_to_come_back() {
        let refused = |verdict, need| seen(0, 4_000, 60 * 60_000).refusal(verdict, LIMITS, need).unwrap();
        let requests = refused(Verdict::Requests, 0);
        assert_eq!((requests.retry_after, requests.reset), (Some(Duration::from_secs(6)), Duration::from_secs(56)));
        let tokens = refused(Verdict::Tokens, 70);
        assert_eq!((tokens.remaining, tokens.retry_after), (60, Some(Duration::from_millis(1001))));
        assert_eq!(refused(Verdict::Tokens, 601).retry_after, None, "it can never fit");
        assert_eq!(refused(Verdict::Concurrency, 0).limit, 2);
        assert!(seen(0, 0, 0).refusal(Verdict::Granted, LIMITS, 0).is_none());
    }
}
