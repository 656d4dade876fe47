//! The official clients of each provider, unchanged, through Tollgate: what they see is what the upstream said, and each
//! of their calls leaves one event with the usage that it reported.
//!
//! The upstream plays recordings of `tests/fixtures/corpus`, or is a real llama.cpp server where that speaks the format.

mod anthropic;
mod bedrock;
mod cohere;
mod google;
mod ollama;

use std::path::Path;

use serde_json::Value;

use crate::peers::{off_runtime, play_native};
use crate::support::{Asked, Reply, World};

/// A recording.
fn recording(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corpus");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A recorded stream as server-sent events with names.
fn named_events(name: &str) -> Reply {
    let kind = |line: &str| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned();
    Reply::sse(recording(name).lines().map(|line| format!("event: {}\ndata: {line}\n\n", kind(line))))
}

/// Lines as one JSON text each, under the content type that the provider gives them.
fn json_lines(kind: &str, text: &str) -> Reply {
    Reply::head(200, kind).chunks(text.lines().map(|line| format!("{line}\n"))).end()
}

/// Whether a request asks for a stream; `absent` is what holds where it does not say.
fn streams(asked: &Asked, absent: bool) -> bool {
    asked.json()["stream"].as_bool().unwrap_or(absent)
}

/// Plays scenarios through this world; yields what the application saw and the event that each call left.
async fn played(world: &World, script: &'static str, scenarios: &'static [&'static str]) -> Vec<(Value, Value)> {
    let base_url = format!("http://{}", world.address);
    let seen = off_runtime(move || play_native(script, &base_url, scenarios)).await;
    for call in &seen {
        assert_eq!(call["ok"], true, "{call}");
    }
    let events = world.events(scenarios.len()).await;
    assert_eq!(events.len(), scenarios.len(), "one event per call");
    seen.into_iter().zip(events.into_iter().map(|event| event["data"].clone())).collect()
}

/// The call ended well and its event has these counts, from the provider.
#[track_caller]
fn assert_counted(event: &Value, name: &str, (input, output): (Option<u64>, Option<u64>)) {
    assert_eq!((&event["dialect"], &event["outcome"]), (&name.into(), &"ok".into()), "{event}");
    let usage = &event["usage"];
    assert_eq!((&usage["source"], &usage["complete"]), (&"provider".into(), &true.into()), "{event}");
    assert_eq!((usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()), (input, output), "{event}");
}
