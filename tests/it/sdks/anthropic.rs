//! Anthropic's client, against recordings and against llama.cpp, which speaks its format.

use serde_json::json;

use super::{assert_counted, named_events, played, recording, streams};
use crate::peers::{LlamaPeer, off_runtime};
use crate::support::{Asked, Mock, Reply, World};

const SCRIPT: &str = "anthropic_python.py";

fn answer(asked: &Asked) -> Reply {
    match asked.path() {
        "/v1/messages/count_tokens" => Reply::json(200, r#"{"input_tokens":2095}"#),
        "/v1/messages" if streams(asked, false) => named_events("anthropic-tools.chunks.txt"),
        "/v1/messages" => Reply::json(200, &recording("anthropic-tools.json")),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn anthropics_client_sees_recorded_answers_as_they_were_and_each_is_counted() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).start().await;
    let calls = played(&world, SCRIPT, &["tools", "stream_tools", "count"]).await;

    let [whole, stream, count] = calls.as_slice() else { panic!("three calls") };
    assert_eq!(whole.0["text"], "Let me look that up.");
    assert_eq!(stream.0["text"], "Let me \"look\" that up.");
    assert_eq!(stream.0["thinking"], "They ask for Köln.");
    for (seen, event) in [whole, stream] {
        assert_eq!(seen["tools"], json!([["weather", {"city": "Köln"}]]));
        assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("tool_use"), &json!(["tool_use"])));
        assert_eq!((&seen["model"], &event["model_served"]), (&json!("claude-demo-1"), &json!("claude-demo-1")));
    }
    assert_counted(&whole.1, "anthropic.messages", (Some(167), Some(33)));
    assert_counted(&stream.1, "anthropic.messages", (Some(181), Some(89)));
    let usage = &stream.1["usage"];
    assert_eq!((&usage["cache_write_tokens"], &usage["cache_write_1h_tokens"]), (&json!(60), &json!(40)));
    assert!(stream.1["timing"]["first_token_ms"].as_f64().unwrap() > 0.0);

    assert_eq!(count.0["input_tokens"], 2095);
    assert_eq!(
        (&count.1["dialect"], &count.1["operation"]),
        (&json!("anthropic.count_tokens"), &json!("count_tokens"))
    );
    assert_eq!((&count.1["usage"]["source"], &count.1["cost"]), (&json!("none"), &json!(null)), "nothing was spent");
    for asked in upstream.asked() {
        assert!(asked.headers.contains_key("anthropic-version"), "{asked:?}");
        assert!(!format!("{asked:?}").contains("sk-good"), "{asked:?}");
    }
}

#[tokio::test]
async fn anthropics_client_sees_llama_and_each_call_is_counted_as_llama_counts() {
    let llama = off_runtime(|| LlamaPeer::shared().url.clone()).await;
    let mut calls = Vec::new();
    // The server itself leaves the start of a stream out now and then, whoever asks: such a stream says nothing here.
    for _ in 0..20 {
        let world = World::before_url(&llama).start().await;
        calls = played(&world, SCRIPT, &["whole", "stream"]).await;
        if calls[1].0["begun"] != false {
            break;
        }
    }
    for (seen, event) in calls {
        let (input, output) = (&seen["usage"]["input_tokens"], &seen["usage"]["output_tokens"]);
        let cached = seen["usage"]["cache_read_input_tokens"].as_u64().unwrap_or(0);
        let input = input.as_u64().map(|input| input + cached);
        assert_counted(&event, "anthropic.messages", (input, output.as_u64()));
        assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("max_tokens"), &json!(["max_tokens"])));
    }
}
