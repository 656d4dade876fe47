//! How often a key, an organization or an address may do something in a minute.
//!
//! A bucket holds a minute's worth and fills steadily, so the first call of a new minute passes and concurrent calls
//! lose no count. Kept in this process: several control planes admit as many times more. Bounded: when there is no room,
//! buckets that are full again go, for a new one would say the same; failing that, newcomers share one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::types::{KeyId, OrgId};

const CAPACITY: usize = 65_536;
const MINUTE: f64 = 60.0;

/// Every rate that the authority keeps.
#[derive(Default)]
pub(super) struct Rates {
    pub(super) keys: Buckets<KeyId>,
    pub(super) organizations: Buckets<OrgId>,
    pub(super) wrong_secrets: Buckets<IpAddr>,
}

/// The buckets of one kind.
pub(super) struct Buckets<K>(Mutex<HashMap<Option<K>, Bucket>>);

#[derive(Clone, Copy)]
struct Bucket {
    per_minute: f64,
    left: f64,
    at: Instant,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes one; else how long to wait for it.
    pub(super) fn take(&self, key: K, per_minute: u32) -> Result<(), Duration> {
        self.with(key, per_minute, |bucket| {
            bucket.check()?;
            bucket.left -= 1.0;
            Ok(())
        })
    }

    /// Whether one could be taken; else how long to wait for it.
    pub(super) fn look(&self, key: K, per_minute: u32) -> Result<(), Duration> {
        self.with(key, per_minute, |bucket| bucket.check())
    }

    fn with<T>(&self, key: K, per_minute: u32, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key);
        if buckets.len() >= CAPACITY && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.filled(now).is_full());
            if buckets.len() >= CAPACITY {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::full(per_minute, now));
        *bucket = bucket.filled(now).resized(f64::from(per_minute));
        act(bucket)
    }
}

impl Bucket {
    fn full(per_minute: u32, at: Instant) -> Self {
        Self { per_minute: per_minute.into(), left: per_minute.into(), at }
    }

    fn filled(self, now: Instant) -> Self {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        Self { left: (self.left + since * self.per_minute / MINUTE).min(self.per_minute), at: now, ..self }
    }

    /// Under another limit what was used stays used.
    fn resized(self, per_minute: f64) -> Self {
        Self { left: (self.left + per_minute - self.per_minute).min(per_minute), per_minute, ..self }
    }

    fn is_full(&self) -> bool {
        self.left >= self.per_minute
    }

    fn check(&self) -> Result<(), Duration> {
        // A hair's breadth is forgiven: sums of fractions are not exact.
        if self.left > 1.0 - 1e-9 {
            return Ok(());
        }
        // A limit of nothing is asked about again in a minute.
        let seconds = (1.0 - self.left) * MINUTE / self.per_minute;
        Err(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_mins(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Buckets, CAPACITY};

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_is_admitted_exactly_and_the_next_minute_begins_at_once() {
        let buckets = Buckets::default();
        let admitted = (0..80).filter(|_| buckets.take("key", 50).is_ok()).count();
        assert_eq!(admitted, 50);
        let wait = buckets.take("key", 50).unwrap_err();
        assert_eq!(wait.as_millis(), 1200);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!((0..80).filter(|_| buckets.take("key", 50).is_ok()).count(), 50, "the first call passes too");
        assert!(buckets.take("other", 50).is_ok());
        assert!(buckets.take("none", 0).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_stays_bounded() {
        let buckets = Buckets::default();
        for name in 0..CAPACITY + 1000 {
            let _ = buckets.take(name, 2);
        }
        assert!(buckets.0.lock().unwrap().len() <= CAPACITY + 1);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(buckets.take(usize::MAX, 2).is_ok());
        assert!(buckets.0.lock().unwrap().len() < 10, "those that nobody uses are let go");
    }
}
