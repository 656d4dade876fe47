//! What the official clients see through Tollgate, and that each of their calls leaves one event with the usage that
//! llama.cpp reported.

use serde_json::Value;

use super::running::Site;
use super::topic::Topic;
use super::{assert_dense, assert_valid, distinct};
use crate::peers::{LlamaPeer, Sdk, off_runtime};

const CALLS: [&str; 5] = ["whole", "stream", "stream_with_usage", "completion", "embeddings"];

/// Plays every scenario through a Tollgate of its own; yields what the client saw and the event that each call left.
async fn play(sdk: fn(&str, &str) -> Sdk, topic: Topic, format: &str) -> Vec<(Value, Value)> {
    let llama = off_runtime(|| LlamaPeer::shared().url.clone()).await;
    let site = Site::new(&format!("- name: llama\n  url: {llama}"), &topic.alone(format));
    let running = site.start().await;
    let base_url = running.base_url();
    let seen = off_runtime(move || {
        let sdk = sdk(&base_url, "any");
        CALLS.map(|scenario| sdk.ask(scenario))
    })
    .await;
    running.stop().await;

    let events = topic.events().await;
    assert_eq!(events.len(), CALLS.len(), "one event per call, delivered once: {events:#?}");
    let events = distinct(events);
    assert_dense(&events);
    let checked = events.clone();
    off_runtime(move || assert_valid(&checked)).await;
    seen.into_iter().zip(events).collect()
}

#[track_caller]
fn assert_told_alike((seen, event): &(Value, Value), operation: &str) {
    assert_eq!((&seen["ok"], &seen["tries"]), (&true.into(), &1.into()), "{seen}");
    let data = &event["data"];
    assert_eq!((&data["outcome"], &data["operation"]), (&"ok".into(), &operation.into()), "{data}");
    assert_eq!((&data["model_requested"], &data["model_served"]), (&"demo".into(), &seen["model"]), "{data}");
    let usage = &data["usage"];
    assert_eq!((&usage["source"], &usage["complete"]), (&"provider".into(), &true.into()), "{data}");
    if let Some(reported) = seen["usage"].as_object() {
        assert_eq!(usage["input_tokens"], reported["prompt_tokens"], "{data}");
        assert_eq!(usage["total_tokens"], reported["total_tokens"], "{data}");
        if let Some(output) = reported.get("completion_tokens") {
            assert_eq!(&usage["output_tokens"], output, "{data}");
        }
    }
}

fn assert_all(calls: &[(Value, Value)]) {
    let [whole, stream, with_usage, completion, embeddings] = calls else { panic!("five calls") };
    assert_told_alike(whole, "chat");
    assert_told_alike(stream, "chat");
    assert_told_alike(with_usage, "chat");
    assert_told_alike(completion, "completion");
    assert_told_alike(embeddings, "embeddings");

    // The client that did not ask for usage sees none of what was asked on its behalf, and is metered all the same.
    let (seen, event) = stream;
    assert_eq!((&seen["usage_chunks"], &seen["empty_choices"]), (&0.into(), &0.into()), "{seen}");
    assert!(event["data"]["flags"].as_array().unwrap().contains(&"usage_injected".into()), "{event}");
    let (asked_for, told) = with_usage;
    assert_eq!((&asked_for["usage_chunks"], &asked_for["empty_choices"]), (&1.into(), &1.into()), "{asked_for}");
    for tokens in ["input_tokens", "output_tokens", "total_tokens"] {
        assert_eq!(event["data"]["usage"][tokens], told["data"]["usage"][tokens], "the same prompt and max_tokens");
    }
    assert_eq!(event["data"]["finish_reasons"], serde_json::json!(["length"]));
    assert!(event["data"]["timing"]["first_token_ms"].as_f64().unwrap() > 0.0, "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_sees_llama_and_every_call_is_an_event_in_kafka_with_llamas_usage() {
    let topic = Topic::create("clients-python").await;
    assert_all(&play(Sdk::python, topic, "structured").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_client_sees_llama_and_every_call_is_a_binary_event_in_kafka_with_llamas_usage() {
    let topic = Topic::create("clients-node").await;
    assert_all(&play(Sdk::node, topic, "binary").await);
}
