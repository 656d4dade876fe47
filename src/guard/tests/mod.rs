//! The guard as a whole, from headers to permit. What one part promises alone is tested beside it.

mod identify;
mod limits;
mod scripted;

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{Caller, Guard, Permit, Refused, Wants};
use crate::config::{self, GuardMode, LimitSet};
use crate::types::{Digest, KeyId, KeyRecord, Limits, OrgId};

/// A record whose key is `sk-` and its id, with these organizations.
fn record(id: &str, organizations: &[&str]) -> KeyRecord {
    let mut record = KeyRecord::new(KeyId::new(id), Digest::of(format!("sk-{id}").as_bytes()));
    record.organizations = organizations.iter().map(|id| OrgId::new(*id)).collect();
    record
}

fn config(mode: GuardMode) -> config::Guard {
    let names = ["swarms-organization", "openai-organization"];
    config::Guard { mode, organization_headers: names.map(HeaderName::from_static).to_vec() }
}

fn keys(records: Vec<KeyRecord>) -> config::Guard {
    config(GuardMode::Keys { file: Some(PathBuf::from("keys.yaml")), records: Arc::new(records) })
}

fn per_key(limits: Limits) -> LimitSet {
    LimitSet { key: limits, ..LimitSet::default() }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a header value"))
    });
    pairs.collect()
}

async fn call(guard: &Guard, pairs: &[(&'static str, &str)]) -> Result<Caller, Refused> {
    guard.identify(&headers(pairs), &Uri::from_static("/v1/chat/completions")).await
}

async fn call_as(guard: &Guard, id: &str) -> Result<Caller, Refused> {
    call(guard, &[("authorization", &format!("Bearer sk-{id}"))]).await
}

fn wants(input_tokens: u64, max_output_tokens: u64) -> Wants<'static> {
    Wants { model: Some("gpt-4o"), input_tokens, max_output_tokens: Some(max_output_tokens) }
}

async fn admit(guard: &Guard, id: &str, wants: Wants<'_>) -> Result<Permit, Refused> {
    guard.admit(call_as(guard, id).await?, &wants).await
}
