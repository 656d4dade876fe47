//! Remembers for a while which record a key has, or that it has none.
//!
//! Entries are found by a keyed digest of the whole key (HMAC-SHA-256 under a pepper of this cache alone), so that
//! neither a dump nor the order of the table says anything of a key, and no two keys share an entry. An entry holds the
//! record and no decision: secret, expiry, organization and model are checked at each use.
//! Known and unknown keys are kept apart: a flood of random keys cannot push out a good one.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::time::Instant;

use super::Credential;
use super::bounded::Bounded;
use crate::types::KeyRecord;

/// As many known keys are held, and as many unknown ones.
pub(super) const CAPACITY: usize = 65_536;
/// How long a record is used before it is fetched anew. A keys file has its changes seen by `reload` at once.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// How long a key that has no record is refused without asking.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// What the cache says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Record(Arc<KeyRecord>),
    Unknown,
}

/// Stands for a key in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

pub(super) struct Cache {
    pepper: hmac::Key,
    records: Bounded<CacheKey, Arc<KeyRecord>>,
    unknown: Bounded<CacheKey, ()>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { pepper: random_pepper(), records: Bounded::new(CAPACITY), unknown: Bounded::new(CAPACITY) }
    }

    pub(super) fn key(&self, credential: &Credential<'_>) -> CacheKey {
        let tag = hmac::sign(&self.pepper, credential.expose().as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        CacheKey(digest)
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Known> {
        let now = Instant::now();
        if let Some(record) = self.records.get(key, now) {
            return Some(Known::Record(record));
        }
        self.unknown.get(key, now).map(|()| Known::Unknown)
    }

    /// Remembers what a source that was asked at `asked` said; returns how many entries had to make room.
    pub(super) fn put(&self, key: CacheKey, known: &Known, asked: Instant) -> u64 {
        match known {
            Known::Record(record) => self.records.put(key, Arc::clone(record), asked + KNOWN_FOR),
            Known::Unknown => self.unknown.put(key, (), asked + UNKNOWN_FOR),
        }
    }

    /// Lets go of the records that are old. Unknown keys end by themselves, soon.
    pub(super) fn forget(&self, is_old: impl Fn(&KeyRecord) -> bool) {
        self.records.remove_where(|record| is_old(record));
    }

    /// How many known and how many unknown keys are held.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.records.len(), self.unknown.len())
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
    use super::{Cache, CacheKey};
    use crate::guard::Credential;
    use crate::header::X_API_KEY;
    use http::{HeaderMap, HeaderValue, Uri};
    use proptest::prelude::*;

    fn key_of(cache: &Cache, key: &str) -> CacheKey {
        let headers = HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_str(key).unwrap())]);
        let uri = Uri::from_static("/");
        cache.key(&Credential::find(&headers, &uri).unwrap())
    }

    proptest! {
        #[test]
        fn keys_that_share_a_prefix_or_suffix_never_share_an_entry(
            shared in "[!-~]{1,600}", one in "[!-~]{0,8}", other in "[!-~]{0,8}",
        ) {
            prop_assume!(one != other);
            let cache = Cache::new();
            let pairs = [
                (format!("{shared}{one}"), format!("{shared}{other}")),
                (format!("{one}{shared}"), format!("{other}{shared}")),
            ];
            for (a, b) in pairs {
                prop_assert!(a == b || key_of(&cache, &a) != key_of(&cache, &b));
            }
            prop_assert!(key_of(&cache, &shared) == key_of(&cache, &shared));
            prop_assert!(key_of(&cache, &shared) != key_of(&Cache::new(), &shared), "the pepper is each cache's own");
        }
    }
}
