//! Receivers of events by HTTP: ones that fail in every way, guards of both kinds, and ones that are killed while
//! Tollgate is.

mod flaky;
#[cfg(feature = "control")]
mod guards;
mod killed;

use std::collections::HashSet;

use crate::support::Asked;

const ANSWER: &str = r#"{"model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}"#;

/// The ids of the events in a request, in whatever form.
fn ids(asked: &Asked) -> Vec<String> {
    if let Some(id) = asked.headers.get("ce-id") {
        return vec![id.clone()];
    }
    let id = |event: &serde_json::Value| event["id"].as_str().unwrap().to_owned();
    match asked.json() {
        serde_json::Value::Array(events) => events.iter().map(id).collect(),
        event => vec![id(&event)],
    }
}

fn known(events: &[serde_json::Value]) -> HashSet<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}
