//! Who asks: a deployment that knows its `SecretKey`, or a client whose key has a `SecretKey` of its own.
//!
//! Wrong secrets are counted by the address they come from; after too many in a minute the address is refused unheard,
//! whatever it sends. Unknown API keys are not counted so: a sidecar passes on what strangers send it, and its good keys
//! must not suffer for that; they are too long to be guessed.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;

use super::caller::{self, Caller};
use super::refusal::Refusal;
use crate::control::Control;
use crate::header::SECRET_KEY;
use crate::types::Digest;

/// Wrong secrets from one address in a minute.
const WRONG_SECRETS: u32 = 30;
const MAX_SECRET_BYTES: usize = 4096;

/// Who asks.
#[derive(Debug)]
pub(super) enum Asker {
    /// A deployment: it may ask about any key, and answers for its callers.
    Deployment,
    /// The one that has this key, and the secret that goes with it.
    Owner(Caller),
}

/// Rows 1 and 2: the secret.
pub(super) async fn identify(control: &Control, headers: &HeaderMap, from: IpAddr) -> Result<Asker, Refusal> {
    let secret = headers.get(SECRET_KEY).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    if secret.is_empty() {
        return Err(Refusal::SecretMissing);
    }
    let wrong = &control.rates.wrong_secrets;
    if let Err(wait) = wrong.look(from, WRONG_SECRETS) {
        control.counters.throttled.add();
        return Err(Refusal::Throttled(wait));
    }
    if let Some(asker) = known(control, headers, secret).await? {
        return Ok(asker);
    }
    control.counters.wrong_secrets.add();
    // Looked at the next time.
    let _ = wrong.take(from, WRONG_SECRETS);
    Err(Refusal::SecretWrong)
}

async fn known(control: &Control, headers: &HeaderMap, secret: &[u8]) -> Result<Option<Asker>, Refusal> {
    if secret.len() > MAX_SECRET_BYTES {
        return Ok(None);
    }
    let digest = Digest::of(secret);
    if control.guard_secret.as_ref().is_some_and(|configured| same(configured, &digest)) {
        return Ok(Some(Asker::Deployment));
    }
    if control.store().is_deployment(&digest).await.map_err(|error| super::failed(control, &error))? {
        return Ok(Some(Asker::Deployment));
    }
    let caller = match caller::find(control, headers).await {
        Ok(caller) => caller,
        Err(Refusal::Failed) => return Err(Refusal::Failed),
        Err(_) => return Ok(None),
    };
    let is_its_own = caller.record.secret.as_ref().is_some_and(|own| same(own, &digest));
    Ok(is_its_own.then_some(Asker::Owner(caller)))
}

/// Compares in a time that says nothing of where they differ.
fn same(one: &Digest, other: &Digest) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
