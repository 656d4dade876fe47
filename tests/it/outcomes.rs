//! However a request ends, it leaves exactly one event with the right outcome; an unknown caller leaves none.

use std::time::Duration;

use crate::support::world::KEYS;
use crate::support::{Client, Mock, Reply, World, chat};

const ANSWER: &str = r#"{"id":"c","model":"demo-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;

fn sse() -> Vec<String> {
    let chunk = |choice: &str| format!("data: {{\"id\":\"c\",\"model\":\"demo-1\",\"choices\":[{choice}]}}\n\n");
    vec![
        chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#),
        chunk(r#"{"index":0,"delta":{"content":"hello"},"finish_reason":null}"#),
        chunk(r#"{"index":0,"delta":{"content":" world"},"finish_reason":null}"#),
        chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#),
        "data: {\"id\":\"c\",\"model\":\"demo-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
}

#[tokio::test]
async fn a_whole_answer_leaves_one_event_that_says_everything() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(KEYS).start().await;
    let got = world.chat(Some("sk-good"), &chat(false)).await;
    assert_eq!(got.status, 200);
    let id = got.header("x-tollgate-request-id").unwrap().to_owned();
    assert_eq!(got.text().await, ANSWER);
    let event = world.only_event().await;
    assert_eq!(event["subject"], "org_a");
    assert_eq!(event["type"], "dev.tollgate.usage.v1");
    let data = &event["data"];
    assert_eq!(data["request_id"], *id);
    assert_eq!(
        (&data["key_id"], &data["org_id"], &data["group"]),
        (&"good".into(), &"org_a".into(), &"research".into())
    );
    assert_eq!((&data["outcome"], &data["status"], &data["upstream_status"]), (&"ok".into(), &200.into(), &200.into()));
    assert_eq!(
        (&data["dialect"], &data["operation"], &data["upstream"]),
        (&"openai.chat".into(), &"chat".into(), &"mock".into())
    );
    assert_eq!((&data["model_requested"], &data["model_served"]), (&"demo".into(), &"demo-1".into()));
    assert_eq!(data["usage"]["input_tokens"], 9);
    assert_eq!(data["usage"]["output_tokens"], 1);
    assert_eq!(data["usage"]["source"], "provider");
    assert_eq!(data["usage"]["complete"], true);
    assert_eq!(data["usage"]["raw"]["total_tokens"], 10);
    assert_eq!(data["finish_reasons"], serde_json::json!(["stop"]));
    assert_eq!(data["delivered"]["bytes"], ANSWER.len());
    assert!(data["cost"]["total_nano"].as_i64().unwrap() > 0, "the built-in table prices the demo model");
}

#[tokio::test]
async fn a_key_of_ours_never_goes_upstream_and_the_configured_credential_does() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(KEYS).start().await;
    world.chat(Some("sk-good"), &chat(false)).await.bytes().await;
    let asked = upstream.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer sk-upstream");
    assert!(!format!("{asked:?}").contains("sk-good"));
    let event = world.only_event().await;
    assert!(!event.to_string().contains("sk-"), "no key in an event");
}

#[tokio::test]
async fn an_upstream_error_passes_as_it_is_and_is_recorded() {
    let body = r#"{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found"}}"#;
    let upstream = Mock::always(Reply::json(404, body)).await;
    let world = World::before(&upstream).start().await;
    let got = world.chat(None, &chat(false)).await;
    assert_eq!(got.status, 404);
    assert_eq!(got.text().await, body);
    let data = world.only_event().await["data"].clone();
    assert_eq!(
        (&data["outcome"], &data["status"], &data["upstream_status"]),
        (&"upstream_error".into(), &404.into(), &404.into())
    );
    assert_eq!(data["usage"]["source"], "none", "an error's text is not billed: {data}");
}

#[tokio::test]
async fn an_upstream_that_resets_mid_stream_cuts_the_client_too_and_what_was_delivered_counts() {
    let events: Vec<_> = sse().iter().map(|event| event.replace("demo-1", "gpt-4o")).collect();
    let upstream = Mock::always(
        Reply::head(200, "text/event-stream").chunks(&events[..3]).pause(Duration::from_millis(50)).reset(),
    )
    .await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, &chat(true).replace("demo", "gpt-4o")).await;
    let mut read = Vec::new();
    let broken = loop {
        match got.piece().await {
            Some(Ok(piece)) => read.extend_from_slice(&piece),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "a cut stream must not look complete");
    let read = String::from_utf8(read).unwrap();
    let told = read.strip_prefix(&events[..3].concat()).unwrap();
    assert!(told.starts_with("data: {\"error\":") && told.contains("upstream_broken"), "{told}");
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["error"]), (&"upstream_error".into(), &"upstream_reset".into()));
    assert_eq!(data["usage"]["complete"], false);
    assert_eq!(data["usage"]["output_tokens"], 2, "'hello world' is two tokens: {data}");
    assert_eq!(data["usage"]["source"], "tokenizer");
    assert_eq!(data["delivered"]["content_frames"], 2);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_a_502_in_the_callers_dialect() {
    let upstream = Mock::always(Reply::default()).await;
    let gone = upstream.url();
    drop(upstream);
    let other = Mock::always(Reply::json(200, ANSWER)).await;
    let extra = format!("- name: gone\n  url: {gone}\n  match: {{ models: [gone] }}\n");
    let world = World::before(&other).upstream(&format!("  match: {{ models: [demo] }}\n{extra}")).start().await;
    let got = world.chat(None, &chat(false).replace("demo", "gone")).await;
    assert_eq!(got.status, 502);
    assert_eq!(got.json().await["error"]["code"], "upstream_unreachable");
    let data = world.only_event().await["data"].clone();
    assert_eq!(
        (&data["outcome"], &data["status"], &data["upstream"]),
        (&"upstream_error".into(), &502.into(), &"gone".into())
    );
    assert_eq!(data["error"], "upstream_connect_failed");
    assert!(data["upstream_status"].is_null());
}

