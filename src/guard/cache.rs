//! Remembers for a while what a source said of a key.
//!
//! Entries are found by a keyed digest of the whole question (HMAC-SHA-256 under a pepper of this cache alone), so that
//! neither a dump nor the order of the table says anything of a key, and no two questions share an entry. An entry holds
//! the record and no decision that can be made here: secret, expiry, organization and model are checked at each use.
//! Granted and refused are kept apart: a flood of random keys cannot push out a good one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_lc_rs::hmac;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::time::Instant;

use super::bounded::Bounded;
use super::source::{Granted, Question};
use crate::reject::Reject;
use crate::types::KeyRecord;

/// As many granted questions are held, and as many refused ones.
pub(super) const CAPACITY: usize = 65_536;

/// What a question's answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The key: what else there is to decide is decided here.
    Key,
    /// Key, secret, organization and model: the authority decides.
    Everything,
}

/// How long answers hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) by: By,
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Duration,
    pub(super) grace: Duration,
}

/// Stands for a question in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

/// An answer, and how long it holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) granted: Arc<Granted>,
    /// From then on it is asked for anew beside the calls that use it.
    pub(super) renew_at: Instant,
    /// From then on it is used only while the source does not answer.
    pub(super) fresh_until: Instant,
    /// Someone is asking for it anew.
    pub(super) renewing: AtomicBool,
}

pub(super) struct Cache {
    pepper: hmac::Key,
    terms: Terms,
    granted: Bounded<CacheKey, Arc<Held>>,
    refused: Bounded<CacheKey, Reject>,
}

impl Cache {
    pub(super) fn new(terms: Terms) -> Self {
        let (granted, refused) = (Bounded::new(CAPACITY), Bounded::new(CAPACITY));
        Self { pepper: random_pepper(), terms, granted, refused }
    }

    pub(super) fn key(&self, asked: &Question<'_>) -> CacheKey {
        let mut tag = hmac::Context::with_key(&self.pepper);
        tag.update(asked.credential.expose().as_bytes());
        if self.terms.by == By::Everything {
            // No part but the last can hold the byte between them.
            for part in [&asked.secret, &asked.organization] {
                tag.update(&[0]);
                tag.update(part.as_ref().map(http::HeaderValue::as_bytes).unwrap_or_default());
            }
            // A model without a name is still a model.
            tag.update(if asked.model.is_some() { &[0, 1] } else { &[0] });
            tag.update(asked.model.as_deref().unwrap_or_default().as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.sign().as_ref());
        CacheKey(digest)
    }

    /// What was granted, until its grace ends.
    pub(super) fn granted(&self, key: &CacheKey, now: Instant) -> Option<Arc<Held>> {
        self.granted.get(key, now)
    }

    pub(super) fn refused(&self, key: &CacheKey, now: Instant) -> Option<Reject> {
        self.refused.get(key, now)
    }

    /// Remembers what a source that was asked at `asked` granted; returns how many entries had to make room.
    pub(super) fn grant(&self, key: CacheKey, granted: &Arc<Granted>, asked: Instant) -> u64 {
        let Terms { by, ttl, grace, .. } = self.terms;
        let ttl = granted.ttl.map_or(ttl, |said| said.min(ttl));
        let fresh_until = asked + ttl;
        // Spread, so that sidecars started together do not ask together. What is here needs no spreading.
        let renew_at = if by == By::Key { fresh_until } else { asked + ttl.mul_f64(0.7 + 0.2 * fastrand::f64()) };
        let held = Held { granted: Arc::clone(granted), renew_at, fresh_until, renewing: AtomicBool::new(false) };
        self.granted.put(key, Arc::new(held), fresh_until + grace)
    }

    /// Remembers a refusal, and forgets what was granted before.
    pub(super) fn refuse(&self, key: CacheKey, reject: &Reject, asked: Instant) -> u64 {
        let ttl = match reject {
            // It is over soon, and says nothing of the key.
            Reject::Limited(_) => return 0,
            Reject::BudgetSpent => self.terms.negative_ttl.min(Duration::from_secs(1)),
            _ => self.terms.negative_ttl,
        };
        self.granted.remove(&key);
        let spread = if self.terms.by == By::Key { 1.0 } else { 0.8 + 0.4 * fastrand::f64() };
        self.refused.put(key, reject.clone(), asked + ttl.mul_f64(spread))
    }

    /// Lets go of the records that are old. Refusals end by themselves, soon.
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.granted.remove_where(|held| is_old(&held.granted.record));
    }

