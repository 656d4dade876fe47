//! Whether a key's record lets this request in: enabled, not expired, the right secret, an organization of its own.
//!
//! Checked at each use, so a record in the cache grants nothing that has ended since. Model and limits come later, when
//! the body is known.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::header::SECRET_KEY;
use crate::reject::{Denial, Reject};
use crate::types::{Digest, KeyRecord, OrgId, Timestamp};

/// No secret and no organization is longer.
const MAX_SECRET_BYTES: usize = 4096;
const MAX_ORGANIZATION_BYTES: usize = 256;

/// Whether the record is in force and the `SecretKey` header is right where the record asks for one.
pub(super) fn in_force(record: &KeyRecord, headers: &HeaderMap) -> Result<(), Denial> {
    if !record.enabled {
        return Err(Denial::Disabled);
    }
    if record.expires.is_some_and(|at| at <= Timestamp::now()) {
        return Err(Denial::Expired);
    }
    match &record.secret {
        Some(secret) if !carries(headers, secret) => Err(Denial::Secret),
        _ => Ok(()),
    }
}

/// Whether there is a `SecretKey` and every line of it is the secret.
fn carries(headers: &HeaderMap, secret: &Digest) -> bool {
    let is_secret = |value: &HeaderValue| {
        let digest = Digest::of(value.as_bytes());
        value.len() <= MAX_SECRET_BYTES && verify_slices_are_equal(digest.as_bytes(), secret.as_bytes()).is_ok()
    };
    headers.contains_key(SECRET_KEY) && headers.get_all(SECRET_KEY).iter().all(is_secret)
}

/// The organization that pays: the one that the headers name if the record has it, the record's first if they name none.
///
/// A record without organizations has none: naming one is refused.
pub(super) fn organization(record: &KeyRecord, named: Option<&HeaderValue>) -> Result<Option<OrgId>, Reject> {
    let Some(claim) = named.map(|claim| claim.as_bytes().trim_ascii()) else {
        return Ok(record.organizations.first().cloned());
    };
    record.organization(claim).cloned().map(Some).ok_or(Reject::OrganizationForbidden)
}

/// The organization as the client says it, for mode `open`.
pub(super) fn claimed_organization(headers: &HeaderMap, names: &[HeaderName]) -> Result<Option<OrgId>, Reject> {
    const MALFORMED: Reject = Reject::BadRequest("The organization header must be visible ASCII of at most 256 bytes.");
    let Some(claim) = named_organization(headers, names).map(|claim| claim.as_bytes().trim_ascii()) else {
        return Ok(None);
    };
    let proper = claim.len() <= MAX_ORGANIZATION_BYTES && claim.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(claim) {
        Ok(text) if proper => Ok(Some(OrgId::new(text))),
        _ => Err(MALFORMED),
    }
}

/// The value of the first of these headers that is there and not empty.
pub(super) fn named_organization<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Option<&'a HeaderValue> {
    let mut values = names.iter().filter_map(|name| headers.get(name));
    values.find(|value| !value.as_bytes().trim_ascii().is_empty())
}