#[tokio::test]
async fn an_upstream_that_says_nothing_in_time_is_a_504() {
    let upstream = Mock::always(Reply::default().pause(Duration::from_mins(1))).await;
    let world = World::before(&upstream).upstream("  timeouts: { first_byte: 100ms }\n").start().await;
    let got = world.chat(None, &chat(false)).await;
    assert_eq!(got.status, 504);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["error"]), (&"upstream_error".into(), &"upstream_first_byte_timeout".into()));
}

#[tokio::test]
async fn a_refused_unknown_key_leaves_no_event_and_a_counter() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(KEYS).start().await;
    let unknown = world.chat(Some("sk-bad"), &chat(false)).await;
    let missing = world.chat(None, &chat(false)).await;
    assert_eq!((unknown.status.as_u16(), missing.status.as_u16()), (401, 401));
    assert_eq!(unknown.header("x-should-retry"), Some("false"));
    assert_eq!(unknown.json().await, missing.json().await, "all 401 bodies are the same");
    assert!(world.metric(r#"tollgate_rejections_total{reason="unknown_key"}"#).await >= 1);
    assert!(world.metric(r#"tollgate_rejections_total{reason="no_key"}"#).await >= 1);
    assert!(upstream.asked().is_empty());
    assert!(world.finish().await.is_empty());
}

#[tokio::test]
async fn every_refusal_of_a_known_caller_leaves_one_event() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let keys = format!("{KEYS}  models: [demo]\n");
    let world = World::before(&upstream)
        .keys(&keys)
        .with("proxy: { listen: 127.0.0.1:0, max_request_bytes: 1000 }")
        .start()
        .await;
    let cases: [(&str, String, u16, &str); 4] = [
        ("/v1/chat/completions", "not json".into(), 400, "invalid_json"),
        ("/v1/chat/completions", r#"{"messages":[]}"#.into(), 400, "model_missing"),
        ("/v1/chat/completions", chat(false).replace("demo", "secret-model"), 403, "model_not_allowed"),
        (
            "/v1/chat/completions",
            format!("{{\"model\":\"demo\",\"x\":\"{}\"}}", "y".repeat(2000)),
            413,
            "request_too_large",
        ),
    ];
    for (path, body, status, code) in &cases {
        let got = world.client().await.post(path, Some("sk-good"), body.clone()).await;
        assert_eq!(got.status, *status, "{code}");
        assert_eq!(got.json().await["error"]["code"], *code);
    }
    let mut organization = http::Request::post("/v1/chat/completions").header("authorization", "Bearer sk-good");
    organization = organization.header("openai-organization", "org_of_others");
    let got = world.client().await.send(organization.body(bytes::Bytes::from(chat(false)).into()).unwrap()).await;
    assert_eq!(got.status, 403);
    assert!(upstream.asked().is_empty());
    let events = world.finish().await;
    let errors: Vec<_> = events.iter().map(|event| event["data"]["error"].as_str().unwrap()).collect();
    let mut expected: Vec<_> = cases.iter().map(|case| case.3).collect();
    expected.push("organization_not_allowed");
    assert_eq!(errors, expected);
    for event in &events {
        assert_eq!(event["data"]["outcome"], "rejected");
        assert_eq!(event["data"]["key_id"], "good");
    }
}

#[tokio::test]
async fn refusals_speak_the_callers_dialect() {
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let world = World::before(&upstream).keys(KEYS).start().await;
    let openai = world.client().await.post("/v1/chat/completions", None, chat(false)).await.json().await;
    assert_eq!(openai["error"]["code"], "invalid_api_key");
    let anthropic = world.client().await.post("/v1/messages", None, chat(false)).await.json().await;
    assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&"error".into(), &"authentication_error".into()));
    world.finish().await;
}

#[tokio::test]
async fn unknown_paths_pass_and_are_measured_by_bytes_and_time() {
    let upstream = Mock::start(|asked| match asked.path() {
        "/v1/models" => Reply::json(200, r#"{"object":"list","data":[]}"#),
        "/v1/weird" => Reply::json(200, r#"{"usage":{"input_tokens":3,"output_tokens":4}}"#),
        _ => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: audio/mpeg\r\n\r\nsound"),
    })
    .await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    assert_eq!(client.get("/v1/models").await.text().await, r#"{"object":"list","data":[]}"#);
    client.post("/v1/weird", None, "{}").await.bytes().await;
    let upload = http::Request::post("/v1/audio")
        .header("content-type", "audio/wav")
        .body(bytes::Bytes::from("wave").into())
        .unwrap();
    assert_eq!(client.send(upload).await.text().await, "sound");
    assert_eq!(upstream.asked()[2].body, "wave");
    let events = world.finish().await;
    let of = |at: usize| &events[at]["data"];
    assert_eq!(
        (&of(0)["dialect"], &of(0)["operation"], &of(0)["outcome"]),
        (&"unknown".into(), &"other".into(), &"ok".into())
    );
    assert_eq!((&of(1)["usage"]["input_tokens"], &of(1)["usage"]["output_tokens"]), (&3.into(), &4.into()));
    assert_eq!((&of(2)["delivered"]["bytes"], &of(2)["usage"]["source"]), (&5.into(), &"none".into()));
}

#[tokio::test]
async fn answers_without_a_body_are_complete_at_once() {
    let upstream = Mock::start(|asked| match asked.line.split(' ').next().unwrap() {
        "HEAD" => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n"),
        _ => Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"),
    })
    .await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    let head = http::Request::head("/v1/models").body(http_body_util::Full::default()).unwrap();
    let got = client.send(head).await;
    assert_eq!(got.header("content-length"), Some("77"));
    got.bytes().await;
    let delete = http::Request::delete("/v1/files/1").body(http_body_util::Full::default()).unwrap();
    assert_eq!(client.send(delete).await.status, 204);
    let events = world.finish().await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["data"]["outcome"] == "ok"), "{events:#?}");
}

#[tokio::test]
async fn h2_clients_are_served_like_h1_clients() {
    let upstream = Mock::always(Reply::sse(sse())).await;
    let world = World::before(&upstream).start().await;
    let mut client = Client::connect_h2(world.address).await;
    let body = chat(true).replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    let got = client.post("/v1/chat/completions", None, body).await;
    assert_eq!(got.text().await, sse().concat());
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["usage"]["output_tokens"]), (&"ok".into(), &2.into()));
}