    /// How many granted and how many refused questions are held.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.granted.len(), self.refused.len())
    }
}

#[expect(clippy::expect_used, reason = "a process without randomness cannot keep secrets, so it must not serve")]
fn random_pepper() -> hmac::Key {
    // From the kernel itself: the library's generator collects entropy of its own first, for 30 ms of every start.
    let mut pepper = [0; 32];
    let count = getrandom(&mut pepper, GetRandomFlags::empty()).expect("the system gives random bytes");
    assert_eq!(count, pepper.len(), "the system gives as many random bytes as were asked for");
    hmac::Key::new(hmac::HMAC_SHA256, &pepper)
}

#[cfg(test)]
mod tests {
    use super::{By, Cache, CacheKey, Terms};
    use crate::guard::source::Question;
    use crate::header::{SECRET_KEY, SWARMS_ORGANIZATION, X_API_KEY};
    use http::{HeaderMap, HeaderValue, Uri};
    use proptest::prelude::*;
    use std::time::Duration;

    fn cache(by: By) -> Cache {
        let second = Duration::from_secs(1);
        Cache::new(Terms { by, ttl: second, negative_ttl: second, grace: second })
    }

    fn key_of(cache: &Cache, key: &str) -> CacheKey {
        of(cache, [key, "", ""], None)
    }

    fn of(cache: &Cache, [key, secret, organization]: [&str; 3], model: Option<&str>) -> CacheKey {
        let pairs = [(X_API_KEY, key), (SECRET_KEY, secret), (SWARMS_ORGANIZATION, organization)];
        let headers: HeaderMap =
            pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())).collect();
        let uri = Uri::from_static("/");
        let asked = Question::of(&headers, &uri, &[SWARMS_ORGANIZATION]).unwrap();
        cache.key(&model.map_or(asked.clone(), |model| asked.about(model)))
    }

    #[test]
    fn whatever_an_authority_decides_by_makes_another_entry() {
        let cache = cache(By::Everything);
        let cases = [
            (["sk-1", "", ""], None),
            (["sk-1", "", ""], Some("")),
            (["sk-1", "", ""], Some("gpt-4o")),
            (["sk-1", "", ""], Some("o1")),
            (["sk-1", "s", ""], Some("gpt-4o")),
            (["sk-1", "", "s"], Some("gpt-4o")),
            (["sk-2", "", ""], Some("gpt-4o")),
        ];
        for (at, (one, model)) in cases.into_iter().enumerate() {
            for (other_at, (other, other_model)) in cases.into_iter().enumerate() {
                assert_eq!(at == other_at, of(&cache, one, model) == of(&cache, other, other_model));
            }
        }
    }

    proptest! {
        #[test]
        fn keys_that_share_a_prefix_or_suffix_never_share_an_entry(
            shared in "[!-~]{1,600}", one in "[!-~]{0,8}", other in "[!-~]{0,8}",
        ) {
            prop_assume!(one != other);
            let cache = cache(By::Key);
            let pairs = [
                (format!("{shared}{one}"), format!("{shared}{other}")),
                (format!("{one}{shared}"), format!("{other}{shared}")),
            ];
            for (a, b) in pairs {
                prop_assert!(a == b || key_of(&cache, &a) != key_of(&cache, &b));
            }
            prop_assert!(key_of(&cache, &shared) == key_of(&cache, &shared));
            let other = super::tests::cache(By::Key);
            prop_assert!(key_of(&cache, &shared) != key_of(&other, &shared), "the pepper is each cache's own");
        }
    }
}
