//! Every way in which an answer or an upload can end, at every place: one event each, with the right outcome.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::{Client, Mock, Reply, World, chat, until};

fn content(word: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":40,\"total_tokens\":49}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ASKS: &str = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;

fn wire() -> String {
    [": hello\n\n", &content("one"), &content(" two"), USAGE, DONE].concat()
}

/// The upstream sends so many bytes, then waits for the gate of this request, then sends the rest.
async fn stops_at(gates: Arc<Mutex<Vec<Arc<Notify>>>>) -> Mock {
    Mock::start(move |asked| {
        let at: usize = asked.headers["x-at"].parse().unwrap();
        let wire = wire();
        let (head, tail) = wire.split_at(at);
        let gate = Arc::new(Notify::new());
        gates.lock().unwrap().push(Arc::clone(&gate));
        Reply::head(200, "text/event-stream").chunk(head).gate(&gate).chunk(tail).end()
    })
    .await
}

async fn leave_at(world: &World, at: usize, h2: bool) {
    let mut client = if h2 { Client::connect_h2(world.address).await } else { world.client().await };
    let request = http::Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("session-id", at.to_string())
        .header("x-at", at.to_string());
    let mut got = client.send(request.body(bytes::Bytes::from(ASKS).into()).unwrap()).await;
    let mut read = 0;
    while read < at {
        read += got.piece().await.unwrap().unwrap().len();
    }
    drop(got);
    client.hang_up();
}

async fn leave_everywhere(disconnect: &str, h2: bool) {
    let gates: Arc<Mutex<Vec<Arc<Notify>>>> = Arc::default();
    let upstream = stops_at(Arc::clone(&gates)).await;
    let world = World::before(&upstream).upstream(&format!("  disconnect: {disconnect}\n")).start().await;
    let wire = wire();
    let mut count = 0;
    for at in 1..wire.len() {
        leave_at(&world, at, h2).await;
        count += 1;
        if disconnect == "drain" {
            gates.lock().unwrap().iter().for_each(|gate| gate.notify_one());
        }
    }
    assert!(count > 150);
    world.events(count).await;
    let events = world.finish().await;
    assert_eq!(events.len(), count, "one event each");
    for event in &events {
        let data = &event["data"];
        let at: usize = data["session_id"].as_str().unwrap().parse().unwrap();
        let seen = &wire[..at];
        let how = format!("{disconnect}, h2 {h2}, left at {at}: {data}");
        let has_usage = disconnect == "drain" || seen.contains("\"total_tokens\":49}}\n");
        assert_eq!(data["usage"]["source"] == "provider", has_usage || seen.ends_with("49}}"), "{how}");
        if has_usage {
            assert_eq!(data["usage"]["total_tokens"], 49, "{how}");
        }
        if disconnect == "abort" {
            let contents = seen.matches("\"finish_reason\":null}]}\n\n").count();
            assert_eq!(data["delivered"]["content_frames"], contents, "{how}");
            assert_eq!(data["delivered"]["bytes"], at, "{how}");
            assert_eq!(data["outcome"] == "ok", seen.contains("[DONE]\n\n"), "{how}");
            let flags = data["flags"].as_array().cloned().unwrap_or_default();
            assert!(!flags.contains(&"meter_error".into()), "half an event is not an odd one: {how}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_at_any_byte_leaves_one_event_abort_h1() {
    leave_everywhere("abort", false).await;
}

#[tokio::test]
async fn a_client_that_leaves_at_any_byte_leaves_one_event_abort_h2() {
    leave_everywhere("abort", true).await;
}

#[tokio::test]
async fn a_client_that_leaves_at_any_byte_leaves_one_event_drain_h1() {
    leave_everywhere("drain", false).await;
}

#[tokio::test]
async fn a_client_that_leaves_at_any_byte_leaves_one_event_drain_h2() {
    leave_everywhere("drain", true).await;
}

#[tokio::test]
async fn whole_answers_keep_their_length_and_hidden_ones_do_not() {
    let whole = r#"{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let stream = [content("a"), USAGE.to_owned()].concat();
    let length = stream.len();
    let upstream = Mock::start(move |asked| {
        if asked.body.contains("\"stream\":true") {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n");
            Reply::raw(&(head + &stream))
        } else {
            Reply::json(200, whole)
        }
    })
    .await;
    for h2 in [false, true] {
        let world = World::before(&upstream).start().await;
        let mut client = if h2 { Client::connect_h2(world.address).await } else { world.client().await };
        let got = client.post("/v1/chat/completions", None, chat(false)).await;
        assert_eq!(got.header("content-length"), Some(&*whole.len().to_string()), "h2 {h2}");
        assert_eq!(got.text().await, whole);
        let got = client.post("/v1/chat/completions", None, chat(true)).await;
        assert_eq!(got.header("content-length"), None, "h2 {h2}");
        assert_eq!(got.text().await, content("a"), "a body that ends by its length and has hidden bytes");
        let got = client.post("/v1/chat/completions", None, ASKS).await;
        assert_eq!(got.header("content-length"), Some(&*length.to_string()), "nothing is hidden: h2 {h2}");
        got.bytes().await;
        let events = world.finish().await;
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|event| event["data"]["outcome"] == "ok"), "{events:#?}");
        assert_eq!(events[1]["data"]["usage"]["total_tokens"], 49);
    }
}

#[tokio::test]
async fn an_upstream_that_fails_after_done_fails_the_connection_and_not_the_event() {
    let reply = Reply::head(200, "text/event-stream").chunk(content("a")).chunk([USAGE, DONE].concat());
    let upstream = Mock::always(reply.pause(Duration::from_millis(30)).reset()).await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, ASKS).await;
    let mut read = Vec::new();
    while let Some(Ok(piece)) = got.piece().await {
        read.extend_from_slice(&piece);
    }
    assert_eq!(String::from_utf8(read).unwrap(), [&content("a"), USAGE, DONE].concat());
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["usage"]["complete"]), (&"ok".into(), &true.into()));
}

