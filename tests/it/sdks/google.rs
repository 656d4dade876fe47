//! Google's client, speaking to the Gemini API and to Vertex AI, against recordings.

use serde_json::{Value, json};

use super::{assert_counted, played, recording, streams};
use crate::support::{Asked, Mock, Reply, World};

const SCRIPT: &str = "google_python.py";
const VERTEX: &str = "/v1beta1/projects/p-1/locations/us-central1/publishers/google/models/";
const GEMINI: &str = "/v1/models/";
const WHOLE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"},{"functionCall":{"name":"now","args":{"zone":"CET"}}}],
    "role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":29,
    "thoughtsTokenCount":282,"totalTokenCount":320},"modelVersion":"gemini-demo-001"}"#;

fn answer(asked: &Asked) -> Reply {
    let path = asked.path();
    if path.starts_with("/v1/interactions") {
        return interaction(asked);
    }
    let method = path.strip_prefix(GEMINI).or(path.strip_prefix(VERTEX)).unwrap_or_else(|| panic!("{path}"));
    match method {
        "demo:generateContent" => Reply::json(200, WHOLE),
        "demo:streamGenerateContent?alt=sse" => {
            let stream = recording("google-thinking.chunks.txt");
            Reply::sse(stream.lines().map(|line| format!("data: {line}\r\n\r\n")).collect::<Vec<_>>())
        }
        "demo:countTokens" => {
            Reply::json(200, r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}"#)
        }
        "text-embedding-demo:batchEmbedContents" => Reply::json(
            200,
            r#"{"embeddings":[{"values":[0.5]},{"values":[0.25]}],"usageMetadata":{"promptTokenCount":6,"totalTokenCount":6}}"#,
        ),
        "text-embedding-demo:predict" => Reply::json(
            200,
            r#"{"predictions":[{"embeddings":{"values":[0.5],"statistics":{"token_count":2,"truncated":false}}},
                {"embeddings":{"values":[0.25],"statistics":{"token_count":3,"truncated":false}}}]}"#,
        ),
        other => panic!("{other}"),
    }
}

fn interaction(asked: &Asked) -> Reply {
    if !asked.body.is_empty() && streams(asked, false) {
        let kind = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event_type"].as_str().unwrap().to_owned();
        let stream = recording("google-interaction.chunks.txt");
        let events = stream.lines().map(|line| format!("event: {}\ndata: {line}\n\n", kind(line)));
        return Reply::sse(events.chain(["event: done\ndata: [DONE]\n\n".to_owned()]));
    }
    Reply::json(200, &recording("google-interaction.json"))
}

#[track_caller]
fn assert_whole((seen, event): &(Value, Value)) {
    assert_eq!((&seen["text"], &seen["tools"]), (&json!("Hi"), &json!([["now", {"zone": "CET"}]])));
    assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("STOP"), &json!(["STOP"])));
    assert_eq!((&event["model_requested"], &event["model_served"]), (&json!("demo"), &json!("gemini-demo-001")));
    assert_counted(event, "google.generate_content", (Some(9), Some(311)));
    assert_eq!((&event["usage"]["total_tokens"], &event["stream"]), (&json!(320), &json!(false)));
}

#[track_caller]
fn assert_stream((seen, event): &(Value, Value)) {
    assert_eq!((&seen["text"], &seen["thinking"]), (&json!("Grüß Gott"), &json!("Let me {think} \"once\".")));
    assert_eq!((&seen["tools"], &seen["chunks"]), (&json!([["now", {"zone": "]}"}]]), &json!(3)));
    assert_counted(event, "google.generate_content", (Some(17), Some(44)));
    let usage = &event["usage"];
    assert_eq!((&usage["cache_read_tokens"], &usage["reasoning_tokens"]), (&json!(8), &json!(35)));
    assert_eq!((&event["stream"], &event["delivered"]["content_frames"]), (&json!(true), &json!(3)));
    assert!(event["timing"]["first_token_ms"].as_f64().unwrap() > 0.0, "{event}");
}

#[tokio::test]
async fn googles_client_sees_recorded_answers_as_they_were_and_each_is_counted() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).passing().start().await;
    let calls = played(&world, SCRIPT, &["tools", "stream_tools", "embed", "count"]).await;

    let [whole, stream, embed, count] = calls.as_slice() else { panic!("four calls") };
    assert_whole(whole);
    assert_stream(stream);
    assert_counted(&embed.1, "google.embed_content", (Some(6), None));
    assert_eq!((&embed.0["vectors"], &embed.1["model_requested"]), (&json!(2), &json!("text-embedding-demo")));
    assert_eq!((&count.0["total"], &count.1["operation"]), (&json!(31), &json!("count_tokens")));
    assert_eq!((&count.1["usage"]["source"], &count.1["cost"]), (&json!("none"), &json!(null)), "nothing was spent");
    assert!(upstream.asked().iter().all(|asked| asked.headers["x-goog-api-key"] == "sk-good"), "its own key passes");
}

#[tokio::test]
async fn googles_client_has_its_interactions_counted_once_each() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).passing().start().await;
    let calls = played(&world, SCRIPT, &["interaction", "interaction_stream", "interaction_again"]).await;

    let [whole, stream, again] = calls.as_slice() else { panic!("three calls") };
    assert_eq!((&whole.0["text"], &whole.0["status"]), (&json!("Hello to you."), &json!("completed")));
    assert_counted(&whole.1, "google.interactions", (Some(7), Some(51)));
    assert_eq!((&whole.1["model_requested"], &whole.1["model_served"]), (&json!("demo"), &json!("gemini-demo-001")));
    assert_eq!((&stream.0["text"], &stream.0["status"]), (&json!("Grüß Gott"), &json!("requires_action")));
    assert_counted(&stream.1, "google.interactions", (Some(22), Some(44)));
    assert_eq!((&stream.1["stream"], &stream.1["finish_reasons"]), (&json!(true), &json!(["requires_action"])));
    assert_eq!(stream.1["delivered"]["content_frames"], json!(4), "thought, two texts, arguments: {}", stream.1);
    // The whole one's id comes by once more.
    assert_eq!((&again.0["status"], &again.1["operation"]), (&json!("completed"), &json!("other")));
    assert_eq!((&again.1["usage"]["source"], &again.1["flags"]), (&json!("none"), &json!(["usage_repeated"])));
}

#[tokio::test]
async fn googles_client_for_vertex_is_counted_under_vertexs_paths() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).passing().start().await;
    let calls = played(&world, SCRIPT, &["vertex_tools", "vertex_stream_tools", "vertex_embed"]).await;

    let [whole, stream, embed] = calls.as_slice() else { panic!("three calls") };
    assert_whole(whole);
    assert_stream(stream);
    assert_counted(&embed.1, "google.embed_content", (Some(5), None));
    assert!(upstream.asked().iter().all(|asked| asked.headers["authorization"] == "Bearer sk-good"));
}
