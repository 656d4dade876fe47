//! A client that leaves still leaves one event, with what it was given.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::support::{Client, Mock, Reply, World, chat};

fn content(word: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":40,\"total_tokens\":49}}\n\ndata: [DONE]\n\n";

async fn leaves_after_two(disconnect: &str, h2: bool) -> serde_json::Value {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream")
        .chunk(content("hello"))
        .chunk(content(" world"))
        .gate(&gate)
        .chunk(USAGE)
        .end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).upstream(&format!("  disconnect: {disconnect}\n")).start().await;
    let mut client = if h2 { Client::connect_h2(world.address).await } else { world.client().await };
    let mut got = client.post("/v1/chat/completions", None, chat(true).replace("demo", "gpt-4o")).await;
    let mut read = String::new();
    while !read.contains("world") {
        read.push_str(std::str::from_utf8(&got.piece().await.unwrap().unwrap()).unwrap());
    }
    drop(got);
    client.hang_up();
    if disconnect == "drain" {
        gate.notify_one();
    }
    let events = world.events(1).await;
    assert_eq!(world.finish().await.len(), 1);
    events[0]["data"].clone()
}

#[tokio::test]
async fn abort_counts_what_was_delivered() {
    for h2 in [false, true] {
        let data = leaves_after_two("abort", h2).await;
        assert_eq!(data["outcome"], "client_disconnect", "h2 {h2}");
        assert_eq!(
            (&data["usage"]["output_tokens"], &data["usage"]["source"]),
            (&2.into(), &"tokenizer".into()),
            "{data}"
        );
        assert_eq!(data["usage"]["complete"], false);
        assert_eq!(data["delivered"]["content_frames"], 2);
        assert!(data["flags"].as_array().unwrap().contains(&"usage_partial".into()));
    }
}

#[tokio::test]
async fn drain_reads_on_to_what_the_provider_reports() {
    for h2 in [false, true] {
        let data = leaves_after_two("drain", h2).await;
        assert_eq!(data["outcome"], "client_disconnect", "h2 {h2}");
        assert_eq!(
            (&data["usage"]["output_tokens"], &data["usage"]["source"]),
            (&40.into(), &"provider".into()),
            "{data}"
        );
        assert_eq!(data["delivered"]["frames"], 2, "what was drained was not delivered");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_begins_leaves_one_event() {
    let gate = Arc::new(Notify::new());
    let upstream = Mock::always(Reply::default().gate(&gate)).await;
    let world = World::before(&upstream).start().await;
    let address = world.address;
    let waiting = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
        drop(client.try_send(request.body(bytes::Bytes::from(chat(true)).into()).unwrap()).await);
    });
    crate::support::eventually("the upstream is asked", || upstream.asked().first().map(drop)).await;
    waiting.abort();
    drop(waiting.await);
    let data = world.only_event_soon().await["data"].clone();
    assert_eq!((&data["outcome"], &data["usage"]["source"]), (&"client_disconnect".into(), &"none".into()));
    assert!(data["upstream_status"].is_null());
}

#[tokio::test]
async fn a_client_that_leaves_after_done_has_had_it_all() {
    let gate = Arc::new(Notify::new());
    let reply = Reply::head(200, "text/event-stream").chunk(content("hello")).chunk(USAGE).gate(&gate).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    let mut client = world.client().await;
    let mut got = client.post("/v1/chat/completions", None, chat(true)).await;
    let mut read = String::new();
    while !read.contains("[DONE]") {
        read.push_str(std::str::from_utf8(&got.piece().await.unwrap().unwrap()).unwrap());
    }
    // The upstream has not ended the body, but the event already stands: the client had been told that it is done.
    assert_eq!(world.events(1).await[0]["data"]["outcome"], "ok");
    drop(got);
    client.hang_up();
    gate.notify_one();
    assert_eq!(world.finish().await.len(), 1);
}