#[tokio::test]
async fn trailers_end_an_answer_like_its_end() {
    let reply = Reply::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n",
    )
    .chunk([content("a"), USAGE.to_owned()].concat());
    let upstream = Mock::always(reply.then("0\r\nx-sum: 1\r\n\r\n")).await;
    for h2 in [false, true] {
        let world = World::before(&upstream).start().await;
        let mut client = if h2 { Client::connect_h2(world.address).await } else { world.client().await };
        let got = client.post("/v1/chat/completions", None, ASKS).await;
        assert_eq!(got.text().await, [&content("a"), USAGE].concat());
        let data = world.only_event().await["data"].clone();
        assert_eq!((&data["outcome"], &data["usage"]["total_tokens"]), (&"ok".into(), &49.into()));
    }
}

const LIMITED: &str = "- id: good\n  key: sk-good\n  limits: { tokens_per_minute: 100000 }\n";

#[tokio::test]
async fn a_document_cut_short_has_no_made_up_count_and_stays_reserved() {
    let whole = r#"{"model":"gpt-4o","choices":[{"message":{"content":"hello there"}}],"usage":{}}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", whole.len());
    let upstream = Mock::always(Reply::raw(&head).then(&whole[..40]).pause(Duration::from_millis(30)).reset()).await;
    let world = World::before(&upstream).keys(LIMITED).start().await;
    let mut got = world.chat(Some("sk-good"), &chat(false)).await;
    while let Some(Ok(_)) = got.piece().await {}
    let data = world.only_event().await["data"].clone();
    assert_eq!(data["outcome"], "upstream_error");
    assert!(data["usage"]["output_tokens"].is_null() && data["cost"].is_null(), "{data}");
    assert_eq!(data["usage"]["complete"], false);
    assert!(data["limits"]["reserved_tokens"].as_u64().unwrap() > 0 && data["limits"]["settled_tokens"].is_null());
    assert!(data["flags"].is_null() || !data["flags"].to_string().contains("meter_error"), "{data}");
}

