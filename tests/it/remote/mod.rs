//! Sidecars that ask an authority elsewhere: revocation, outage, floods, original servers, budgets over many.

mod budgets;
#[cfg(feature = "kafka")]
mod flood;
pub(crate) mod original;
mod outage;

use std::net::SocketAddr;

use tollgate::control::store::{By, NewKey};
use tollgate::types::{Digest, KeyId};

use crate::control::SECRET;
use crate::support::world::Builder;
use crate::support::{Mock, World, until};

pub(crate) const ASK: &str = r#"{"model":"demo","max_tokens":10}"#;

pub(crate) fn by() -> By {
    By::new("test")
}

/// A key to be: `sk-` and its id.
pub(crate) fn key(id: &str) -> NewKey {
    let mut new = NewKey::new(KeyId::new(id));
    new.record.key = Digest::of(format!("sk-{id}").as_bytes());
    new
}

/// A sidecar that asks the authority at this address, with more settings of how.
pub(crate) fn sidecar(upstream: &Mock, authority: SocketAddr, terms: &str) -> Builder {
    let remote = format!("url: \"http://{authority}\", secret: {{ value: {SECRET} }}{terms}");
    World::before(upstream).with(&format!("guard: {{ mode: remote, remote: {{ {remote} }} }}\n"))
}

/// Waits until the sidecar follows what is revoked.
pub(crate) async fn follows(world: &World) {
    until("the stream is followed", async || world.metric("tollgate_guard_revocation_stream").await == 1).await;
}

pub(crate) async fn status(world: &World, key: &str) -> u16 {
    world.chat(Some(key), ASK).await.status.as_u16()
}
