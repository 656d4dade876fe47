//! AWS's client with an endpoint of its own, against recordings.

use serde_json::{Value, json};

use super::{assert_counted, played, recording};
use crate::peers::{off_runtime, play_native_trusting};
use crate::support::world::KEYS;
use crate::support::{Asked, Mock, Reply, World, aws_event, aws_exception};

const SCRIPT: &str = "bedrock_python.py";
const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";
const WHOLE: &str = r#"{"metrics":{"latencyMs":2202},"output":{"message":{"role":"assistant","content":[{"text":"Hi"},
    {"toolUse":{"toolUseId":"t1","name":"weather","input":{"city":"Köln"}}}]}},"stopReason":"tool_use",
    "usage":{"inputTokens":51,"outputTokens":78,"totalTokens":129,"cacheReadInputTokens":0,"cacheWriteInputTokens":0}}"#;
const LLAMA: &str = r#"{"generation":"Hi","prompt_token_count":7,"generation_token_count":3,"stop_reason":"stop"}"#;

fn answer(asked: &Asked) -> Reply {
    let frames = || Reply::head(200, "application/vnd.amazon.eventstream");
    match asked.path() {
        "/model/demo/converse-stream" => frames().chunks(events("bedrock-tools.chunks.txt")).end(),
        "/model/failing/converse-stream" => {
            let begun = events("bedrock-tools.chunks.txt").into_iter().take(2);
            frames().chunks(begun).chunk(aws_exception("throttlingException", r#"{"message":"secret"}"#)).end()
        }
        "/model/demo/invoke" => Reply::json(200, LLAMA),
        "/model/demo/invoke-with-response-stream" => frames().chunks(llama()).end(),
        path if path.ends_with("/converse") => Reply::json(200, WHOLE),
        other => panic!("{other}"),
    }
}

fn events(name: &str) -> Vec<Vec<u8>> {
    let event = |line: &str| {
        let events: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        events.iter().flat_map(|(name, payload)| aws_event(name, &payload.to_string())).collect()
    };
    recording(name).lines().map(event).collect()
}

/// A model's own stream: two chunks, the second with AWS's count.
fn llama() -> [Vec<u8>; 2] {
    // `{"generation":"Hi","prompt_token_count":7,"generation_token_count":2,"stop_reason":null}`
    let first = "eyJnZW5lcmF0aW9uIjoiSGkiLCJwcm9tcHRfdG9rZW5fY291bnQiOjcsImdlbmVyYXRpb25fdG9rZW5fY291bnQiOjIsInN0b3BfcmVhc29uIjpudWxsfQ==";
    // `{"generation":"","prompt_token_count":null,"generation_token_count":3,"stop_reason":"stop",
    // "amazon-bedrock-invocationMetrics":{"inputTokenCount":8,"outputTokenCount":4,"invocationLatency":1,"firstByteLatency":1}}`
    let last = "eyJnZW5lcmF0aW9uIjoiIiwicHJvbXB0X3Rva2VuX2NvdW50IjpudWxsLCJnZW5lcmF0aW9uX3Rva2VuX2NvdW50IjozLCJzdG9wX3JlYXNvbiI6InN0b3AiLCJhbWF6b24tYmVkcm9jay1pbnZvY2F0aW9uTWV0cmljcyI6eyJpbnB1dFRva2VuQ291bnQiOjgsIm91dHB1dFRva2VuQ291bnQiOjQsImludm9jYXRpb25MYXRlbmN5IjoxLCJmaXJzdEJ5dGVMYXRlbmN5IjoxfX0=";
    [first, last].map(|bytes| aws_event("chunk", &json!({ "bytes": bytes, "p": "abcdefgh" }).to_string()))
}

#[tokio::test]
async fn awss_client_sees_recorded_answers_as_they_were_and_each_is_counted() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).start().await;
    let calls = played(&world, SCRIPT, &["tools", "stream_tools", "invoke", "stream_invoke", "profile"]).await;

    let [tools, stream, invoke, stream_invoke, profile] = calls.as_slice() else { panic!("five calls") };
    assert_eq!((&tools.0["text"], &tools.0["tools"]), (&json!("Hi"), &json!([["weather", {"city": "Köln"}]])));
    assert_counted(&tools.1, "bedrock.converse", (Some(51), Some(78)));
    assert_eq!((&stream.0["text"], &stream.0["arguments"]), (&json!("Grüß Gott"), &json!("{\"city\":\"Köln\"}")));
    assert_counted(&stream.1, "bedrock.converse", (Some(1004), Some(9)));
    let usage = &stream.1["usage"];
    assert_eq!((&usage["cache_read_tokens"], &usage["cache_write_1h_tokens"]), (&json!(600), &json!(400)));
    assert!(stream.1["timing"]["first_token_ms"].as_f64().unwrap() > 0.0);
    for (seen, event) in [tools, stream] {
        assert_eq!((&seen["finish_reason"], &event["finish_reasons"]), (&json!("tool_use"), &json!(["tool_use"])));
        assert_eq!((&event["model_requested"], &event["model_served"]), (&json!("demo"), &Value::Null));
    }
    assert_eq!(invoke.0["answer"], serde_json::from_str::<Value>(LLAMA).unwrap());
    assert_counted(&invoke.1, "bedrock.invoke", (Some(7), Some(3)));
    assert_eq!((&stream_invoke.0["events"][0]["generation"], &stream_invoke.1["stream"]), (&json!("Hi"), &json!(true)));
    assert_counted(&stream_invoke.1, "bedrock.invoke", (Some(8), Some(4)));
    assert_eq!(profile.1["model_requested"], PROFILE);
    for Asked { headers, .. } in upstream.asked() {
        assert_eq!(headers["authorization"], "Bearer sk-upstream", "the configured key replaces the signature");
        assert!(!headers.contains_key("x-amz-security-token"), "a credential of the client's stays here");
    }
}

