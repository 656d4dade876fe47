//! Cohere's client, both versions of its API, against recordings.

use serde_json::json;

use super::{assert_counted, json_lines, named_events, played, recording, streams};
use crate::support::{Asked, Mock, Reply, World};

const V1: &str = r#"{"text":"Hi","generation_id":"g","finish_reason":"COMPLETE","chat_history":[],"meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":3.0,"output_tokens":2.0},"tokens":{"input_tokens":69.0,"output_tokens":2.0}}}"#;

fn answer(asked: &Asked) -> Reply {
    match (asked.path(), streams(asked, false)) {
        ("/v2/chat", true) => named_events("cohere-tools.chunks.txt"),
        ("/v2/chat", false) => Reply::json(200, &recording("cohere-tools.json")),
        ("/v1/chat", true) => json_lines("application/stream+json", &stream_of_v1()),
        ("/v1/chat", false) => Reply::json(200, V1),
        ("/v2/embed", _) => Reply::json(
            200,
            r#"{"id":"e","embeddings":{"float":[[0.5,0.25]]},"texts":["Hello"],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":2}}}"#,
        ),
        ("/v2/rerank", _) => Reply::json(
            200,
            r#"{"id":"r","results":[{"index":0,"relevance_score":0.9},{"index":1,"relevance_score":0.1}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}"#,
        ),
        other => panic!("{other:?}"),
    }
}

fn stream_of_v1() -> String {
    let begin = r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#;
    let piece = |text| format!(r#"{{"is_finished":false,"event_type":"text-generation","text":"{text}"}}"#);
    let end = format!(r#"{{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{V1}}}"#);
    [begin, &piece("H"), &piece("i"), &end].join("\n")
}

#[tokio::test]
async fn coheres_client_sees_recorded_answers_as_they_were_and_each_is_counted() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).with("prices: prices.yaml");
    std::fs::write(world.dir().join("prices.yaml"), PRICES).unwrap();
    let world = world.start().await;
    let scenarios = &["tools", "stream_tools", "whole_v1", "stream_v1", "embed", "rerank"];
    let calls = played(&world, "cohere_python.py", scenarios).await;

    let [tools, stream_tools, whole_v1, stream_v1, embed, rerank] = calls.as_slice() else { panic!("six calls") };
    assert_eq!(tools.0["tools"], json!([["weather", "{\"city\": \"Köln\"}"]]));
    assert_eq!(stream_tools.0["arguments"], "{\"city\": \"Köln\"}");
    for (seen, event) in [tools, stream_tools] {
        assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("TOOL_CALL"), &json!(["TOOL_CALL"])));
        assert_counted(event, "cohere.chat", (Some(1428), Some(46)));
        assert_eq!(event["cost"]["total_nano"], 31 * 1_000 + 12 * 2_000, "billed units are what is paid");
    }
    for (seen, event) in [whole_v1, stream_v1] {
        assert_eq!(seen["text"], "Hi");
        assert_counted(event, "cohere.chat", (Some(69), Some(2)));
    }
    assert_eq!(stream_v1.1["stream"], true);
    assert_counted(&embed.1, "cohere.embed", (Some(2), None));
    assert_counted(&rerank.1, "cohere.rerank", (None, None));
    assert_eq!((&rerank.0["results"], &rerank.1["usage"]["searches"]), (&json!(2), &json!(1)));
}

const PRICES: &str = "version: test\nmodels: { demo: { input: 1, output: 2, cache_read: 0.1 } }\n";
