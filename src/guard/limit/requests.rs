//! Requests per minute: a limit of N lets a burst of N through and then N per minute, spread evenly.
//!
//! Time advances for the limiter in steps of ten seconds, counted from when it was made, and a limiter that has become
//! whole again is made anew. So a burst that meets a whole limiter is admitted exactly N times within ten seconds,
//! however fast or slow it comes in, and not N plus what would have trickled in meanwhile. The price: room comes back up
//! to ten seconds late, which `retry_after` and `reset` take into account.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::RateView;
use crate::reject::{LimitState, Limited};

const STEP: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);

type Cells = RateLimiter<NotKeyed, InMemoryState, StepClock, StateInformationMiddleware>;

/// The rate of one scope.
pub(super) struct RequestRate {
    limit: u32,
    clock: StepClock,
    /// `None` for a limit of zero, which the limiter below has no notion of.
    cells: Option<Cells>,
    whole_at: Instant,
}

/// Time since the start, rounded down to whole steps. The limiter reads it more than once for a request, so it stands
/// still until it is told what time it is.
#[derive(Clone, Debug)]
struct StepClock {
    start: Instant,
    steps: Arc<AtomicU32>,
}

impl RequestRate {
    pub(super) fn new(limit: u32, now: Instant) -> Self {
        let clock = StepClock { start: now, steps: Arc::default() };
        let cells = NonZeroU32::new(limit).map(|limit| {
            RateLimiter::direct_with_clock(Quota::per_minute(limit), clock.clone())
                .with_middleware::<StateInformationMiddleware>()
        });
        Self { limit, clock, cells, whole_at: now }
    }

    /// Takes one request.
    pub(super) fn take(&mut self, now: Instant) -> Result<RateView, LimitState> {
        if self.is_whole(now) {
            *self = Self::new(self.limit, now);
        }
        let Some(cells) = &self.cells else { return Err(never()) };
        self.clock.set(now);
        let cell = Quota::per_minute(NonZeroU32::new(self.limit).unwrap_or(NonZeroU32::MIN)).replenish_interval();
        match cells.check() {
            Ok(after) => {
                let remaining = after.remaining_burst_capacity();
                let reset = self.clock.until(self.clock.now() + cell * (self.limit - remaining), now);
                self.whole_at = now + reset;
                Ok(RateView { limit: self.limit.into(), remaining: remaining.into(), reset })
            }
            Err(refusal) => {
                let earliest = refusal.earliest_possible();
                let reset = self.clock.until(earliest + cell * (self.limit - 1), now);
                let retry_after = Some(self.clock.until(earliest, now));
                let limit = self.limit.into();
                Err(LimitState { what: Limited::Requests, limit, remaining: 0, retry_after, reset })
            }
        }
    }

    /// Changes the limit. What was used stays used, as a share of the limit: half used stays half used.
    pub(super) fn resize(&mut self, limit: u32, now: Instant) {
        if limit == self.limit {
            return;
        }
        let left = if self.is_whole(now) { self.limit } else { self.drain(now) };
        // Rounded up, so that limits changing to and fro never yield a request more.
        let used = (u64::from(limit) * u64::from(self.limit - left)).div_ceil(self.limit.max(1).into());
        *self = Self::new(limit, now);
        if let (Some(cells), Some(used)) = (&self.cells, NonZeroU32::new(used as u32)) {
            // Cannot fail: a new limiter has room for all of its limit.
            let _ = cells.check_n(used);
            self.whole_at = now + MINUTE + STEP;
        }
    }

    /// Whether nothing of the limit is used.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        self.whole_at <= now
    }

    /// How many requests are left. Takes one of them, so it is for a limiter about to be replaced.
    fn drain(&self, now: Instant) -> u32 {
        self.clock.set(now);
        let taken = self.cells.as_ref().and_then(|cells| cells.check().ok());
        taken.map_or(0, |after| (after.remaining_burst_capacity() + 1).min(self.limit))
    }
}

impl StepClock {
    fn set(&self, now: Instant) {
        let steps = now.saturating_duration_since(self.start).as_secs() / STEP.as_secs();
        self.steps.store(u32::try_from(steps).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// From now to the step at which the limiter sees the given time as come.
    fn until(&self, time: Duration, now: Instant) -> Duration {
        let steps = time.as_nanos().div_ceil(STEP.as_nanos());
        let seen_at = STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        seen_at.saturating_sub(now.saturating_duration_since(self.start))
    }
}

impl Clock for StepClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        STEP.saturating_mul(self.steps.load(Ordering::Relaxed))
    }
}

fn never() -> LimitState {
    LimitState { what: Limited::Requests, limit: 0, remaining: 0, retry_after: None, reset: MINUTE }
}

#[cfg(test)]
mod tests {
    use super::RequestRate;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    fn admitted(rate: &mut RequestRate, tries: u32) -> usize {
        (0..tries).filter(|_| rate.take(Instant::now()).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_burst_admits_exactly_the_limit() {
        let mut rate = RequestRate::new(60, Instant::now());
        // An idle limiter's steps count from the burst, wherever in a step it begins.
        advance(Duration::from_millis(123_456)).await;
        let mut total = 0;
        for _ in 0..99 {
            total += admitted(&mut rate, 5);
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!(total, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn room_comes_back_evenly_and_retry_after_says_when() {
        let mut rate = RequestRate::new(60, Instant::now());
        assert_eq!(admitted(&mut rate, 100), 60);
        advance(Duration::from_secs(3)).await;
        let refused = rate.take(Instant::now()).unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(refused.reset, Duration::from_secs(57));
        advance(Duration::from_secs(7)).await;
        assert_eq!(admitted(&mut rate, 100), 10);
        advance(Duration::from_mins(1)).await;
        assert_eq!(admitted(&mut rate, 100), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn success_says_what_is_left() {
        let mut rate = RequestRate::new(6, Instant::now());
        advance(Duration::from_secs(1)).await;
        let first = rate.take(Instant::now()).unwrap();
        assert_eq!((first.limit, first.remaining, first.reset), (6, 5, Duration::from_secs(10)));
        advance(Duration::from_secs(4)).await;
        let second = rate.take(Instant::now()).unwrap();
        assert_eq!((second.remaining, second.reset), (4, Duration::from_secs(16)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_keeps_the_share_that_is_used() {
        let mut rate = RequestRate::new(10, Instant::now());
        assert_eq!(admitted(&mut rate, 5), 5);
        rate.resize(100, Instant::now());
        assert_eq!(admitted(&mut rate, 200), 50);
        rate.resize(20, Instant::now());
        assert_eq!(admitted(&mut rate, 200), 0);
        advance(Duration::from_secs(80)).await;
        rate.resize(30, Instant::now());
        assert_eq!(admitted(&mut rate, 200), 30);
    }

    #[test]
    fn a_limit_of_zero_admits_no_one_ever() {
        let mut rate = RequestRate::new(0, Instant::now());
        assert_eq!(rate.take(Instant::now()).unwrap_err().retry_after, None);
    }
}
