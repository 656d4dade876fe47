//! Limits that hold across sidecars which share a real Redis, and what is left of them when it is away.

mod away;
mod check;
mod together;

use std::net::SocketAddr;

use crate::peers::{RedisPeer, redis};
use crate::support::{Client, Mock, World, until};

pub(crate) const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

/// A chat that reserves some 700 tokens.
pub(crate) const WIDE: &str =
    r#"{"model":"demo","max_tokens":700,"messages":[{"role":"user","content":"hello there"}]}"#;

pub(crate) fn keys(limits: &str) -> String {
    format!("- id: k\n  key: sk-good\n  organizations: [org]\n  limits: {{ {limits} }}\n")
}

/// The `limits:` of a sidecar that shares them, with more settings of how.
pub(crate) fn shared(store: &RedisPeer, more: &str) -> String {
    let password = redis::PASSWORD;
    format!("limits: {{ shared: {{ url: \"{}\", password: {{ value: {password} }}{more} }} }}", store.url())
}

/// A sidecar that has joined the store.
pub(crate) async fn sidecar(upstream: &Mock, store: &RedisPeer, limits: &str) -> World {
    sidecar_with(upstream, limits, &shared(store, ", timeout: 2s")).await
}

pub(crate) async fn sidecar_with(upstream: &Mock, limits: &str, shared: &str) -> World {
    let world = World::before(upstream).keys(&keys(limits)).with(shared).start().await;
    up(&world, 1).await;
    world
}

pub(crate) async fn up(world: &World, value: u64) {
    let fact = async || world.metric("tollgate_limit_store_up").await == value;
    until(&format!("the store is {value}"), fact).await;
}

pub(crate) async fn status(world: &World, body: &str) -> u16 {
    world.chat(Some("sk-good"), body).await.status.as_u16()
}

/// How many of this many calls, made at once over some connections to each of these, were answered 200.
pub(crate) async fn admitted(sidecars: &[SocketAddr], calls: usize) -> usize {
    const LANES: usize = 8;
    let lanes = (0..LANES * sidecars.len()).map(|lane| {
        let address = sidecars[lane % sidecars.len()];
        let share = calls / (LANES * sidecars.len()) + usize::from(lane < calls % (LANES * sidecars.len()));
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut passed = 0;
            for _ in 0..share {
                let got = client.post("/v1/chat/completions", Some("sk-good"), crate::support::chat(false)).await;
                assert!(matches!(got.status.as_u16(), 200 | 429), "{}", got.status);
                passed += usize::from(got.status == 200);
                got.bytes().await;
            }
            passed
        })
    });
    let mut passed = 0;
    for lane in lanes.collect::<Vec<_>>() {
        passed += lane.await.unwrap();
    }
    passed
}
