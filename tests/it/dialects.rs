//! An upstream's configured dialect decides how its traffic is read, and in whose words its callers are refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::support::world::KEYS;
use crate::support::{Got, Mock, Reply, World, chat};

fn tokens(data: &Value) -> (u64, u64, &str) {
    let usage = &data["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{name}: {data}"));
    (count("input_tokens"), count("output_tokens"), usage["source"].as_str().unwrap())
}

async fn read_until_cut(got: &mut Got) -> (String, bool) {
    let mut read = Vec::new();
    let broken = loop {
        match got.piece().await {
            Some(Ok(piece)) => read.extend_from_slice(&piece),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    (String::from_utf8(read).unwrap(), broken)
}

const GUARDED: &str = r#"{"model":"llama3:latest","messages":[{"role":"user","content":"Translate the following English text to French: 'Hello, how are you?'"}],"parameters":{"maxTokens":60,"temperature":0.7,"stream":true}}"#;

#[tokio::test]
async fn usageguards_documented_stream_is_metered() {
    let chunk = |rest: &str| {
        format!(
            "data: {{\"schema\":\"inference.response.{rest},\"created\":1721208440,\"model_id\":\"meta.llama3-8b-instruct-v1:0\"}}\n\n"
        )
    };
    let events = [
        chunk(r#"chunk.v1","content":"ça""#),
        chunk(r#"chunk.v1","content":"va""#),
        chunk(r#"usage.chunk.v1","usage":{"inputTokens":40,"outputTokens":131,"totalTokens":171},"content":"""#),
        "data: [DONE]\n\n".to_owned(),
    ];
    let upstream = Mock::always(Reply::sse(&events)).await;
    let world = World::before(&upstream).upstream("  dialect: usageguard\n").start().await;
    let got = world.client().await.post("/v1/inference/chat", None, GUARDED).await;
    assert_eq!(got.text().await, events.concat(), "nothing is asked for and nothing taken out");
    assert_eq!(upstream.asked()[0].body, GUARDED);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["dialect"], tokens(&data)), (&"usageguard.chat".into(), (40, 131, "provider")));
    assert_eq!(data["model_served"], "meta.llama3-8b-instruct-v1:0");
    assert_eq!((&data["request"]["max_tokens"], &data["delivered"]["content_frames"]), (&60.into(), &2.into()));
}

#[tokio::test]
async fn a_total_alone_is_the_input_of_what_only_reads() {
    let upstream =
        Mock::always(Reply::json(200, r#"{"object":"list","data":[],"model":"v","usage":{"total_tokens":12}}"#));
    let upstream = upstream.await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    for path in ["/v1/embeddings", "/v1/rerank"] {
        client.post(path, None, r#"{"model":"v","input":"a","query":"a","documents":["b"]}"#).await.text().await;
    }
    for event in world.events(2).await {
        let usage = &event["data"]["usage"];
        let counts = (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]);
        assert_eq!(counts, (&12.into(), &Value::Null, &12.into()), "{event}");
    }
}

/// Its client parses each HTTP chunk as one object: none may be joined or divided.
#[tokio::test]
async fn llmstudios_objects_pass_one_to_a_frame() {
    let object = |delta: &str, rest: &str| {
        format!(
            r#"{{"id":"x","choices":[{{"delta":{delta},"finish_reason":null,"index":0}}],"model":"gpt-4o","usage":null,"chat_input":"hi","context":[{{"role":"user","content":"hi"}}],"provider":"openai","deployment":"gpt-4o-2024-08-06",{rest}}}"#
        )
    };
    let part = |delta: &str| object(delta, r#""chat_output":null,"metrics":null"#);
    let last =
        r#""chat_output":"Hey","metrics":{"input_tokens":1,"output_tokens":1,"total_tokens":2,"cost_usd":0.00001}"#;
    let objects =
        [part(r#"{"role":"assistant"}"#), part(r#"{"content":"He"}"#), part(r#"{"content":"y"}"#), object("{}", last)];
    let gate = Arc::new(Notify::new());
    // The first two come in one segment, the others one by one.
    let reply = Reply::head(200, "application/json").chunks(&objects[..2]).gate(&gate).chunk(&objects[2]).gate(&gate);
    let upstream = Mock::always(reply.chunk(&objects[3]).end()).await;
    let world = World::before(&upstream).upstream("  dialect: llmstudio\n").start().await;
    let body = r#"{"model":"gpt-4o","chat_input":"hi","is_stream":true,"parameters":{"max_tokens":2048}}"#;
    let mut got = world.client().await.post("/api/engine/chat/openai", None, body).await;
    let mut frames = Vec::new();
    while let Some(piece) = got.piece().await {
        frames.push(String::from_utf8(piece.unwrap().to_vec()).unwrap());
        if (2..4).contains(&frames.len()) {
            gate.notify_one();
        }
    }
    assert_eq!(frames, objects);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["dialect"], tokens(&data)), (&"llmstudio.chat".into(), (1, 1, "provider")), "{data}");
    assert_eq!((&data["stream"], &data["delivered"]["frames"]), (&true.into(), &4.into()), "{data}");
    assert_eq!(data["model_served"], "gpt-4o-2024-08-06");
}

#[tokio::test]
async fn brconnector_is_read_by_configuration_and_refuses_in_its_own_words() {
    let event =
        |choice: &str, rest: &str| format!("data: {{\"id\":\"c\",\"model\":\"c37\",\"choices\":[{choice}]{rest}}}\n\n");
    let usage = r#","usage":{"completion_tokens":219,"prompt_tokens":449,"total_tokens":668}"#;
    let events = [
        event(
            r#"{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":"The"},"finish_reason":null}"#,
            "",
        ),
        event(r#"{"index":0,"delta":{},"finish_reason":"tool_use"}"#, ""),
        event(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, usage),
        "data: [DONE]\n\n".to_owned(),
    ];
    let upstream = Mock::always(Reply::sse(&events)).await;
    let world = World::before(&upstream)
        .keys(&format!("{KEYS}  models: [demo]\n"))
        .upstream("  dialect: brconnector\n")
        .start()
        .await;
    let mut client = world.client().await;
    let got = client.post("/v1/chat/completions", Some("sk-good"), chat(true)).await;
    assert_eq!(got.text().await, events.concat());
    assert!(upstream.asked()[0].json()["stream_options"].is_null(), "it always reports usage");
    // What needs no upstream to be refused is refused by path; this needs one.
    let large = chat(true).replace("demo", "forbidden");
    let refused = client.post("/v1/chat/completions", Some("sk-good"), large).await;
    assert_eq!(refused.status, 400);
    let body = refused.json().await;
    assert_eq!((&body["success"], &body["error"]["http_status"]), (&false.into(), &403.into()), "{body}");
    let events = world.finish().await;
    assert_eq!((&events[1]["data"]["status"], &events[1]["data"]["outcome"]), (&400.into(), &"rejected".into()));
    let data = &events[0]["data"];
    assert_eq!((&data["dialect"], tokens(data)), (&"brconnector.chat".into(), (449, 219, "provider")));
    assert_eq!(data["finish_reasons"], serde_json::json!(["tool_use", "stop"]));
}

#[tokio::test]
async fn unifys_cost_counts_and_its_stream_ends_without_done() {
    let chunk = r#"{"id":"c","model":"llama-3.1-8b-chat@x","choices":[{"index":0,"delta":{"content":"Sir"},"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"c","model":"llama-3.1-8b-chat@x","choices":[],"usage":{"completion_tokens":100,"prompt_tokens":44,"total_tokens":144,"cost":0.000123}}"#;
    let events = [format!("data: {chunk}\n\n"), format!("data: {usage}\n\n")];
    // Its stream had no content type for a long time.
    let reply = Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").chunks(&events).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).upstream("  inject_usage: false\n").start().await;
    let got = world.chat(None, &chat(true)).await.text().await;
    assert_eq!(got, events.concat());
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["stream"], tokens(&data)), (&"ok".into(), &true.into(), (44, 100, "provider")));
    assert_eq!(data["usage"]["raw"]["cost"], 0.000_123);
}

#[tokio::test]
async fn callers_are_refused_in_the_words_of_their_dialect() {
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let world = World::before(&upstream).keys(KEYS).start().await;
    let cases = [
        ("/v1/chat/completions", "/error/code", "invalid_api_key"),
        ("/v1/messages", "/error/type", "authentication_error"),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "/error/status", "UNAUTHENTICATED"),
        ("/v1/inference/chat", "/error/code", "INVALID_API_KEY"),
    ];
    let mut client = world.client().await;
    for (path, pointer, want) in cases {
        let got = client.post(path, Some("sk-bad"), chat(false)).await;
        assert_eq!(got.status, 401, "{path}");
        assert_eq!(got.json().await.pointer(pointer), Some(&want.into()), "{path}");
    }
    for (path, field) in [("/v2/chat", "message"), ("/api/chat", "error"), ("/api/engine/chat/openai", "detail")] {
        let body = client.post(path, Some("sk-bad"), chat(false)).await.json().await;
        assert!(body[field].as_str().is_some_and(|text| text.starts_with("The API key")), "{path}: {body}");
    }
    let got = client.post("/model/m/converse", Some("sk-bad"), "{}").await;
    assert_eq!(got.header("x-amzn-errortype"), Some("UnrecognizedClientException"));
    world.finish().await;
}

const CONTENT: &str = "data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n";

#[tokio::test]
async fn a_stream_that_the_upstream_leaves_unfinished_ends_in_an_error_event_and_a_cut() {
    for (ending, code, text) in [
        ("reset", "upstream_broken", "The upstream broke off before its answer was whole."),
        ("silence", "upstream_timeout", "The upstream fell silent before its answer was whole."),
    ] {
        let reply = Reply::head(200, "text/event-stream").chunk(CONTENT).pause(Duration::from_millis(50));
        let reply = if ending == "reset" { reply.reset() } else { reply.pause(Duration::from_mins(1)) };
        let upstream = Mock::always(reply).await;
        let world = World::before(&upstream).upstream("  timeouts: { idle: 300ms }\n").start().await;
        let (read, broken) = read_until_cut(&mut world.chat(None, &chat(true)).await).await;
        assert!(broken, "a cut stream must not look complete");
        let error = read.strip_prefix(CONTENT).unwrap().strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        let error: Value = serde_json::from_str(error).unwrap();
        assert_eq!((&error["error"]["code"], &error["error"]["message"]), (&code.into(), &text.into()));
        let data = world.only_event_soon().await["data"].clone();
        assert_eq!((&data["outcome"], &data["delivered"]["bytes"]), (&"upstream_error".into(), &CONTENT.len().into()));
    }
}

#[tokio::test]
async fn half_an_event_is_cut_and_nothing_is_added() {
    for (path, body, kind) in [
        (
            "/v1/chat/completions",
            chat(true).replace("true", "true,\"stream_options\":{\"include_usage\":true}"),
            "text/event-stream",
        ),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "{\"contents\":[]}".to_owned(), "application/json"),
    ] {
        let half = "[{\"half\": 1";
        let upstream = Mock::always(Reply::head(200, kind).chunk(half).pause(Duration::from_millis(50)).reset()).await;
        let world = World::before(&upstream).start().await;
        let mut got = world.client().await.post(path, None, body).await;
        assert_eq!(read_until_cut(&mut got).await, (half.to_owned(), true), "{path}");
        world.only_event_soon().await;
    }
}

#[tokio::test]
async fn anthropic_ollama_and_http2_clients_are_told_in_their_own_way() {
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n";
    let ollama = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"done\":false}\n";
    let asks = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    for (path, kind, begun, told) in [
        (
            "/v1/messages",
            "text/event-stream",
            anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",",
        ),
        ("/api/chat", "application/x-ndjson", ollama, "{\"error\":\"The upstream broke off"),
    ] {
        for h2 in [false, true] {
            let upstream =
                Mock::always(Reply::head(200, kind).chunk(begun).pause(Duration::from_millis(50)).reset()).await;
            let world = World::before(&upstream).start().await;
            let address = world.address;
            let mut client = if h2 { crate::support::Client::connect_h2(address).await } else { world.client().await };
            let (read, broken) = read_until_cut(&mut client.post(path, None, asks).await).await;
            assert!(broken && read.strip_prefix(begun).unwrap().starts_with(told), "{path}: {read}");
            world.only_event_soon().await;
        }
    }
}

#[tokio::test]
async fn a_stream_cut_by_our_own_end_says_so() {
    let upstream =
        Mock::always(Reply::head(200, "text/event-stream").chunk(CONTENT).pause(Duration::from_mins(1))).await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, &chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), CONTENT);
    let (events, (read, broken)) = tokio::join!(world.finish_unless(std::future::ready(())), read_until_cut(&mut got));
    assert!(broken && read.contains("\"code\":\"shutting_down\""), "{read}");
    let data = &events[0]["data"];
    assert_eq!((&data["outcome"], &data["error"]), (&"interrupted".into(), &"shutdown".into()), "{data}");
}
