//! Usage is asked for where the client did not, and the client never sees that it was.

use crate::support::{Mock, Reply, World, chat};

const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";

fn content(word: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

/// An upstream that sends the usage chunk exactly when it is asked to.
fn obedient(asked: &crate::support::Asked) -> Reply {
    let wants = asked.json()["stream_options"]["include_usage"] == true;
    let mut pieces = vec![content("a"), content("b")];
    pieces.extend(wants.then(|| USAGE.to_owned()));
    pieces.push("data: [DONE]\n\n".to_owned());
    Reply::sse(pieces)
}

#[tokio::test]
async fn usage_is_asked_for_and_the_extra_chunk_hidden() {
    let upstream = Mock::start(obedient).await;
    let world = World::before(&upstream).start().await;
    let body = r#"{ "messages":[{"role":"user","content":"\"stream_options\""}],"stream" : true, "model":"demo" }"#;
    let got = world.chat(None, body).await;
    assert_eq!(got.text().await, [content("a"), content("b"), "data: [DONE]\n\n".into()].concat());
    let sent = &upstream.asked()[0].body;
    assert!(
        sent.contains(r#""messages":[{"role":"user","content":"\"stream_options\""}],"stream" : true, "model":"demo""#),
        "other bytes changed: {sent}"
    );
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["usage"]["input_tokens"], &data["usage"]["source"]), (&9.into(), &"provider".into()));
    assert_eq!(data["flags"], serde_json::json!(["usage_injected", "usage_hidden"]));
    assert_eq!(data["delivered"]["bytes"], content("a").len() + content("b").len() + "data: [DONE]\n\n".len());
    assert_eq!(data["delivered"]["frames"], 3);
}

#[tokio::test]
async fn a_client_that_asked_sees_the_chunk_and_its_body_is_not_touched() {
    let upstream = Mock::start(obedient).await;
    let world = World::before(&upstream).start().await;
    let body = r#"{"model":"demo","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let got = world.chat(None, body).await;
    assert!(got.text().await.contains(USAGE));
    assert_eq!(upstream.asked()[0].body, body);
    let data = world.only_event().await["data"].clone();
    assert!(data["flags"].is_null(), "{data}");
}

#[tokio::test]
async fn the_chunk_is_hidden_however_the_upstream_cuts_its_bytes() {
    let wire = [content("a"), content("b"), USAGE.into(), "data: [DONE]\n\n".into()].concat();
    let visible = wire.replace(USAGE, "");
    for size in [1, 2, 3, 7, 50, 100, 150, 1000, 10_000] {
        let pieces: Vec<Vec<u8>> = wire.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let upstream = Mock::always(Reply::sse(pieces)).await;
        let world = World::before(&upstream).start().await;
        let got = world.chat(None, &chat(true)).await;
        assert_eq!(got.text().await, visible, "pieces of {size}");
        let data = world.only_event().await["data"].clone();
        assert_eq!(data["usage"]["total_tokens"], 11, "pieces of {size}");
        assert_eq!(data["delivered"]["bytes"], visible.len(), "pieces of {size}");
    }
}

#[tokio::test]
async fn the_chunk_is_hidden_where_a_stream_ends_without_done() {
    let upstream = Mock::always(Reply::sse([content("a"), USAGE.trim_end().to_owned()])).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(world.chat(None, &chat(true)).await.text().await, content("a"));
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["usage"]["total_tokens"], &data["outcome"]), (&11.into(), &"ok".into()));
}

#[tokio::test]
async fn an_upstream_that_refuses_the_field_is_asked_once_without_it_and_remembered() {
    let upstream = Mock::start(|asked| {
        if asked.json().get("stream_options").is_some() {
            return Reply::json(
                400,
                r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#,
            );
        }
        Reply::sse([content("a"), "data: [DONE]\n\n".into()])
    })
    .await;
    let world = World::before(&upstream).start().await;
    for _ in 0..3 {
        let got = world.chat(None, &chat(true)).await;
        assert_eq!((got.status.as_u16(), got.text().await), (200, [content("a"), "data: [DONE]\n\n".into()].concat()));
    }
    let fields: Vec<_> = upstream.asked().iter().map(|asked| asked.json().get("stream_options").is_some()).collect();
    assert_eq!(fields, [true, false, false, false]);
    let events = world.finish().await;
    assert_eq!(events.len(), 3);
    for event in events {
        let usage = &event["data"]["usage"];
        assert_ne!(usage["source"], "provider");
        assert!(usage["output_tokens"].as_u64().unwrap() > 0, "counted here instead: {usage}");
    }
}

#[tokio::test]
async fn another_400_is_passed_on_whole_and_nothing_is_asked_again() {
    let body = r#"{"error":{"message":"messages must not be empty"}}"#;
    let upstream = Mock::always(Reply::json(400, body)).await;
    let world = World::before(&upstream).start().await;
    let got = world.chat(None, &chat(true)).await;
    assert_eq!(got.status, 400);
    assert_eq!(got.text().await, body);
    assert_eq!(upstream.asked().len(), 1);
    let data = world.only_event().await["data"].clone();
    assert_eq!(data["outcome"], "upstream_error");
}

#[tokio::test]
async fn injection_can_be_switched_off() {
    let upstream = Mock::start(obedient).await;
    let world = World::before(&upstream).upstream("  inject_usage: false\n").start().await;
    world.chat(None, &chat(true)).await.bytes().await;
    assert_eq!(upstream.asked()[0].body, chat(true));
    let data = world.only_event().await["data"].clone();
    assert_ne!(data["usage"]["source"], "provider");
    assert_eq!(data["local"]["output_tokens"], data["usage"]["output_tokens"]);
}