#[tokio::test]
async fn a_client_that_leaves_while_the_model_works_does_not_get_its_tokens_back() {
    let gate = Arc::new(Notify::new());
    let upstream = Mock::always(Reply::default().gate(&gate)).await;
    let world = World::before(&upstream).keys(LIMITED).start().await;
    let address = world.address;
    let waiting = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        client.post("/v1/chat/completions", Some("sk-good"), chat(false)).await;
    });
    crate::support::eventually("the upstream is asked", || upstream.asked().first().map(drop)).await;
    waiting.abort();
    drop(waiting.await);
    let data = world.only_event_soon().await["data"].clone();
    assert_eq!(data["outcome"], "client_disconnect");
    assert!(data["limits"]["settled_tokens"].is_null(), "what was used is not known: {data}");
}

#[tokio::test]
async fn a_request_that_never_reached_the_model_gets_its_tokens_back() {
    let upstream = Mock::always(Reply::default()).await;
    let builder = World::before(&upstream).keys(LIMITED);
    drop(upstream);
    let world = builder.start().await;
    assert_eq!(world.chat(Some("sk-good"), &chat(false)).await.status, 502);
    let data = world.only_event().await["data"].clone();
    assert_eq!(data["limits"]["settled_tokens"], 0, "{data}");
}

#[tokio::test]
async fn a_client_that_leaves_while_its_tokens_are_counted_leaves_one_event() {
    let text = "many different words in a row ".repeat(6000);
    let upstream = Mock::always(Reply::sse([content(&text), DONE.to_owned()])).await;
    let world = World::before(&upstream).start().await;
    for _ in 0..20 {
        let mut client = world.client().await;
        let mut got = client.post("/v1/chat/completions", None, ASKS).await;
        let mut read = 0;
        while read < text.len() {
            read += got.piece().await.unwrap().unwrap().len();
        }
        drop(got);
        client.hang_up();
    }
    world.events(20).await;
    let events = world.finish().await;
    assert_eq!(events.len(), 20);
    for event in events {
        assert!(event["data"]["usage"]["output_tokens"].as_u64().unwrap() > 30_000, "{event}");
        assert!(event["data"]["local"]["output_tokens"].is_u64());
        let total = event["data"]["timing"]["total_ms"].as_f64().unwrap();
        assert!(total < 1000.0, "waiting for the count is not the request's time: {total}");
    }
}

async fn half_an_upload(world: &World) -> TcpStream {
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /v1/audio HTTP/1.1\r\nhost: x\r\ncontent-type: audio/wav\r\ncontent-length: 100000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&[7; 500]).await.unwrap();
    client
}

#[tokio::test]
async fn a_client_that_breaks_off_its_upload_leaves_one_event() {
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let world = World::before(&upstream).start().await;
    for begun in 1..=20 {
        let client = half_an_upload(&world).await;
        until("it has begun", async || world.metric("tollgate_spool_numbers_total").await == begun).await;
        drop(client);
    }
    world.events(20).await;
    let events = world.finish().await;
    assert_eq!(events.len(), 20);
    assert!(events.iter().all(|event| event["data"]["outcome"] == "client_disconnect"), "{events:#?}");
}

#[tokio::test]
async fn an_answer_before_the_upload_has_ended_passes_and_leaves_one_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 413 X\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlong").await.unwrap();
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let mock = Mock::always(Reply::default()).await;
    let extra = format!("  match: {{ models: [none] }}\n- name: early\n  url: http://{address}\n");
    let world = World::before(&mock).upstream(&extra).start().await;
    let mut client = half_an_upload(&world).await;
    let mut read = String::new();
    while !read.ends_with("long") {
        let mut buffer = [0; 1024];
        let count = client.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the answer came whole: {read}");
        read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(read.starts_with("HTTP/1.1 413"), "{read}");
    drop(client);
    let data = world.only_event_soon().await["data"].clone();
    assert_eq!((&data["outcome"], &data["status"]), (&"upstream_error".into(), &413.into()));
    answering.abort();
}
