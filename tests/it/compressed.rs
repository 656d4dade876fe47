//! Compressed answers: the client gets its bytes as they came and when they came, and the meter reads beside.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::{Got, Mock, Reply, World, chat};

/// The same events through encoders that flush after each.
fn recorded() -> Value {
    serde_json::from_str(include_str!("../fixtures/encoded/chunks.json")).unwrap()
}

fn chunks(coding: &str) -> Vec<Vec<u8>> {
    let hex = |text: &Value| {
        let text = text.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    recorded()[coding].as_array().unwrap().iter().map(hex).collect()
}

fn head(kind: &str, coding: &str) -> Reply {
    Reply::raw(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn post(world: &World, accept: &str, body: String) -> Got {
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("accept-encoding", accept);
    world.client().await.send(request.body(Bytes::from(body).into()).unwrap()).await
}

const NOT_INJECTED: &str = "  inject_usage: false\n";

#[tokio::test]
async fn a_compressed_stream_passes_chunk_by_chunk_and_is_metered() {
    for (name, coding) in [("gzip", "gzip"), ("deflate", "deflate"), ("deflate_bare", "deflate"), ("br", "br")] {
        let (gate, chunks) = (Arc::new(Notify::new()), chunks(name));
        let (last, first) = chunks.split_last().unwrap();
        let begun = first.iter().fold(head("text/event-stream", coding), |reply, piece| reply.chunk(piece).gate(&gate));
        let upstream = Mock::always(begun.chunk(last).end()).await;
        let world = World::before(&upstream).upstream(NOT_INJECTED).start().await;
        let mut got = post(&world, "gzip, deflate, br, zstd", chat(true)).await;
        assert_eq!(got.header("content-encoding"), Some(coding));
        for piece in first {
            // Would wait for ever if a chunk were held until more comes.
            assert_eq!(got.piece().await.unwrap().unwrap(), piece, "{name}");
            gate.notify_one();
        }
        assert_eq!(got.bytes().await, last, "{name}");
        let data = world.only_event().await["data"].clone();
        assert_eq!((&data["outcome"], &data["stream"], &data["flags"]), (&"ok".into(), &true.into(), &Value::Null));
        assert_eq!(data["usage"]["input_tokens"], 9, "{name}: {data}");
        assert_eq!((&data["usage"]["output_tokens"], &data["usage"]["source"]), (&2.into(), &"provider".into()));
        assert_eq!((&data["usage"]["complete"], &data["finish_reasons"][0]), (&true.into(), &"stop".into()));
        assert_eq!((&data["delivered"]["frames"], &data["delivered"]["content_frames"]), (&5.into(), &2.into()));
        // The event is sealed with the stream's last event; what closes the coding comes after it.
        let bytes: usize = first.iter().map(Vec::len).sum();
        assert_eq!(data["delivered"]["bytes"], bytes, "{name}");
    }
}

#[tokio::test]
async fn a_compressed_document_is_metered() {
    let whole = br#"{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let body = gzip(whole);
    let upstream = Mock::always(head("application/json", "gzip").chunk(&body[..9]).chunk(&body[9..]).end()).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(post(&world, "gzip", chat(false)).await.bytes().await, body);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["usage"]["total_tokens"], &data["usage"]["source"]), (&3.into(), &"provider".into()), "{data}");
    assert_eq!((&data["flags"], &data["delivered"]["frames"]), (&Value::Null, &2.into()));
}

#[tokio::test]
async fn the_clients_own_wish_goes_upstream_unless_a_chunk_must_be_taken_out() {
    let upstream = Mock::always(Reply::json(200, "{}")).await;
    let world = World::before(&upstream).start().await;
    for stream in [false, true] {
        post(&world, "gzip;q=1.0, lzma, br", chat(stream)).await.bytes().await;
    }
    let asked = upstream.asked();
    assert_eq!(asked[0].headers["accept-encoding"], "gzip;q=1.0, br", "as far as it can be read");
    assert_eq!(asked[1].headers["accept-encoding"], "identity", "usage is asked for and hidden again");
    assert!(asked[1].json()["stream_options"]["include_usage"] == true);
    world.finish().await;
}

#[tokio::test]
async fn a_bomb_reaches_the_client_whole_and_stops_the_meter_alone() {
    let bomb = gzip(&vec![b' '; 48 << 20]);
    let upstream = Mock::always(head("application/json", "gzip").chunks(bomb.chunks(9000)).end()).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(post(&world, "gzip", chat(false)).await.bytes().await, bomb);
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["flags"][0]), (&"ok".into(), &"meter_truncated".into()), "{data}");
    assert_eq!(data["delivered"]["bytes"], bomb.len());
}

#[tokio::test]
async fn a_compressed_stream_that_breaks_off_counts_what_was_delivered() {
    let chunks = chunks("gzip");
    let upstream = Mock::always(
        head("text/event-stream", "gzip").chunks(&chunks[..3]).pause(std::time::Duration::from_millis(50)).reset(),
    )
    .await;
    let world = World::before(&upstream).upstream(NOT_INJECTED).start().await;
    let mut got = post(&world, "gzip", chat(true).replace("demo", "gpt-4o")).await;
    let mut read = Vec::new();
    while let Some(Ok(piece)) = got.piece().await {
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, chunks[..3].concat(), "nothing can be said within compressed bytes");
    let data = world.only_event().await["data"].clone();
    assert_eq!((&data["outcome"], &data["error"]), (&"upstream_error".into(), &"upstream_reset".into()));
    assert_eq!((&data["usage"]["output_tokens"], &data["usage"]["complete"]), (&2.into(), &false.into()), "{data}");
}
