//! Whose key it is: rows 4 and 5.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::refusal::Refusal;
use crate::control::Control;
use crate::control::store::Found;
use crate::types::{Digest, KeyRecord, Timestamp};

const MAX_KEY_BYTES: usize = 4096;

/// A key that is known and in force.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) record: Arc<KeyRecord>,
    pub(super) user: Option<String>,
    pub(super) revision: u64,
}

/// The caller by its key, which is sent as it is or after `Bearer `.
pub(super) async fn find(control: &Control, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let sent = headers.get(AUTHORIZATION).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    let key = without_scheme(sent);
    if key.is_empty() {
        return Err(Refusal::KeyMissing);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Refusal::KeyInvalid);
    }
    let found = control.keys.find(&Digest::of(key)).await.map_err(|error| super::failed(control, &error))?;
    let Found { record, user, revision } = found.ok_or(Refusal::KeyInvalid)?;
    let expired = record.expires.is_some_and(|at| at <= Timestamp::now());
    if !record.enabled || expired {
        return Err(Refusal::KeyInvalid);
    }
    Ok(Caller { record, user, revision })
}

fn without_scheme(sent: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer";
    match sent.split_at_checked(SCHEME.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(SCHEME) => match rest.first() {
            Some(next) if next.is_ascii_whitespace() => rest.trim_ascii(),
            None => &[],
            Some(_) => sent,
        },
        _ => sent,
    }
}

#[cfg(test)]
mod tests {
    use super::without_scheme;

    #[test]
    fn a_key_comes_with_or_without_its_scheme() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"sk-1", b"sk-1"),
            (b"Bearer sk-1", b"sk-1"),
            (b"bearer  sk-1", b"sk-1"),
            (b"Bearer", b""),
            (b"bearer-sk-1", b"bearer-sk-1"),
            (b"be", b"be"),
        ];
        for (sent, key) in cases {
            assert_eq!(without_scheme(sent), key);
        }
    }
}
