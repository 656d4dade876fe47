//! Tokens per minute: a bucket that refills evenly and may go below empty.
//!
//! A request takes what it may use before it is sent and settles to what it used when it ends. What it used beyond its
//! reservation is debt: the level goes below zero and the next request waits until it has been refilled. Debt is never
//! forgiven, so over any span no more is used than the limit allows plus what the requests in flight understated.
//! Integers only, exact at every rate.

use std::time::Duration;

use tokio::time::Instant;

use crate::reject::{LimitState, Limited};

/// The level counts in 1/60,000,000,000 of a token: what one token per minute refills in a nanosecond.
const TOKEN: i128 = 60_000_000_000;

#[derive(Debug)]
pub(super) struct Bucket {
    limit: u64,
    level: i128,
    refilled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(limit: u64, now: Instant) -> Self {
        Self { limit, level: full(limit), refilled: now }
    }

    /// Takes tokens if they are there.
    pub(super) fn take(&mut self, tokens: u64, now: Instant) -> Result<(), LimitState> {
        self.refill(now);
        let missing = full(tokens) - self.level;
        if missing > 0 {
            return Err(self.refusal(tokens, missing));
        }
        self.level -= full(tokens);
        Ok(())
    }

    /// Corrects an amount taken before to the one really used.
    pub(super) fn settle(&mut self, taken: u64, used: u64, now: Instant) {
        self.refill(now);
        self.level = self.level.saturating_add(full(taken) - full(used)).min(full(self.limit));
    }

    /// Changes the limit. What is left keeps its share of the limit; debt stays the debt it was.
    pub(super) fn resize(&mut self, limit: u64, now: Instant) {
        self.refill(now);
        if self.level > 0 {
            let old = i128::from(self.limit.max(1));
            self.level = self.level / old * i128::from(limit);
        }
        self.limit = limit;
    }

    /// Whether nothing of the limit is used.
    pub(super) fn is_whole(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level >= full(self.limit)
    }

    fn refill(&mut self, now: Instant) {
        let nanos = now.saturating_duration_since(self.refilled).as_nanos() as i128;
        let gained = nanos.saturating_mul(self.limit.into());
        self.level = self.level.saturating_add(gained).min(full(self.limit));
        self.refilled = self.refilled.max(now);
    }

    fn refusal(&self, tokens: u64, missing: i128) -> LimitState {
        let retry_after = (tokens <= self.limit).then(|| self.time_to_gain(missing));
        LimitState {
            what: Limited::Tokens,
            limit: self.limit,
            remaining: (self.level.max(0) / TOKEN) as u64,
            retry_after,
            reset: self.time_to_gain(full(self.limit) - self.level),
        }
    }

    fn time_to_gain(&self, amount: i128) -> Duration {
        let rate = i128::from(self.limit.max(1));
        let nanos = (amount + rate - 1) / rate;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The level of a bucket that holds so many tokens.
fn full(tokens: u64) -> i128 {
    i128::from(tokens) * TOKEN
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_not_used_is_given_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1000, now);
        bucket.take(1000, now).unwrap();
        assert!(bucket.take(1, now).is_err());
        bucket.settle(1000, 400, now);
        bucket.take(600, now).unwrap();
        assert!(bucket.take(1, now).is_err());
    }

    #[test]
    fn debt_is_carried_over_minutes_and_never_forgiven() {
        let now = Instant::now();
        let mut bucket = Bucket::new(600, now);
        bucket.take(600, now).unwrap();
        bucket.settle(600, 600 + 1800, now);
        let refused = bucket.take(60, now).unwrap_err();
        assert_eq!(refused.remaining, 0);
        assert_eq!(refused.retry_after, Some(186 * SECOND));
        assert_eq!(refused.reset, 240 * SECOND);
        assert!(bucket.take(60, now + 185 * SECOND).is_err());
        bucket.take(60, now + 186 * SECOND).unwrap();
    }

    #[test]
    fn a_request_larger_than_the_limit_is_never_to_be_retried() {
        let now = Instant::now();
        assert_eq!(Bucket::new(1000, now).take(1001, now).unwrap_err().retry_after, None);
        assert_eq!(Bucket::new(0, now).take(1, now).unwrap_err().retry_after, None);
    }

    #[test]
    fn a_new_limit_keeps_the_share_that_is_left_and_the_debt() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, now);
        bucket.take(50, now).unwrap();
        bucket.resize(1000, now);
        assert!(bucket.take(501, now).is_err());
        bucket.take(500, now).unwrap();
        bucket.settle(0, 60, now);
        bucket.resize(60, now);
        assert_eq!(bucket.take(1, now).unwrap_err().retry_after, Some(61 * SECOND));
    }

    proptest! {
        #[test]
        fn no_more_is_used_than_the_limit_refills(
            limit in 1_u64..100_000,
            steps in prop::collection::vec((0_u64..200_000, 0_u64..200_000, 0_u64..90_000), 1..60),
        ) {
            let start = Instant::now();
            let (mut now, mut bucket, mut used) = (start, Bucket::new(limit, start), 0_u128);
            for (reserve, really, wait_ms) in steps {
                if bucket.take(reserve, now).is_ok() {
                    let really = really.min(reserve);
                    bucket.settle(reserve, really, now);
                    used += u128::from(really);
                }
                let elapsed_ms = (now - start).as_millis();
                prop_assert!(used * 60_000 <= u128::from(limit) * (60_000 + elapsed_ms));
                now += Duration::from_millis(wait_ms);
            }
        }

        #[test]
        fn no_numbers_make_it_overflow(limit in any::<u64>(), a in any::<u64>(), b in any::<u64>(), s in any::<u32>()) {
            let now = Instant::now();
            let mut bucket = Bucket::new(limit, now);
            let _ = bucket.take(a, now);
            bucket.settle(a, b, now + SECOND * s);
            bucket.settle(0, u64::MAX, now);
            bucket.resize(b, now + SECOND * s);
            let _ = bucket.take(a, now + SECOND);
        }
    }
}
