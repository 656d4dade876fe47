//! Anthropic's streams: when they are over, and what is known of them when they fail.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Got, Mock, Reply, World, copy_tree};

const ASK: &str =
    r#"{"model":"claude-demo-1","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hello there"}]}"#;
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn event(name: &str, fields: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{fields}}}\n\n")
}

fn start(input: u64) -> String {
    let usage = format!(r#"{{"input_tokens":{input},"output_tokens":1}}"#);
    event("message_start", &format!(r#""message":{{"model":"claude-demo-1","usage":{usage}}}"#))
}

fn text(text: &str) -> String {
    event("content_block_delta", &format!(r#""index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#))
}

fn delta(reason: &str, output: u64) -> String {
    let usage = format!(r#"{{"output_tokens":{output}}}"#);
    event("message_delta", &format!(r#""delta":{{"stop_reason":"{reason}"}},"usage":{usage}"#))
}

fn stream() -> Reply {
    Reply::head(200, "text/event-stream")
}

async fn ask(world: &World) -> Got {
    world.client().await.post("/v1/messages", None, ASK).await
}

/// Reads until these bytes have come.
async fn read_to(got: &mut Got, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        all.extend_from_slice(&got.piece().await.expect("more is to come").unwrap());
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn the_end_of_a_message_reaches_the_client_and_its_event_the_spool_though_the_upstream_never_closes() {
    // After a tool's call another message could follow, so that one is awaited as long as the client awaits it.
    for reason in ["end_turn", "tool_use"] {
        let never = Arc::new(Notify::new());
        let reply = stream().chunk(start(7)).chunk(text("Hi")).chunk(delta(reason, 5)).chunk(STOP).gate(&never);
        let upstream = Mock::always(reply).await;
        let world = World::before(&upstream).start().await;
        let mut got = ask(&world).await;
        read_to(&mut got, STOP).await;
        if reason == "tool_use" {
            drop(got);
        }
        let data = world.events(1).await[0]["data"].clone();
        assert_eq!((&data["outcome"], &data["finish_reasons"]), (&json!("ok"), &json!([reason])), "{data}");
        assert_eq!((&data["usage"]["total_tokens"], &data["usage"]["complete"]), (&json!(12), &json!(true)), "{data}");
    }
}

#[tokio::test]
async fn messages_that_follow_one_another_pass_untouched_and_the_last_ones_usage_holds() {
    let first = [start(100), delta("tool_use", 50), STOP.to_owned()].concat();
    let second = [start(300), text("Done"), delta("end_turn", 20), STOP.to_owned()].concat();
    let (half, rest) = second.split_at(40);
    let reply = stream().chunk(&first).pause(Duration::from_millis(5)).chunk(half);
    let upstream = Mock::always(reply.pause(Duration::from_millis(5)).chunk(rest).end()).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(ask(&world).await.text().await, first + &second);
    let data = world.only_event().await["data"].clone();
    let usage = &data["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(300), &json!(20)), "{data}");
    assert_eq!(data["finish_reasons"], json!(["tool_use", "end_turn"]));
}

#[tokio::test]
async fn a_message_that_follows_after_a_while_is_counted_and_the_end_of_the_first_was_safe_before() {
    for sync in ["process", "disk"] {
        let gate = Arc::new(Notify::new());
        let first = [start(3), text("x"), delta("tool_use", 5), STOP.to_owned()].concat();
        let second = [start(3), text("x"), delta("end_turn", 7), STOP.to_owned()].concat();
        let upstream = Mock::always(stream().chunk(&first).gate(&gate).chunk(&second).end()).await;
        let events = format!("events: {{ spool: {{ dir: spool, sync: {sync} }}, file: {{ path: usage.jsonl }} }}");
        let world = World::before(&upstream).with(&events).start().await;
        let mut got = ask(&world).await;
        assert_eq!(read_to(&mut got, STOP).await, first);
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&world.dir.path().join("spool"), copy.path());
        let killed = World::events_recovered_from(copy.path()).remove(0)["data"].take();
        assert_eq!((&killed["usage"]["output_tokens"], &killed["usage"]["source"]), (&json!(5), &json!("provider")));
        gate.notify_one();
        assert_eq!(got.text().await, second);
        let data = world.only_event().await["data"].take();
        assert_eq!((&data["outcome"], &data["usage"]["output_tokens"]), (&json!("ok"), &json!(7)), "{data}");
        assert_eq!(data["finish_reasons"], json!(["tool_use", "end_turn"]));
        assert_eq!(data["delivered"]["bytes"], first.len() + second.len());
    }
}

#[tokio::test]
async fn a_cut_after_a_message_that_might_go_on_leaves_a_whole_answer() {
    let body = [start(7), delta("tool_use", 5), STOP.to_owned()].concat();
    let upstream = Mock::always(stream().chunk(&body).reset()).await;
    let world = World::before(&upstream).start().await;
    let mut got = ask(&world).await;
    assert_eq!(read_to(&mut got, STOP).await, body);
    let data = world.only_event_soon().await["data"].clone();
    assert_eq!((&data["outcome"], &data["usage"]["complete"]), (&json!("ok"), &json!(true)), "{data}");
}

#[tokio::test]
async fn an_error_in_the_stream_passes_and_what_was_generated_is_counted() {
    let error = event("error", r#""error":{"type":"overloaded_error","message":"Overloaded"}"#);
    let body = [start(7), text("Hello"), error].concat();
    let upstream = Mock::always(stream().chunk(&body).end()).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(ask(&world).await.text().await, body);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["status"]), (&json!("upstream_error"), &json!(200)), "{data}");
    assert_eq!((&data["usage"]["input_tokens"], &data["usage"]["complete"]), (&json!(7), &json!(false)), "{data}");
    assert!(data["local"]["output_tokens"].as_u64().unwrap() > 0, "{data}");
}