#[tokio::test]
async fn awss_client_with_a_key_of_ours_over_tls_is_admitted_and_counted() {
    let upstream = Mock::start(answer).await;
    let tls = "proxy: { listen: 127.0.0.1:0, tls: { cert: server.pem, key: server.key } }";
    let builder = World::before(&upstream).keys(KEYS).with(tls);
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = builder.dir().join("server.pem");
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(builder.dir().join("server.key"), certified.signing_key.serialize_pem()).unwrap();
    let world = builder.start().await;

    let base_url = format!("https://{}", world.address);
    let trusting = move || play_native_trusting(SCRIPT, (&base_url, Some(&certificate)), &["tools", "stream_tools"]);
    for call in off_runtime(trusting).await {
        assert_eq!(call["ok"], true, "{call}");
    }
    let events = world.events(2).await;
    assert_counted(&events[0]["data"], "bedrock.converse", (Some(51), Some(78)));
    assert_counted(&events[1]["data"], "bedrock.converse", (Some(1004), Some(9)));
    assert_eq!((&events[0]["data"]["key_id"], &events[1]["data"]["key_id"]), (&json!("good"), &json!("good")));
    assert!(upstream.asked().iter().all(|asked| asked.headers["authorization"] == "Bearer sk-upstream"));
}

#[tokio::test]
async fn an_exception_in_a_stream_is_the_clients_and_is_told() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).start().await;
    let calls = played(&world, SCRIPT, &["failing"]).await;
    let (seen, event) = &calls[0];
    assert_eq!(seen["failed"], "throttlingException");
    assert_eq!((&event["outcome"], &event["error"]), (&json!("upstream_error"), &json!("upstream_error_in_stream")));
    assert!(!event.to_string().contains("secret"));
}

/// What AWS would check: the signature covers path, body and the signed headers, and of those all but `host` arrive as
/// they were sent.
#[tokio::test]
async fn a_signed_request_passes_as_it_was_signed_but_for_its_host() {
    let upstream = Mock::start(answer).await;
    let world = World::before(&upstream).passing().start().await;
    let calls = played(&world, SCRIPT, &["profile"]).await;
    assert_counted(&calls[0].1, "bedrock.converse", (Some(51), Some(78)));

    let asked = upstream.asked().remove(0);
    assert!(asked.path().starts_with("/model/arn%3Aaws%3Abedrock%3A"), "escapes stay: {}", asked.path());
    assert!(asked.path().ends_with("application-inference-profile%2Fa1b2c3/converse"), "{}", asked.path());
    let signature = &asked.headers["authorization"];
    let (_, signed) = signature.split_once("SignedHeaders=").expect("a signature");
    let (signed, _) = signed.split_once(',').unwrap();
    for name in signed.split(';') {
        assert!(asked.headers.contains_key(name), "{name} is signed and did not arrive");
    }
    assert!(signed.split(';').any(|name| name == "host"), "which is why AWS itself refuses it: the host was ours");
    assert_eq!(asked.headers["host"], upstream.address.to_string());
}
